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

	// Starts is how many starts running, this one included, the oldest
	// unsettled event has been the same, with no orderly end in between.
	Starts uint64
	// Suspect is what the last start named as what may have ended it; nil if it named
	// nothing.
	Suspect *Mark
	// Heads is how many starts running, this one included, have come upon parked
	// deliveries and settled none of them, with no orderly end in between.
	Heads uint64
	// Decided is the newest event that was decided.
	Decided ID
	// Settled deliveries of events above the cursor, by their outcome.
	Settled map[Settlement]string
	// Past is what is known of the events above the cursor, which are decided again.
	Past map[ID]*Past
	// Repeats are the deliveries of events above the cursor that were left out, by
	// the reason for it; nil when there are none.
	Repeats map[Settlement]string
	// Lanes that are not open, and those with messages in RELAY_PARKED.
	Lanes map[Lane]*LaneAtStart
}

// Past is what an earlier run of the relay has recorded of an event.
type Past struct {
	Deliveries []Planned // of its newest decision
	Settled    []*Settled
}

// LaneAtStart is a lane that has something parked.
type LaneAtStart struct {
	LaneState
	Last uint64      // sequence of its newest message in RELAY_PARKED
	Held map[ID]bool // ids above the cursor that stand in RELAY_PARKED
}

// Recover does the reading part of [Queue.Lead] before anything new is stored: a
// store that does not fit its journal, or that this version does not understand,
// is refused while no webhook has been answered yet, and what the server cut off
// is filled up before a sequence can be given twice. On a server that others
// share, where they store meanwhile, it does nothing.
func (q *Queue) Recover(ctx context.Context) error {
	if q.External() {
		return nil
	}
	info, err := q.journalStream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", JournalStream, err)
	}
	q.recovered.state, q.recovered.told, err = q.recover(ctx, info.State.LastSeq)
	return err
}

// recover reads the journal above the floor that its last message names, then
// the ids in RELAY_PARKED above theirs, and compares what the streams hold with
// what the journal says of them. It also returns the sequence up to which the
// journal has been found missing.
func (q *Queue) recover(ctx context.Context, last uint64) (*State, uint64, error) {
	s := &State{Settled: map[Settlement]string{}, Past: map[ID]*Past{}, Lanes: map[Lane]*LaneAtStart{}}
	known, err := q.journalKnown(ctx)
	if err != nil {
		return nil, 0, err
	}
	if last == 0 && known > 0 {
		return nil, 0, errNoJournal
	}
	if last == 0 {
		s.countStarts(Entry{}, q.tail.load())
		return s, 0, nil
	}
	info, err := q.journalStream.Info(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("look at %s: %w", JournalStream, err)
	}
	before := q.Damage()
	end, err := q.newestEntry(ctx, last, info.State.FirstSeq)
	if err != nil {
		return nil, 0, err
	}
	told := q.journalCut(end, last, known)
	said := ledger{lines: map[Lane]*line{}, unsure: q.Damage() > before}
	s.Checkpoint = end.Checkpoint
	Failpoint(FailRecovering)
	if err := q.checkCursor(ctx, s.Checkpoint, !said.unsure && told <= s.Checkpoint.Journal); err != nil {
		return nil, 0, err
	}
	if err := q.catchUp(ctx, Events, end.Ends.Events); err != nil {
		return nil, 0, err
	}
	sure := !said.unsure
	before = q.Damage()
	var read uint64
	err = q.Entries(ctx, s.Checkpoint.Journal, func(e Entry) bool { s.apply(e); said.apply(e); read = e.Seq; return true })
	if err == nil && read < end.Seq {
		err = q.behind(JournalStream, end.Seq)
	}
	if err != nil {
		return nil, 0, err
	}
	said.unsure = said.unsure || q.Damage() > before
	if err := q.dropReturned(ctx, settledOf(said.lines)); err != nil {
		return nil, 0, err
	}
	if sure {
		if err := q.checkDead(ctx, end.Kept); err != nil {
			return nil, 0, err
		}
	}
	before = q.Damage()
	if err := q.catchUp(ctx, ParkedStream, max(end.Ends.Parked, s.parkEnd(), q.lastPark.load())); err != nil {
		return nil, 0, err
	}
	if err := q.recoverParked(ctx, s, &said, q.Damage() > before); err != nil {
		return nil, 0, err
	}
	s.countStarts(end, q.tail.load())
	switch {
	case len(s.Lanes) == 0:
	case end.released() || end.Kept == nil:
		s.Heads = 1
	default:
		s.Heads = end.Kept.Heads + 1
	}
	return s, told, nil
}

