package routes

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gitlab-mattermost/relay/configs"
)

// unroutedName is the Route of deliveries to the unrouted address.
const unroutedName = "unrouted"

// Compile turns the routes of a configuration into a table and tells what is
// wrong with them beyond their form. The table is fit for use only when no
// finding is an error.
func Compile(cfg *configs.Config, v Vocabulary) (*Table, []configs.Finding) {
	c := &compiler{cfg: cfg, vocabulary: newVocabulary(v), addresses: map[configs.Address]int{}, gates: map[string][]conditions{}, instructions: map[string]int{}}
	t := &Table{
		defaults: cfg.Defaults, own: map[string]*directory{}, sources: map[string][]glob{}, known: map[string]bool{}, hooks: map[string]hooked{},
		destinations: map[string]*gatedDestination{}, fences: map[string][]fence{}, index: newIndex(),
	}
	if len(cfg.Files) > 0 {
		c.file = cfg.Files[0]
	}
	c.bots(t)
	c.people(t)
	for _, s := range cfg.Sources {
		t.known[s.Name] = true
		if len(s.Projects) > 0 {
			t.sources[s.Name] = compiled(c, &configs.List{Values: s.Projects}, compileProject)
		}
		c.hooks(t, s)
	}
	c.ignore(t)
	for i := range cfg.Destinations {
		c.destination(t, &cfg.Destinations[i])
	}
	var checked []checkedRoute
	for _, r := range cfg.Routes {
		compiled, facts := c.route(r)
		compiled.chat = t.directory(r)
		if _, known := t.fences[r.Pos.File]; !known {
			t.fences[r.Pos.File] = []fence{c.fence(r.Fence), c.fence(r.FenceToo)}
		}
		t.index.add(len(t.routes), r.When)
		t.routes = append(t.routes, compiled)
		c.wishes(t, compiled, facts)
		checked = append(checked, facts)
	}
	for file, f := range cfg.Fences {
		if _, known := t.fences[file]; !known { // nothing of it is in force, because of a mistake
			t.fences[file] = []fence{c.fence(f)}
		}
	}
	t.timed, t.namings = c.timed, c.namings
	if cfg.Unrouted.Mode == configs.UnroutedAddress {
		if target, ok := c.target(cfg.Unrouted.Address, configs.Route{Name: unroutedName}); ok {
			t.unrouted = &target
		}
	}
	c.unroutedWish(t)
	t.words, t.addresses = (len(c.addresses)+63)/64, c.addresses
	c.check(checked, t)
	c.found = fewer(c.found)
	for i, f := range c.found {
		c.found[i] = cfg.Locate(f)
	}
	configs.SortFindings(c.found)
	return t, slices.Compact(c.found) // a mistake in a list is found wherever the list is named
}

// maxFindings is how many findings about one file are kept: nobody reads more, and
// whoever writes a fenced file must not fill the log.
const maxFindings = 200

// fewer leaves out findings of a file that has too many, warnings before errors.
func fewer(found []configs.Finding) []configs.Finding {
	configs.ErrorsFirst(found)
	counts := map[string]int{}
	var out []configs.Finding
	for _, f := range found {
		counts[f.Pos.File]++
		switch n := counts[f.Pos.File]; {
		case n <= maxFindings:
			out = append(out, f)
		case n == maxFindings+1:
			out = append(out, configs.Finding{
				Pos: configs.Pos{File: f.Pos.File}, Severity: configs.Warning,
				Message: fmt.Sprintf("there are more than %d mistakes, and the others are not shown", maxFindings),
			})
		}
	}
	return out
}

type compiler struct {
	cfg        *configs.Config
	vocabulary vocabulary
	addresses  map[configs.Address]int
	gates      map[string][]conditions // of destinations
	ignored    *checkedConditions
	found      []configs.Finding
	file       string // of the route before, at first the main one
	group      int
	namings    []*naming
	timed      bool                    // a route names times
	fences     map[*configs.Fence]bool // those that were looked at

	instructions map[string]int // of the regular expressions of fenced files
}

