package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

// inFront is how many deliveries of each parked lane are read alone: as many as its
// workers may take at once, as a rule.
const inFront = 4

// vetParked finds out whether a parked delivery ends the relay when it is read,
// which it would do at every probe. The one that did so at the last start is
// buried; when the last starts have died and delivered nothing that was parked,
// what stands first in each lane is read alone.
func (d *Dispatcher) vetParked(ctx context.Context) error {
	if at := d.State.AloneParked; at != nil {
		if err := d.buryHead(ctx, at); err != nil {
			return err
		}
		d.Journal.HeadsHarmless()
		return nil
	}
	if d.State.Heads <= suspicious || d.Try == nil {
		return nil
	}
	d.Log.Warn("the relay has died several times and delivered nothing that was parked: what stands first in each lane is read alone", "starts", d.State.Heads-1)
	for name, l := range d.State.Lanes {
		err := d.heads(ctx, l, func(place queue.Place, p queue.Parked) error {
			if err := d.Journal.Write(ctx, &queue.Mark{ID: p.ID, Time: time.Now(), Begin: true, Lane: name, Place: place}); err != nil {
				return err
			}
			d.Try(delivery.Unpark(p, name))
			return d.Journal.Write(ctx, &queue.Mark{ID: p.ID, Time: time.Now(), Lane: name, Place: place})
		})
		if err != nil {
			return err
		}
	}
	d.Journal.HeadsHarmless()
	return d.Journal.Write(ctx)
}

// heads calls f for the first parked deliveries of a lane that are not settled.
func (d *Dispatcher) heads(ctx context.Context, l *queue.LaneAtStart, f func(queue.Place, queue.Parked) error) error {
	left := inFront
	for after := max(l.Done.Seq, 1) - 1; after < l.Last; {
		seq, batch, err := d.Queue.NextParked(ctx, l.Lane, after)
		if err != nil {
			return fmt.Errorf("read what stands first in a lane: %w", err)
		}
		if seq == 0 {
			return nil
		}
		after = seq
		for i, p := range batch {
			place := queue.Place{Seq: seq, Index: i}
			if !l.Done.Less(place) || slices.Contains(l.Early, p.ID) {
				continue
			}
			if err := f(place, p); err != nil {
				return err
			}
			if left--; left == 0 {
				return nil
			}
		}
	}
	return nil
}

// buryHead buries a parked delivery that ended the relay while it was read alone,
// without reading it. Its lane passes over it.
func (d *Dispatcher) buryHead(ctx context.Context, at *queue.Mark) error {
	seq, batch, err := d.Queue.NextParked(ctx, at.Lane, at.Place.Seq-1)
	if err != nil {
		return fmt.Errorf("bury %s: %w", at.ID, err)
	}
	if seq != at.Place.Seq || at.Place.Index >= len(batch) || batch[at.Place.Index].ID != at.ID {
		return nil // it is gone
	}
	const why = "the relay died while it read this delivery alone, after it had died several times with it at the head of its lane"
	address := delivery.AddressOf(at.Lane).String()
	d.Log.Error("this parked delivery ends the relay when it is read; it is set aside as a dead letter", "event_id", at.ID.String(), "address", address, "outcome", queue.OutcomeDead, "err", why)
	now := time.Now()
	dead, err := d.Queue.Bury(ctx, &queue.Dead{Parked: batch[at.Place.Index], Lane: at.Lane, Reason: why, Time: now})
	if err != nil {
		return fmt.Errorf("bury %s: %w", at.ID, err)
	}
	if l := d.State.Lanes[at.Lane]; l != nil {
		l.Early = append(l.Early, at.ID)
	}
	return d.Journal.Write(ctx, &queue.Settled{
		ID: at.ID, Lane: at.Lane, Time: now, Outcome: queue.OutcomeDead, Reason: "unreadable", From: at.Place, DeadSeq: dead,
	})
}
