package queue

import (
	"fmt"
	"math"
	"time"
)

// Record is one entry of the journal.
type Record interface {
	kind() uint64
	encode(w *buffer)
}

// Outcomes of an event or a delivery, as the journal, logs and metrics name
// them.
const (
	OutcomeDelivered = "delivered"
	OutcomeDead      = "dead"
	OutcomeRouted    = "routed" // of an event: it has deliveries
	OutcomeUnrouted  = "unrouted"
	OutcomeWithheld  = "withheld"
	OutcomeForeign   = "foreign"
	OutcomeRepeat    = "repeat" // another webhook brought the same before
)

// Decision says what was decided about an event when it was read.
type Decision struct {
	ID      ID
	Time    time.Time
	Source  string
	Event   string // name
	Project string
	Title   string
	Outcome string // OutcomeRouted, …

	Deliveries []Planned
	Withheld   []Planned // Reason is set
	Nearest    string    // route that came closest, when unrouted
	Because    string

	Received time.Time // when the webhook came in
	Replay   Replay    // zero unless the webhook is a replay
	Repeats  []Planned // left out: another event brought them. Reason says which
	Again    bool      // it was read before, by a relay that ended since
	Actor    string    // who did it
}

// Planned is one delivery of a decision.
type Planned struct {
	Lane   Lane
	Route  string
	Reason string
}

// Attempt is one try to deliver that did not settle the delivery.
type Attempt struct {
	ID       ID
	Lane     Lane
	Time     time.Time // when it ended
	Number   int       // from 1
	Status   int       // HTTP status; 0 when there was none
	Reason   string    // closed set; see package delivery
	Error    string    // redacted
	Duration time.Duration
}

// Settled ends a delivery: it was delivered or given up, or the access rules
// forbade to post it when its turn came.
type Settled struct {
	ID       ID
	Lane     Lane
	Time     time.Time
	Outcome  string // OutcomeDelivered, OutcomeDead, OutcomeWithheld
	Attempts int
	Status   int
	Reason   string
	Duration time.Duration // of the last attempt
	From     Place         // zero unless it was parked
	DeadSeq  uint64        // sequence in RELAY_DEAD
}

// Place is a delivery's place in RELAY_PARKED.
type Place struct {
	Seq   uint64
	Index int
}

// Less orders places as they were parked.
func (p Place) Less(o Place) bool { return p.Seq < o.Seq || p.Seq == o.Seq && p.Index < o.Index }

// Before is the last place before p.
func (p Place) Before() Place {
	if p.Index > 0 {
		return Place{p.Seq, p.Index - 1}
	}
	return Place{p.Seq - 1, math.MaxInt32}
}

// Lane states.
const (
	LaneOpen   = "open"
	LaneParked = "parked"
	LaneBroken = "broken"
)

// LaneState says how a lane stands.
type LaneState struct {
	Lane   Lane
	Time   time.Time
	State  string
	Reason string
	Done   Place // everything parked up to and including this place is settled
	Early  []ID  // settled beyond Done, or while they were being parked: not again
	Gone   Place // a message up to here, beyond Done too, may be gone from RELAY_PARKED: what it held is settled
}

// takeover says which relay writes the journal from here on.
type takeover struct {
	Writer Nonce
	Time   time.Time
}

// released says that the writer ended in good order.
type released struct {
	Writer Nonce
	Time   time.Time
}

// Mark names an event, or a parked delivery, that may have ended the relay: with
// Begin the watchdog wrote it before it ended the process, or an older relay before
// it read that event alone. One without Begin says that it has been tried since.
type Mark struct {
	ID     ID
	Time   time.Time
	Begin  bool
	Lane   Lane
	Place  Place  // zero: the event as a whole
	Deaths uint64 // of older relays; no longer read
}

const (
	kindDecision = 1 + iota
	kindAttempt
	kindSettled
	kindLane
	kindTakeover
	kindReleased
	kindMark
)

func (*Decision) kind() uint64  { return kindDecision }
func (*Attempt) kind() uint64   { return kindAttempt }
func (*Settled) kind() uint64   { return kindSettled }
func (*LaneState) kind() uint64 { return kindLane }
func (*takeover) kind() uint64  { return kindTakeover }
func (*released) kind() uint64  { return kindReleased }
func (*Mark) kind() uint64      { return kindMark }

