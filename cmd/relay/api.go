package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/dispatch"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
	"github.com/gitlab-mattermost/relay/server"
)

// adminView is the relay as the admin listener knows it: [server.Relay].
type adminView struct{ r *relay }

func (v adminView) Reload() error              { return v.r.reloader.reload("POST /-/reload") }
func (v adminView) Config() any                { return v.r.reloader.report(v.r.live.Load()) }
func (v adminView) Sources() server.SourceList { return v.r.door.Sources() }
func (v adminView) Clean(text string) string   { return v.r.secrets.clean(text) }

// Describe is part of [server.Relay].
func (v adminView) Describe(w *queue.Webhook) server.Description {
	e := eventOf(w)
	return server.Description{Event: e.Name(), Project: e.Project.Path, Title: v.r.title(e.Title), Actor: v.r.title(cmp.Or(e.Actor.Username, e.Actor.Name))}
}

// Decide asks the routes in force.
func (v adminView) Decide(w *queue.Webhook) any { return decideNow(v.r.live.Load(), w) }

// Lane reads an address of the configuration in force.
func (v adminView) Lane(address string) (queue.Lane, error) { return v.r.live.Load().lane(address) }

// Withheld asks the access rules in force.
func (v adminView) Withheld(w *queue.Webhook, from queue.Lane) error {
	return v.r.live.Load().closed(eventOf(w), delivery.AddressOf(from))
}

// Lanes asks the relay that dispatches how its lanes stand.
func (v adminView) Lanes(ctx context.Context) (server.LaneList, error) {
	a, err := v.r.askActive(ctx, laneQuestion{})
	return server.LaneList{Lanes: a.Lanes, Destinations: a.Destinations}, err
}

// InWords takes the kind of the chat from the configuration in force.
func (v adminView) InWords(lane queue.Lane, text string) string {
	d := v.r.live.Load().Destination(lane.Destination)
	if d == nil {
		return text
	}
	return delivery.InWords(d.Kind, cmp.Or(lane.Channel, d.Channel), text)
}

// Retry has the relay that dispatches try lanes now.
func (v adminView) Retry(ctx context.Context, address string) ([]server.TriedLane, error) {
	a, err := v.r.askActive(ctx, laneQuestion{Retry: true, Address: address})
	return a.Tried, err
}

// eventOf decodes a stored webhook.
func eventOf(w *queue.Webhook) *events.Event {
	return events.Decode(events.NewInput(w.Source, w.Get, w.Body))
}

// title is what is kept and shown of an event's title. Secrets go before it is cut
// off, because half of one would not be recognised later.
func (r *relay) title(s string) string { return server.ShortTitle(r.secrets.clean(s)) }

// decidedNow is what a configuration says of a stored webhook.
type decidedNow struct {
	Config string `json:"config"` // which one
	Text   string `json:"text"`   // the same for people
	explained
}

func decideNow(c *configuration, w *queue.Webhook) decidedNow {
	e := eventOf(w)
	x := c.table.ExplainAt(e, dispatch.Arrival(w))
	return decidedNow{c.name(), c.explanation(e, x), explained{describe(e), x}}
}

// name is where a configuration is from.
func (c *configuration) name() string {
	if len(c.Files) == 0 {
		return "the environment"
	}
	return c.Files[0]
}

// lane is the lane of an address, if relay.yaml has its destination.
func (c *configuration) lane(to string) (queue.Lane, error) {
	a, err := configs.ParseAddress(to)
	if err != nil {
		return queue.Lane{}, errors.New(strings.TrimPrefix(err.Error(), "read address: "))
	}
	var wrong *exitError
	if _, _, err := c.address(to); errors.As(err, &wrong) {
		return queue.Lane{}, errors.New(wrong.message + "; " + wrong.hint)
	}
	return delivery.LaneOf(a), nil
}

// closed says why an event is withheld from an address whatever the routes say;
// nil if it is not.
func (c *configuration) closed(e *events.Event, to configs.Address) error {
	d := c.table.Direct(e, to)
	switch {
	case d.Foreign:
		return fmt.Errorf("withheld from %s: source %s may not speak for this project: %s", to, e.Source, d.Because)
	case len(d.Withheld) > 0 && d.Withheld[0].Reason == routes.ReasonOnly:
		return fmt.Errorf("withheld from %s: destination %s does not take such events (only)", to, to.Destination)
	case len(d.Withheld) > 0:
		return fmt.Errorf("withheld from %s: %s", to, c.withheld(routes.WithheldExplanation{Destination: to.Destination, Channel: to.Channel, Reason: d.Withheld[0].Reason}))
	}
	return nil
}

