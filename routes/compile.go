package routes

import (
	"fmt"
	"slices"

	"github.com/gitlab-mattermost/relay/configs"
)

// Keys of conditions.
const (
	keyEvents   = "events"
	keyProjects = "projects"
	keyBranches = "branches"
	keyAlso     = "also"
)

// unroutedName is the Route of deliveries to the unrouted address.
const unroutedName = "unrouted"

// Compile turns the routes of a configuration into a table and tells what is
// wrong with them beyond their form. The table is fit for use only when no
// finding is an error.
func Compile(cfg *configs.Config, v Vocabulary) (*Table, []configs.Finding) {
	c := &compiler{cfg: cfg, vocabulary: newVocabulary(v), addresses: map[configs.Address]int{}}
	t := &Table{defaults: cfg.Defaults, sources: map[string][]projectPattern{}, known: map[string]bool{}}
	for _, s := range cfg.Sources {
		t.known[s.Name] = true
		if len(s.Projects) > 0 {
			t.sources[s.Name] = c.projects(s.Projects)
		}
	}
	var checked []checkedRoute
	for _, r := range cfg.Routes {
		compiled, facts := c.route(r)
		t.routes = append(t.routes, compiled)
		checked = append(checked, facts)
	}
	if cfg.Unrouted.Mode == configs.UnroutedAddress {
		if target, ok := c.target(cfg.Unrouted.Address, unroutedName); ok {
			t.unrouted = &target
		}
	}
	t.words = (len(c.addresses) + 63) / 64
	c.check(checked)
	for i, f := range c.found {
		c.found[i] = cfg.Locate(f)
	}
	configs.SortFindings(c.found)
	return t, c.found
}

type compiler struct {
	cfg        *configs.Config
	vocabulary vocabulary
	addresses  map[configs.Address]int
	found      []configs.Finding
}

// route compiles one route, and gives what checks want to know of it.
func (c *compiler) route(r configs.Route) (route, checkedRoute) {
	out := route{name: r.Name, pos: r.Pos}
	facts := checkedRoute{Route: r}
	when := r.When
	if len(when) == 0 {
		when = []configs.Conditions{{Pos: r.Pos}}
	}
	for _, w := range when {
		keys, patterns := c.keys(w)
		if w.Events == nil {
			standard := eventPattern{text: setStandard, set: setStandard}
			keys = slices.Insert(keys, 0, eventsKey([]string{setStandard}, []eventPattern{standard}))
			patterns = []writtenEvent{{eventPattern: standard}}
		}
		out.when = append(out.when, append(keys, alsoKey(w.Also)))
		facts.when = append(facts.when, checkedConditions{w, patterns})
	}
	if r.Except != nil {
		keys, patterns := c.keys(*r.Except)
		out.except = keys
		facts.except = &checkedConditions{*r.Except, patterns}
	}
	for _, to := range r.To {
		if target, ok := c.target(to.Address, r.Name); ok {
			out.targets = append(out.targets, target)
		}
	}
	return out, facts
}

// target makes the delivery to an address beforehand.
func (c *compiler) target(a configs.Address, routeName string) (target, bool) {
	d := c.cfg.Destination(a.Destination)
	if d == nil {
		return target{}, false // which loading the file has told
	}
	id, known := c.addresses[a]
	if !known {
		id = len(c.addresses)
		c.addresses[a] = id
	}
	return target{
		address: id, confidential: d.Allows(a.Channel),
		delivery: Delivery{Address: a, Route: routeName, Look: look(d, c.cfg.Defaults)},
	}, true
}

// look is a destination's own over that of defaults.
func look(d *configs.Destination, defaults configs.Defaults) configs.Look {
	out := d.Look
	if out.Username == "" {
		out.Username = defaults.Look.Username
	}
	if out.Icon == "" {
		out.Icon = defaults.Look.Icon
	}
	return out
}

// Look is how a message to a destination looks when no route says otherwise.
func (t *Table) Look(d *configs.Destination) configs.Look { return look(d, t.defaults) }

