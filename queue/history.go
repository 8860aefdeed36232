package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotFound: what was asked for is not kept, or not any more.
var ErrNotFound = errors.New("it is not kept")

const (
	// firstScan is how many messages of the journal are read at first for a
	// page of events; if they hold too few, scanGrowth times as many.
	firstScan  = 2048
	scanGrowth = 8
	// traceBytes and traceTime are how much of the journal is read about one event.
	traceBytes, traceTime = 64 << 20, 5 * time.Second
	// maxOpen bounds the undelivered events that a scan keeps in memory.
	maxOpen = 20_000
)

// Trace is what the journal says of one event, oldest first.
type Trace struct {
	ID        ID
	Decisions []*Decision // several when it was read again after a restart
	Attempts  []*Attempt  // that did not get through
	Settled   []*Settled
}

// Decision is the one that holds: the newest. It is nil when none is kept.
func (t *Trace) Decision() *Decision {
	if len(t.Decisions) == 0 {
		return nil
	}
	return t.Decisions[len(t.Decisions)-1]
}

// Deliveries are those that a decision of the event names, and those that have an
// outcome though it does not name them: the routes were others at that time.
func (t *Trace) Deliveries(d *Decision) []Planned {
	all := d.Deliveries
	for _, s := range t.Settled {
		if s.Lane != (Lane{}) && !slices.ContainsFunc(all, func(p Planned) bool { return p.Lane == s.Lane }) {
			all = append(slices.Clip(all), Planned{Lane: s.Lane})
		}
	}
	return all
}

// Settlement is how the delivery to a lane ended; nil while it has not.
func (t *Trace) Settlement(l Lane) *Settled {
	for i := len(t.Settled) - 1; i >= 0; i-- {
		if t.Settled[i].Lane == l {
			return t.Settled[i]
		}
	}
	return nil
}

// open tells whether a delivery has not ended yet.
func (t *Trace) open() bool {
	for _, p := range t.Decision().Deliveries {
		if t.Settlement(p.Lane) == nil {
			return true
		}
	}
	return false
}

// partial tells whether the journal may say more of the event than was read.
func (t *Trace) partial() bool { return len(t.Decisions) > 0 && t.Decisions[0].Again }

// EventQuery chooses events for a page. Zero values choose all.
type EventQuery struct {
	Since, Until time.Time // when the webhook came in
	Before       ID        // only older ones
	Limit        int       // at most; 0: 50

	// Decided chooses by what was decided; nil: all. Settled chooses among those
	// by how they stand, with a function that tells which lanes hold something
	// on disk; nil: all.
	Decided func(*Decision) bool
	Settled func(t *Trace, parked func(Lane) bool) bool

	// Undecided makes a decision without outcome for a webhook that no relay
	// has read yet; nil: these are left out.
	Undecided func(ID, *Webhook) *Decision

	window uint64 // of tests: how much of the journal is read at first
}

// EventPage is a page of events, newest first.
type EventPage struct {
	Events []*Trace
	More   bool // there are older ones
	Cut    bool // too many are undelivered: older ones of these may be missing

	// Parked tells whether a lane held something on disk.
	Parked func(Lane) bool
}

