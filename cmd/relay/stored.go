package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/routes"
	"github.com/gitlab-mattermost/relay/server"
)

// storedEvent is an event that a running relay has kept.
type storedEvent struct {
	server.EventDetail
	relay *admin
	body  []byte
}

// stored asks a running relay for an event.
func (a *app) stored(ctx context.Context, on adminFlags, id string) (*storedEvent, error) {
	r, err := a.admin(on)
	if err != nil {
		return nil, err
	}
	s := &storedEvent{relay: r}
	return s, r.get(ctx, "/api/v1/events/"+id, nil, &s.EventDetail)
}

// payload is the event's payload, whatever its size.
func (s *storedEvent) payload(ctx context.Context) ([]byte, error) {
	if s.body != nil {
		return s.body, nil
	}
	if s.Webhook == nil {
		return nil, &exitError{exitFail, "the webhook of event " + s.ID + " is not kept any more", "history is kept for the time of relay serve --history"}
	}
	var raw json.RawMessage
	if err := s.relay.get(ctx, "/api/v1/events/"+s.ID+"/body", nil, &raw); err != nil {
		return nil, err
	}
	s.body = raw
	return raw, nil
}

// sample is the event in the form of a built-in one.
func (s *storedEvent) sample(ctx context.Context, f eventFlags) (events.Sample, error) {
	body, err := s.payload(ctx)
	if err != nil {
		return events.Sample{}, err
	}
	header, err := f.event()
	in := events.NewInput("", func(name string) string {
		for _, h := range s.Webhook.Headers {
			if strings.EqualFold(h.Name, name) {
				return h.Value
			}
		}
		return ""
	}, body)
	return events.Sample{Name: s.ID, Header: cmp.Or(header, in.Header), Body: body, Instance: in.Instance, Version: in.Version}, err
}

// decode decodes the event as it came, or as the flags want it.
func (s *storedEvent) decode(ctx context.Context, f eventFlags) (*events.Event, error) {
	sample, err := s.sample(ctx, f)
	if err != nil {
		return nil, err
	}
	source := f.source
	if source == "" {
		source = s.Webhook.Source
	}
	return f.changed(events.Decode(sample.Input(source)))
}

// explainedThen is an explanation of a stored event.
type explainedThen struct {
	Config string             `json:"config"`          // what decided now
	Error  string             `json:"error,omitempty"` // why nothing did
	Then   server.EventDetail `json:"then"`
	*explained
}

// explainStored says what was decided about a stored event, and what would be
// decided now: by the relay.yaml that is found here, which it returns, else by
// the relay's own.
func (a *app) explainStored(cmd *cobra.Command, f eventFlags, id string, inJSON bool) (*configuration, routes.Explanation, error) {
	s, err := a.stored(cmd.Context(), f.on, id)
	if err != nil {
		return nil, routes.Explanation{}, err
	}
	if s.Webhook != nil && inJSON {
		s.Webhook.Body = nil // body_path has it
	}
	if !inJSON {
		if _, err := io.WriteString(a.stdout, s.text()); err != nil {
			return nil, routes.Explanation{}, err
		}
	}
	c, now, err := a.decidedNow(cmd, f, s)
	switch {
	case inJSON && err != nil:
		_ = a.printJSON(explainedThen{Config: now.Config, Error: a.secrets.clean(err.Error()), Then: s.EventDetail})
	case inJSON:
		err = a.printJSON(explainedThen{now.Config, "", s.EventDetail, &now.explained})
	case err != nil && now.Config != "":
		fmt.Fprintf(a.stdout, "\nnow, by %s:\n  %s; relay check names what is wrong\n", now.Config, a.secrets.clean(err.Error()))
	case now.Text != "":
		_, err = io.WriteString(a.stdout, "\nnow, by "+now.Config+":\n"+now.Text)
	}
	return c, now.Explanation, err
}

// decidedNow says what would be decided about the event. With an error it names
// the configuration that says nothing, if there is one.
func (a *app) decidedNow(cmd *cobra.Command, f eventFlags, s *storedEvent) (*configuration, decidedNow, error) {
	if s.Webhook == nil {
		return nil, decidedNow{}, nil // only then is known
	}
	c, err := a.loadWithoutSecrets(cmd)
	if errors.Is(err, errNoConfiguration) && len(f.with) == 0 && f.at == "" && f.source == "" && f.header == "" {
		var now decidedNow
		if err := s.relay.get(cmd.Context(), "/api/v1/events/"+s.ID+"/decision", nil, &now); err != nil {
			return nil, decidedNow{}, err
		}
		now.Config = "the relay's own configuration (" + now.Config + ")"
		return nil, now, nil
	}
	if err != nil {
		path, _ := a.find(cmd) // it has just been found
		return nil, decidedNow{Config: path}, err
	}
	e, err := s.decode(cmd.Context(), f)
	if err != nil {
		return nil, decidedNow{}, err
	}
	came := s.Received
	if s.ReplayOf != "" {
		came = time.Time{} // a replay has no time
	}
	at, err := f.moment(came)
	if err != nil {
		return c, decidedNow{}, err
	}
	x := c.table.ExplainAt(e, at)
	return c, decidedNow{c.name(), c.explanation(e, x), explained{describe(e), x}}, nil
}

