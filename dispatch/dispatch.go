package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

// Matcher decides who gets an event; see [routes.Table].
type Matcher interface {
	MatchAt(e *events.Event, at time.Time) routes.Decision
}

// Lanes takes deliveries; see [delivery.Lanes].
type Lanes interface {
	Deliver(ctx context.Context, it *delivery.Item) error
	Floor(max uint64) uint64
}

// Options of a dispatcher.
type Options struct {
	Queue      *queue.Queue
	Journal    *queue.Journal
	State      *queue.State // what was unsettled at the start
	Routes     Matcher
	Direct     Direct
	Lanes      Lanes
	Sandbox    Sandbox   // nil: nothing is ever tried in another process
	Watchdog   *Watchdog // nil: a standstill is not noticed
	Repeats    *Repeats
	Title      func(string) string // what the journal keeps of an event's title
	History    time.Duration       // how long settled events are kept
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Dispatcher reads RELAY_EVENTS from the cursor on.
type Dispatcher struct {
	Options
	progress progress
	step     *Step         // of Run
	read     atomic.Uint64 // the last envelope that was read
	nonces   nonces
	events   *prometheus.CounterVec
	exceeded *prometheus.CounterVec
	reported map[string]bool // routes that took too many steps, by name
	now      func() time.Time
}

// New makes a dispatcher. Once Run is called, the journal writes its checkpoints.
// Until then it writes the recovered one, so that recovery can be repeated.
func New(opt Options) *Dispatcher {
	d := &Dispatcher{Options: opt, now: time.Now, events: prometheus.NewCounterVec(
		prometheus.CounterOpts{Name: "relay_events_total", Help: "Events read from the queue, by what was decided."}, []string{"outcome"})}
	d.exceeded = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "relay_route_steps_exceeded_total", Help: "Events that a route did not take because its conditions took too many steps, by route."}, []string{"route"})
	d.reported = map[string]bool{}
	opt.Registerer.MustRegister(d.events, d.exceeded)
	d.read.Store(opt.State.Checkpoint.Cursor)
	d.progress.cursor, d.progress.nonce = opt.State.Checkpoint.Cursor, opt.State.Checkpoint.Nonce
	d.progress.recovery, d.progress.known = opt.State.Checkpoint, newestKnown(opt.State)
	return d
}

// newestKnown is the newest event that the state holds something about.
func newestKnown(s *queue.State) (seq uint64) {
	for settled := range s.Settled {
		seq = max(seq, settled.ID.Seq)
	}
	for _, l := range s.Lanes {
		for id := range l.Held {
			seq = max(seq, id.Seq)
		}
	}
	return seq
}

// checkpoint is what the journal writes as the relay's progress. The ends of the
// streams are read first: whatever is recorded later gets higher sequences.
func (d *Dispatcher) checkpoint() queue.Checkpoint {
	last, parked := d.Journal.Last(), d.Queue.LastPark()
	c := d.progress.checkpoint(last, parked)
	c.Journal = d.Lanes.Floor(c.Journal)
	return c
}

// Run dispatches until ctx ends, and then returns ctx's error.
func (d *Dispatcher) Run(ctx context.Context) error {
	d.Journal.Checkpoints(d.checkpoint)
	if err := d.remember(ctx); err != nil {
		return err
	}
	var tidying sync.WaitGroup
	defer tidying.Wait() // when Run has returned, no history is being dropped
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tidying.Go(func() { d.tidy(ctx) })
	d.step = d.Watchdog.Begin()
	defer d.step.End()
	for after := d.progress.cursor; ; {
		d.read.Store(after)
		d.step.Idle("the next events to be read", d.caughtUp)
		e, err := d.Queue.Next(ctx, after)
		if damage := (*queue.DamageError)(nil); errors.As(err, &damage) {
			if err := d.giveUpDamaged(ctx, damage); err != nil {
				return err
			}
			after = damage.Seq
			continue
		}
		if err != nil {
			return err
		}
		queue.Failpoint(queue.FailRead)
		if first, twice := d.nonces.storedBefore(&e); twice {
			d.skipDuplicate(e, first)
			after = e.Seq
			continue
		}
		d.step.Wait("the journal to take what was decided", queue.ID{Seq: e.Seq})
		if err := d.Journal.Room(ctx); err != nil {
			return err
		}
		if err := d.envelope(ctx, e); err != nil {
			return err
		}
		after = e.Seq
	}
}

