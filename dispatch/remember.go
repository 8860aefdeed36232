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
			for _, to := range lanes.of[id] {
				if to.has {
					d.Repeats.sameDelivery(id, w, lanes.names[to.lane])
				}
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

// receivers are the lanes that got events or wait for them; in little room, for a
// busy hour has many events.
type receivers struct {
	names []queue.Lane
	index map[queue.Lane]int32
	of    map[queue.ID][]receiver
}

// receiver is a lane that an event was for.
type receiver struct {
	lane int32 // in names
	has  bool  // it got the event or waits for it; else that was given up or withheld
}

// find is what is known of an event in a lane, and whether that is new.
func (r *receivers) find(id queue.ID, name queue.Lane) (to *receiver, added bool) {
	lane, known := r.index[name]
	if !known {
		lane = int32(len(r.names))
		r.index[name], r.names = lane, append(r.names, name)
	}
	all := r.of[id]
	for i := range all {
		if all[i].lane == lane {
			return &all[i], false
		}
	}
	all = append(all, receiver{lane: lane})
	r.of[id] = all
	return &all[len(all)-1], true
}

// lanesSince tells, by event, which lanes got it since then or wait for it, and
// from which it was kept in the end, also when it was decided on again since.
func (d *Dispatcher) lanesSince(ctx context.Context, since time.Time) (*receivers, error) {
	lanes := &receivers{index: map[queue.Lane]int32{}, of: map[queue.ID][]receiver{}}
	after, err := d.Queue.EntriesSince(ctx, since)
	if err != nil {
		return nil, err
	}
	err = d.Queue.Entries(ctx, after, func(e queue.Entry) bool {
		for _, rec := range e.Records {
			switch r := rec.(type) {
			case *queue.Decision:
				for _, p := range r.Deliveries {
					if to, added := lanes.find(r.ID, p.Lane); added {
						to.has = true
					}
				}
			case *queue.Settled:
				to, _ := lanes.find(r.ID, r.Lane)
				to.has = r.Outcome == queue.OutcomeDelivered
			}
		}
		return true
	})
	return lanes, err
}
