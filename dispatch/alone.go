package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// suspicious is how many starts running the oldest unsettled event may be the
	// same, each of them ended by the death of the process, before it is read
	// alone at the next one. That a lane waits for its address does no harm here:
	// reading alone buries nothing unless the process dies of it.
	suspicious = 3
	// fatal is how many starts running have to die while they read the same thing
	// alone before it is buried: once can be anything, such as a system that has
	// run out of memory.
	fatal = 2
	// maxAlone is how many webhooks are read alone at such a start: the one that
	// ends the relay may stand behind the oldest.
	maxAlone = 256
	// insistence is the pause before what could not be set aside is tried again.
	insistence = 250 * time.Millisecond
)

// Vet finds out, before anything is delivered, whether one of the oldest
// unsettled events ends the relay when it is read. When the last starts have
// died with the same oldest one, it and those behind it are decoded, matched and
// rendered one by one, each between two marks in the journal. The one between
// whose marks a start has died is read first at the next, and buried when that
// dies of it too. With what stands first in parked lanes it does the same.
func (d *Dispatcher) Vet(ctx context.Context) error {
	if err := d.vetParked(ctx); err != nil {
		return err
	}
	suspect, guilty := d.suspect(false)
	if guilty {
		if err := d.buryUnread(ctx, suspect.ID); err != nil {
			return err
		}
		d.Journal.Harmless()
		return nil // whatever else ends the relay begins to count now
	}
	if d.State.Starts <= suspicious {
		return nil
	}
	d.Log.Warn("the relay has died several times with the same event unsettled: the oldest are read one by one", "starts", d.State.Starts-1)
	if err := d.readAlone(ctx, suspect); err != nil {
		return err
	}
	d.Journal.Harmless()
	return d.Journal.Write(ctx)
}

// suspect is the mark of the event, or of the parked delivery, that was being read
// alone when the last start died, if any; guilty when enough starts have.
func (d *Dispatcher) suspect(parked bool) (m *queue.Mark, guilty bool) {
	m = d.State.Alone
	if m == nil || parked != (m.Place != queue.Place{}) {
		return nil, false
	}
	return m, m.Deaths+1 >= fatal
}

// readAlone reads the oldest unsettled events one by one, and before them the one
// of which the last start may have died, if any.
func (d *Dispatcher) readAlone(ctx context.Context, suspect *queue.Mark) error {
	var ended []queue.Record // the mark behind the last event, not written yet
	alone := func(id queue.ID, e *queue.Envelope, deaths uint64) error {
		if err := d.Journal.Write(ctx, append(ended, &queue.Mark{ID: id, Time: time.Now(), Begin: true, Deaths: deaths})...); err != nil {
			return err
		}
		queue.Failpoint(queue.FailMarked)
		d.read(id, e.Nonce, &e.Webhooks[id.Index])
		ended = []queue.Record{&queue.Mark{ID: id, Time: time.Now()}}
		return nil
	}
	if suspect != nil {
		e, there, err := d.envelopeOf(ctx, suspect.ID)
		if err != nil {
			return err
		}
		if there {
			if err := alone(suspect.ID, &e, suspect.Deaths+1); err != nil {
				return err
			}
		}
	}
	left := maxAlone
	for after := d.State.Checkpoint.Cursor; after < d.Queue.LastEvent() && left > 0; after++ {
		e, err := d.Queue.Next(ctx, after)
		if damage := (*queue.DamageError)(nil); errors.As(err, &damage) {
			continue // set aside later
		}
		if err != nil {
			return err
		}
		after = e.Seq - 1
		for i := range e.Webhooks {
			id := queue.ID{Seq: e.Seq, Index: i}
			if d.setAside(id) {
				continue
			}
			if err := alone(id, &e, 0); err != nil {
				return err
			}
			left--
		}
	}
	return d.Journal.Write(ctx, ended...)
}

// read does with an event all that is done with it before it is posted, and
// forgets what came of it.
func (d *Dispatcher) read(id queue.ID, nonce queue.Nonce, w *queue.Webhook) {
	event := events.Decode(events.NewInput(w.Source, w.Get, w.Body))
	for _, r := range d.match(event, w).Deliveries {
		if d.Try != nil {
			d.Try(&delivery.Item{
				ID: id, Nonce: nonce, Webhook: w, Event: event, Address: r.Address, Route: r.Route, File: r.File, Look: r.Look, Mention: r.Mention,
			})
		}
	}
}