// laneQuestion is what one relay asks the one that dispatches.
type laneQuestion struct {
	Retry   bool         `json:"retry"`   // have the lanes tried now; else: how do they stand
	Address string       `json:"address"` // "": all
	Take    *server.Take `json:"take,omitempty"`
}

type laneAnswer struct {
	Lanes        []server.Lane        `json:"lanes,omitempty"`
	Destinations []server.Destination `json:"destinations,omitempty"`
	Tried        []server.TriedLane   `json:"tried,omitempty"`
	Taken        *server.TakenParked  `json:"taken,omitempty"`
	Error        string               `json:"error,omitempty"` // of Take, for people
}

func (r *relay) askActive(ctx context.Context, q laneQuestion) (laneAnswer, error) {
	if lanes := r.active.Load(); lanes != nil {
		return r.answerLanes(ctx, lanes, q), nil
	}
	if !r.queue.External() {
		return laneAnswer{}, queue.ErrNobodyDispatches
	}
	question, err := json.Marshal(q)
	if err != nil {
		return laneAnswer{}, err
	}
	patience := askTimeout
	if q.Retry || q.Take != nil {
		patience += tryPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := r.queue.Ask(ctx, question)
	if err != nil {
		return laneAnswer{}, err
	}
	return readAnswer(text)
}

// maxAsked and maxAnswered are how many bytes are read of what another relay asks
// and answers. Anybody on the NATS server may write that, and some hundred times as
// much memory can be needed to read it.
const maxAsked, maxAnswered = 64 << 10, 2 << 20

func readQuestion(text []byte) (q laneQuestion, err error) {
	if len(text) > maxAsked {
		return q, fmt.Errorf("read what another relay asks: it has %d bytes, at most %d are read", len(text), maxAsked)
	}
	if err := json.Unmarshal(text, &q); err != nil {
		return laneQuestion{}, fmt.Errorf("read what another relay asks: %w", err)
	}
	return q, nil
}

func readAnswer(text []byte) (a laneAnswer, err error) {
	if len(text) > maxAnswered {
		return a, fmt.Errorf("read the answer of the relay that dispatches: it has %d bytes, at most %d are read", len(text), maxAnswered)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return laneAnswer{}, fmt.Errorf("read the answer of the relay that dispatches: %w", err)
	}
	return a, nil
}

func (r *relay) answerLanes(ctx context.Context, lanes *delivery.Lanes, q laneQuestion) laneAnswer {
	var a laneAnswer
	if q.Take != nil {
		taken, err := r.takeParked(ctx, lanes, *q.Take)
		if a.Taken = &taken; err != nil {
			a.Error = err.Error()
		}
		return a
	}
	if q.Retry {
		ctx, cancel := context.WithTimeout(ctx, tryPatience)
		defer cancel()
		for _, t := range lanes.TryNow(ctx, func(a configs.Address) bool {
			return q.Address == "" || q.Address == a.String() || q.Address == a.Destination
		}) {
			a.Tried = append(a.Tried, server.TriedLane{Address: t.Address.String(), Result: t.Result, Error: t.Error, Next: t.Next.UTC()})
		}
		return a
	}
	for _, st := range lanes.Status() {
		if st.State == delivery.LaneOpen {
			continue
		}
		a.Lanes = append(a.Lanes, server.Lane{
			Address: st.Address.String(), State: st.State, Since: st.Since.UTC(), Count: st.Held, Reason: st.Reason, Error: st.Error,
			Next: st.Next.UTC(), Destination: st.Whole,
		})
	}
	for _, d := range lanes.Destinations() {
		state := server.StatePaused
		if d.Broken {
			state = delivery.LaneBroken
		}
		a.Destinations = append(a.Destinations, server.Destination{Name: d.Name, State: state, Reason: d.Reason, Error: d.Error, Next: d.Next.UTC()})
	}
	return a
}

// answering answers the other relays on this server while this one dispatches,
// until stop is called.
func (r *relay) answering(lanes *delivery.Lanes) (stop func()) {
	r.active.Store(lanes)
	end := func() { r.active.Store(nil) }
	if !r.queue.External() {
		return end
	}
	silent, err := r.queue.Answer(func(question []byte) []byte {
		q, err := readQuestion(question)
		if err != nil {
			return nil
		}
		text, _ := json.Marshal(r.answerLanes(context.Background(), lanes, q)) // strings, numbers and times
		return text
	})
	if err != nil {
		r.log.Warn("other relays on this server cannot ask this one how its lanes stand", "err", err)
		return end
	}
	return func() { silent(); end() }
}
