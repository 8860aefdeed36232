package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// settle records that a delivery got through. The lane posts its next message
// only after this.
func (l *lane) settle(j *job, r result) {
	queue.Failpoint(queue.FailPosted)
	err := l.set.journal.Write(l.set.kill, &queue.Settled{
		ID: j.item.ID, Lane: l.name, Time: time.Now(), Outcome: queue.OutcomeDelivered,
		Attempts: j.tries, Status: r.status, Reason: r.reason, Duration: r.duration, From: l.end(j),
	})
	l.conclude(j, queue.OutcomeDelivered, err)
}

// bury gives a delivery up. While the queue takes no dead letter the lane waits.
func (l *lane) bury(j *job, reason, why string) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err, ok := l.tryBury(j, reason, why)
		if !ok {
			return
		}
		if err == nil || ended(err) || !sleep(l.set.stop, wait) {
			l.conclude(j, queue.OutcomeDead, err)
			return
		}
	}
}

// tryBury tries once, so that a heavy body is in memory only for that long, and no
// other lane waits for it. It returns false when the flight has ended otherwise.
func (l *lane) tryBury(j *job, reason, why string) (err error, ok bool) {
	if l.yields(j) {
		l.land(j, true)
		return nil, false
	}
	letGo, ok := l.unpacked(j)
	if !ok {
		return nil, false
	}
	defer letGo()
	d := &queue.Dead{Parked: j.item.park(), Lane: l.name, Reason: why, Attempts: j.tries, Time: time.Now()}
	return l.set.bury(d, reason, func() queue.Place { return l.end(j) }), true
}

// conclude ends a job whose outcome was recorded, or could not be.
func (l *lane) conclude(j *job, outcome string, err error) {
	if ended(err) {
		l.set.overtaken()
	}
	if err != nil {
		// The relay stops, or another one has taken over: the delivery is not
		// settled and will be made again.
		l.land(j, true)
		return
	}
	queue.Failpoint(queue.FailRecorded)
	l.set.metrics.settled(l.name.Destination, outcome, j.item.Webhook.Received)
	l.land(j, false)
}

// ended tells whether the journal takes nothing more from this relay.
func ended(err error) bool { return errors.Is(err, queue.ErrFenced) || errors.Is(err, queue.ErrClosed) }

// codeSafe makes a text fit to stand in a code span.
func codeSafe(s string) string {
	return strings.NewReplacer("`", "'", "\n", " ", "<", "‹", ">", "›").Replace(s)
}

func goneReason(l queue.Lane) string {
	return fmt.Sprintf("the destination %q is no longer in relay.yaml", l.Destination)
}

// bury keeps a dead letter and records it.
func (s *Lanes) bury(d *queue.Dead, reason string, from func() queue.Place) error {
	seq, err := s.parking.Bury(s.kill, d)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			s.log.Error("a dead letter cannot be kept", "event_id", d.ID.String(), "err", err)
		}
		return err
	}
	s.trouble("dead "+AddressOf(d.Lane).String(), fmt.Sprintf("❌ A message for `%s` was given up: %s. It is kept as a dead letter (event %s).", AddressOf(d.Lane), s.inWords(d.Lane, d.Reason), d.ID))
	s.log.Error("delivery given up", "event_id", d.ID.String(), "address", AddressOf(d.Lane).String(), "outcome", queue.OutcomeDead, "reason", reason, "err", d.Reason)
	s.dead(d.Lane, &d.Webhook)
	return s.journal.Write(s.kill, &queue.Settled{
		ID: d.ID, Lane: d.Lane, Time: d.Time, Outcome: queue.OutcomeDead, Attempts: d.Attempts, Reason: reason, From: from(), DeadSeq: seq,
	})
}

// onceRoom repeats what the disk has no room for, until it has or ctx ends.
func onceRoom(ctx context.Context, f func() error) error {
	for {
		if err := f(); !errors.Is(err, queue.ErrDown) || !sleep(ctx, time.Second) {
			return err
		}
	}
}

// buryLane turns everything parked for a destination that is gone into dead
// letters.
func (s *Lanes) buryLane(ctx context.Context, at *queue.LaneAtStart) error {
	early := map[queue.ID]bool{}
	for _, id := range at.Early {
		early[id] = true
	}
	for after := max(at.Done.Seq, 1) - 1; after < at.Last; {
		var batch []queue.Parked
		var seq uint64
		err := onceRoom(ctx, func() (err error) { // what is damaged there is buried too
			seq, batch, err = s.parking.NextParked(ctx, at.Lane, after)
			return err
		})
		if err != nil || seq == 0 {
			return err
		}
		after = seq
		for i, p := range batch {
			place := queue.Place{Seq: seq, Index: i}
			if !at.Done.Less(place) || early[p.ID] {
				continue
			}
			d := &queue.Dead{Parked: p, Lane: at.Lane, Time: time.Now(), Reason: goneReason(at.Lane)}
			err := onceRoom(ctx, func() error { return s.bury(d, ReasonNoAddress, func() queue.Place { return place }) })
			if err != nil {
				return err
			}
		}
	}
	ended := queue.Place{Seq: at.Last + 1}.Before()
	if err := s.journal.Write(ctx, &queue.LaneState{Lane: at.Lane, Time: time.Now(), State: queue.LaneOpen, Done: ended, Gone: ended}); err != nil {
		return err
	}
	return s.parking.PurgeParked(ctx, at.Lane, at.Last)
}
