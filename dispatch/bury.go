package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

// insistence is the pause before what could not be set aside is tried again.
const insistence = 250 * time.Millisecond

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

// buryUnread buries an event as a whole, of which the process ended before it was
// known whom it is for.
func (d *Dispatcher) buryUnread(ctx context.Context, e *queue.Envelope, id queue.ID, why string) error {
	d.Log.Error("this event ends the process that reads it; it becomes a dead letter", "event_id", id.String(), "outcome", queue.OutcomeDead, "err", why)
	w := e.Webhooks[id.Index]
	seq, err := d.bury(ctx, &queue.Dead{Parked: queue.Parked{ID: id, Nonce: e.Nonce, Webhook: w}, Reason: why, Attempts: int(d.State.Starts), Time: time.Now()})
	if err != nil {
		return err
	}
	return d.buried(ctx, id, &w, seq, why)
}

// buryFor buries an event for one address, of whose message the process ended. The
// other addresses get it.
func (d *Dispatcher) buryFor(ctx context.Context, e *queue.Envelope, id queue.ID, lane queue.Lane, why string) error {
	d.logDelivery(id, lane, why)
	dead := &queue.Dead{Parked: queue.Parked{ID: id, Nonce: e.Nonce, Webhook: e.Webhooks[id.Index]}, Lane: lane, Reason: why, Attempts: int(d.State.Starts), Time: time.Now()}
	seq, err := d.bury(ctx, dead)
	if err != nil {
		return err
	}
	d.State.Settled[queue.Settlement{ID: id, Lane: lane}] = queue.OutcomeDead
	d.progress.remember(id.Seq)
	return d.Journal.Write(ctx, &queue.Settled{ID: id, Lane: lane, Time: dead.Time, Outcome: queue.OutcomeDead, Reason: unreadable, DeadSeq: seq})
}

// buryHead buries a parked delivery. Its lane passes over it.
func (d *Dispatcher) buryHead(ctx context.Context, lane queue.Lane, place queue.Place, p queue.Parked, why string) error {
	d.logDelivery(p.ID, lane, why)
	now := time.Now()
	seq, err := d.bury(ctx, &queue.Dead{Parked: p, Lane: lane, Reason: why, Time: now})
	if err != nil {
		return err
	}
	if l := d.State.Lanes[lane]; l != nil {
		l.Early = append(l.Early, p.ID)
	}
	d.State.Settled[queue.Settlement{ID: p.ID, Lane: lane}] = queue.OutcomeDead
	return d.Journal.Write(ctx, &queue.Settled{ID: p.ID, Lane: lane, Time: now, Outcome: queue.OutcomeDead, Reason: unreadable, From: place, DeadSeq: seq})
}

// unreadable is the reason of what ends the process that reads it, or is damaged.
const unreadable = "unreadable"

func (d *Dispatcher) logDelivery(id queue.ID, lane queue.Lane, why string) {
	d.Log.Error("this delivery ends the process that writes its message; it becomes a dead letter",
		"event_id", id.String(), "address", delivery.AddressOf(lane).String(), "outcome", queue.OutcomeDead, "err", why)
}

func (d *Dispatcher) bury(ctx context.Context, dead *queue.Dead) (seq uint64, err error) {
	err = d.insist(ctx, func() (err error) { seq, err = d.Queue.Bury(ctx, dead); return err }, "event_id", dead.ID.String())
	if err != nil {
		return 0, fmt.Errorf("give up %s: %w", dead.ID, err)
	}
	return seq, nil
}

// buryDamaged keeps what is left of an envelope that cannot be read.
func (d *Dispatcher) buryDamaged(ctx context.Context, damage *queue.DamageError) error {
	id := queue.ID{Seq: damage.Seq}
	open := d.progress.begin(damage.Seq, queue.Nonce{}, d.Journal.Last(), d.Queue.LastPark())
	defer d.progress.done(open)
	if d.setAside(id) {
		return nil
	}
	d.step.Wait("the dead letters to take a damaged event", id)
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
		&queue.Settled{ID: id, Time: time.Now(), Outcome: queue.OutcomeDead, Reason: unreadable, DeadSeq: dead})
}
