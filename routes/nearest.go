package routes

import (
	"fmt"
	"strings"
)

// nearest is the route that came closest to an event that no route took, and
// what kept it from matching.
func (t *Table) nearest(s *subject) (name, because string) {
	var best miss
	for i := range t.routes {
		if m := t.routes[i].miss(s); best.key == nil || m.key != nil && m.score < best.score {
			best, name = m, t.routes[i].name
		}
	}
	if best.key == nil {
		return "", ""
	}
	return name, best.text(s)
}

// miss is how far a route was from matching: the number of keys that kept it,
// the kind of event counting twice, and the first of them.
type miss struct {
	score  int
	key    *key
	except bool
}

func (r *route) miss(s *subject) miss {
	var best miss
	for _, c := range r.when {
		var m miss
		for i := range c {
			if c[i].match(s) {
				continue
			}
			m.score++
			if c[i].name == keyEvents {
				m.score++
			}
			if m.key == nil {
				m.key = &c[i]
			}
		}
		if m.key == nil {
			best = m
			break
		}
		if best.key == nil || m.score < best.score {
			best = m
		}
	}
	for i := range r.except {
		if r.except[i].match(s) {
			best.score++
			if best.key == nil {
				best.key, best.except = &r.except[i], true
			}
		}
	}
	return best
}

// text is a miss as `branches: want main, got develop`.
func (m miss) text(s *subject) string {
	got := strings.Join(m.key.got(s), ", ")
	if got == "" {
		got = "none"
	}
	if m.key.note != nil && m.key.note(s) != "" {
		got += ", " + m.key.note(s)
	}
	switch {
	case m.except:
		return fmt.Sprintf("except %s: has %s, got %s", m.key.name, strings.Join(m.key.want, " or "), got)
	case m.key.name == keyAlso:
		return fmt.Sprintf("also: got %s, which the route does not name", got)
	}
	return fmt.Sprintf("%s: want %s, got %s", m.key.name, strings.Join(m.key.want, " or "), got)
}

func (t *Table) foreignBecause(s *subject) string {
	want := make([]string, 0, 4)
	for _, p := range t.sources[s.event.Source] {
		want = append(want, p.written)
	}
	if len(want) == 0 {
		return "source: the file names none of that name"
	}
	got := s.path()
	if got == "" {
		got = "none"
	}
	return fmt.Sprintf("projects of the source: want %s, got %s", strings.Join(want, " or "), got)
}