// caughtUp reports whether all stored events have been read.
func (d *Dispatcher) caughtUp() bool { return d.Queue.LastEvent() <= d.read.Load() }

// Undispatched is how many messages of RELAY_EVENTS have not been read yet. One can
// hold several webhooks.
func (d *Dispatcher) Undispatched() uint64 {
	last := d.Queue.LastEvent()
	return last - min(d.read.Load(), last)
}

// envelope dispatches the webhooks of one envelope.
func (d *Dispatcher) envelope(ctx context.Context, e queue.Envelope) error {
	open := d.progress.begin(e.Seq, e.Nonce, d.Journal.Last(), d.Queue.LastPark())
	for i := range e.Webhooks {
		w := &e.Webhooks[i]
		if err := d.webhook(ctx, open, queue.ID{Seq: e.Seq, Index: i}, e.Nonce, w); err != nil {
			return err // open stays unsettled, so the envelope will be read again
		}
	}
	d.progress.done(open)
	return nil
}

func (d *Dispatcher) webhook(ctx context.Context, open *envelope, id queue.ID, nonce queue.Nonce, w *queue.Webhook) error {
	if d.isGivenUp(id) {
		return nil
	}
	d.step.Wait("a dead letter that was replayed to be dropped", id)
	if err := d.Queue.DropReplayed(ctx, w); err != nil {
		d.Log.Warn("a dead letter that was replayed cannot be dropped", "event_id", id.String(), "err", err)
	}
	d.step.Read(id)
	queue.Failpoint(queue.FailReading)
	event := events.Decode(events.NewInput(w.Source, w.Get, w.Body))
	decision := d.match(event, w)
	d.step.Wait("its lane to take it", id)
	wanted, repeats := d.withoutRepeats(id, w, decision.Deliveries)
	queue.Failpoint(queue.FailDecided)
	d.decided(id, w, event, decision, wanted, repeats)
	for _, r := range wanted {
		if d.settled(id, r.Address) {
			continue
		}
		d.progress.add(open)
		err := d.Lanes.Deliver(ctx, &delivery.Item{
			ID: id, Nonce: nonce, Webhook: w, Event: event, Address: r.Address, Route: r.Route, File: r.File, Look: r.Look, Mention: r.Mention,
			Done: func() { d.progress.done(open) },
		})
		if err != nil {
			return fmt.Errorf("dispatch %s: %w", id, err)
		}
		queue.Failpoint(queue.FailHanded)
	}
	return nil
}

// withoutRepeats splits deliveries into those that are wanted and those that an earlier
// webhook has brought. A delivery that an earlier run recorded as a repeat stays one,
// whatever happened since. One that it recorded as not delivered stays wanted.
func (d *Dispatcher) withoutRepeats(id queue.ID, w *queue.Webhook, all []routes.Delivery) (wanted []routes.Delivery, repeats []queue.Planned) {
	event, same := d.Repeats.sameEvent(id, w)
	for _, r := range all {
		lane := delivery.LaneOf(r.Address)
		at := queue.Settlement{ID: id, Lane: lane}
		if reason, was := d.State.Repeats[at]; was {
			repeats = append(repeats, queue.Planned{Lane: lane, Route: r.Route, Reason: reason})
		} else if was := d.State.Settled[at]; was != "" && was != queue.OutcomeDelivered {
			wanted = append(wanted, r)
		} else if same {
			reason := event.reason()
			if of, again := d.Repeats.had(id, w, lane); again && !event.event {
				reason = sentAgain(w, of)
			}
			repeats = append(repeats, queue.Planned{Lane: lane, Route: r.Route, Reason: reason})
		} else if of, again := d.Repeats.sameDelivery(id, w, lane); again {
			repeats = append(repeats, queue.Planned{Lane: lane, Route: r.Route, Reason: sentAgain(w, of)})
		} else {
			wanted = append(wanted, r)
		}
	}
	return wanted, repeats
}

// sentAgain is the reason of a repeat: as which event its key came before.
func sentAgain(w *queue.Webhook, of queue.ID) string {
	if w.ReplayKey() != "" {
		return fmt.Sprintf("the same request for a replay brought it as %s", of)
	}
	return earlier{id: of, again: true}.reason()
}

// settled reports whether an earlier run of the relay has settled or parked the
// delivery.
func (d *Dispatcher) settled(id queue.ID, a configs.Address) bool {
	lane := delivery.LaneOf(a)
	if _, was := d.State.Settled[queue.Settlement{ID: id, Lane: lane}]; was {
		return true
	}
	l := d.State.Lanes[lane]
	return l != nil && l.Held[id]
}

