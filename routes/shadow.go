package routes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// lists are the keys of conditions that take a list, in a fixed order; nil for
// those that are not there.
func (w *checkedConditions) lists() []*configs.List {
	out := []*configs.List{
		w.Events, w.Sources, w.Projects, w.Visibility, w.Branches, w.TargetBranches, w.Actors, w.Paths, w.Environments, w.Also, w.times(), nil, nil,
	}
	if w.Labels != nil {
		out[len(out)-2], out[len(out)-1] = w.Labels.Any, w.Labels.None
	}
	return out
}

// times are the parts of time that are named, each with its place: two files may give one
// name to different times.
func (w *checkedConditions) times() *configs.List {
	if w.Times == nil {
		return nil
	}
	out := &configs.List{Key: keyTimes, Pos: w.Times.Pos}
	for _, t := range w.Named {
		out.Values = append(out.Values, configs.Pattern{Text: t.Name + " " + t.Pos.String()})
	}
	return out
}

func (w *checkedConditions) flags() []*configs.Flag {
	return []*configs.Flag{w.Bots, w.Draft, w.Confidential}
}

// canonical is the conditions of a route as a text that is the same for routes
// that ask the same.
func (r checkedRoute) canonical() string {
	var entries []string
	for _, w := range r.when {
		entries = append(entries, w.canonical())
	}
	slices.Sort(entries)
	text := strings.Join(entries, "\n|\n")
	if r.except != nil {
		text += "\n-\n" + r.except.canonical()
	}
	if r.Fence != nil && r.Fence.Projects != nil {
		text += fmt.Sprintf("\n/\n%q", texts(r.Fence.Projects))
	}
	return text
}

func (w *checkedConditions) canonical() string {
	var b strings.Builder
	for _, l := range w.lists() {
		if l != nil {
			values := texts(l)
			slices.Sort(values)
			fmt.Fprintf(&b, "%s %q\n", l.Key, values)
		}
	}
	for _, f := range w.flags() {
		if f != nil {
			fmt.Fprintf(&b, "%s %v\n", f.Key, f.Value)
		}
	}
	if w.If != nil {
		fmt.Fprintf(&b, "if %q\n", w.If.Text)
	}
	return b.String()
}

// checkStopped warns of a route all of whose events an earlier one takes and
// ends the reading with.
func (c *compiler) checkStopped(r checkedRoute, earlier []checkedRoute) {
	for _, e := range earlier {
		if e.Stop && (e.group == 0 || e.group == r.group) && c.takesAll(e, r) {
			c.report(configs.Warning, r.Pos, 1, fmt.Sprintf("%s is never reached: %s takes all its events first, and has stop", r.named(), e.placed(r)), "move it before that one, or remove one of them")
			return
		}
	}
}

// takesAll tells whether a route certainly takes every event that r does. It
// says no when in doubt.
func (c *compiler) takesAll(e, r checkedRoute) bool {
	if e.except != nil && (r.except == nil || e.except.canonical() != r.except.canonical()) || e.Fence != nil && e.Fence.Projects != nil {
		return false
	}
	return !slices.ContainsFunc(r.when, func(w checkedConditions) bool {
		return c.namesIgnored(w) || !slices.ContainsFunc(e.when, func(by checkedConditions) bool { return c.wider(by, w) })
	})
}

// namesIgnored tells whether ignore may yield to conditions, so that they match
// what wider ones do not.
func (c *compiler) namesIgnored(w checkedConditions) bool {
	ignore := c.cfg.Ignore
	return ignore != nil && (w.Bots != nil && w.Bots.Value ||
		len(outright(w.Actors, ignore.Actors, compileActor)) > 0 || len(outright(w.Projects, ignore.Projects, compileProject)) > 0)
}

// wider tells whether conditions match whatever w does.
func (c *compiler) wider(by, w checkedConditions) bool {
	if by.If != nil && (w.If == nil || w.If.Text != by.If.Text) || !c.widerEvents(by, w) {
		return false
	}
	flags := w.flags()
	for i, f := range by.flags() {
		if f != nil && (flags[i] == nil || flags[i].Value != f.Value) {
			return false
		}
	}
	lists := w.lists()
	for i, l := range by.lists() {
		switch {
		case l == nil, l == by.Events, l == by.Also:
		case lists[i] == nil:
			return false
		case by.Labels != nil && l == by.Labels.None:
			// All that it leaves out must be left out by w too.
			if !covered(l, lists[i], same) {
				return false
			}
		case !covered(lists[i], l, coversOf(l.Key)):
			return false
		}
	}
	return true
}