// envelopeOf is the envelope that holds an event, if it is there and whole.
func (d *Dispatcher) envelopeOf(ctx context.Context, id queue.ID) (e queue.Envelope, there bool, err error) {
	if id.Seq > d.Queue.LastEvent() {
		return e, false, nil
	}
	e, err = d.Queue.Next(ctx, id.Seq-1)
	if damage := (*queue.DamageError)(nil); errors.As(err, &damage) {
		return e, false, nil // set aside later
	}
	if err != nil {
		return e, false, fmt.Errorf("read the event %s: %w", id, err)
	}
	return e, e.Seq == id.Seq && id.Index < len(e.Webhooks), nil
}

// setAside tells whether an event was buried as a whole.
func (d *Dispatcher) setAside(id queue.ID) bool {
	_, was := d.State.Settled[queue.Settlement{ID: id}]
	return was
}

// buryUnread buries an event that ended the relay while it was read alone,
// without reading it.
func (d *Dispatcher) buryUnread(ctx context.Context, id queue.ID) error {
	e, there, err := d.envelopeOf(ctx, id)
	if err != nil || !there {
		return err
	}
	const why = "the relay died each time it read this event alone, after it had died several times with it unsettled"
	d.Log.Error("this event ends the relay when it is read; it is set aside as a dead letter", "event_id", id.String(), "outcome", queue.OutcomeDead, "err", why)
	w := e.Webhooks[id.Index]
	var seq uint64
	err = d.insist(ctx, func() (err error) {
		seq, err = d.Queue.Bury(ctx, &queue.Dead{
			Parked: queue.Parked{ID: id, Nonce: e.Nonce, Webhook: w}, Reason: why, Attempts: int(d.State.Starts), Time: time.Now(),
		})
		return err
	}, "event_id", id.String())
	if err != nil {
		return fmt.Errorf("bury %s: %w", id, err)
	}
	return d.buried(ctx, id, &w, seq, why)
}

// buryDamaged keeps what is left of an envelope that cannot be read.
func (d *Dispatcher) buryDamaged(ctx context.Context, damage *queue.DamageError) error {
	id := queue.ID{Seq: damage.Seq}
	open := d.progress.begin(damage.Seq, queue.Nonce{}, d.Journal.Last(), d.Queue.LastPark())
	defer d.progress.done(open)
	if d.setAside(id) {
		return nil
	}
	var seq uint64
	err := d.insist(ctx, func() (err error) {
		seq, err = d.Queue.SetAside(ctx, damage, queue.Lane{})
		return err
	}, "event_id", id.String())
	if err != nil {
		return fmt.Errorf("set %s aside: %w", id, err)
	}
	return d.buried(ctx, id, &queue.Webhook{}, seq, "the stored webhooks are damaged")
}

// insist repeats what sets something aside until that has succeeded or ctx ends:
// what can neither be read nor be kept, because the disk takes nothing, must not be
// passed over.
func (d *Dispatcher) insist(ctx context.Context, f func() error, about ...any) error {
	var said time.Time
	for {
		err := f()
		var newer *queue.VersionError
		if err == nil || ctx.Err() != nil || errors.Is(err, queue.ErrClosed) || errors.Is(err, queue.ErrFenced) || errors.As(err, &newer) {
			return err
		}
		if time.Since(said) > time.Minute {
			said = time.Now()
			d.Log.Error("what ends the relay or is damaged cannot be set aside for now: dispatch waits", append(about, "err", err)...)
		}
		select {
		case <-time.After(insistence):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// buried records that an event was buried as a whole. Until the cursor has
// passed it, every start must know.
func (d *Dispatcher) buried(ctx context.Context, id queue.ID, w *queue.Webhook, dead uint64, why string) error {
	d.State.Settled[queue.Settlement{ID: id}] = queue.OutcomeDead
	d.progress.remember(id.Seq)
	d.events.WithLabelValues(queue.OutcomeDead).Inc()
	return d.Journal.Write(ctx,
		&queue.Decision{ID: id, Time: time.Now(), Received: w.Received, Source: w.Source, Outcome: queue.OutcomeDead, Because: why},
		&queue.Settled{ID: id, Time: time.Now(), Outcome: queue.OutcomeDead, Reason: "unreadable", DeadSeq: dead})
}
