package configs

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Route is one entry of routes:.
type Route struct {
	Name    string // as written, or "routes[3]"
	Pos     Pos
	When    []Conditions // any of them; none means the standard events
	Except  *Conditions
	To      []To
	Stop    bool     // an event that it takes is not read on in this file; in the main file, nowhere
	Mention []string // MentionAuthor …, or "@name": a username of the chat

	MentionPos  []Pos // of each
	Look        Look  // Detail, Layout and Template
	TemplatePos Pos

	// Fence is what the include says of the file that the route stands in; nil
	// for no bounds. Its addresses are checked in loading.
	Fence *Fence

	FenceToo *Fence // of another version of the including file; see [Config.Restrict]
}

// Words of a route's mention.
const (
	MentionAuthor    = "author"
	MentionActor     = "actor"
	MentionAssignees = "assignees"
	MentionReviewers = "reviewers"
	MentionHere      = "here"
	MentionChannel   = "channel"
)

// To is an address as a route names it.
type To struct {
	Address Address // as written, where an event completes it
	Pos     Pos
	Parts   []Part // of the channel, where it has places; else nil
}

const (
	maxRouteName    = 100 // characters
	maxFencedRoutes = 1000
	maxTo           = 500 // addresses of a route
	maxMention      = 50  // words of a route's mention
)

// atMost refuses a list that is longer than anybody needs.
func (r *reader) atMost(values []value, most int, o object, key string) []value {
	if len(values) <= most {
		return values
	}
	r.errorf(o.fields[key].key, "split the route", "%s of %s has more than %d entries", key, o.where, most)
	return nil
}

// routes reads `routes`.
func (r *reader) routes(top object) []Route {
	var out []Route
	named := map[string]bool{}
	entries := r.entriesOf(top, "routes", "start each route with a dash: - to: …")
	if r.fence != nil && len(entries) > maxFencedRoutes {
		r.errorf(top.fields["routes"].key, "split the file", "this file has more than %d routes", maxFencedRoutes)
		r.lostAddress = true
		return nil
	}
	for i, n := range entries {
		route := r.route(n, i)
		if named[route.Name] {
			r.warnf(n, "explain and the log know a route by its name", "two routes are named %q", harmless(route.Name))
		}
		named[route.Name] = true
		out = append(out, route)
	}
	return out
}

// entriesOf is the entries of a key that takes a list of maps.
func (r *reader) entriesOf(top object, key, hint string) []*yaml.Node {
	f, ok := top.fields[key]
	if !ok {
		return nil
	}
	if f.value.Kind != yaml.SequenceNode {
		if f.value.ShortTag() != "!!null" {
			r.errorf(f.value, hint, "%s must be a list, not %s", key, called(f.value))
		}
		return nil
	}
	return f.value.Content
}

func (r *reader) route(n *yaml.Node, index int) Route {
	where := fmt.Sprintf("routes[%d]", index)
	route := Route{Name: r.unnamed(where), Pos: r.pos(n), Fence: r.fence}
	if name := named(n); name != "" {
		where = fmt.Sprintf("route %q", harmless(name))
	}
	o, ok := r.object(n, where, routeKeys)
	if !ok {
		r.lostAddress = true
		return route
	}
	if name, ok := r.line(o, "name", "route"); ok {
		route.Name = name
	}
	if f, ok := o.fields["when"]; ok {
		route.When = r.when(f, "when of "+where, whenKeys)
	}
	if f, ok := o.fields["except"]; ok {
		route.Except = r.except(f, "except of "+where, exceptKeys)
	}
	if !o.has("to") {
		r.errorf(n, "add to: with a destination", "%s has no effect: it says not where to", where)
	}
	tos, _ := r.list(o, "to")
	tos = r.atMost(tos, maxTo, o, "to")
	for _, v := range tos {
		if to, ok := r.routeTo(v, "to of "+where); ok {
			r.within(to, v, where)
			route.To = append(route.To, to)
		} else {
			r.lostAddress = true
		}
	}
	r.lostAddress = r.lostAddress || len(tos) == 0
	route.Stop = r.truth(o, "stop")
	r.mention(o, &route)
	route.Look = r.look(o)
	if v, ok := r.scalar(o, "template"); ok && r.nameOf("template", v) {
		route.Look.Template, route.TemplatePos = v.text, r.pos(v.node)
	}
	return route
}

// unnamed is what a route or test is called that has no name.
func (r *reader) unnamed(place string) string {
	if r.included {
		return r.text.name + " " + place
	}
	return place
}