// countStarts compares this start with the one that wrote the journal's end.
func (s *State) countStarts(end Entry, tail uint64) {
	switch {
	case tail <= s.Checkpoint.Cursor:
		s.Starts = 0 // nothing is unsettled
	case end.released() || end.Ends.From != s.Checkpoint.Cursor:
		s.Starts = 1
	default:
		s.Starts = end.Ends.Starts + 1
	}
}

// released tells whether the writer ended in good order with this message.
func (e *Entry) released() bool {
	if len(e.Records) == 0 {
		return false
	}
	_, ok := e.Records[len(e.Records)-1].(*released)
	return ok
}

// parkEnd is the newest message of RELAY_PARKED that a lane has come to.
func (s *State) parkEnd() (seq uint64) {
	for _, l := range s.Lanes {
		seq = max(seq, l.Done.Seq)
	}
	return seq
}

// restoreAdvice is what to do about streams that do not fit each other.
const restoreAdvice = "restore both from the same backup, or move the data directory away to start with an empty one"

// checkCursor refuses a store that does not fit its journal: one that was cut
// off or restored from elsewhere would lose events in silence. With sure the journal
// is whole: what is not settled was never dropped.
func (q *Queue) checkCursor(ctx context.Context, c Checkpoint, sure bool) error {
	info, err := q.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", Events, err)
	}
	if c.Cursor > info.State.LastSeq {
		if err := q.behind(Events, c.Cursor); err != nil {
			return err
		}
		return fmt.Errorf("%s ends at %d but the journal has settled everything up to %d: the store was cut off or restored; %s", Events, info.State.LastSeq, c.Cursor, restoreAdvice)
	}
	if first := info.State.FirstSeq; sure && first > c.Cursor+1 {
		if err := q.behind(Events, c.Cursor+1); err != nil {
			return err
		}
		q.damage.Add(first - c.Cursor - 1)
		q.log.Error("stored messages are gone, which were not settled: the store is damaged", "stream", Events, "from", c.Cursor+1, "to", first-1)
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
	if q.passOver(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if e.Nonce.fills() && e.Nonce != c.Nonce {
		q.log.Warn("the newest event that is settled is gone; the relay continues above it", "sequence", c.Cursor)
		return nil
	}
	if e.Nonce != c.Nonce {
		return fmt.Errorf("event %d in %s is not the one the journal has settled: the store was restored; %s", c.Cursor, Events, restoreAdvice)
	}
	return nil
}

// Entries calls f for the journal's messages above the sequence that are there
// now, oldest first, until it returns false.
func (q *Queue) Entries(ctx context.Context, after uint64, f func(Entry) bool) error {
	return q.entries(ctx, after, func(e Entry, _ int) bool { return f(e) })
}

// entries is Entries, and tells how many bytes each message has.
func (q *Queue) entries(ctx context.Context, after uint64, f func(Entry, int) bool) error {
	info, err := q.journalStream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", JournalStream, err)
	}
	before := max(after, max(info.State.FirstSeq, 1)-1) // what stood before was dropped
	return walk(ctx, q.journalStream, subjectJournal, after, func(msg *jetstream.RawStreamMsg) (bool, error) {
		if before+1 < msg.Sequence {
			if err := q.journalGone(ctx, before+1, msg.Sequence-1); err != nil {
				return false, err
			}
		}
		before = msg.Sequence
		e, err := decodeEntry(msg.Sequence, msg.Data, q.opt.maxContent())
		if q.passOver(err) {
			return true, nil
		}
		return err == nil && f(e, len(msg.Data)), err
	})
}

