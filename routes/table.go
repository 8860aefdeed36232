package routes

import (
	"slices"

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
	routes    []route
	index     index
	ignore    []key                   // an except of every route; at most 32
	sources   map[string][]glob       // of sources that may not speak for everything
	known     map[string]bool         // all sources
	hooks     map[string]hooked       // of sources that name them
	wishes    []wish                  // of all routes, and of unrouted
	words     int                     // of 64 addresses each
	addresses map[configs.Address]int // those that routes write out
	namings   []*naming               // of all routes
	unrouted  *target
	defaults  configs.Defaults
	timed     bool // a route names times
	bots      bots
	chat      *directory
	own       map[string]*directory // of fenced files, by path

	destinations map[string]*gatedDestination
	fences       map[string][]fence // by file; all of them must permit
}

// route is one entry of routes:, ready to be asked.
type route struct {
	name    string
	pos     configs.Pos
	group   int          // 0 for the main file, then one for each included file
	when    []conditions // at least one
	except  []key
	targets []target
	stop    bool
	mention []string
	chat    *directory // whom it knows
}

// target is where a route delivers, with the delivery made beforehand.
type target struct {
	address      int // the same for the same address
	kind         string
	confidential bool
	only         []conditions // any of them; none: no gate
	mentions     bool
	delivery     Delivery
	naming       *naming // the event completes the address
}

// Match says where an event goes.
func (t *Table) Match(e *events.Event) Decision {
	return t.decide(t.subject(e), nil)
}

// decide is the one way to a decision. With an explanation it asks every route
// and key, and notes the answers; without, it stops asking as soon as it knows.
func (t *Table) decide(s *subject, x *Explanation) Decision {
	d := Decision{Foreign: t.foreign(s)}
	if d.Foreign {
		d.Because = t.foreignBecause(s)
		if x == nil {
			return d
		}
	}
	var few [4]uint64
	seen := few[:]
	if t.words > len(few) {
		seen = make([]uint64, t.words)
	}
	taken, stopped, file := false, -1, -1
	var room [16]int
	asked, likely := t.index.of(s.project, room[:]), candidates{}
	if x != nil {
		asked, likely = candidates{anywhere: t.index.all}, asked
	}
	for i, ok := asked.next(); ok; i, ok = asked.next() {
		r := &t.routes[i]
		read := stopped != 0 && stopped != r.group
		if !read && x == nil {
			continue
		}
		if file != r.group {
			file, s.meter = r.group, meter{} // a team's file has its own steps
		}
		if x != nil && (!read || !likely.has(i)) {
			kept := s.meter
			s.meter = meter{} // the live path does not ask it
			t.takes(r, s, x.route(r, read))
			s.meter = kept
			continue
		}
		takes := t.takes(r, s, x.route(r, read))
		if s.over {
			d.Exceeded = append(d.Exceeded, r.name)
		}
		if !takes || d.Foreign {
			continue
		}
		taken = true
		for j := range r.targets {
			if to := &r.targets[j]; to.naming != nil {
				t.addNamed(&d, to, r, s, seen)
			} else {
				t.add(&d, to, r, s, seen)
			}
		}
		if r.stop {
			stopped = r.group
		}
	}
	if len(d.Unfilled) > 0 && len(d.Deliveries)+len(d.Withheld) == 0 {
		d.Nearest, d.Because = d.Unfilled[0].Route, d.Unfilled[0].Because
	}
	if taken || d.Foreign {
		return d
	}
	d.Nearest, d.Because = t.nearest(s)
	if t.unrouted != nil && s.standard == "" && s.gate == "" && s.ignored == 0 && !t.takenAnother(s) {
		t.add(&d, t.unrouted, nil, s, seen)
	}
	return d
}

