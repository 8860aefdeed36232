package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

// retryPause is the pause before a failed write of a dead letter is tried again.
const retryPause = 250 * time.Millisecond

// envelopeOf is the envelope that holds an event, if it is there and whole.
func (d *Dispatcher) envelopeOf(ctx context.Context, id queue.ID) (e queue.Envelope, there bool, err error) {
	if id.Seq > d.Queue.LastEvent() {
		return e, false, nil
	}
	e, err = d.Queue.Next(ctx, id.Seq-1)
	if damage := (*queue.DamageError)(nil); errors.As(err, &damage) {
		return e, false, nil // becomes a dead letter later
	}
	if err != nil {
		return e, false, fmt.Errorf("read the event %s: %w", id, err)
	}
	return e, e.Seq == id.Seq && id.Index < len(e.Webhooks), nil
}

// isGivenUp reports whether an event was given up for all addresses.
func (d *Dispatcher) isGivenUp(id queue.ID) bool {
	_, was := d.State.Settled[queue.Settlement{ID: id}]
	return was
}

// giveUpEvent gives an event up for all addresses: it crashed the process before the
// addresses were known.
func (d *Dispatcher) giveUpEvent(ctx context.Context, e *queue.Envelope, id queue.ID, why string) error {
	d.Log.Error("this event crashes the process that reads it; it becomes a dead letter", "event_id", id.String(), "outcome", queue.OutcomeDead, "err", why)
	w := e.Webhooks[id.Index]
	seq, err := d.giveUp(ctx, &queue.Dead{Parked: queue.Parked{ID: id, Nonce: e.Nonce, Webhook: w}, Reason: why, Attempts: int(d.State.Starts), Time: time.Now()})
	if err != nil {
		return err
	}
	return d.recordGivenUp(ctx, id, &w, seq, why)
}

// giveUpFor gives an event up for one address, whose message crashed the process. The
// other addresses get it.
func (d *Dispatcher) giveUpFor(ctx context.Context, e *queue.Envelope, id queue.ID, lane queue.Lane, why string) error {
	d.logDelivery(id, lane, why)
	dead := &queue.Dead{Parked: queue.Parked{ID: id, Nonce: e.Nonce, Webhook: e.Webhooks[id.Index]}, Lane: lane, Reason: why, Attempts: int(d.State.Starts), Time: time.Now()}
	seq, err := d.giveUp(ctx, dead)
	if err != nil {
		return err
	}
	d.State.Settled[queue.Settlement{ID: id, Lane: lane}] = queue.OutcomeDead
	d.progress.remember(id.Seq)
	return d.Journal.Write(ctx, &queue.Settled{ID: id, Lane: lane, Time: dead.Time, Outcome: queue.OutcomeDead, Reason: unreadable, DeadSeq: seq})
}

// giveUpParked gives up a parked delivery. Its lane skips it.
func (d *Dispatcher) giveUpParked(ctx context.Context, lane queue.Lane, place queue.Place, p queue.Parked, why string) error {
	d.logDelivery(p.ID, lane, why)
	now := time.Now()
	seq, err := d.giveUp(ctx, &queue.Dead{Parked: p, Lane: lane, Reason: why, Time: now})
	if err != nil {
		return err
	}
	if l := d.State.Lanes[lane]; l != nil {
		l.Early = append(l.Early, p.ID)
	}
	d.State.Settled[queue.Settlement{ID: p.ID, Lane: lane}] = queue.OutcomeDead
	return d.Journal.Write(ctx, &queue.Settled{ID: p.ID, Lane: lane, Time: now, Outcome: queue.OutcomeDead, Reason: unreadable, From: place, DeadSeq: seq})
}

// unreadable is the reason of what crashes the process that reads it, or is damaged.
const unreadable = "unreadable"

func (d *Dispatcher) logDelivery(id queue.ID, lane queue.Lane, why string) {
	d.Log.Error("this delivery crashes the process that writes its message; it becomes a dead letter",
		"event_id", id.String(), "address", delivery.AddressOf(lane).String(), "outcome", queue.OutcomeDead, "err", why)
}

func (d *Dispatcher) giveUp(ctx context.Context, dead *queue.Dead) (seq uint64, err error) {
	err = d.retry(ctx, func() (err error) { seq, err = d.Queue.Bury(ctx, dead); return err }, "event_id", dead.ID.String())
	if err != nil {
		return 0, fmt.Errorf("give up %s: %w", dead.ID, err)
	}
	return seq, nil
}

// giveUpDamaged makes a dead letter of what is left of an envelope that cannot be read.
func (d *Dispatcher) giveUpDamaged(ctx context.Context, damage *queue.DamageError) error {
	id := queue.ID{Seq: damage.Seq}
	open := d.progress.begin(damage.Seq, queue.Nonce{}, d.Journal.Last(), d.Queue.LastPark())
	defer d.progress.done(open)
	if d.isGivenUp(id) {
		return nil
	}
	d.step.Wait("the dead letters to take a damaged event", id)
	var seq uint64
	err := d.retry(ctx, func() (err error) {
		seq, err = d.Queue.SetAside(ctx, damage, queue.Lane{})
		return err
	}, "event_id", id.String())
	if err != nil {
		return fmt.Errorf("make a dead letter of %s: %w", id, err)
	}
	return d.recordGivenUp(ctx, id, &queue.Webhook{}, seq, "the stored webhooks are damaged")
}

// retry repeats a write of a dead letter until it succeeds or ctx ends. What cannot be
// read must not be skipped while it cannot be stored either, such as on a full disk.
func (d *Dispatcher) retry(ctx context.Context, f func() error, about ...any) error {
	var logged time.Time
	for {
		err := f()
		var newer *queue.VersionError
		if err == nil || ctx.Err() != nil || errors.Is(err, queue.ErrClosed) || errors.Is(err, queue.ErrFenced) || errors.As(err, &newer) {
			return err
		}
		if time.Since(logged) > time.Minute {
			logged = time.Now()
			d.Log.Error("dispatch waits: a damaged event, or one that crashes the relay, cannot be stored as a dead letter", append(about, "err", err)...)
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// recordGivenUp records that an event was given up for all addresses. Every start must
// know that until the cursor has passed the event.
func (d *Dispatcher) recordGivenUp(ctx context.Context, id queue.ID, w *queue.Webhook, dead uint64, why string) error {
	d.State.Settled[queue.Settlement{ID: id}] = queue.OutcomeDead
	d.progress.remember(id.Seq)
	d.events.WithLabelValues(queue.OutcomeDead).Inc()
	return d.Journal.Write(ctx,
		&queue.Decision{ID: id, Time: time.Now(), Received: w.Received, Source: w.Source, Outcome: queue.OutcomeDead, Because: why},
		&queue.Settled{ID: id, Time: time.Now(), Outcome: queue.OutcomeDead, Reason: unreadable, DeadSeq: dead})
}
