package main

import (
	"context"
	"errors"
	"slices"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/server"
)

// mostTaken is how many messages one request asks about.
const mostTaken = 200

// Take is part of [server.Relay].
func (v adminView) Take(ctx context.Context, t server.Take) (server.TakenParked, error) {
	if lanes := v.r.active.Load(); lanes != nil {
		return v.r.takeParked(ctx, lanes, t)
	}
	a, err := v.r.askActive(ctx, laneQuestion{Take: &t})
	switch {
	case err != nil:
		return server.TakenParked{}, err
	case a.Error != "":
		return server.TakenParked{}, errors.New(a.Error)
	case a.Taken == nil:
		return server.TakenParked{}, errors.New("the relay that dispatches is older than this one, and cannot move messages")
	}
	return *a.Taken, nil
}

// Routed asks the routes in force. An address that an event completes may be any of its
// destination.
func (v adminView) Routed(address string) bool {
	a, err := configs.ParseAddress(address)
	return err != nil || v.r.live.Load().routed(a)
}

func (c *configuration) routed(a configs.Address) bool {
	if c.Unrouted.Address == a {
		return true
	}
	return slices.ContainsFunc(c.Routes, func(r configs.Route) bool {
		return slices.ContainsFunc(r.To, func(to configs.To) bool {
			return to.Address == a || to.Placed() && to.Address.Destination == a.Destination
		})
	})
}

// takeParked moves messages that wait for an address to another one, or drops them. What
// may not go there because of an access rule stays.
func (r *relay) takeParked(ctx context.Context, lanes *delivery.Lanes, t server.Take) (out server.TakenParked, err error) {
	c := r.live.Load()
	from, err := c.lane(t.Address)
	if err != nil {
		return out, err
	}
	take := func(p *queue.Parked) (outcome, reason string, err error) {
		out.Dropped = append(out.Dropped, p.ID.String())
		return server.OutcomeDropped, "by hand", nil
	}
	if t.To != "" {
		to, err := configs.ParseAddress(t.To)
		if err != nil {
			return out, err
		}
		take = func(p *queue.Parked) (outcome, reason string, err error) {
			if err := c.closed(eventOf(&p.Webhook), to); err != nil {
				out.Kept = append(out.Kept, server.KeptMessage{EventID: p.ID.String(), Error: err.Error()})
				return "", "", nil
			}
			id, err := r.queue.StoreReplay(ctx, &p.Webhook, queue.Replay{Of: p.ID, To: t.To}, "moved from "+t.Address)
			if err != nil {
				return "", "", err
			}
			out.Moved = append(out.Moved, server.MovedMessage{EventID: p.ID.String(), ID: id.String()})
			return server.OutcomeMoved, "to " + t.To + ", as " + id.String(), nil
		}
	}
	at, more, err := lanes.TakeParked(ctx, from, t.After, mostTaken, take)
	if more || err != nil {
		out.Behind(at)
	}
	if err != nil && len(out.Moved)+len(out.Dropped) > 0 {
		r.log.Warn("not all messages were taken", "address", t.Address, "err", err)
		return out, nil // whoever continues meets the error first
	}
	return out, err
}