// text is the event as it was stored, and what was decided then, for people.
func (s *storedEvent) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "event %s: %s\n", s.ID, headlineOf(s.Event.Event, s.Project, s.Title))
	b.WriteString("  ")
	if s.Actor != "" {
		fmt.Fprintf(&b, "by %s, ", printable(s.Actor))
	}
	fmt.Fprintf(&b, "came %s from source %s", clock(s.Received), printable(s.Source))
	if s.Webhook != nil {
		fmt.Fprintf(&b, ", %s", count(s.Webhook.Size, "byte"))
	}
	b.WriteString("\n")
	if s.ReplayOf != "" {
		fmt.Fprintf(&b, "  replays %s", s.ReplayOf)
		if s.ReplayTo != "" {
			fmt.Fprintf(&b, " to %s", s.ReplayTo)
		}
		if s.Webhook != nil {
			fmt.Fprintf(&b, ", which came %s", clock(s.Webhook.FirstReceived))
		}
		b.WriteString("\n")
	}
	if len(s.Replays) > 0 {
		fmt.Fprintf(&b, "  was replayed as %s\n", strings.Join(s.Replays, ", "))
	}
	for _, e := range s.Earlier {
		fmt.Fprintf(&b, "\nthen, %s, before the relay was restarted:\n", clock(e.Decided))
		s.then(&b, e)
	}
	if s.Decided.IsZero() {
		b.WriteString("\nnot decided yet: no relay has read it, or not recorded that within the last second\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\nthen, %s:\n", clock(s.Decided))
	s.then(&b, s.Event)
	return b.String()
}

// then says what one decision came to.
func (s *storedEvent) then(b *strings.Builder, e server.Event) {
	switch {
	case e.Outcome == "foreign":
		fmt.Fprintf(b, "  foreign: source %s may not speak for this project: %s\n", printable(e.Source), printable(e.Because))
	case e.Nearest != "":
		fmt.Fprintf(b, "  no route took it; nearest was %s: %s\n", printable(e.Nearest), printable(e.Because))
	case e.Outcome == "unrouted":
		fmt.Fprintf(b, "  no route took it%s\n", strings.TrimSuffix(": "+printable(e.Because), ": "))
	}
	for _, d := range e.Deliveries {
		fmt.Fprintf(b, "  %s %s (%s): %s\n", tick(d.State == "delivered"), d.Address, by(d.Route), stateText(d))
		for _, t := range s.Tries {
			if t.Address == d.Address && e.ID == s.ID && e.Decided.Equal(s.Decided) {
				fmt.Fprintf(b, "      attempt %d, after %s: %s\n", t.Number, seconds(t.Delay), attemptText(t))
			}
		}
	}
	for _, w := range e.Withheld {
		fmt.Fprintf(b, "  ✗ %s (%s): withheld: %s\n", w.Address, by(w.Route), printable(w.Reason))
	}
	for _, r := range e.Repeats {
		fmt.Fprintf(b, "  ✗ %s (%s): a repeat: %s\n", r.Address, by(r.Route), printable(r.Reason))
	}
}

// stateText is how a delivery stands, in a few words.
func stateText(d server.Delivery) string {
	switch d.State {
	case "delivered":
		s := "delivered"
		if d.Attempts > 1 {
			s += fmt.Sprintf(" by attempt %d", d.Attempts)
		}
		return s + ", " + seconds(d.Delay) + " after it came"
	case "dead":
		return fmt.Sprintf("given up after %s: %s; dead letter %d", count(d.Attempts, "attempt"), printable(reason(d.Reason, d.Status)), d.DeadLetter)
	case "withheld":
		return "withheld when its turn came: " + printable(d.Reason) + "; relay replay sends it, if it may go there"
	case "moved", "dropped":
		return d.State + " " + printable(d.Reason)
	case "parked":
		return "parked: it waits on disk until the address takes messages; relay parked list says why"
	}
	return "on its way"
}

func attemptText(t server.Attempt) string {
	return printable(cmp.Or(t.Why, t.Error, reason(t.Reason, t.Status)))
}

// seconds is a duration for people.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// eventFor decodes what EVENT names, as a configuration's sources would send it.
func (a *app) eventFor(ctx context.Context, c *configuration, f eventFlags, name string) (*events.Event, error) {
	if isEventID(name) {
		s, err := a.stored(ctx, f.on, name)
		if err != nil {
			return nil, err
		}
		return s.decode(ctx, f)
	}
	sample, err := a.webhook(ctx, f, name)
	if err != nil {
		return nil, err
	}
	return c.decode(f, sample)
}
