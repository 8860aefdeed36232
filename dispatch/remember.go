package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// remember rebuilds what the window of repeats knew of the events below the
// cursor: those above are read again anyway.
func (d *Dispatcher) remember(ctx context.Context) error {
	since := time.Now().Add(-keyWindow)
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
			for lane := range lanes[id] {
				d.Repeats.sameDelivery(id, w, lane)
			}
		}
		return ctx.Err() == nil
	})
}

// lanesSince tells, by event, which lanes got it since then or wait for it.
func (d *Dispatcher) lanesSince(ctx context.Context, since time.Time) (map[queue.ID]map[queue.Lane]bool, error) {
	lanes := map[queue.ID]map[queue.Lane]bool{}
	add := func(id queue.ID, lane queue.Lane) {
		if lanes[id] == nil {
			lanes[id] = map[queue.Lane]bool{}
		}
		lanes[id][lane] = true
	}
	after, err := d.Queue.EntriesSince(ctx, since)
	if err != nil {
		return nil, err
	}
	err = d.Queue.Entries(ctx, after, func(e queue.Entry) bool {
		for _, rec := range e.Records {
			switch r := rec.(type) {
			case *queue.Decision:
				for _, p := range r.Deliveries {
					add(r.ID, p.Lane)
				}
			case *queue.Settled:
				if r.Outcome == queue.OutcomeDelivered {
					add(r.ID, r.Lane)
				} else {
					delete(lanes[r.ID], r.Lane)
				}
			}
		}
		return true
	})
	return lanes, err
}
