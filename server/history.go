package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

// States of an event or a delivery, besides the outcomes of package queue.
const (
	stateWaiting = "waiting" // not tried yet, or being tried
	stateParked  = "parked"  // on disk, until its address takes it
)

// outcomes are the words that events are chosen by.
var outcomes = []string{
	queue.OutcomeDelivered, stateWaiting, stateParked, queue.OutcomeDead, queue.OutcomeUnrouted, queue.OutcomeWithheld,
	queue.OutcomeRepeat, queue.OutcomeForeign, OutcomeMoved, OutcomeDropped,
}

// states are the possible states of a delivery, the best first.
var states = []string{queue.OutcomeWithheld, OutcomeDropped, OutcomeMoved, queue.OutcomeDelivered, stateWaiting, stateParked, queue.OutcomeDead}

const (
	// maxInline is how large a payload may be that an event is shown with.
	maxInline = 256 << 10
	// maxAttempts is how many attempts an event is shown with.
	maxAttempts = 500
)

// events lists events: GET /api/v1/events.
func (a *api) events(ctx context.Context, r *question) (any, error) {
	query, err := a.eventQuery(r)
	if err != nil {
		return nil, err
	}
	replayable, err := r.replayable()
	if err != nil {
		return nil, err
	}
	by, err := r.text("by")
	if err != nil {
		return nil, err
	}
	if err := r.rejectUnknown(); err != nil {
		return nil, err
	}
	if by != "" {
		return a.countEvents(ctx, query, by)
	}
	var known replayed
	if replayable != "" {
		if known, err = a.onlyReplayable(ctx, &query, replayable); err != nil {
			return nil, err
		}
	}
	page, err := a.queue.EventPage(ctx, query)
	if err != nil {
		return nil, err
	}
	list := EventList{Events: []Event{}, Incomplete: page.Cut, Skipped: known.skippedOn(page)}
	for _, t := range page.Events {
		list.Events = append(list.Events, a.newEvent(t, t.Decision(), page.Parked))
	}
	if page.More {
		list.Next = list.Events[len(list.Events)-1].ID
	}
	return list, nil
}

func (a *api) eventQuery(r *question) (query queue.EventQuery, err error) {
	f, err := r.filter()
	if err != nil {
		return query, err
	}
	source, err := r.text("source")
	if err != nil {
		return query, err
	}
	outcome, err := r.text("outcome")
	if err != nil {
		return query, err
	}
	if outcome != "" && !slices.Contains(outcomes, outcome) {
		return query, wrong("outcome %q is none; there is %s", outcome, strings.Join(outcomes, ", "))
	}
	page, err := r.text("page")
	if err != nil {
		return query, err
	}
	if page != "" {
		if query.Before, err = queue.ParseID(page); err != nil {
			return query, wrong("page: it takes what the last answer said under next")
		}
	}
	if query.Limit, err = r.number("limit", pageLimit, maxPage); err != nil {
		return query, err
	}
	actor, err := r.text("actor")
	if err != nil {
		return query, err
	}
	query.Since, query.Until = f.since, f.until
	query.Decided = func(d *queue.Decision) bool {
		return f.matches(d.Project, d.Event) && (source == "" || d.Source == source) && (actor == "" || d.Actor == actor) && mayBe(d, outcome)
	}
	if outcome != "" {
		query.Settled = func(t *queue.Trace, parked func(queue.Lane) bool) bool { return was(t, parked, outcome) }
	}
	query.Undecided = func(id queue.ID, w *queue.Webhook) *queue.Decision {
		about := a.relay.Describe(w)
		d := &queue.Decision{ID: id, Source: w.Source, Event: about.Event, Project: about.Project, Title: about.Title, Actor: about.Actor, Received: w.Received}
		d.Replay, _ = w.Replay()
		return d
	}
	return query, nil
}

