package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// remember rebuilds what the window of repeats knew of the events below the
// cursor: those above are read again anyway.
func (d *Dispatcher) remember(ctx context.Context) error {
	since, err := d.windowSince(ctx)
	if err != nil {
		return fmt.Errorf("look for the oldest event that is to be read: %w", err)
	}
	lanes, err := d.lanesSince(ctx, since)
	if err != nil {
		return fmt.Errorf("look for what was delivered in the last minutes: %w", err)
	}
	after, err := d.Queue.EventsSince(ctx, since)
	if err != nil {
		return fmt.Errorf("look for the events of the last minutes: %w", err)
	}
	return d.Queue.Envelopes(ctx, after, d.progress.cursor, func(e queue.Envelope) bool {
		if _, twice := d.nonces.twice(&e); twice {
			return ctx.Err() == nil
		}
		for i := range e.Webhooks {
			w, id := &e.Webhooks[i], queue.ID{Seq: e.Seq, Index: i}
			d.Repeats.sameEvent(id, w)
			for _, lane := range lanes.that(id) {
				d.Repeats.sameDelivery(id, w, lane)
			}
		}
		return ctx.Err() == nil
	})
}

// windowSince is since when a webhook may have come that one of those above the
// cursor repeats: the oldest of these can be much older than this start. They stand
// about in the order in which they came.
func (d *Dispatcher) windowSince(ctx context.Context) (time.Time, error) {
	const about = time.Minute
	oldest := d.now()
	for after := d.progress.cursor; after < d.Queue.LastEvent(); {
		e, err := d.Queue.Next(ctx, after)
		if damage := (*queue.DamageError)(nil); errors.As(err, &damage) {
			after = damage.Seq // set aside later
			continue
		}
		if err != nil {
			return oldest, err
		}
		if after = e.Seq; len(e.Webhooks) == 0 {
			continue
		}
		if came := e.Webhooks[0].Received; came.Before(oldest) {
			oldest = came
		}
		break
	}
	return oldest.Add(-keyWindow - about), nil
}

// lanesSince collects which lanes got which event since then or wait for it, and
// which gave it up or had it withheld, also when it was decided on again since.
func (d *Dispatcher) lanesSince(ctx context.Context, since time.Time) (*receivers, error) {
	lanes := newReceivers(d.Repeats.room())
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
