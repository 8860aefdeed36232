package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// suspicious is how many consecutive starts may find the same oldest unsettled
	// event, or deliver nothing that is parked, before the sandbox tries it.
	suspicious = 3
	// fatal is how often the sandbox's process has to crash on the same thing before
	// that becomes a dead letter. One crash can have any reason, such as a system
	// without free memory.
	fatal = 2
	// maxTried is how many webhooks are tried at such a start: the one that crashes
	// the relay may not be the oldest.
	maxTried = 256
	// tryFor is how long that may take before no more are tried: until then the relay
	// posts nothing.
	tryFor = 10 * time.Second
	// maxFatal is for how many addresses an event is given up one by one.
	maxFatal = 8
	// firstOfLane is how many deliveries of each parked lane are tried: usually as many
	// as its workers send at the same time.
	firstOfLane = 4
)

// Trial is an event, or a parked delivery, to be decoded, routed and rendered.
type Trial struct {
	Webhook queue.Webhook
	Parked  *queue.Parked // or a parked delivery of Webhook, for Lane alone
	Lane    queue.Lane
	Skip    []queue.Lane // addresses that need no message
}

// Verdict is the result of a trial.
type Verdict struct {
	Died bool
	Lane queue.Lane // whose message was being written; zero: none yet
	Why  string     // how the process ended
}

// Sandbox tries things in another process, which they may crash. An error says that
// there is no result; nothing is given up then.
type Sandbox interface {
	Try(ctx context.Context, t *Trial) (Verdict, error)
}

// Vet finds out, before anything is delivered, whether one of the oldest unsettled
// events, or of the first parked deliveries, crashes the process that reads it. It
// tries them in the sandbox when several consecutive starts have found the same ones,
// and it tries what the watchdog has named. Only a crash of the sandbox's process
// counts: the relay itself may be killed for any reason.
func (d *Dispatcher) Vet(ctx context.Context) error {
	if d.Sandbox == nil {
		return nil
	}
	if err := d.vetNamed(ctx); err != nil {
		return err
	}
	if d.State.Heads > suspicious {
		d.Log.Warn("several consecutive starts delivered nothing that is parked: the first of each lane is tried in a process of its own", "starts", d.State.Heads-1)
		if err := d.vetParked(ctx); err != nil {
			return err
		}
		d.Journal.HeadsHarmless()
	}
	if d.State.Starts > suspicious {
		d.Log.Warn("several consecutive starts found the same event unsettled: the oldest are tried in a process of their own", "starts", d.State.Starts-1)
		if err := d.vetOldest(ctx); err != nil {
			return err
		}
		d.Journal.Harmless()
	}
	return d.Journal.Write(ctx)
}

// vetNamed tries what the last run named before it ended.
func (d *Dispatcher) vetNamed(ctx context.Context) error {
	m := d.State.Suspect
	if m == nil {
		return nil
	}
	d.Log.Warn("the relay may have ended because of this event: it is tried in a process of its own", "event_id", m.ID.String())
	if m.Place != (queue.Place{}) {
		p, there, err := d.parkedAt(ctx, m)
		if err == nil && there {
			err = d.tryParked(ctx, m.Lane, m.Place, p)
		}
		if err != nil {
			return err
		}
	} else {
		e, there, err := d.envelopeOf(ctx, m.ID)
		if err == nil && there && !d.isGivenUp(m.ID) {
			err = d.tryEvent(ctx, &e, m.ID)
		}
		if err != nil {
			return err
		}
	}
	return d.Journal.Write(ctx, &queue.Mark{ID: m.ID, Lane: m.Lane, Place: m.Place, Time: time.Now()})
}

// vetOldest tries the oldest unsettled events.
func (d *Dispatcher) vetOldest(ctx context.Context) error {
	left, until := maxTried, time.Now().Add(tryFor)
	for after := d.State.Checkpoint.Cursor; after < d.Queue.LastEvent() && left > 0 && time.Now().Before(until); after++ {
		e, err := d.Queue.Next(ctx, after)
		if damage := (*queue.DamageError)(nil); errors.As(err, &damage) {
			continue // becomes a dead letter later
		}
		if err != nil {
			return err
		}
		after = e.Seq - 1
		for i := range e.Webhooks {
			id := queue.ID{Seq: e.Seq, Index: i}
			if d.isGivenUp(id) {
				continue
			}
			if err := d.tryEvent(ctx, &e, id); err != nil {
				return err
			}
			left--
		}
	}
	return nil
}