// widerEvents tells whether conditions ask for all events that w asks for, and
// for what w posts that is never posted else.
func (c *compiler) widerEvents(by, w checkedConditions) bool {
	for _, word := range texts(w.Also) {
		if !slices.Contains(texts(by.Also), word) {
			return false
		}
	}
	all := unconditional(by.events, c.vocabulary)
	for _, e := range w.events {
		if slices.ContainsFunc(by.events, func(b writtenEvent) bool { return b.text == e.text }) {
			continue
		}
		names := e.names(c.vocabulary)
		if len(names) == 0 || e.re != nil || e.action == "" && open(e.kind) ||
			slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(all, n) }) {
			return false
		}
	}
	return len(w.events) > 0
}

func same(text, by string) bool { return text == by }

// coversOf tells, for the values of a key, whether one value matches all that
// another does.
func coversOf(key string) func(text, by string) bool {
	switch key {
	case keyProjects:
		return coversProject
	case keyBranches, keyTargetBranches:
		return coversBranch
	}
	return same
}

func coversProject(text, by string) bool {
	p, wrong := compileProject(by)
	switch {
	case wrong != nil:
		return false
	case strings.EqualFold(text, by), literal(text) && p.matches(strings.ToLower(text), &meter{}):
		return true
	}
	tree, ok := strings.CutSuffix(strings.ToLower(text), "/**")
	return ok && p.prefix != "" && literal(tree) && p.matches(tree, &meter{})
}

func coversBranch(text, by string) bool {
	return text == by || literal(text) && !strings.HasPrefix(by, "/") && !strings.HasPrefix(by, "$") && wildcard(by, text, &meter{})
}

// swallowed tells whether except excludes everything that w matches.
func (c *compiler) swallowed(w checkedConditions, except *checkedConditions) bool {
	if excluded := unconditional(except.events, c.vocabulary); len(excluded) > 0 {
		left := slices.ContainsFunc(w.events, func(e writtenEvent) bool {
			names := e.names(c.vocabulary)
			return len(names) == 0 || e.action == "" && open(e.kind) || slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(excluded, n) })
		})
		if !left && len(w.events) > 0 {
			return true
		}
	}
	return covered(w.Projects, except.Projects, coversProject) || covered(w.Branches, except.Branches, coversBranch) ||
		covered(w.TargetBranches, except.TargetBranches, coversBranch) || covered(w.Actors, except.Actors, strings.EqualFold) ||
		covered(w.Environments, except.Environments, same) || covered(w.Sources, except.Sources, same) || covered(w.times(), except.times(), same) ||
		covered(w.Visibility, except.Visibility, same) || w.sameFlag(except)
}

// sameFlag tells whether except has a flag with the value that w asks for.
func (w *checkedConditions) sameFlag(except *checkedConditions) bool {
	others := except.flags()
	for i, f := range w.flags() {
		if f != nil && others[i] != nil && f.Value == others[i].Value {
			return true
		}
	}
	return false
}

// open tells of kinds whose events are whatever GitLab says.
func open(kind string) bool {
	return kind == events.Other || kind == events.System || kind == events.Vulnerability
}

// unconditional are the names that patterns match whatever else the event is.
func unconditional(patterns []writtenEvent, v vocabulary) []string {
	var out []string
	for _, p := range patterns {
		if p.set != setStandard {
			out = append(out, p.names(v)...)
		}
	}
	return out
}

func literal(text string) bool {
	return !strings.ContainsAny(text, "*?[]{}$") && !strings.HasPrefix(text, "/")
}

func covered(l, by *configs.List, covers func(text, by string) bool) bool {
	return l != nil && by != nil && !slices.ContainsFunc(l.Values, func(v configs.Pattern) bool {
		return !slices.ContainsFunc(by.Values, func(b configs.Pattern) bool { return covers(v.Text, b.Text) })
	})
}
