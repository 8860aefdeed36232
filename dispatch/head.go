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
// which it would do at every probe. When the last starts have died and delivered
// nothing that was parked, what stands first in each lane is read alone; what the
// relay dies of then is read first at the next start, and buried when that dies of
// it too.
func (d *Dispatcher) vetParked(ctx context.Context) error {
	suspect, guilty := d.suspect(true)
	if guilty {
		if err := d.buryHead(ctx, suspect); err != nil {
			return err
		}
		d.Journal.HeadsHarmless()
		return nil
	}
	if d.State.Heads <= suspicious || d.Try == nil {
		return nil
	}
	d.Log.Warn("the relay has died several times and delivered nothing that was parked: what stands first in each lane is read alone", "starts", d.State.Heads-1)
	if err := d.headsAlone(ctx, suspect); err != nil {
		return err
	}
	d.Journal.HeadsHarmless()
	return d.Journal.Write(ctx)
}

// headsAlone reads what stands first in each lane, and before it the delivery of
// which the last start may have died, if any.
func (d *Dispatcher) headsAlone(ctx context.Context, suspect *queue.Mark) error {
	alone := func(m queue.Mark, p queue.Parked) error {
		m.Begin, m.Time = true, time.Now()
		if err := d.Journal.Write(ctx, &m); err != nil {
			return err
		}
		d.Try(delivery.Unpark(p, m.Lane))
		return d.Journal.Write(ctx, &queue.Mark{ID: m.ID, Time: time.Now(), Lane: m.Lane, Place: m.Place})
	}
	if suspect != nil {
		p, there, err := d.parkedAt(ctx, suspect)
		if err != nil {
			return err
		}
		if there {
			again := *suspect
			again.Deaths++
			if err := alone(again, p); err != nil {
				return err
			}
		}
	}
	for name, l := range d.State.Lanes {
		err := d.heads(ctx, l, func(place queue.Place, p queue.Parked) error {
			return alone(queue.Mark{ID: p.ID, Lane: name, Place: place}, p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// parkedAt is the parked delivery that a mark names, if it is still there.
func (d *Dispatcher) parkedAt(ctx context.Context, at *queue.Mark) (p queue.Parked, there bool, err error) {
	seq, batch, err := d.nextParked(ctx, at.Lane, at.Place.Seq-1)
	if err != nil {
		return p, false, fmt.Errorf("read the parked delivery of %s: %w", at.ID, err)
	}
	if seq != at.Place.Seq || at.Place.Index >= len(batch) || batch[at.Place.Index].ID != at.ID {
		return p, false, nil
	}
	return batch[at.Place.Index], true, nil
}

// nextParked is [queue.Queue.NextParked], which sets aside what is damaged.
func (d *Dispatcher) nextParked(ctx context.Context, lane queue.Lane, after uint64) (seq uint64, batch []queue.Parked, err error) {
	err = d.insist(ctx, func() (err error) {
		seq, batch, err = d.Queue.NextParked(ctx, lane, after)
		return err
	}, "address", delivery.AddressOf(lane).String())
	return seq, batch, err
}

// heads calls f for the first parked deliveries of a lane that are not settled.
func (d *Dispatcher) heads(ctx context.Context, l *queue.LaneAtStart, f func(queue.Place, queue.Parked) error) error {
	left := inFront
	for after := max(l.Done.Seq, 1) - 1; after < l.Last; {
		seq, batch, err := d.nextParked(ctx, l.Lane, after)
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
	parked, there, err := d.parkedAt(ctx, at)
	if err != nil || !there {
		return err
	}
	const why = "the relay died each time it read this delivery alone, after it had died several times with it at the head of its lane"
	address := delivery.AddressOf(at.Lane).String()
	d.Log.Error("this parked delivery ends the relay when it is read; it is set aside as a dead letter", "event_id", at.ID.String(), "address", address, "outcome", queue.OutcomeDead, "err", why)
	now := time.Now()
	var dead uint64
	err = d.insist(ctx, func() (err error) {
		dead, err = d.Queue.Bury(ctx, &queue.Dead{Parked: parked, Lane: at.Lane, Reason: why, Time: now})
		return err
	}, "event_id", at.ID.String())
	if err != nil {
		return fmt.Errorf("bury %s: %w", at.ID, err)
	}
	if l := d.State.Lanes[at.Lane]; l != nil {
		l.Early = append(l.Early, at.ID)
	}
	d.State.Settled[queue.Settlement{ID: at.ID, Lane: at.Lane}] = queue.OutcomeDead
	return d.Journal.Write(ctx, &queue.Settled{
		ID: at.ID, Lane: at.Lane, Time: now, Outcome: queue.OutcomeDead, Reason: "unreadable", From: at.Place, DeadSeq: dead,
	})
}