// vetParked tries the first deliveries of each lane.
func (d *Dispatcher) vetParked(ctx context.Context) error {
	for name, l := range d.State.Lanes {
		err := d.firstParked(ctx, l, func(place queue.Place, p queue.Parked) error { return d.tryParked(ctx, name, place, p) })
		if err != nil {
			return err
		}
	}
	return nil
}

// tryEvent tries an event, and gives it up for each address whose message crashes the
// process. Addresses that have it already are skipped.
func (d *Dispatcher) tryEvent(ctx context.Context, e *queue.Envelope, id queue.ID) error {
	t := &Trial{Webhook: e.Webhooks[id.Index], Skip: d.lanesWith(id)}
	for range maxFatal {
		v, err := d.try(ctx, id, t)
		if err != nil || !v.Died {
			return err
		}
		if v.Lane == (queue.Lane{}) {
			return d.giveUpEvent(ctx, e, id, v.Why)
		}
		if err := d.giveUpFor(ctx, e, id, v.Lane, v.Why); err != nil {
			return err
		}
		t.Skip = append(t.Skip, v.Lane)
	}
	return d.giveUpEvent(ctx, e, id, fmt.Sprintf("the process that wrote its messages ended for %d addresses", maxFatal))
}

// lanesWith returns the lanes that have settled an event, or hold it.
func (d *Dispatcher) lanesWith(id queue.ID) (lanes []queue.Lane) {
	for s := range d.State.Settled {
		if s.ID == id {
			lanes = append(lanes, s.Lane)
		}
	}
	for name, l := range d.State.Lanes {
		if l.Held[id] {
			lanes = append(lanes, name)
		}
	}
	return lanes
}

func (d *Dispatcher) tryParked(ctx context.Context, lane queue.Lane, place queue.Place, p queue.Parked) error {
	v, err := d.try(ctx, p.ID, &Trial{Webhook: p.Webhook, Parked: &queue.Parked{ID: p.ID, Nonce: p.Nonce, Note: p.Note}, Lane: lane})
	if err != nil || !v.Died {
		return err
	}
	return d.giveUpParked(ctx, lane, place, p, v.Why)
}

// try tries something until it succeeds, or until the same part of it has crashed the
// process fatal times in a row.
func (d *Dispatcher) try(ctx context.Context, id queue.ID, t *Trial) (v Verdict, err error) {
	queue.Failpoint(queue.FailMarked)
	for deaths := 0; ; {
		now, err := d.Sandbox.Try(ctx, t)
		if ctx.Err() != nil {
			return Verdict{}, ctx.Err()
		}
		if err != nil {
			d.Log.Warn("an event could not be tried in a process of its own; it is processed as usual", "event_id", id.String(), "err", err)
			d.Watchdog.markHarmless(id)
			return Verdict{}, nil
		}
		if !now.Died {
			d.Watchdog.markHarmless(id)
			return now, nil
		}
		if deaths++; now.Lane != v.Lane {
			deaths = 1
		}
		if v = now; deaths == fatal {
			v.Why = "the process that tried it ended each time: " + v.Why
			return v, nil
		}
	}
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

// nextParked is [queue.Queue.NextParked], tried until what is damaged is a dead letter.
func (d *Dispatcher) nextParked(ctx context.Context, lane queue.Lane, after uint64) (seq uint64, batch []queue.Parked, err error) {
	err = d.retry(ctx, func() (err error) {
		seq, batch, err = d.Queue.NextParked(ctx, lane, after)
		return err
	}, "address", delivery.AddressOf(lane).String())
	return seq, batch, err
}

// heads calls f for the first parked deliveries of a lane that are not settled.
func (d *Dispatcher) firstParked(ctx context.Context, l *queue.LaneAtStart, f func(queue.Place, queue.Parked) error) error {
	left := firstOfLane
	for after := max(l.Done.Seq, 1) - 1; after < l.Last; {
		seq, batch, err := d.nextParked(ctx, l.Lane, after)
		if err != nil {
			return fmt.Errorf("read the first message of a lane: %w", err)
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