// keys compiles conditions, the cheapest key first. `also` is not among them.
func (c *compiler) keys(w configs.Conditions) ([]key, []writtenEvent) {
	var keys []key
	var written []writtenEvent
	if w.Events != nil {
		var patterns []eventPattern
		for _, v := range w.Events.Values {
			p, wrong := c.vocabulary.compile(v.Text)
			if c.told(v, wrong) {
				patterns = append(patterns, p)
				written = append(written, writtenEvent{p, v})
			}
		}
		keys = append(keys, eventsKey(texts(w.Events), patterns))
	}
	if w.Projects != nil {
		keys = append(keys, projectsKey(texts(w.Projects), c.projects(w.Projects.Values)))
	}
	if w.Branches != nil {
		var patterns []branchPattern
		for _, v := range w.Branches.Values {
			p, wrong := compileBranch(v.Text)
			if c.told(v, wrong) {
				patterns = append(patterns, p)
			}
		}
		keys = append(keys, branchesKey(texts(w.Branches), patterns))
	}
	return keys, written
}

// told reports a problem and tells whether the pattern is usable.
func (c *compiler) told(v configs.Pattern, wrong *problem) bool {
	if wrong == nil {
		return true
	}
	c.found = append(c.found, wrong.at(v))
	return wrong.severity == configs.Warning
}

func (c *compiler) projects(values []configs.Pattern) []projectPattern {
	var out []projectPattern
	for _, v := range values {
		p, wrong := compileProject(v.Text)
		p.written = v.Text
		if c.told(v, wrong) {
			out = append(out, p)
		}
	}
	return out
}

func texts(l *configs.List) []string {
	out := make([]string, len(l.Values))
	for i, v := range l.Values {
		out[i] = v.Text
	}
	return out
}

func eventsKey(want []string, patterns []eventPattern) key {
	standard := slices.ContainsFunc(patterns, func(p eventPattern) bool { return p.set == setStandard })
	return key{
		name: keyEvents, want: want,
		match: func(s *subject) bool {
			for i := range patterns {
				if patterns[i].matches(s) {
					return true
				}
			}
			return false
		},
		got: func(s *subject) []string { return []string{s.event.Name()} },
		note: func(s *subject) string {
			if standard && s.standard != "" && inStandard(s.event.Kind, s.event.Action) {
				return s.standard
			}
			return ""
		},
	}
}

func projectsKey(want []string, patterns []projectPattern) key {
	return key{
		name: keyProjects, want: want,
		match: func(s *subject) bool {
			if s.project == "" {
				return false
			}
			for i := range patterns {
				if patterns[i].matches(s.project) {
					return true
				}
			}
			return false
		},
		got: func(s *subject) []string { return some(s.path()) },
	}
}

func branchesKey(want []string, patterns []branchPattern) key {
	return key{
		name: keyBranches, want: want,
		match: func(s *subject) bool {
			for i := range patterns {
				if patterns[i].matches(s) {
					return true
				}
			}
			return false
		},
		got: func(s *subject) []string { return some(s.branch()) },
	}
}

// alsoKey stands in every when: what needs a word of also is not posted
// without it.
func alsoKey(l *configs.List) key {
	var want []string
	if l != nil {
		want = texts(l)
	}
	return key{
		name: keyAlso, want: want,
		match: func(s *subject) bool { return s.gate == "" || slices.Contains(want, s.gate) },
		got:   func(s *subject) []string { return some(s.gate) },
	}
}

// some is a list of one value, or none.
func some(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// writtenEvent is an event pattern with its place in the file.
type writtenEvent struct {
	eventPattern
	configs.Pattern
}

// checkedConditions are conditions with their event patterns compiled.
type checkedConditions struct {
	configs.Conditions
	events []writtenEvent
}

// checkedRoute is a route as the file writes it, with the same.
type checkedRoute struct {
	configs.Route
	when   []checkedConditions
	except *checkedConditions
}

// named is how a sentence calls a route.
func (r checkedRoute) named() string { return fmt.Sprintf("route %q", r.Name) }