// line reads a name for people.
func (r *reader) line(o object, key, of string) (string, bool) {
	v, ok := r.scalar(o, key)
	if !ok {
		return "", false
	}
	if strings.TrimSpace(v.text) == "" || utf8.RuneCountInString(v.text) > maxRouteName || strings.ContainsFunc(v.text, unicode.IsControl) {
		r.errorf(v.node, "", "the name of a %s must be a line of 1 to %d characters", of, maxRouteName)
		return "", false
	}
	return v.text, true
}

var mentionWords = []string{MentionAuthor, MentionActor, MentionAssignees, MentionReviewers, MentionHere, MentionChannel}

// mention reads `mention`.
func (r *reader) mention(o object, route *Route) {
	values, _ := r.list(o, "mention")
	values = r.atMost(values, maxMention, o, "mention")
	for _, v := range values {
		if problem, hint := mentionProblem(v.text); problem != "" {
			if v.text != v.node.Value {
				hint = ""
			}
			r.errorf(v.node, hint, "%q %s, in mention of %s", v.shown(), problem, o.where)
			continue
		}
		if !slices.Contains(route.Mention, v.text) {
			route.Mention = append(route.Mention, v.text)
			route.MentionPos = append(route.MentionPos, r.pos(v.node))
		}
	}
}

func mentionProblem(s string) (problem, hint string) {
	name, person := strings.CutPrefix(s, "@")
	low := strings.ToLower(name)
	switch {
	case slices.Contains(mentionWords, s):
		return "", ""
	case low == "all":
		return "cannot be mentioned", "did you mean channel?"
	case slices.Contains(mentionWords, low):
		return "cannot be mentioned", fmt.Sprintf("did you mean %s?", low)
	case person && CallsAll(name):
		return "cannot be mentioned: it calls everybody in the channel", "did you mean here or channel, without the @?"
	case person && (userPattern.MatchString(name) || slackUser.MatchString(name)):
		return "", ""
	case person && userPattern.MatchString(low):
		return "is no username of a chat", fmt.Sprintf("did you mean \"@%s\"?", low)
	case person:
		return "is no username of a chat", "lower-case letters, digits, dots, - and _"
	}
	hint = "it takes " + strings.Join(mentionWords, ", ") + `, "@name"`
	switch s := Suggest(low, mentionWords); {
	case s != "":
		hint = fmt.Sprintf("did you mean %s?", s)
	case low == "assignee" || low == "reviewer":
		hint = fmt.Sprintf("did you mean %ss?", low)
	case userPattern.MatchString(low):
		hint = fmt.Sprintf("did you mean \"@%s\"? It takes %s, \"@name\"", low, strings.Join(mentionWords, ", "))
	}
	return "is unknown", hint
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

// destinationNames are those of the file, as far as it is read.
func (r *reader) destinationNames() []string {
	names := make([]string, len(r.cfg.Destinations))
	for i, d := range r.cfg.Destinations {
		names[i] = d.Name
	}
	return names
}

// to reads an address. The destination's own channel named outright is the same
// address as the destination alone.
func (r *reader) to(v value, what string) (To, bool) {
	a, ok := r.address(v, what, r.destinationNames())
	if !ok {
		return To{}, false
	}
	d := r.cfg.Destination(a.Destination)
	r.noPeople(*d, a.Channel, v, what)
	if d.Channel != "" && d.Channel == a.Channel {
		a.Channel = ""
	}
	return To{Address: a, Pos: r.pos(v.node)}, true
}

// routeTo reads an address of a route, which an event may complete.
func (r *reader) routeTo(v value, what string) (To, bool) {
	if HasPlaces(v.text) {
		return r.placed(v, what)
	}
	return r.to(v, what)
}

// unrouted reads `unrouted`.
func (r *reader) unrouted(top object) Unrouted {
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
	if s := Suggest(v.text, []string{UnroutedDrop, UnroutedLog}); s != "" && r.cfg.Destination(v.text) == nil {
		r.errorf(v.node, fmt.Sprintf("did you mean %q? It takes drop, log or an address", s), "unknown word %q in unrouted", v.shown())
		return out
	}
	to, ok := r.to(v, "unrouted")
	if ok {
		out.Mode, out.Address = UnroutedAddress, to.Address
	}
	r.lostAddress = r.lostAddress || !ok
	return out
}

// reportTo reads `report`.
func (r *reader) reportTo(top object) *To {
	v, ok := r.scalar(top, "report")
	if !ok {
		return nil
	}
	to, ok := r.to(v, "report")
	if !ok {
		r.lostAddress = true
		return nil
	}
	return &to
}

// Modes of [Unrouted].
const (
	UnroutedDrop    = "drop"
	UnroutedLog     = "log"
	UnroutedAddress = "address"
)
