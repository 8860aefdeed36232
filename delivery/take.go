package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// Taker decides about a delivery in the line of a parked lane: what becomes of it and
// why, as the journal records it. With an outcome of "" it stays where it is.
type Taker func(p *queue.Parked) (outcome, reason string, err error)

// takeTime is how long deliveries are taken before whoever asked hears of it.
const takeTime = 5 * time.Second

// TakeParked takes deliveries out of the line of a parked lane, oldest first, beginning
// behind a place, until it has asked about so many. It returns the place to continue
// behind, and whether the line may hold more. A delivery that is being posted at this
// moment may also arrive at its old address.
func (s *Lanes) TakeParked(ctx context.Context, name queue.Lane, after queue.Place, most int, take Taker) (_ queue.Place, more bool, err error) {
	l := s.lane(name)
	if l == nil {
		return after, false, fmt.Errorf("take from %s: no such destination", AddressOf(name))
	}
	t := taking{lane: l, ctx: ctx, take: take, at: after, left: most, end: time.Now().Add(takeTime)}
	for more = true; more && err == nil && !t.full(); {
		more, err = t.message()
	}
	if t.taken > 0 {
		l.dest.hurry() // whoever waits with what was taken lets go of it
		l.retrySoon()
	}
	if !more && err == nil {
		l.emptied()
	}
	return t.at, more, err
}

// taking is one call of TakeParked.
type taking struct {
	*lane
	ctx   context.Context
	take  Taker
	at    queue.Place
	left  int // to be asked about
	end   time.Time
	taken int
}

func (t *taking) full() bool { return t.left <= 0 || time.Now().After(t.end) }

// message takes what is wanted of the next message of the line. It returns false when
// there is none.
func (t *taking) message() (more bool, err error) {
	s := t.set
	s.room.Lock()
	defer s.room.Unlock()
	seq, batch, err := s.parking.NextParked(t.ctx, t.name, max(t.at.Seq, 1)-1)
	if err != nil || seq == 0 {
		return false, err
	}
	t.yield(batch)
	defer t.yielded()
	if !t.holdsLine(seq) {
		return false, nil // the lane is open again
	}
	stays := false
	for i := range batch {
		place := queue.Place{Seq: seq, Index: i}
		switch {
		case t.isSettled(place, batch[i].ID):
			continue
		case !t.at.Less(place): // it was asked about before
			stays = true
			continue
		case t.full():
			return true, nil
		}
		taken, err := t.one(place, &batch[i])
		if err != nil {
			return true, err
		}
		t.at, stays = place, stays || !taken
	}
	t.at = queue.Place{Seq: seq + 1, Index: -1}
	if stays {
		return true, nil
	}
	if !t.say() {
		return true, s.stopping()
	}
	if err := s.parking.DropParked(s.stop, t.name, seq); err != nil {
		return true, err
	}
	t.forget(seq, batch)
	return true, nil
}

// one asks about one delivery, and records what becomes of it.
func (t *taking) one(place queue.Place, p *queue.Parked) (taken bool, err error) {
	t.left--
	outcome, reason, err := t.take(p)
	if err != nil || outcome == "" {
		return false, err
	}
	t.taken++
	if t.givesUp(place, p.ID) {
		return true, nil // it got through just now
	}
	s := t.set
	s.dead(t.name, &p.Webhook)
	err = s.journal.Write(s.kill, &queue.Settled{ID: p.ID, Lane: t.name, Time: time.Now(), Outcome: outcome, Reason: reason, From: place})
	if err != nil {
		if ended(err) {
			s.overtaken()
		}
		return false, err
	}
	t.gaveUp(place, p.ID)
	s.metrics.settled(t.name.Destination, outcome, p.Webhook.Received)
	s.log.Info("delivery taken out of its line", "event_id", p.ID.String(), "address", t.address.String(), "outcome", outcome, "reason", reason)
	return true, nil
}

// holdsLine reports whether a message is of the line of a lane that is parked.
func (l *lane) holdsLine(seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parked && seq <= l.line.tail
}

// isSettled reports whether the delivery at a place has come to its end.
func (l *lane) isSettled(place queue.Place, id queue.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, early := l.line.early[id]
	return early || !l.line.done.Less(place) || slices.ContainsFunc(l.flying, func(j *job) bool { return j.item.ID == id && (j.ended || j.given) })
}

// emptied ends the trouble that was reported of an address whose messages were taken
// away.
func (l *lane) emptied() {
	l.mu.Lock()
	held, told := l.held(), l.told
	for _, j := range l.flying {
		if j.given && j.fromLine() {
			held-- // counted until whoever holds it lets go
		}
	}
	l.told = told && held > 0
	l.mu.Unlock()
	if told && held <= 0 {
		address := l.address.String()
		l.set.relief(fmt.Sprintf("✅ Nothing waits for `%s` any more: its messages were moved or dropped.", address), "refused "+address, "broken "+address)
	}
}