// EventPage looks for events in the journal, and above it in RELAY_EVENTS.
func (q *Queue) EventPage(ctx context.Context, query EventQuery) (EventPage, error) {
	if query.Limit <= 0 {
		query.Limit = 50
	}
	if query.window == 0 {
		query.window = firstScan
	}
	parked, err := q.parkedNow(ctx)
	if err != nil {
		return EventPage{}, err
	}
	info, err := q.journalStream.Info(ctx)
	if err != nil {
		return EventPage{}, fmt.Errorf("look at %s: %w", JournalStream, err)
	}
	floor := max(info.State.FirstSeq, 1) - 1
	if !query.Since.IsZero() {
		after, err := q.EntriesSince(ctx, query.Since)
		if err != nil {
			return EventPage{}, err
		}
		floor = max(floor, after)
	}
	last := max(info.State.LastSeq, floor)
	for window := query.window; ; window *= scanGrowth {
		s := scan{query: query, parked: parked, byID: map[ID]*Trace{}}
		after := max(floor, last-min(window, last))
		if err := q.Entries(ctx, after, func(e Entry) bool { s.entry(e); return true }); err != nil {
			return EventPage{}, err
		}
		if s.newest == (ID{}) && after > floor {
			continue // what is decided is not known yet
		}
		if err := q.undecided(ctx, &s); err != nil {
			return EventPage{}, err
		}
		if page := s.page(); page.More || after == floor {
			return q.complete(ctx, page, query)
		}
	}
}

// parkedNow tells which lanes hold something on disk.
func (q *Queue) parkedNow(ctx context.Context) (func(Lane) bool, error) {
	lanes, err := q.ParkedLanes(ctx)
	if err != nil {
		return nil, err
	}
	held := map[Lane]bool{}
	for _, l := range lanes {
		held[l] = true
	}
	return func(l Lane) bool { return held[l] }, nil
}

// undecided adds the webhooks that stand above everything that was decided, the
// newest first, as far as they have room on the page.
func (q *Queue) undecided(ctx context.Context, s *scan) error {
	if s.query.Undecided == nil {
		return nil
	}
	info, err := q.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", Events, err)
	}
	seq := info.State.LastSeq
	if b := s.query.Before; b != (ID{}) {
		seq = min(seq, b.Seq)
	}
	for added := 0; seq > s.newest.Seq && seq >= info.State.FirstSeq && seq > 0 && added <= s.query.Limit; seq-- {
		e, err := q.envelope(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if q.passOver(err) {
			continue // it becomes a dead letter
		}
		if err != nil {
			return err
		}
		for i := range e.Webhooks {
			d := s.query.Undecided(ID{seq, i}, &e.Webhooks[i])
			t := &Trace{ID: d.ID, Decisions: []*Decision{d}, Settled: s.ahead[d.ID]}
			if len(t.Settled) > 0 {
				d.Outcome, d.Deliveries = OutcomeRouted, t.Deliveries(d)
			}
			if s.wants(d) && (len(t.Settled) == 0 || s.query.Settled == nil || s.query.Settled(t, s.parked)) {
				s.keep(t)
				added++
			}
		}
	}
	return nil
}

// complete reads all of the journal on those that were decided before what was read
// of it, and leaves out what the query does not want after all. What is missing on
// the page then is taken from those behind it.
func (q *Queue) complete(ctx context.Context, page EventPage, query EventQuery) (EventPage, error) {
	var oldest ID
	events := page.Events
	page.Events = nil
	for _, t := range events {
		oldest = t.ID
		if t.partial() {
			whole, err := q.Trace(ctx, t.ID)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return page, err
			}
			if len(whole.Decisions) > 0 {
				*t = whole.Trace
			}
			if query.Settled != nil && !query.Settled(t, page.Parked) {
				continue
			}
		}
		page.Events = append(page.Events, t)
	}
	left := len(events) - len(page.Events)
	if left == 0 || !page.More {
		return page, nil
	}
	query.Before, query.Limit = oldest, left
	rest, err := q.EventPage(ctx, query)
	page.Events = append(page.Events, rest.Events...)
	page.More, page.Cut = rest.More, page.Cut || rest.Cut
	return page, err
}

// EventTrace is all that is known of one event.
type EventTrace struct {
	Trace
	Webhook *Webhook // nil when it is not kept any more
	Replays []ID     // of it, oldest first
	Cut     bool     // the journal goes on for too long: what is newest may be missing
	Parked  func(Lane) bool
}

