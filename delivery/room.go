package delivery

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// makeRoom gives up the oldest parked deliveries of whoever holds most, because
// something of a destination found no room; false when there is nothing to give
// up or that did not succeed.
func (s *Lanes) makeRoom(destination string, why error) bool {
	if !errors.Is(why, queue.ErrFull) {
		return false
	}
	before := s.rooms.Load()
	s.room.Lock()
	defer s.room.Unlock()
	if s.rooms.Load() != before {
		return true // somebody else has made some meanwhile
	}
	name, seq, err := s.parking.Expendable(s.stop, destination, why)
	if err == nil && seq == 0 {
		return false
	}
	if err == nil {
		err = s.giveUp(name, seq, why)
	}
	if err != nil && s.stop.Err() == nil {
		s.log.Error("no room can be made among what is parked; trying again", "address", AddressOf(name).String(), "err", err)
	}
	if err != nil {
		return false
	}
	s.rooms.Add(1)
	return true
}

// giveUp buries what is not settled of one parked message, then drops it.
func (s *Lanes) giveUp(name queue.Lane, seq uint64, why error) error {
	at, batch, err := s.parking.NextParked(s.stop, name, seq-1)
	if err != nil {
		return fmt.Errorf("read what is to be given up: %w", err)
	}
	if at != seq {
		batch = nil // it is gone already
	}
	reason := "RELAY_PARKED was full, and its destination held most of it"
	if errors.Is(why, queue.ErrShare) {
		reason = "its destination held half of RELAY_PARKED, as much as one may"
	}
	l := s.lane(name)
	if l != nil {
		l.yield(batch)
		defer l.yielded()
	}
	for i, p := range batch {
		place := queue.Place{Seq: seq, Index: i}
		if l != nil && l.givesUp(place, p.ID) {
			continue
		}
		d := &queue.Dead{Parked: p, Lane: name, Time: time.Now(), Reason: reason}
		if err := s.bury(d, ReasonNoRoom, func() queue.Place { return place }); err != nil {
			return err
		}
		if l != nil {
			l.gaveUp(place, p.ID)
		}
		s.metrics.settled(name.Destination, queue.OutcomeDead, p.Webhook.Received)
	}
	if l != nil && !l.say() {
		return s.stopping()
	}
	if err := s.parking.DropParked(s.stop, name, seq); err != nil {
		return err
	}
	if l != nil {
		l.forget(seq, batch)
	}
	return nil
}

// yield has the lane take nothing from its line until yielded: some of it may be
// what is being given up. What it holds already, it may not post any more.
func (l *lane) yield(batch []queue.Parked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line.yielding = make(map[queue.ID]bool, len(batch))
	for _, p := range batch {
		l.line.yielding[p.ID] = true
	}
}

// yielded has the lane go on with what is left.
func (l *lane) yielded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line.yielding = nil
	l.appended() // it may have looked for what stands behind its head meanwhile
	l.start()
}

// yields tells whether a delivery is given up for want of room, or about to be.
func (l *lane) yields(j *job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return j.given || l.line.yielding[j.item.ID]
}

// givesUp is told that what stands at a place comes to its end, and tells whether
// it has reached it before, so that its place is all that is left of it.
func (l *lane) givesUp(place queue.Place, id queue.ID) (settled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, settled = l.line.early[id]
	settled = settled || !l.line.done.Less(place) || slices.ContainsFunc(l.flying, func(j *job) bool { return j.item.ID == id && j.ended })
	l.line.ends(place)
	l.line.unsaid = l.line.unsaid || settled
	return settled
}

// gaveUp is told that the delivery at a place has become a dead letter: wherever
// the lane has it, it is not posted.
func (l *lane) gaveUp(place queue.Place, id queue.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, early := l.line.early[id]; early || !l.line.done.Less(place) {
		return // it got through just now
	}
	delete(l.carried, id)
	same := func(j *job) bool { return j.item.ID == id }
	if i := slices.IndexFunc(l.flying, same); i >= 0 {
		l.flying[i].given = true
		if l.flying[i].fromLine() {
			return
		}
	}
	if i := slices.IndexFunc(l.again, same); i >= 0 {
		l.again = slices.Delete(l.again, i, i+1)
		l.line.settle(place, id)
		return
	}
	l.line.early[id] = queue.Place{} // passed over if it is read
	l.line.passed++
}

// forget is told that a message of the line is gone, with everything in it.
func (l *lane) forget(seq uint64, batch []queue.Parked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range batch {
		place := queue.Place{Seq: seq, Index: i}
		at, early := l.line.early[p.ID]
		if !l.line.done.Less(place) || early && at != (queue.Place{}) || slices.Contains(l.line.open, place) {
			continue // it was counted when it was settled, or will be
		}
		for _, j := range l.flying {
			j.given = j.given || j.item.ID == p.ID // its place is not read any more
		}
		if early {
			delete(l.line.early, p.ID)
			l.line.passed = max(l.line.passed-1, 0)
		}
		if seq <= l.line.counted || seq > l.line.resumed {
			l.line.held--
		}
	}
	l.line.held = max(l.line.held, 0)
	if l.line.reading {
		l.line.struck = append(l.line.struck, seq)
	}
	if l.line.seq == seq {
		clear(l.line.batch[l.line.next:])
		l.line.next = len(l.line.batch)
	}
}