func (d *Decision) encode(w *buffer) {
	w.id(d.ID)
	w.time(d.Time)
	w.str(d.Source)
	w.str(d.Event)
	w.str(d.Project)
	w.str(d.Title)
	w.str(d.Outcome)
	w.planned(d.Deliveries)
	w.planned(d.Withheld)
	w.str(d.Nearest)
	w.str(d.Because)
	w.time(d.Received)
	w.id(d.Replay.Of)
	w.str(d.Replay.To)
	w.planned(d.Repeats)
	w.bool(d.Again)
	w.str(d.Actor)
}

func (w *buffer) planned(ps []Planned) {
	w.uint(uint64(len(ps)))
	for _, p := range ps {
		w.lane(p.Lane)
		w.str(p.Route)
		w.str(p.Reason)
	}
}

func (r *reader) planned() []Planned {
	return list(r, 4, func() Planned { return Planned{r.lane(), r.str(), r.str()} })
}

// decision reads what stood in the first decisions, then what was appended to
// them since.
func (r *reader) decision() *Decision {
	d := &Decision{
		ID: r.id(), Time: r.time(), Source: r.str(), Event: r.str(), Project: r.str(), Title: r.str(), Outcome: r.str(),
		Deliveries: r.planned(), Withheld: r.planned(), Nearest: r.str(), Because: r.str(),
	}
	if r.ends() {
		return d
	}
	d.Received, d.Replay.Of, d.Replay.To, d.Repeats, d.Again = r.time(), r.id(), r.str(), r.planned(), r.bool()
	if !r.ends() {
		d.Actor = r.str()
	}
	return d
}

func (a *Attempt) encode(w *buffer) {
	w.id(a.ID)
	w.lane(a.Lane)
	w.time(a.Time)
	w.uint(uint64(a.Number))
	w.uint(uint64(a.Status))
	w.str(a.Reason)
	w.str(a.Error)
	w.uint(uint64(a.Duration))
}

func (s *Settled) encode(w *buffer) {
	w.id(s.ID)
	w.lane(s.Lane)
	w.time(s.Time)
	w.str(s.Outcome)
	w.uint(uint64(s.Attempts))
	w.uint(uint64(s.Status))
	w.str(s.Reason)
	w.uint(uint64(s.Duration))
	w.place(s.From)
	w.uint(s.DeadSeq)
}

func (w *buffer) place(p Place) { w.uint(p.Seq); w.uint(uint64(p.Index)) }
func (r *reader) place() Place  { return Place{r.uint(), int(r.uint() & 0x7fffffff)} }

func (l *LaneState) encode(w *buffer) {
	w.lane(l.Lane)
	w.time(l.Time)
	w.str(l.State)
	w.str(l.Reason)
	w.place(l.Done)
	w.uint(uint64(len(l.Early)))
	for _, id := range l.Early {
		w.id(id)
	}
	w.place(l.Gone)
}

func (t *takeover) encode(w *buffer) { w.nonce(t.Writer); w.time(t.Time) }
func (t *released) encode(w *buffer) { w.nonce(t.Writer); w.time(t.Time) }

func (m *Mark) encode(w *buffer) {
	w.id(m.ID)
	w.time(m.Time)
	w.bool(m.Begin)
	w.lane(m.Lane)
	w.place(m.Place)
	w.uint(m.Deaths)
}

// decodeRecord reads one record's fields. What a later version of the same
// format appended to a record is passed over; an unknown kind is an error.
func decodeRecord(kind uint64, r *reader) (Record, error) {
	var rec Record
	switch kind {
	case kindDecision:
		rec = r.decision()
	case kindAttempt:
		rec = &Attempt{r.id(), r.lane(), r.time(), int(r.uint()), int(r.uint()), r.str(), r.str(), time.Duration(r.uint())}
	case kindSettled:
		rec = &Settled{r.id(), r.lane(), r.time(), r.str(), int(r.uint()), int(r.uint()), r.str(), time.Duration(r.uint()), r.place(), r.uint()}
	case kindLane:
		l := &LaneState{Lane: r.lane(), Time: r.time(), State: r.str(), Reason: r.str(), Done: r.place(), Early: list(r, 2, r.id)}
		if !r.ends() {
			l.Gone = r.place()
		}
		rec = l
	case kindTakeover:
		rec = &takeover{r.nonce(), r.time()}
	case kindReleased:
		rec = &released{r.nonce(), r.time()}
	case kindMark:
		m := &Mark{ID: r.id(), Time: r.time(), Begin: r.bool()}
		if !r.ends() {
			m.Lane, m.Place = r.lane(), r.place()
		}
		if !r.ends() {
			m.Deaths = r.uint()
		}
		rec = m
	default:
		return nil, &VersionError{JournalStream, fmt.Sprintf("a record of kind %d", kind)}
	}
	return rec, r.err()
}
