package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// A message that was dropped can come back. For each message that it drops,
// nats-server writes a tombstone into its newest block file. When the last message
// of a block goes, it writes no tombstones for that block, and yet keeps the file if
// this holds tombstones for older blocks. And a block file goes together with its
// tombstones when they are for messages below the first one of the stream, although
// these may still be in the file of an older block (nats-server 2.15.2,
// server/filestore.go: PurgeEx, removeMsgBlock, numPriorTombsLocked). After a kill
// the server reads the files anew (recoverMsgs) and finds all these messages, at any
// later start, however long ago they were dropped.
//
// So the journal keeps for good what was settled in each lane. A start drops again
// what has come back, before anything else is read.

// ended is what of a lane's line in RELAY_PARKED is at its end for good.
type ended struct {
	settled Place    // all that was parked up to here
	dropped []uint64 // beyond that, messages that were dropped as a whole; lowest first
}

// laneSettled says that of a lane, in the journal.
type laneSettled struct {
	Lane    Lane
	Done    Place
	Dropped []uint64
}

// deadLetters stands for RELAY_DEAD among the lanes: no address has an empty name.
var deadLetters = Lane{}

// maxDropped bounds the messages that are remembered one by one. Of a lane of which
// more were given up, the oldest may come back after a kill.
const maxDropped = 4096

func (e *ended) empty() bool { return e.settled == Place{} && len(e.dropped) == 0 }

// settle is told that all up to a place is settled.
func (e *ended) settle(p Place) {
	e.settled = later(e.settled, p)
	e.dropped = slices.DeleteFunc(e.dropped, func(seq uint64) bool { return seq <= wholly(e.settled) })
}

// drop is told that a message is dropped from the middle of the line.
func (e *ended) drop(seq uint64) {
	i, known := slices.BinarySearch(e.dropped, seq)
	if known || seq <= wholly(e.settled) {
		return
	}
	if e.dropped = slices.Insert(e.dropped, i, seq); len(e.dropped) > maxDropped {
		e.dropped = slices.Delete(e.dropped, 0, 1)
	}
}

// wholly is the last message that holds nothing beyond the place.
func wholly(p Place) uint64 {
	if p.Index == math.MaxInt32 {
		return p.Seq
	}
	return max(p.Seq, 1) - 1
}

// purged is told that all messages of a lane up to one are about to be dropped.
func (s *lines) purged(name Lane, upTo uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(name).settle(Place{upTo, math.MaxInt32})
	s.changed[name], s.some = true, true
}

// dropped is told that one message of a lane is about to be dropped.
func (s *lines) dropped(name Lane, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lane(name).drop(seq)
	s.changed[name], s.some = true, true
}

// none tells whether nothing is settled for good yet.
func (s *lines) none() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.some
}

// settled is what is settled for good in each lane.
func (s *lines) settled() []laneSettled {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settledLocked()
}

func (s *lines) settledLocked() []laneSettled { return settledOf(s.of) }

func settledOf(lines map[Lane]*line) (all []laneSettled) {
	for name, l := range lines {
		if !l.empty() {
			all = append(all, laneSettled{name, l.settled, slices.Clone(l.dropped)})
		}
	}
	return all
}

// dropReturned drops again what was dropped from RELAY_PARKED and RELAY_DEAD and is
// there after all.
func (q *Queue) dropReturned(ctx context.Context, lanes []laneSettled) error {
	for _, l := range lanes {
		s, subject := q.parked, subjectParked+laneToken(l.Lane)
		if l.Lane == deadLetters {
			s, subject = q.dead, subjectDead+">"
		}
		before, err := countOf(ctx, s, subject)
		if err != nil {
			return err
		}
		if before == 0 {
			continue
		}
		if upTo := wholly(l.Done); upTo > 0 {
			if err := s.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(upTo+1)); err != nil {
				return fmt.Errorf("drop what came back: %w", err)
			}
		}
		for _, seq := range l.Dropped {
			if err := s.DeleteMsg(ctx, seq); err != nil && !notThere(err) {
				return fmt.Errorf("drop what came back: %w", err)
			}
		}
		after, err := countOf(ctx, s, subject)
		if err != nil {
			return err
		}
		if after < before {
			q.log.Info("messages that are settled were still in the store, as after a kill; they are dropped", "subject", streamWord(subject), "count", before-after)
		}
	}
	return nil
}

// countOf is how many messages of a subject a stream holds.
func countOf(ctx context.Context, s stream, subject string) (n uint64, err error) {
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, fmt.Errorf("look at stream: %w", err)
	}
	for _, one := range info.State.Subjects {
		n += one
	}
	return n, nil
}

// notThere tells whether a message could not be dropped because it is not there.
func notThere(err error) bool {
	return errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful)
}
