package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Settlement names one delivery.
type Settlement struct {
	ID   ID
	Lane Lane
}

// State is what the journal says at the start: where to go on, and what above
// there is settled already.
type State struct {
	Checkpoint Checkpoint

	// Settled deliveries of events above the cursor.
	Settled map[Settlement]bool
	// Lanes that are not open, and those with messages in RELAY_PARKED.
	Lanes map[Lane]*LaneAtStart
}

// LaneAtStart is a lane that has something parked.
type LaneAtStart struct {
	LaneState
	Last uint64      // sequence of its newest message in RELAY_PARKED
	Held map[ID]bool // ids above the cursor that stand in RELAY_PARKED
}

// recover reads the journal above the floor that its last message names, then
// the ids in RELAY_PARKED above theirs.
func (q *Queue) recover(ctx context.Context, last uint64) (*State, error) {
	s := &State{Settled: map[Settlement]bool{}, Lanes: map[Lane]*LaneAtStart{}}
	if last == 0 {
		return s, nil
	}
	msg, err := q.journalStream.GetMsg(ctx, last)
	if err != nil {
		return nil, fmt.Errorf("read the end of %s: %w", JournalStream, err)
	}
	end, err := decodeEntry(last, msg.Data, q.opt.maxContent())
	if err != nil {
		return nil, err
	}
	s.Checkpoint = end.Checkpoint
	if err := q.checkCursor(ctx, s.Checkpoint); err != nil {
		return nil, err
	}
	if err := q.Entries(ctx, s.Checkpoint.Journal, func(e Entry) bool { s.apply(e); return true }); err != nil {
		return nil, err
	}
	if err := q.recoverParked(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// checkCursor refuses a store that does not fit its journal: one that was cut
// off or restored from elsewhere would lose events in silence.
func (q *Queue) checkCursor(ctx context.Context, c Checkpoint) error {
	info, err := q.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", Events, err)
	}
	const advice = "restore both from the same backup, or move the data directory away to begin anew"
	if c.Cursor > info.State.LastSeq {
		return fmt.Errorf("%s ends at %d but the journal has settled everything up to %d: the store was cut off or restored; %s", Events, info.State.LastSeq, c.Cursor, advice)
	}
	if c.Cursor == 0 {
		return nil
	}
	msg, err := q.events.GetMsg(ctx, c.Cursor)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // purged since
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", Events, err)
	}
	e, err := decodeEnvelope(c.Cursor, msg.Data, q.opt.maxContent())
	if err != nil {
		return err
	}
	if e.Nonce != c.Nonce {
		return fmt.Errorf("event %d in %s is not the one the journal has settled: the store was restored; %s", c.Cursor, Events, advice)
	}
	return nil
}

// Entries calls f for the journal's messages above the sequence that are there
// now, oldest first, until it returns false.
func (q *Queue) Entries(ctx context.Context, after uint64, f func(Entry) bool) error {
	return walk(ctx, q.journalStream, subjectJournal, after, func(msg *jetstream.RawStreamMsg) (bool, error) {
		e, err := decodeEntry(msg.Sequence, msg.Data, q.opt.maxContent())
		return err == nil && f(e), err
	})
}

func (s *State) apply(e Entry) {
	for _, rec := range e.Records {
		switch r := rec.(type) {
		case *Settled:
			if r.ID.Seq > s.Checkpoint.Cursor {
				s.Settled[Settlement{r.ID, r.Lane}] = true
			}
			if l := s.lane(r.Lane); r.From == (Place{}) || l.Done.Less(r.From) {
				l.Early = append(l.Early, r.ID)
			}
		case *LaneState:
			s.lane(r.Lane).LaneState = *r
		}
	}
}

func (s *State) lane(name Lane) *LaneAtStart {
	l := s.Lanes[name]
	if l == nil {
		l = &LaneAtStart{LaneState: LaneState{Lane: name, State: LaneOpen}, Held: map[ID]bool{}}
		s.Lanes[name] = l
	}
	return l
}

// recoverParked finds what stands in RELAY_PARKED, and drops lanes that have
// nothing there.
func (q *Queue) recoverParked(ctx context.Context, s *State) error {
	lanes, err := q.ParkedLanes(ctx)
	if err != nil {
		return err
	}
	for _, name := range lanes {
		last, err := q.LastParked(ctx, name)
		if err != nil {
			return err
		}
		s.lane(name).Last = last
	}
	err = walk(ctx, q.parked, subjectParked+">", s.Checkpoint.Parked, func(msg *jetstream.RawStreamMsg) (bool, error) {
		if msg.Subject == subjectFence {
			return true, nil
		}
		name, err := parseLane(msg.Subject[len(subjectParked):])
		if err != nil {
			return false, err
		}
		batch, err := decodeParked(msg.Sequence, msg.Data, q.opt.maxContent())
		for _, p := range batch {
			if p.ID.Seq > s.Checkpoint.Cursor {
				s.lane(name).Held[p.ID] = true
			}
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	for name, l := range s.Lanes {
		if l.Last == 0 || l.Last < l.Done.Seq {
			delete(s.Lanes, name)
		}
	}
	return nil
}