// add delivers to an address that has not had the event yet, unless a gate is
// closed, and unites who is mentioned there.
func (t *Table) add(d *Decision, to *target, r *route, s *subject, seen []uint64) {
	word, bit := to.address/64, uint64(1)<<(to.address%64)
	again := seen[word]&bit != 0
	seen[word] |= bit
	switch {
	case again:
	case s.event.Confidential && !to.confidential:
		d.Withheld = append(d.Withheld, Withheld{Address: to.delivery.Address, Route: to.delivery.Route, Reason: ReasonConfidential})
	case !opens(to.only, s):
		d.Withheld = append(d.Withheld, Withheld{Address: to.delivery.Address, Route: to.delivery.Route, Reason: ReasonOnly})
	default:
		if len(d.Withheld) > 0 {
			d.Withheld = slices.DeleteFunc(d.Withheld, func(w Withheld) bool { return w.ByEvent && w.Address == to.delivery.Address })
		}
		d.Deliveries = append(d.Deliveries, to.delivery)
	}
	if r != nil && len(r.mention) > 0 {
		d.mention(to, r, s)
	}
}

// mention adds whom a route mentions at an address.
func (d *Decision) mention(to *target, r *route, s *subject) {
	if !to.mentions {
		return
	}
	for i := range d.Deliveries {
		if to.delivery.Address == d.Deliveries[i].Address {
			d.Deliveries[i].Mention = r.chat.mention(d.Deliveries[i].Mention, r.mention, to.kind, s)
		}
	}
}

// opens tells whether any conditions of a gate match; none are no gate.
func opens(only []conditions, s *subject) bool {
	if len(only) == 0 {
		return true
	}
	return s.separately(&s.gates, func() bool {
		return slices.ContainsFunc(only, func(c conditions) bool { return c.match(s) })
	})
}

func (c *conditions) match(s *subject) bool {
	for i := range c.keys {
		if !c.keys[i].match(s) || s.over {
			return false
		}
	}
	return true
}

// takes tells whether any entry of when matches that ignore does not take the
// event from, and no key of except does.
func (t *Table) takes(r *route, s *subject, x *RouteExplanation) bool {
	s.begin()
	matched, yields := false, uint32(0)
	for i := range r.when {
		c := &r.when[i]
		if !c.all(s, x, i, matched) {
			continue
		}
		named := t.named(c, s)
		if s.ignored&^named == 0 {
			matched = true
		}
		if yields == 0 || s.ignored&^named == 0 {
			yields = named
		}
		if matched && x == nil {
			break
		}
	}
	if matched || x != nil {
		for i := range r.except {
			k := &r.except[i]
			ok, note := k.ask(s, x != nil && !matched)
			x.key(partExcept, 0, k, s, ok, note)
			if ok {
				matched = false
			}
		}
	}
	matched = matched && !s.over
	if x != nil {
		t.explainIgnore(s, x, yields)
	}
	x.matched(matched)
	return matched
}

// all asks every key for an explanation, and otherwise until one does not match.
// What the live path does not ask, as after beside matched, takes no steps.
func (c *conditions) all(s *subject, x *RouteExplanation, index int, beside bool) bool {
	if x == nil {
		return c.match(s)
	}
	matched := true
	for i := range c.keys {
		ok, note := c.keys[i].ask(s, beside || !matched)
		x.key(partWhen, index, &c.keys[i], s, ok, note)
		matched = matched && ok
	}
	return matched
}

// ask is match for people: aside takes no steps of the event's.
func (k *key) ask(s *subject, aside bool) (ok bool, note string) {
	kept := s.meter
	if aside {
		s.meter = meter{}
	}
	before := s.over
	ok = k.match(s) && !s.over
	if s.over && !before {
		note = exceeded
	}
	if aside {
		s.meter = kept
	}
	return ok, note
}

// named are the keys of ignore that match and yield to these conditions, since
// they name the very bot or project.
func (t *Table) named(c *conditions, s *subject) uint32 {
	if s.ignored == 0 {
		return 0
	}
	var out uint32
	for i := range t.ignore {
		switch t.ignore[i].name {
		case keyActors:
			if anyMatches(c.actors, s.actor, &s.meter) {
				out |= 1 << i
			}
		case keyBots:
			if c.bots || anyMatches(c.actors, s.actor, &s.meter) {
				out |= 1 << i
			}
		case keyProjects:
			if anyMatches(c.projects, s.project, &s.meter) {
				out |= 1 << i
			}
		}
	}
	return out & s.ignored
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
	return s.project == "" || !anyMatches(patterns, s.project, &s.meter)
}
