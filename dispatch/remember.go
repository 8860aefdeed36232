package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// remember fills the window of repeats again with the events below the cursor. Those
// above the cursor are read again anyway.
func (d *Dispatcher) remember(ctx context.Context) error {
	since, err := d.windowSince(ctx)
	if err != nil {
		return fmt.Errorf("find the oldest unsettled event: %w", err)
	}
	lanes, err := d.lanesSince(ctx, since)
	if err != nil {
		return fmt.Errorf("read what was delivered in the last minutes: %w", err)
	}
	after, err := d.Queue.EventsSince(ctx, since)
	if err != nil {
		return fmt.Errorf("find the events of the last minutes: %w", err)
	}
	return d.Queue.Envelopes(ctx, after, d.progress.cursor, func(e queue.Envelope) bool {
		if _, twice := d.nonces.storedBefore(&e); twice {
			return ctx.Err() == nil
		}
		for i := range e.Webhooks {
			w, id := &e.Webhooks[i], queue.ID{Seq: e.Seq, Index: i}
			d.Repeats.sameEvent(id, w)
			for _, lane := range lanes.of(id) {
				d.Repeats.sameDelivery(id, w, lane)
			}
		}
		return ctx.Err() == nil
	})
}

// windowSince is the time from which on the window has to know the webhooks, so that
// repeats above the cursor are recognised. The oldest event above the cursor can be
// much older than this start. Events are stored about in the order of their arrival.
func (d *Dispatcher) windowSince(ctx context.Context) (time.Time, error) {
	const about = time.Minute
	oldest := d.now()
	for after := d.progress.cursor; after < d.Queue.LastEvent(); {
		e, err := d.Queue.Next(ctx, after)
		if damage := (*queue.DamageError)(nil); errors.As(err, &damage) {
			after = damage.Seq // becomes a dead letter later
			continue
		}
		if err != nil {
			return oldest, err
		}
		if after = e.Seq; len(e.Webhooks) == 0 {
			continue
		}
		if received := e.Webhooks[0].Received; received.Before(oldest) {
			oldest = received
		}
		break
	}
	return oldest.Add(-keyWindow - about), nil
}

// lanesSince collects, from the journal since then, which lanes got an event or wait
// for it, and for which it was given up or withheld.
func (d *Dispatcher) lanesSince(ctx context.Context, since time.Time) (*receivers, error) {
	lanes := newReceivers(d.Repeats.capacity())
	after, err := d.Queue.EntriesSince(ctx, since)
	if err != nil {
		return nil, err
	}
	err = d.Queue.Entries(ctx, after, func(e queue.Entry) bool {
		for _, rec := range e.Records {
			switch r := rec.(type) {
			case *queue.Decision:
				for _, p := range r.Deliveries {
					lanes.add(r.ID, p.Lane, planned)
				}
			case *queue.Settled:
				if r.Outcome == queue.OutcomeDelivered {
					lanes.add(r.ID, r.Lane, got)
				} else {
					lanes.add(r.ID, r.Lane, lost)
				}
			}
		}
		return true
	})
	return lanes, err
}
