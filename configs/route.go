package configs

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

var (
	topKeys       = []string{"sources", "defaults", "destinations", "routes", "unrouted"}
	routeKeys     = []string{"name", "when", "except", "to"}
	conditionKeys = []string{"events", "projects", "branches"}
	whenKeys      = []string{"events", "projects", "branches", "also"}
	alsoWords     = []string{AlsoEditedNotes, AlsoChildPipelines, AlsoSystemNotes, AlsoImmaterialUpdates}
)

// Words of `also`: what is never posted unless a route says so.
const (
	AlsoEditedNotes       = "edited_notes"
	AlsoChildPipelines    = "child_pipelines"
	AlsoSystemNotes       = "system_notes"
	AlsoImmaterialUpdates = "immaterial_updates"
)

const maxRouteName = 100 // characters

// routes reads `routes`.
func (r *reader) routes(top object, destinations []Destination) []Route {
	f, ok := top.fields["routes"]
	if !ok {
		return nil
	}
	if f.value.Kind != yaml.SequenceNode {
		if f.value.ShortTag() != "!!null" {
			r.errorf(f.value, "start each route with a dash: - to: …", "routes must be a list, not %s", shape(f.value))
		}
		return nil
	}
	var out []Route
	for i, n := range f.value.Content {
		out = append(out, r.route(n, i, destinations))
	}
	return out
}

func (r *reader) route(n *yaml.Node, index int, destinations []Destination) Route {
	route := Route{Name: fmt.Sprintf("routes[%d]", index), Pos: r.pos(n)}
	where := route.Name
	if name := named(n); name != "" {
		where = fmt.Sprintf("route %q", harmless(name))
	}
	o, ok := r.object(n, where, routeKeys...)
	if !ok {
		r.lostAddress = true
		return route
	}
	if v, ok := r.scalar(o, "name"); ok {
		if strings.TrimSpace(v.text) == "" || utf8.RuneCountInString(v.text) > maxRouteName || strings.ContainsFunc(v.text, unicode.IsControl) {
			r.errorf(v.node, "", "the name of a route must be a line of 1 to %d characters", maxRouteName)
		} else {
			route.Name = v.text
		}
	}
	if f, ok := o.fields["when"]; ok {
		route.When = r.when(f, where)
	}
	if f, ok := o.fields["except"]; ok {
		route.Except = r.except(f, where)
	}
	if !o.has("to") {
		r.errorf(n, "add to: with a destination", "%s has no effect: it says not where to", where)
	}
	tos, _ := r.list(o, "to")
	for _, v := range tos {
		if to, ok := r.to(v, "to of "+where, destinations); ok {
			route.To = append(route.To, to)
		} else {
			r.lostAddress = true
		}
	}
	r.lostAddress = r.lostAddress || len(tos) == 0
	return route
}

// named is the name that a route says, before anything of it is read.
func named(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := n.Content[i+1]; n.Content[i].Value == "name" && v.Kind == yaml.ScalarNode && v.ShortTag() != "!!null" {
			return v.Value
		}
	}
	return ""
}

// to reads an address. The destination's own channel named outright is the same
// address as the destination alone.
func (r *reader) to(v value, what string, destinations []Destination) (To, bool) {
	names := make([]string, len(destinations))
	for i, d := range destinations {
		names[i] = d.Name
	}
	a, ok := r.address(v, what, names)
	if !ok {
		return To{}, false
	}
	for _, d := range destinations {
		if d.Name != a.Destination {
			continue
		}
		r.noPeople(d, a.Channel, v, what)
		if d.Channel != "" && d.Channel == a.Channel {
			a.Channel = ""
		}
	}
	return To{Address: a, Pos: r.pos(v.node)}, true
}