// mayBe tells whether an event that was decided so may come to an outcome.
func mayBe(d *queue.Decision, outcome string) bool {
	switch outcome {
	case "":
		return true
	case queue.OutcomeWithheld:
		return len(d.Withheld)+len(d.Deliveries) > 0 // a gate may close after the decision
	case queue.OutcomeRepeat:
		return len(d.Repeats) > 0 || d.Outcome == outcome
	case queue.OutcomeUnrouted, queue.OutcomeForeign:
		return d.Outcome == outcome
	case stateWaiting:
		return d.Outcome == "" || len(d.Deliveries) > 0
	}
	return len(d.Deliveries) > 0
}

// was tells whether the outcome is that of an event or of one of its
// deliveries.
func was(t *queue.Trace, parked func(queue.Lane) bool, outcome string) bool {
	d := t.Decision()
	if !slices.Contains(states, outcome) || d.Outcome == "" || outcome == queue.OutcomeWithheld && len(d.Withheld) > 0 {
		return mayBe(d, outcome)
	}
	for _, p := range t.Deliveries(d) {
		if stateOf(t, p.Lane, parked) == outcome {
			return true
		}
	}
	return false
}

func stateOf(t *queue.Trace, l queue.Lane, parked func(queue.Lane) bool) string {
	if s := t.Settlement(l); s != nil {
		return s.Outcome
	}
	if parked(l) {
		return stateParked
	}
	return stateWaiting
}

func (a *api) newEvent(t *queue.Trace, d *queue.Decision, parked func(queue.Lane) bool) Event {
	e := Event{
		ID: t.ID.String(), Received: d.Received.UTC(), Decided: d.Time.UTC(), Source: d.Source, Event: d.Event, Project: d.Project, Title: titleOf(d.Title), Actor: d.Actor,
		Outcome: d.Outcome, Deliveries: []Delivery{}, Withheld: planned(d.Withheld), Repeats: planned(d.Repeats), Nearest: d.Nearest, Because: d.Because,
		ReplayTo: d.Replay.To,
	}
	if d.Replay.Of != (queue.ID{}) {
		e.ReplayOf = d.Replay.Of.String()
	}
	if d.Received.IsZero() {
		e.Received = e.Decided
	}
	worst := -1
	for _, p := range t.Deliveries(d) {
		one := delivery(t, p, e.Received, parked)
		one.Why = a.relay.InWords(p.Lane, one.Error)
		worst = max(worst, slices.Index(states, one.State))
		e.Deliveries = append(e.Deliveries, one)
	}
	switch {
	case d.Outcome == "":
		e.Outcome = stateWaiting
	case worst >= 0:
		e.Outcome = states[worst]
	}
	return e
}

func delivery(t *queue.Trace, p queue.Planned, received time.Time, parked func(queue.Lane) bool) Delivery {
	d := Delivery{Address: addressOf(p.Lane), Route: p.Route, State: stateOf(t, p.Lane, parked)}
	for _, a := range t.Attempts {
		if a.Lane == p.Lane {
			d.Attempts++
			d.Status, d.Reason, d.Error, d.Time, d.Duration = a.Status, a.Reason, a.Error, a.Time.UTC(), a.Duration.Seconds()
		}
	}
	if s := t.Settlement(p.Lane); s != nil {
		d.Attempts = max(d.Attempts, s.Attempts)
		d.Time, d.DeadLetter = s.Time.UTC(), s.DeadSeq
		if s.Outcome == queue.OutcomeDelivered {
			d.Status, d.Reason, d.Error, d.Duration = s.Status, s.Reason, "", s.Duration.Seconds()
		} else {
			d.Reason = s.Reason
		}
		if s.Outcome == queue.OutcomeWithheld || takenAway(s.Outcome) {
			d.Status, d.Error = 0, "" // of an attempt, which is not why
		}
	}
	if !d.Time.IsZero() {
		d.Delay = max(d.Time.Sub(received), 0).Seconds()
	}
	return d
}

func planned(ps []queue.Planned) []Planned {
	out := []Planned{}
	for _, p := range ps {
		out = append(out, Planned{addressOf(p.Lane), p.Route, p.Reason})
	}
	return out
}

// trace reads all about the event that the path names.
func (a *api) trace(ctx context.Context, r *question) (queue.EventTrace, error) {
	id, err := r.event()
	if err != nil {
		return queue.EventTrace{}, err
	}
	t, err := a.queue.Trace(ctx, id)
	if errors.Is(err, queue.ErrNotFound) {
		return t, notFound("there is no event %s: the id is the one that GitLab shows under Recent events; history is kept for the time of --history", id)
	}
	return t, err
}