// bots compiles who counts as a bot. Patterns of actors are told here alone.
func (c *compiler) bots(t *Table) {
	t.bots = bots{
		added:   compiled(c, &configs.List{Values: c.cfg.Bots.Add}, compileActor),
		removed: compiled(c, &configs.List{Values: c.cfg.Bots.Remove}, compileActor),
	}
}

// people compiles who is known to all routes, and who to those of a fenced file.
func (c *compiler) people(t *Table) {
	t.chat = newDirectory(c.cfg, &t.bots, c.cfg.Users)
	for file, users := range c.cfg.Own {
		own := newDirectory(c.cfg, &t.bots, users)
		own.shared = t.chat
		t.own[file] = own
	}
}

// directory is whom a route knows.
func (t *Table) directory(r configs.Route) *directory {
	if own := t.own[r.Pos.File]; own != nil {
		return own
	}
	return t.chat
}

func (c *compiler) ignore(t *Table) {
	if c.cfg.Ignore == nil {
		return
	}
	keys, written := c.keys(*c.cfg.Ignore)
	t.ignore = keys
	c.ignored = &checkedConditions{*c.cfg.Ignore, written}
}

// destination compiles the gate of a destination.
func (c *compiler) destination(t *Table, d *configs.Destination) {
	own := c.gate(d.Only)
	told := c.found
	c.gates[d.Name] = both(own, c.gate(d.OnlyToo))
	c.found = told // mistakes in OnlyToo are another version's
	t.destinations[d.Name] = &gatedDestination{d, c.gates[d.Name]}
}

// gate compiles an only.
func (c *compiler) gate(only []configs.Conditions) []conditions {
	var out []conditions
	for _, w := range only {
		keys, written := c.keys(w)
		out = append(out, conditions{keys: keys})
		c.checkKeys(checkedConditions{w, written}, partOnly)
	}
	return out
}

// both is the gate that opens when two do.
func both(a, b []conditions) []conditions {
	if len(a) == 0 || len(b) == 0 {
		return slices.Concat(a, b)
	}
	var out []conditions
	for _, x := range a {
		for _, y := range b {
			out = append(out, conditions{keys: slices.Concat(x.keys, y.keys)})
		}
	}
	return out
}

// route compiles one route, and gives what checks want to know of it.
func (c *compiler) route(r configs.Route) (route, checkedRoute) {
	if r.Pos.File != c.file {
		c.file = r.Pos.File
		c.group++
	}
	out := route{name: r.Name, pos: r.Pos, group: c.group, stop: r.Stop, mention: r.Mention}
	facts := checkedRoute{Route: r, group: c.group}
	when := r.When
	if len(when) == 0 {
		when = []configs.Conditions{{Pos: r.Pos}}
	}
	for _, w := range when {
		compiled, written := c.when(w, r.Fence, r.FenceToo)
		out.when = append(out.when, compiled)
		facts.when = append(facts.when, checkedConditions{w, written})
	}
	if r.Except != nil {
		keys, patterns := c.keys(*r.Except)
		if k, ok := timesKey(*r.Except, false); ok {
			keys = append(keys, k)
			c.timed = true
		}
		out.except = keys
		facts.except = &checkedConditions{*r.Except, patterns}
	}
	for _, to := range r.To {
		if target, ok := c.targetOf(to, r); ok {
			out.targets = append(out.targets, target)
		}
	}
	return out, facts
}

