package routes

import (
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
)

// Use is an event that a route can take.
type Use struct {
	Event        string // its name: "pipeline.failed"
	Public       bool   // it may be one that is not confidential
	Confidential bool   // it may be a confidential one
	Route        string
	Pos          configs.Pos
}

// wish is what an entry of a route's when asks for that is known before any event:
// its other conditions depend on what happens.
type wish struct {
	events               []string
	sources              []string // none: all
	projects             [][]glob // one of each list must match
	public, confidential bool
	route                string
	pos                  configs.Pos
}

// hooked are the projects of a source's hooks.
type hooked struct{ projects, except []glob }

// hooks compiles the globs of a source's hooks.
func (c *compiler) hooks(t *Table, s configs.Source) {
	if s.Hooks == nil {
		return
	}
	t.hooks[s.Name] = hooked{
		projects: compiled(c, &configs.List{Values: s.Hooks.Projects}, compileProject),
		except:   compiled(c, &configs.List{Values: s.Hooks.Except}, compileProject),
	}
}

// wishes notes what a route asks for.
func (c *compiler) wishes(t *Table, r route, facts checkedRoute) {
	confidential := slices.ContainsFunc(r.targets, target.mayConfidential)
	for _, when := range facts.when {
		w := wish{public: true, confidential: confidential, route: r.name, pos: r.pos}
		for _, e := range when.events {
			w.events = append(w.events, e.names(c.vocabulary)...)
		}
		if f := when.Confidential; f != nil {
			w.public, w.confidential = !f.Value, w.confidential && f.Value
		}
		w.sources = texts(when.Sources)
		lists := []*configs.List{when.Projects}
		for _, f := range []*configs.Fence{facts.Fence, facts.FenceToo} {
			if f != nil {
				lists = append(lists, f.Projects)
			}
		}
		for _, l := range lists {
			if l != nil {
				w.projects = append(w.projects, usable(l))
			}
		}
		t.wishes = append(t.wishes, w)
	}
}

// mayConfidential tells whether some confidential event may go to a target.
func (t target) mayConfidential() bool {
	if n := t.naming; n != nil {
		return n.to.Confidential.All || len(n.to.Confidential.Channels) > 0
	}
	return t.confidential
}

// usable are the patterns of a list without those that are none, which is reported
// elsewhere.
func usable(l *configs.List) []glob {
	var out []glob
	for _, v := range l.Values {
		if p, wrong := compileProject(v.Text); wrong == nil || wrong.severity == configs.Warning {
			out = append(out, p)
		}
	}
	return out
}

// unroutedWish is what `unrouted` asks for.
func (c *compiler) unroutedWish(t *Table) {
	if c.cfg.Unrouted.Mode != configs.UnroutedLog && t.unrouted == nil {
		return
	}
	standard := eventPattern{set: setStandard}
	t.wishes = append(t.wishes, wish{
		events: standard.names(c.vocabulary), public: true, confidential: t.unrouted != nil && t.unrouted.confidential,
		route: unroutedName, pos: c.cfg.Unrouted.Pos,
	})
}

// Uses are the events that some route can take from a source's project, in the
// order of the routes. An empty project means any.
func (t *Table) Uses(source, project string) []Use {
	var out []Use
	for _, w := range t.wishes {
		if len(w.sources) > 0 && !slices.Contains(w.sources, source) {
			continue
		}
		outside := func(list []glob) bool { return !anyMatches(list, strings.ToLower(project), &meter{}) }
		if project != "" && slices.ContainsFunc(w.projects, outside) {
			continue
		}
		for _, name := range w.events {
			out = append(out, Use{name, w.public, w.confidential, w.route, w.pos})
		}
	}
	return out
}

// Hooked tells whether the hooks of a source name a project.
func (t *Table) Hooked(source, project string) bool {
	h, project := t.hooks[source], strings.ToLower(project)
	return anyMatches(h.projects, project, &meter{}) && !anyMatches(h.except, project, &meter{})
}

// MaySpeakFor tells whether a source may speak for a project.
func (t *Table) MaySpeakFor(source, project string) bool {
	patterns, limited := t.sources[source]
	return !limited || anyMatches(patterns, strings.ToLower(project), &meter{})
}