// decided records and logs what was decided about an event.
func (d *Dispatcher) decided(id queue.ID, w *queue.Webhook, e *events.Event, m routes.Decision, wanted []routes.Delivery, repeats []queue.Planned) {
	past := d.past(id)
	rec := &queue.Decision{
		ID: id, Time: time.Now(), Source: e.Source, Event: e.Name(), Project: e.Project.Path, Title: d.Title(e.Title),
		Outcome: outcome(m, wanted), Nearest: m.Nearest, Because: m.Because,
		Received: w.Received, Repeats: repeats, Again: !d.State.Decided.Less(id),
	}
	rec.Actor = d.Title(cmp.Or(e.Actor.Username, e.Actor.Name))
	rec.Again = rec.Again || past.any()
	rec.Replay, _ = w.Replay()
	if rec.Outcome == queue.OutcomeRepeat {
		rec.Because = repeats[0].Reason
	}
	for _, r := range wanted {
		rec.Deliveries = append(rec.Deliveries, queue.Planned{Lane: delivery.LaneOf(r.Address), Route: r.Route})
	}
	if added := past.unnamed(rec); len(added) > 0 {
		rec.Deliveries, rec.Outcome = append(rec.Deliveries, added...), queue.OutcomeRouted
	}
	for _, w := range m.Withheld {
		rec.Withheld = append(rec.Withheld, queue.Planned{Lane: delivery.LaneOf(w.Address), Route: w.Route, Reason: w.Reason})
	}
	d.Journal.Note(past.records(rec)...)
	d.events.WithLabelValues(rec.Outcome).Inc()
	d.reportExceeded(id, m.Exceeded)
	for _, w := range m.Withheld {
		d.Log.LogAttrs(context.Background(), slog.LevelInfo, "delivery withheld",
			slog.String("event_id", id.String()), slog.String("event", rec.Event), slog.String("project", rec.Project),
			slog.String("route", w.Route), slog.String("address", w.Address.String()), slog.String("outcome", queue.OutcomeWithheld), slog.String("reason", w.Reason))
	}
	if rec.Outcome == queue.OutcomeRouted || rec.Outcome == queue.OutcomeWithheld {
		return // each attempt, and each withheld delivery, has its own log line
	}
	attrs := []slog.Attr{
		slog.String("event_id", id.String()), slog.String("event", rec.Event), slog.String("project", rec.Project), slog.String("outcome", rec.Outcome),
	}
	if rec.Nearest != "" {
		attrs = append(attrs, slog.String("nearest_route", rec.Nearest))
	}
	if rec.Because != "" {
		attrs = append(attrs, slog.String("because", rec.Because))
	}
	d.Log.LogAttrs(context.Background(), slog.LevelInfo, "event not delivered", attrs...)
}

// reportExceeded counts routes that took too many steps, and logs each once.
func (d *Dispatcher) reportExceeded(id queue.ID, routes []string) {
	for _, route := range routes {
		d.exceeded.WithLabelValues(route).Inc()
		if !d.reported[route] {
			d.reported[route] = true
			d.Log.Warn("the conditions of this route took too many steps, so it did not match; relay explain shows which one", "event_id", id.String(), "route", route)
		}
	}
}

func outcome(m routes.Decision, wanted []routes.Delivery) string {
	switch {
	case m.Foreign:
		return queue.OutcomeForeign
	case len(wanted) > 0:
		return queue.OutcomeRouted
	case len(m.Deliveries) > 0:
		return queue.OutcomeRepeat
	case len(m.Withheld) > 0:
		return queue.OutcomeWithheld
	default:
		return queue.OutcomeUnrouted
	}
}

// tidy drops settled history every minute. If room is short, it does so every few
// seconds, and at once at the start: a relay that is often restarted makes room too.
func (d *Dispatcher) tidy(ctx context.Context) {
	const interval, minute = 3 * time.Second, 20
	t := time.NewTicker(interval)
	defer t.Stop()
	for n := 1; ; n++ {
		if n%minute == 0 || d.Queue.Tight(ctx) {
			if err := d.Queue.Tidy(ctx, d.Journal.Durable(), d.History); err != nil && !errors.Is(err, context.Canceled) {
				d.Log.Warn("old history could not be dropped", "err", err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
