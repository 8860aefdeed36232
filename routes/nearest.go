package routes

import (
	"fmt"
	"strings"
)

// maxNear is how many routes are looked at for the nearest one.
const maxNear = 256

// nearest is the route that came closest to an event that no route took, and
// what kept it from matching. Of more routes than maxNear those for the event's
// project are looked at.
func (t *Table) nearest(s *subject) (name, because string) {
	var room [16]int
	near := candidates{anywhere: t.index.all}
	if own := t.index.of(s.project, room[:]); len(t.routes) > maxNear && len(own.under)+len(own.anywhere) > 0 {
		near = own
	}
	var best miss
	s.meter = meter{}
	for range maxNear {
		i, ok := near.next()
		if !ok {
			break
		}
		s.begin()
		if m := t.miss(&t.routes[i], s); best.key == nil || m.key != nil && m.score < best.score {
			best, name = m, t.routes[i].name
		}
	}
	if best.key == nil {
		return "", ""
	}
	return name, best.key.text(s, best.part)
}

// miss is how far a route was from matching: the number of keys that kept it,
// the kind of event counting twice, and the first of them.
type miss struct {
	score int
	key   *key
	part  string
}

func (m *miss) add(k *key, part string) {
	m.score++
	if k.name == keyEvents && part == partWhen {
		m.score++
	}
	if m.key == nil {
		m.key, m.part = k, part
	}
}

func (t *Table) miss(r *route, s *subject) miss {
	var best miss
	for i := range r.when {
		c := &r.when[i]
		var m miss
		for j := range c.keys {
			if !c.keys[j].match(s) {
				m.add(&c.keys[j], partWhen)
			}
		}
		for j, left := 0, s.ignored&^t.named(c, s); left != 0; j, left = j+1, left>>1 {
			if left&1 != 0 {
				m.add(&t.ignore[j], partIgnore)
			}
		}
		if i == 0 || m.score < best.score {
			best = m
		}
	}
	for i := range r.except {
		if r.except[i].match(s) {
			best.add(&r.except[i], partExcept)
		}
	}
	return best
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