// when compiles one entry of when, with what holds for each of them.
func (c *compiler) when(w configs.Conditions, fences ...*configs.Fence) (conditions, []writtenEvent) {
	keys, patterns := c.keys(w)
	if w.Events == nil {
		standard := eventPattern{text: setStandard, set: setStandard}
		keys = slices.Insert(keys, 0, eventsKey([]string{setStandard}, []eventPattern{standard}))
		patterns = []writtenEvent{{eventPattern: standard}}
	}
	for _, f := range fences {
		if k, ok := c.fenceKey(f); ok {
			keys = slices.Insert(keys, 1, k)
		}
	}
	if k, ok := timesKey(w, true); ok {
		keys = append(keys, k)
		c.timed = true
	}
	out := conditions{keys: append(keys, alsoKey(w.Also)), bots: w.Bots != nil && w.Bots.Value}
	if ignore := c.cfg.Ignore; ignore != nil {
		out.actors = outright(w.Actors, ignore.Actors, compileActor)
		out.projects = outright(w.Projects, ignore.Projects, compileProject)
	}
	return out, patterns
}

// outright are the patterns of a list that name one thing, or that ignore has
// in the same words.
func outright(l, ignore *configs.List, compile func(string) (glob, *problem)) []glob {
	if l == nil {
		return nil
	}
	var out []glob
	for _, v := range l.Values {
		p, wrong := compile(v.Text)
		if wrong == nil && (p.exact || slices.Contains(texts(ignore), v.Text)) {
			out = append(out, p)
		}
	}
	return out
}

// targetOf makes the delivery to an address of a route beforehand, as far as it can.
func (c *compiler) targetOf(to configs.To, r configs.Route) (target, bool) {
	d := c.cfg.Destination(to.Address.Destination)
	if d == nil || !to.Placed() {
		return c.target(to.Address, r)
	}
	out := c.prepared(d, to.Address, r)
	out.naming = &naming{written: to.Address, parts: to.Parts, to: d, fences: [2]*configs.Fence{r.Fence, r.FenceToo}}
	c.namings = append(c.namings, out.naming)
	return out, true
}

// target makes the delivery to an address beforehand.
func (c *compiler) target(a configs.Address, r configs.Route) (target, bool) {
	d := c.cfg.Destination(a.Destination)
	if d == nil {
		return target{}, false // which loading the file has told
	}
	id, known := c.addresses[a]
	if !known {
		id = len(c.addresses)
		c.addresses[a] = id
	}
	out := c.prepared(d, a, r)
	out.address = id
	return out, true
}

// prepared is the delivery to an address of a destination.
func (c *compiler) prepared(d *configs.Destination, a configs.Address, r configs.Route) target {
	file := ""
	if r.Fence != nil || r.FenceToo != nil {
		file = r.Pos.File
	}
	return target{
		kind: d.Kind, confidential: d.Allows(a.Channel), only: c.gates[d.Name], mentions: d.Mentions != configs.MentionsNone,
		delivery: Delivery{Address: a, Route: r.Name, File: file, Look: look(r.Look, d.Look, c.cfg.Defaults.Look)},
	}
}

// details are the words of detail, the shortest first.
var details = []string{configs.DetailTitle, configs.DetailBrief, configs.DetailFull}

// look is a route's own over its destination's over that of defaults. Nothing
// is more detailed than the destination says.
func look(route, destination, defaults configs.Look) configs.Look {
	out := configs.Look{
		Username: cmp.Or(route.Username, destination.Username, defaults.Username),
		Icon:     cmp.Or(route.Icon, destination.Icon, defaults.Icon),
		Detail:   cmp.Or(route.Detail, destination.Detail, defaults.Detail),
		Layout:   cmp.Or(route.Layout, destination.Layout, defaults.Layout),
		Template: route.Template,
	}
	if most := slices.Index(details, destination.Detail); most >= 0 && slices.Index(details, out.Detail) > most {
		out.Detail = destination.Detail
	}
	return out
}

// Look is how a message to a destination looks when no route says otherwise.
func (t *Table) Look(d *configs.Destination) configs.Look {
	return look(configs.Look{}, d.Look, t.defaults.Look)
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
	group  int
	when   []checkedConditions
	except *checkedConditions
}

// named is how a sentence calls a route.
func (r checkedRoute) named() string { return fmt.Sprintf("route %q", r.Name) }