func (s *State) apply(e Entry) {
	for _, rec := range e.Records {
		switch r := rec.(type) {
		case *Decision:
			if s.Decided.Less(r.ID) {
				s.Decided = r.ID
			}
			s.decided(r)
		case *Settled:
			if r.ID.Seq > s.Checkpoint.Cursor {
				s.Settled[Settlement{r.ID, r.Lane}] = r.Outcome
				s.settled(r)
			}
			if a := s.Suspect; a != nil && a.ID == r.ID && a.Lane == r.Lane && a.Place == r.From {
				s.Suspect = nil
			}
			if r.Lane == (Lane{}) {
				continue // an event that was set aside as a whole
			}
			if l := s.lane(r.Lane); r.From == (Place{}) || l.Done.Less(r.From) {
				l.Early = append(l.Early, r.ID)
			}
		case *LaneState:
			s.lane(r.Lane).LaneState = *r
		case *Mark:
			s.Suspect = nil
			if r.Begin {
				s.Suspect = r
			}
		case *released:
			s.Suspect = nil // it did not die
		}
	}
}

// decided keeps what a decision says of repeats; the newest one holds.
func (s *State) decided(d *Decision) {
	if d.ID.Seq <= s.Checkpoint.Cursor {
		return
	}
	s.past(d.ID).Deliveries = d.Deliveries
	for _, p := range d.Deliveries {
		delete(s.Repeats, Settlement{d.ID, p.Lane})
	}
	for _, p := range d.Repeats {
		if s.Repeats == nil {
			s.Repeats = map[Settlement]string{}
		}
		s.Repeats[Settlement{d.ID, p.Lane}] = p.Reason
	}
}

// settled keeps how a delivery ended; the newest record of it holds.
func (s *State) settled(r *Settled) {
	p := s.past(r.ID)
	for i, known := range p.Settled {
		if known.Lane == r.Lane {
			p.Settled[i] = r
			return
		}
	}
	p.Settled = append(p.Settled, r)
}

func (s *State) past(id ID) *Past {
	if s.Past == nil {
		s.Past = map[ID]*Past{}
	}
	p := s.Past[id]
	if p == nil {
		p = &Past{}
		s.Past[id] = p
	}
	return p
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
func (q *Queue) recoverParked(ctx context.Context, s *State, said *ledger, counted bool) error {
	lanes, err := q.ParkedLanes(ctx)
	if err != nil {
		return err
	}
	if err := q.lines.resume(ctx, q, said, lanes, counted); err != nil {
		return err
	}
	for _, name := range lanes {
		s.lane(name).Last = q.lines.last(name)
	}
	for _, l := range q.lines.settled() {
		if at := s.Lanes[l.Lane]; at != nil {
			at.Done = later(at.Done, l.Done)
		}
	}
	err = walk(ctx, q.parked, subjectLines, s.Checkpoint.Parked, func(msg *jetstream.RawStreamMsg) (bool, error) {
		name, err := parseLane(msg.Subject[len(subjectParked):])
		if err != nil {
			return false, err
		}
		if q.lines.last(name) < msg.Sequence {
			if err := q.behind(ParkedStream, msg.Sequence); err != nil {
				return false, err // the list of lanes was
			}
		}
		batch, _, err := decodeParked(msg.Sequence, msg.Data, q.opt.maxContent())
		if damage := (*DamageError)(nil); errors.As(err, &damage) {
			return true, nil // its lane comes to it
		}
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
