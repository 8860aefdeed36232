package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// Lane is the state of the lane of one address.
type Lane struct {
	Address string    `json:"address"`
	State   string    `json:"state"`
	Since   time.Time `json:"since,omitzero"`
	Count   int       `json:"count"`               // deliveries that it holds; 0 with live false: not known
	Oldest  time.Time `json:"oldest,omitzero"`     // when the oldest of those on disk was received
	Event   string    `json:"event,omitempty"`     // id of that one
	Reason  string    `json:"reason,omitempty"`    // why it is not open
	Error   string    `json:"error,omitempty"`     // what came of the attempt that it is of
	Why     string    `json:"why,omitempty"`       // both in words
	Next    time.Time `json:"next_probe,omitzero"` // zero: at once, or not known

	// Unrouted reports that no route names this address any more.
	Unrouted bool `json:"unrouted,omitempty"`

	// Destination reports that the whole destination is paused, not only this address.
	Destination bool `json:"destination,omitempty"`
}

// StatePaused is the state of a destination that fails as a whole.
const StatePaused = "paused"

// Destination is a destination that is paused or broken as a whole.
type Destination struct {
	Name   string    `json:"name"`
	State  string    `json:"state"` // paused, or broken
	Reason string    `json:"reason,omitempty"`
	Error  string    `json:"error,omitempty"`
	Why    string    `json:"why,omitempty"`       // both in words
	Next   time.Time `json:"next_probe,omitzero"` // zero: at once, or by each of its addresses
}

// LaneList is the lanes that are not open.
type LaneList struct {
	Lanes []Lane `json:"lanes"`

	// Destinations are those that are paused or broken as a whole.
	Destinations []Destination `json:"destinations"`

	// Live reports that the relay that dispatches answered; otherwise this is what the
	// streams hold.
	Live bool   `json:"live"`
	Note string `json:"note,omitempty"`
}

// Retried is which lanes were tried, with the results.
type Retried struct {
	Retried int         `json:"retried"`
	Lanes   []TriedLane `json:"lanes"`
}

// TriedLane is the result of a requested try.
type TriedLane struct {
	Address string    `json:"address"`
	Result  string    `json:"result"`              // open, failed, or waiting: no answer yet
	Error   string    `json:"error,omitempty"`     // why it failed
	Why     string    `json:"why,omitempty"`       // the same in words
	Next    time.Time `json:"next_probe,omitzero"` // of one that failed; zero: at once
}

// parked lists lanes that are not open: GET /api/v1/parked.
func (a *api) parked(ctx context.Context, r *question) (any, error) {
	address, err := r.text("address")
	if err != nil {
		return nil, err
	}
	if err := r.rejectUnknown(); err != nil {
		return nil, err
	}
	return a.laneList(ctx, address)
}

// laneList lists the lanes of an address that are not open, of a destination, or
// with "" all.
func (a *api) laneList(ctx context.Context, address string) (LaneList, error) {
	list := LaneList{Lanes: []Lane{}, Destinations: []Destination{}, Live: true}
	now, err := a.relay.Lanes(ctx)
	lanes := now.Lanes
	if err != nil {
		if !errors.Is(err, queue.ErrNobodyDispatches) {
			a.log.Warn("the relay that dispatches did not answer for its lanes", "err", err)
		}
		list.Live, list.Note = false, "the relay that dispatches does not answer: this is what is on disk, without reasons and probes"
	}
	stored, err := a.queue.ParkedLines(ctx)
	if err != nil {
		return list, err
	}
	for _, l := range stored {
		name := addressOf(l.Lane)
		i := slices.IndexFunc(lanes, func(o Lane) bool { return o.Address == name })
		if i < 0 {
			if list.Live {
				continue // all of it is settled, and about to be dropped
			}
			lanes, i = append(lanes, Lane{Address: name, State: stateParked}), len(lanes)
		}
		if l.ID != (queue.ID{}) {
			lanes[i].Oldest, lanes[i].Event = l.Received.UTC(), l.ID.String()
		}
	}
	for _, l := range lanes {
		if address == "" || l.Address == address || destinationOf(l.Address) == address {
			l.Why = a.why(l.Address, l.Reason, l.Error)
			l.Unrouted = !a.relay.Routed(l.Address)
			list.Lanes = append(list.Lanes, l)
		}
	}
	for _, d := range now.Destinations {
		if address == "" || d.Name == destinationOf(address) {
			d.Why = a.why(d.Name, d.Reason, d.Error)
			list.Destinations = append(list.Destinations, d)
		}
	}
	slices.SortFunc(list.Lanes, func(a, b Lane) int { return strings.Compare(a.Address, b.Address) })
	return list, nil
}

// reasonWords are the reasons that no attempt gave.
var reasonWords = map[string]string{
	"backlog":          "messages come faster than they are delivered",
	"memory":           "large messages come faster than they are delivered",
	"waiting too long": "the oldest message has waited for 30 s",
}

// why says in words why an address takes nothing.
func (a *api) why(address, reason, text string) string {
	switch {
	case text != "" && strings.Contains(reason, " "): // which says more than the name of an outcome
		return reason + ": " + text
	case text != "":
		return a.relay.InWords(laneOf(address), text)
	case reasonWords[reason] != "":
		return reasonWords[reason]
	}
	return reason
}

// laneOf is the lane of an address, as [addressOf] writes it.
func laneOf(address string) queue.Lane {
	destination := destinationOf(address)
	channel := strings.TrimPrefix(address[len(destination):], "#")
	return queue.Lane{Destination: destination, Channel: channel}
}

func destinationOf(address string) string {
	if i := strings.IndexAny(address, "#@"); i >= 0 {
		return address[:i]
	}
	return address
}

// retryParked has lanes tried now, and waits a while for the results:
// POST /api/v1/parked/retry. Without an address all lanes are tried; the name of a
// destination means all of its lanes.
func (a *api) retryParked(ctx context.Context, r *question) (any, error) {
	address, err := r.text("address")
	if err != nil {
		return nil, err
	}
	if err := r.rejectUnknown(); err != nil {
		return nil, err
	}
	if address != "" {
		if _, err := a.relay.Lane(address); err != nil {
			return nil, wrong("address: %s", err)
		}
	}
	lanes, err := a.relay.Retry(ctx, address)
	for i, l := range lanes {
		if l.Error != "" {
			lanes[i].Why = a.why(l.Address, "", l.Error)
		}
	}
	return Retried{len(lanes), append([]TriedLane{}, lanes...)}, err
}
