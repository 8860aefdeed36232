package queue

import (
	"slices"
)

// scan reads the journal forward and keeps what belongs on a page: as many
// events as it has room for and one more, and those that are not delivered yet,
// of which it is not known how they will stand at the end.
type scan struct {
	query  EventQuery
	parked func(Lane) bool
	byID   map[ID]*Trace     // found, or open
	found  []*Trace          // by id, oldest first
	opened []ID              // by the time of their decisions; some are found since
	ahead  map[ID][]*Settled // of events that are not decided yet; see [scan.settled]
	open   int
	cut    bool
	newest ID // of the events that are decided
}

func (s *scan) entry(e Entry) {
	for _, rec := range e.Records {
		switch r := rec.(type) {
		case *Decision:
			s.decision(r)
		case *Attempt:
			if t := s.byID[r.ID]; t != nil {
				t.Attempts = append(t.Attempts, r)
			}
		case *Settled:
			s.settled(r)
		}
	}
}

// settled keeps an outcome. One can stand before the decision: a delivery that was
// parked is made after a crash, and its event is decided again later.
func (s *scan) settled(r *Settled) {
	if t := s.byID[r.ID]; t != nil {
		t.Settled = append(t.Settled, r)
		s.settle(t)
	} else if s.newest.Less(r.ID) && len(s.ahead) < maxOpen && r.Lane != (Lane{}) {
		if s.ahead == nil {
			s.ahead = map[ID][]*Settled{}
		}
		s.ahead[r.ID] = append(s.ahead[r.ID], r)
	}
}

func (s *scan) wants(d *Decision) bool {
	came := d.Received
	if came.IsZero() {
		came = d.Time
	}
	q := &s.query
	return (q.Before == ID{} || d.ID.Less(q.Before)) && (q.Since.IsZero() || !came.Before(q.Since)) &&
		(q.Until.IsZero() || came.Before(q.Until)) && (q.Decided == nil || q.Decided(d))
}

func (s *scan) decision(d *Decision) {
	if s.newest.Less(d.ID) {
		s.newest = d.ID
	}
	before := s.ahead[d.ID]
	delete(s.ahead, d.ID)
	if !s.wants(d) {
		return
	}
	t := s.byID[d.ID]
	if t == nil {
		t = &Trace{ID: d.ID}
		s.byID[d.ID] = t
		s.opened = append(s.opened, d.ID)
		s.open++
	}
	t.Decisions, t.Settled = append(t.Decisions, d), append(t.Settled, before...)
	s.settle(t)
	s.bound()
}

// settle moves an event that has come to its end to those that are found, if
// it belongs on the page.
func (s *scan) settle(t *Trace) {
	if t.open() || s.isFound(t) {
		return
	}
	s.open--
	if s.query.Settled != nil && !s.query.Settled(t, s.parked) {
		delete(s.byID, t.ID)
		return
	}
	s.keep(t)
}

func (s *scan) place(id ID) (int, bool) {
	return slices.BinarySearchFunc(s.found, id, func(t *Trace, id ID) int {
		switch {
		case t.ID.Less(id):
			return -1
		case id.Less(t.ID):
			return 1
		}
		return 0
	})
}

func (s *scan) isFound(t *Trace) bool {
	_, ok := s.place(t.ID)
	return ok
}

// keep adds an event to those that are found; the oldest makes room.
func (s *scan) keep(t *Trace) {
	i, ok := s.place(t.ID)
	if ok {
		return
	}
	s.found = slices.Insert(s.found, i, t)
	if len(s.found) > s.query.Limit+1 {
		delete(s.byID, s.found[0].ID)
		s.found = slices.Delete(s.found, 0, 1)
	}
}

// bound lets go of the oldest open events when there are too many.
func (s *scan) bound() {
	for s.open > maxOpen {
		id := s.opened[0]
		s.opened = s.opened[1:]
		if t := s.byID[id]; t != nil && !s.isFound(t) {
			delete(s.byID, id)
			s.open--
			s.cut = true
		}
	}
}

// page is what was found, with what is open at the end.
func (s *scan) page() EventPage {
	for _, t := range s.byID {
		if !s.isFound(t) && (s.query.Settled == nil || s.query.Settled(t, s.parked)) {
			s.keep(t)
		}
	}
	slices.Reverse(s.found)
	p := EventPage{Events: s.found, Parked: s.parked, Cut: s.cut}
	if len(p.Events) > s.query.Limit {
		p.Events, p.More = p.Events[:s.query.Limit], true
	}
	return p
}
