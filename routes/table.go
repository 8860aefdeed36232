package routes

import (
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// Vocabulary is the event names that a file may use, as package events lists
// them.
type Vocabulary struct {
	Kinds   []string
	Actions func(kind string) []string // the listed actions of a kind
}

// Table is compiled routes. It is never changed after [Compile] and safe for
// concurrent use.
type Table struct {
	routes   []route
	sources  map[string][]projectPattern // of sources that may not speak for everything
	known    map[string]bool             // all sources
	words    int                         // of 64 addresses each
	unrouted *target
	defaults configs.Defaults
}

// route is one entry of routes:, ready to be asked.
type route struct {
	name    string
	pos     configs.Pos
	when    []conditions // at least one
	except  []key
	targets []target
}

// conditions are keys that all must match.
type conditions []key

// key is one condition on an event.
type key struct {
	name  string
	want  []string
	match func(*subject) bool
	got   func(*subject) []string // for people; never asked on the live path unless nothing matched
	note  func(*subject) string   // why a name that fits is not enough; may be nil
}

// target is where a route delivers, with the delivery made beforehand.
type target struct {
	address      int // the same for the same address
	confidential bool
	delivery     Delivery
}

// subject is an event with what several routes ask of it.
type subject struct {
	event    *events.Event
	project  string // path in lower case; the group's for group-level events
	standard string // why it is not in the standard set
	gate     string // word of `also` that it needs, or empty
}

func newSubject(e *events.Event) *subject {
	s := &subject{event: e, standard: notStandard(e), gate: gate(e)}
	s.project = strings.ToLower(s.path())
	return s
}

// path is the project's or group's path as GitLab writes it.
func (s *subject) path() string {
	if s.event.Project.Path != "" {
		return s.event.Project.Path
	}
	return s.event.Project.Group
}

// branch is the event's branch; nothing on tags.
func (s *subject) branch() string {
	if s.event.Tag != "" {
		return ""
	}
	return s.event.Branch
}

// gate is the word of `also` without which an event is never posted.
func gate(e *events.Event) string {
	switch {
	case e.Kind == events.Note && e.Note != nil && e.Note.System:
		return configs.AlsoSystemNotes
	case e.Kind == events.Note && e.Note != nil && e.Note.Edited:
		return configs.AlsoEditedNotes
	case e.Kind == events.Pipeline && e.Pipeline != nil && e.Pipeline.Child():
		return configs.AlsoChildPipelines
	case e.Action == "update" && !e.Material:
		return configs.AlsoImmaterialUpdates
	}
	return ""
}

// Match says where an event goes.
func (t *Table) Match(e *events.Event) Decision {
	return t.decide(newSubject(e), nil)
}

// decide is the one way to a decision. With an explanation it asks every route
// and key, and notes the answers; without, it stops asking as soon as it knows.
func (t *Table) decide(s *subject, x *Explanation) Decision {
	d := Decision{Foreign: t.foreign(s)}
	if d.Foreign {
		d.Because = t.foreignBecause(s)
	}
	var few [4]uint64
	seen := few[:]
	if t.words > len(few) {
		seen = make([]uint64, t.words)
	}
	taken := false
	for i := range t.routes {
		if d.Foreign && x == nil {
			break
		}
		r := &t.routes[i]
		if !r.takes(s, x.route(r)) || d.Foreign {
			continue
		}
		taken = true
		for j := range r.targets {
			d.add(&r.targets[j], s.event.Confidential, seen)
		}
	}
	if taken || d.Foreign {
		return d
	}
	d.Nearest, d.Because = t.nearest(s)
	if t.unrouted != nil && s.standard == "" && s.gate == "" {
		d.add(t.unrouted, s.event.Confidential, seen)
	}
	return d
}

// add delivers to an address that has not had the event yet, unless the gate
// is closed.
func (d *Decision) add(t *target, confidential bool, seen []uint64) {
	word, bit := t.address/64, uint64(1)<<(t.address%64)
	if seen[word]&bit != 0 {
		return
	}
	seen[word] |= bit
	if confidential && !t.confidential {
		d.Withheld = append(d.Withheld, Withheld{Address: t.delivery.Address, Route: t.delivery.Route, Reason: ReasonConfidential})
		return
	}
	d.Deliveries = append(d.Deliveries, t.delivery)
}

// takes tells whether any entry of when matches and no key of except does.
func (r *route) takes(s *subject, x *RouteExplanation) bool {
	matched := false
	for i, c := range r.when {
		if c.all(s, x, i) {
			matched = true
			if x == nil {
				break
			}
		}
	}
	if matched || x != nil {
		for i := range r.except {
			k := &r.except[i]
			ok := k.match(s)
			x.key(partExcept, 0, k, s, ok)
			if ok {
				matched = false
			}
		}
	}
	x.matched(matched)
	return matched
}

func (c conditions) all(s *subject, x *RouteExplanation, index int) bool {
	matched := true
	for i := range c {
		ok := c[i].match(s)
		x.key(partWhen, index, &c[i], s, ok)
		if !ok {
			matched = false
			if x == nil {
				break
			}
		}
	}
	return matched
}

// foreign tells whether the source may not speak for the event's project. Once
// any source of the file is limited, one that the file no longer names may
// speak for nothing. An event of no source at all is a sample.
func (t *Table) foreign(s *subject) bool {
	source := s.event.Source
	patterns, limited := t.sources[source]
	if !limited {
		return source != "" && len(t.sources) > 0 && !t.known[source]
	}
	for i := range patterns {
		if s.project != "" && patterns[i].matches(s.project) {
			return false
		}
	}
	return true
}