// Trace reads what the journal says of one event, and its webhook.
func (q *Queue) Trace(ctx context.Context, id ID) (EventTrace, error) {
	parked, err := q.parkedNow(ctx)
	if err != nil {
		return EventTrace{}, err
	}
	t := EventTrace{Trace: Trace{ID: id}, Parked: parked}
	after, err := q.storedWebhook(ctx, &t)
	if err != nil {
		return EventTrace{}, err
	}
	left, until := traceBytes, time.Now().Add(traceTime)
	err = q.entries(ctx, after, func(e Entry, size int) bool {
		t.add(e)
		left -= size
		t.Cut = left < 0 || time.Now().After(until)
		return !t.Cut
	})
	if err != nil {
		return EventTrace{}, err
	}
	if t.Webhook == nil && len(t.Decisions) == 0 {
		return EventTrace{}, ErrNotFound
	}
	return t, nil
}

// StoredWebhook is an event's webhook alone, or ErrNotFound.
func (q *Queue) StoredWebhook(ctx context.Context, id ID) (EventTrace, error) {
	t := EventTrace{Trace: Trace{ID: id}}
	if _, err := q.storedWebhook(ctx, &t); err != nil {
		return t, err
	}
	if t.Webhook == nil {
		return t, ErrNotFound
	}
	return t, nil
}

// storedWebhook finds an event's webhook, and the sequence of the journal above
// which everything about it stands.
func (q *Queue) storedWebhook(ctx context.Context, t *EventTrace) (uint64, error) {
	msg, err := q.events.GetMsg(ctx, t.ID.Seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read event %s: %w", t.ID, err)
	}
	e, err := decodeEnvelope(t.ID.Seq, msg.Data, q.opt.maxContent())
	if q.passOver(err) {
		return q.EntriesSince(ctx, msg.Time)
	}
	if err != nil {
		return 0, err
	}
	if t.ID.Index < len(e.Webhooks) {
		w := e.Webhooks[t.ID.Index]
		w.Body = slices.Clone(w.Body) // lets go of the others
		t.Webhook = &w
	}
	return q.EntriesSince(ctx, msg.Time)
}

func (t *EventTrace) add(e Entry) {
	for _, rec := range e.Records {
		switch r := rec.(type) {
		case *Decision:
			switch t.ID {
			case r.ID:
				t.Decisions = append(t.Decisions, r)
			case r.Replay.Of:
				if !slices.Contains(t.Replays, r.ID) {
					t.Replays = append(t.Replays, r.ID)
				}
			}
		case *Attempt:
			if r.ID == t.ID {
				t.Attempts = append(t.Attempts, r)
			}
		case *Settled:
			if r.ID == t.ID {
				t.Settled = append(t.Settled, r)
			}
		}
	}
}

// Line is what stands first in a lane's part of RELAY_PARKED. Of what is damaged
// only the lane is known.
type Line struct {
	Lane     Lane
	ID       ID
	Received time.Time
}

// ParkedLines tells what stands first in each lane that has something in
// RELAY_PARKED.
func (q *Queue) ParkedLines(ctx context.Context) ([]Line, error) {
	lanes, err := q.ParkedLanes(ctx)
	if err != nil {
		return nil, err
	}
	var lines []Line
	for _, l := range lanes {
		batch, err := q.firstParked(ctx, l)
		if q.passOver(err) {
			lines = append(lines, Line{Lane: l}) // its lane sets it aside when it comes to it
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(batch) > 0 {
			lines = append(lines, Line{l, batch[0].ID, batch[0].Webhook.Received})
		}
	}
	return lines, nil
}

// firstParked reads a lane's first batch, and leaves it as it is if it is damaged.
func (q *Queue) firstParked(ctx context.Context, lane Lane) ([]Parked, error) {
	msg, batch, err := q.readParked(ctx, lane, 0)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, nil
	case msg == nil:
		return nil, fmt.Errorf("read %s: %w", ParkedStream, err)
	}
	return batch, err
}