// stored is the webhook of the event that the path names.
func (a *api) stored(ctx context.Context, r *question) (queue.EventTrace, error) {
	id, err := r.event()
	if err != nil {
		return queue.EventTrace{}, err
	}
	t, err := a.queue.StoredWebhook(ctx, id)
	if errors.Is(err, queue.ErrNotFound) {
		return t, notFound("the webhook of event %s is not kept, or not any more: history is kept for the time of --history", id)
	}
	return t, err
}

// event shows one event: GET /api/v1/events/{id}.
func (a *api) event(ctx context.Context, r *question) (any, error) {
	t, err := a.trace(ctx, r)
	if err != nil {
		return nil, err
	}
	d := t.Decision()
	if d == nil {
		about := a.relay.Describe(t.Webhook)
		d = &queue.Decision{ID: t.ID, Source: t.Webhook.Source, Event: about.Event, Project: about.Project, Title: about.Title, Actor: about.Actor}
		d.Replay, _ = t.Webhook.Replay()
	}
	if d.Received.IsZero() && t.Webhook != nil {
		d.Received = t.Webhook.Received
	}
	out := EventDetail{Event: a.newEvent(&t.Trace, d, t.Parked), Tries: []Attempt{}, Replays: []string{}, Complete: !t.Cut}
	if t.Webhook != nil {
		out.Webhook = a.webhook(t.ID, t.Webhook)
	}
	for i := range max(len(t.Decisions), 1) - 1 {
		out.Earlier = append(out.Earlier, a.newEvent(&queue.Trace{ID: t.ID}, t.Decisions[i], func(queue.Lane) bool { return false }))
	}
	for _, id := range t.Replays {
		out.Replays = append(out.Replays, id.String())
	}
	tries := t.Attempts
	if len(tries) > maxAttempts {
		tries, out.Complete = tries[len(tries)-maxAttempts:], false
	}
	for _, try := range tries {
		out.Tries = append(out.Tries, Attempt{
			addressOf(try.Lane), try.Number, try.Time.UTC(), try.Status, try.Reason, try.Error, a.relay.InWords(try.Lane, try.Error),
			max(try.Time.Sub(out.Received), 0).Seconds(), try.Duration.Seconds(),
		})
	}
	return out, nil
}

func (a *api) webhook(id queue.ID, w *queue.Webhook) *Webhook {
	out := &Webhook{
		Source: w.Source, Received: w.Received.UTC(), Headers: []Header{}, Size: len(w.Body), BodyPath: "/api/v1/events/" + id.String() + "/body",
	}
	if _, replay := w.Replay(); replay {
		out.FirstReceived = w.FirstReceived().UTC()
	}
	for _, f := range w.Header {
		out.Headers = append(out.Headers, Header{f.Name, f.Value})
	}
	if len(w.Body) <= maxInline {
		if body := []byte(events.Mask(w.Body, a.relay.Clean)); json.Valid(body) {
			out.Body = body
		}
	}
	return out
}

// body sends an event's payload: GET /api/v1/events/{id}/body.
func (a *api) body(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), answerTimeout)
	defer cancel()
	select {
	case a.reading <- struct{}{}:
		defer func() { <-a.reading }()
	case <-ctx.Done():
		return
	}
	r, err := ask(c)
	var t queue.EventTrace
	if err == nil {
		t, err = a.stored(ctx, r)
	}
	if err == nil {
		err = r.rejectUnknown()
	}
	if err != nil {
		a.refuse(c, err)
		return
	}
	private(c)
	c.Data(http.StatusOK, jsonType, []byte(events.Mask(t.Webhook.Body, a.relay.Clean)))
}

// decision says what would be decided now: GET /api/v1/events/{id}/decision.
func (a *api) decision(ctx context.Context, r *question) (any, error) {
	t, err := a.stored(ctx, r)
	if err != nil {
		return nil, err
	}
	return a.relay.Decide(t.Webhook), nil
}
