package routes

// What deciding on one event may take, in steps: about the characters that are
// looked at, times the states of the pattern that looks at them. An ordinary route
// takes some tens. The bounds are counted, not timed, so that a busy machine
// decides as an idle one does.
const (
	maxRouteSteps = 1 << 24 // of one route
	maxFileSteps  = 1 << 26 // of all routes of one file: of a team's, or of relay.yaml
)

// exceeded is what people are told of a condition that took too much.
const exceeded = "this takes too many steps, so the route does not match"

// meter counts steps. The zero meter has all of them left.
type meter struct {
	route, file int
	over        bool // the route has none left
}

// begin gives the next route of the same file its steps.
func (m *meter) begin() { m.route, m.over = 0, false }

// spend takes n steps. It returns false when there are not so many left: then
// nothing matches any more.
func (m *meter) spend(n int) bool {
	m.route += n
	m.file += n
	m.over = m.over || m.route > maxRouteSteps || m.file > maxFileSteps
	return !m.over
}

// separately answers with other steps than those of the route that is asked: a
// destination's gate must not close because a team's file has used up its steps.
// It is false, too, when the other steps do not suffice.
func (s *subject) separately(m *meter, ask func() bool) bool {
	kept := s.meter
	s.meter = *m
	s.begin()
	ok := ask() && !s.over
	*m, s.meter = s.meter, kept
	return ok
}