func (r *reader) when(f field, where string) []Conditions {
	where = "when of " + where
	if f.value.Kind != yaml.SequenceNode {
		if c, ok := r.conditions(f.value, f.key, where, whenKeys); ok {
			return []Conditions{c}
		}
		return nil
	}
	if len(f.value.Content) == 0 {
		r.errorf(f.key, "give it a condition, or remove it", "%s is empty", where)
	}
	var out []Conditions
	for _, n := range f.value.Content {
		if c, ok := r.conditions(n, n, where, whenKeys); ok {
			out = append(out, c)
		}
	}
	return out
}

func (r *reader) except(f field, where string) *Conditions {
	where = "except of " + where
	if f.value.Kind == yaml.SequenceNode {
		r.errorf(f.key, "write one map: a route does not take what any of its keys matches", "%s cannot be a list", where)
		return nil
	}
	c, ok := r.conditions(f.value, f.key, where, conditionKeys)
	if !ok {
		return nil
	}
	return &c
}

func (r *reader) conditions(n, key *yaml.Node, where string, keys []string) (Conditions, bool) {
	c := Conditions{Pos: r.pos(n)}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.errorf(key, "give it a condition, or remove it", "%s is empty", where)
		return c, false
	}
	o, ok := r.object(n, where, keys...)
	if !ok {
		return c, false
	}
	c.Events = r.conditionList(o, "events")
	c.Projects = r.conditionList(o, "projects")
	c.Branches = r.conditionList(o, "branches")
	c.Also = r.conditionList(o, "also")
	if c.Also != nil {
		for _, p := range c.Also.Values {
			r.also(o, p)
		}
	}
	return c, true
}

func (r *reader) also(o object, p Pattern) {
	for _, w := range alsoWords {
		if p.Text == w {
			return
		}
	}
	hint := "it takes " + strings.Join(alsoWords, ", ")
	if s := Suggest(p.Text, alsoWords); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	f := Finding{Pos: p.Pos, Message: fmt.Sprintf("unknown word %q in also of %s", harmless(p.Text), o.where), Hint: hint, Width: utf8.RuneCountInString(p.Text)}
	r.found = append(r.found, f)
}

func (r *reader) conditionList(o object, key string) *List {
	f, ok := o.fields[key]
	if !ok {
		return nil
	}
	list := &List{Key: key, Pos: r.pos(f.key)}
	list.Values, ok = r.patterns(o, key)
	if !ok {
		return nil
	}
	return list
}

// patterns reads a list of patterns, none of them empty.
func (r *reader) patterns(o object, key string) ([]Pattern, bool) {
	values, ok := r.list(o, key)
	var out []Pattern
	for _, v := range values {
		if strings.TrimSpace(v.text) == "" {
			r.errorf(v.node, "give it a value, or remove it", "an entry of %s of %s is empty", key, o.where)
			continue
		}
		out = append(out, Pattern{Text: v.text, Pos: r.pos(v.node)})
	}
	return out, ok && len(out) > 0
}

// unrouted reads `unrouted`.
func (r *reader) unrouted(top object, destinations []Destination) Unrouted {
	out := Unrouted{Mode: UnroutedDrop}
	v, ok := r.scalar(top, "unrouted")
	if !ok {
		return out
	}
	out.Pos = r.pos(v.node)
	if v.text == UnroutedDrop || v.text == UnroutedLog {
		out.Mode = v.text
		return out
	}
	if s := Suggest(v.text, []string{UnroutedDrop, UnroutedLog}); s != "" && !hasDestination(destinations, v.text) {
		r.errorf(v.node, fmt.Sprintf("did you mean %q? It takes drop, log or an address", s), "unknown word %q in unrouted", v.shown())
		return out
	}
	to, ok := r.to(v, "unrouted", destinations)
	if ok {
		out.Mode, out.Address = UnroutedAddress, to.Address
	}
	r.lostAddress = r.lostAddress || !ok
	return out
}

func hasDestination(ds []Destination, name string) bool {
	for _, d := range ds {
		if d.Name == name {
			return true
		}
	}
	return false
}

// Modes of [Unrouted].
const (
	UnroutedDrop    = "drop"
	UnroutedLog     = "log"
	UnroutedAddress = "address"
)
