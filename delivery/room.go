package delivery

import (
	"errors"
	"fmt"
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
	return err == nil
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
	for i, p := range batch {
		place := queue.Place{Seq: seq, Index: i}
		settled := s.isSettled(name, place, p.ID)
		if l != nil {
			l.givesUp(place, settled)
		}
		if settled {
			continue
		}
		d := &queue.Dead{Parked: p, Lane: name, Time: time.Now(), Reason: reason}
		if err := s.bury(d, ReasonNoRoom, func() queue.Place { return place }); err != nil {
			return err
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

// isSettled tells whether a parked delivery has reached its end, so that its
// place in the line is all that is left of it.
func (s *Lanes) isSettled(name queue.Lane, place queue.Place, id queue.ID) bool {
	l := s.lane(name)
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.line.done.Less(place) {
		return true
	}
	_, early := l.line.early[id]
	return early
}

// givesUp is told that what stands at a place comes to its end, or has come to it
// before.
func (l *lane) givesUp(place queue.Place, before bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line.ends(place)
	l.line.unsaid = l.line.unsaid || before
}

// forget is told that a message of the line is gone, with everything in it.
func (l *lane) forget(seq uint64, batch []queue.Parked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range batch {
		place := queue.Place{Seq: seq, Index: i}
		at, early := l.line.early[p.ID]
		switch {
		case !l.line.done.Less(place), early && at != queue.Place{}:
			// It was counted when it was settled.
		case early:
			delete(l.line.early, p.ID)
			l.line.passed = max(l.line.passed-1, 0)
			l.line.held--
		case seq <= l.line.counted || seq > l.line.resumed:
			l.line.held--
		}
	}
	l.line.held = max(l.line.held, 0)
}
