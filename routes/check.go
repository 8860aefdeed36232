package routes

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// check looks for routes that cannot do what they seem to ask for.
func (c *compiler) check(routes []checkedRoute) {
	seen := map[string][]checkedRoute{}
	for _, r := range routes {
		for _, w := range r.when {
			c.checkBranches(w.Branches, w)
			c.checkAlso(w)
			c.checkNoisy(w)
		}
		if r.except != nil {
			c.checkExcept(r)
		}
		same := r.canonical()
		c.checkRepeated(r, seen[same])
		seen[same] = append(seen[same], r)
	}
	c.checkBothFailures(routes)
}

func (c *compiler) report(severity configs.Severity, pos configs.Pos, width int, message, hint string) {
	c.found = append(c.found, configs.Finding{Pos: pos, Severity: severity, Width: width, Message: message, Hint: hint})
}

// branchless are the events that never have a branch.
func branchless(name string) bool {
	kind, action, _ := strings.Cut(name, ".")
	switch kind {
	case events.Note:
		return action != events.MergeRequest
	case events.TagPush, events.Issue, events.Release, events.WikiPage, events.Milestone, events.FeatureFlag, events.Member,
		events.Subgroup, events.ProjectKind, events.AccessToken, events.DeployToken, events.Vulnerability, events.System:
		return true
	}
	return false
}

// checkBranches names every event written in w that the key can never apply
// to. Sets are left out: who writes one means those of it that fit.
func (c *compiler) checkBranches(key *configs.List, w checkedConditions) {
	if key == nil {
		return
	}
	onlyProtected := !slices.ContainsFunc(key.Values, func(v configs.Pattern) bool { return v.Text != wordProtected })
	for _, e := range w.events {
		names := e.names(c.vocabulary)
		if e.set != "" || len(names) == 0 {
			continue
		}
		switch {
		case !slices.ContainsFunc(names, func(n string) bool { return !branchless(n) }):
			c.report(configs.Error, key.Pos, len(keyBranches), fmt.Sprintf("branches never matches %s, which has no branch", e.Text), "remove one of them, or write two entries of when")
		case onlyProtected && e.kind != "" && e.kind != events.Push:
			c.report(configs.Error, key.Pos, len(keyBranches), fmt.Sprintf("$protected never matches %s: GitLab tells it of pushes alone", e.Text), "name the branches, or write $default")
		}
	}
}

// immaterial are the events that can be updates of nothing a person would tell.
var immaterial = []string{events.MergeRequest + ".update", events.Issue + ".update"}

// checkAlso finds words of also without any event that needs them.
func (c *compiler) checkAlso(w checkedConditions) {
	if w.Also == nil {
		return
	}
	var names []string
	for _, e := range w.events {
		names = append(names, e.names(c.vocabulary)...)
	}
	for _, v := range w.Also.Values {
		needs, lacking := func(string) bool { return true }, ""
		switch v.Text {
		case configs.AlsoEditedNotes, configs.AlsoSystemNotes:
			needs, lacking = func(n string) bool { return strings.HasPrefix(n, events.Note+".") }, "a note"
		case configs.AlsoChildPipelines:
			needs, lacking = func(n string) bool { return strings.HasPrefix(n, events.Pipeline+".") }, "a pipeline"
		case configs.AlsoImmaterialUpdates:
			needs, lacking = func(n string) bool { return slices.Contains(immaterial, n) }, "merge_request.update or issue.update"
		}
		if len(w.events) > 0 && !slices.ContainsFunc(names, needs) {
			c.report(configs.Error, v.Pos, utf8.RuneCountInString(v.Text), fmt.Sprintf("%s never applies: none of the events is %s", v.Text, lacking), "remove it, or add such events")
		}
	}
}

// checkNoisy warns of `events: pipeline`. Who means it writes pipeline.*.
func (c *compiler) checkNoisy(w checkedConditions) {
	for _, e := range w.events {
		if e.Text == events.Pipeline || e.Text == events.Job {
			message := "pipeline brings up to 5 posts a pipeline"
			if e.Text == events.Job {
				message = "job brings up to 5 posts a job"
			}
			c.report(configs.Warning, e.Pos, len(e.Text), message, fmt.Sprintf("did you mean %s.failed? %s.* says that all are meant", e.Text, e.Text))
		}
	}
}

// checkExcept finds keys of except that can never apply, and routes of which
// except leaves nothing.
func (c *compiler) checkExcept(r checkedRoute) {
	var all checkedConditions
	for _, w := range r.when {
		all.events = append(all.events, w.events...)
	}
	if r.except.Branches != nil && !slices.ContainsFunc(all.events, func(e writtenEvent) bool {
		return e.set != "" || slices.ContainsFunc(e.names(c.vocabulary), func(n string) bool { return !branchless(n) })
	}) {
		c.checkBranches(r.except.Branches, all)
	}
	if !slices.ContainsFunc(r.when, func(w checkedConditions) bool { return !c.swallowed(w, r.except) }) {
		c.report(configs.Warning, r.except.Pos, 1, r.named()+" never takes an event: its except excludes all that its when asks for", "remove one of them")
	}
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
	return covered(w.Projects, except.Projects, func(text, by string) bool {
		p, wrong := compileProject(by)
		return strings.EqualFold(text, by) || wrong == nil && literal(text) && p.matches(strings.ToLower(text))
	}) || covered(w.Branches, except.Branches, func(text, by string) bool {
		return text == by || literal(text) && !strings.HasPrefix(by, "/") && !strings.HasPrefix(by, "$") && wildcard(by, text)
	})
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

// checkRepeated warns of a route that adds nothing to an earlier one with the
// same conditions.
func (c *compiler) checkRepeated(r checkedRoute, earlier []checkedRoute) {
	if len(r.To) == 0 {
		return
	}
	for _, e := range earlier {
		adds := slices.ContainsFunc(r.To, func(to configs.To) bool {
			return !slices.ContainsFunc(e.To, func(o configs.To) bool { return o.Address == to.Address })
		})
		if !adds {
			c.report(configs.Warning, r.Pos, 1, fmt.Sprintf("%s is never reached: %s in line %d takes the same events to the same addresses", r.named(), e.named(), e.Pos.Line), "remove one of them")
			return
		}
	}
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
	return text
}

func (w checkedConditions) canonical() string {
	var b strings.Builder
	for _, l := range []*configs.List{w.Events, w.Projects, w.Branches, w.Also} {
		if l != nil {
			values := texts(l)
			slices.Sort(values)
			fmt.Fprintf(&b, "%s %q\n", l.Key, values)
		}
	}
	return b.String()
}

// checkBothFailures warns where one address gets a failed job and the pipeline
// that fails with it, both named outright, of the same projects and branches.
func (c *compiler) checkBothFailures(routes []checkedRoute) {
	const job, pipeline = "job.failed", "pipeline.failed"
	type place struct {
		address   configs.Address
		condition string
	}
	named := map[string]map[place]writtenEvent{job: {}, pipeline: {}}
	var order []place
	for _, r := range routes {
		for _, w := range r.when {
			rest := w
			rest.Events, rest.Also = nil, nil
			for _, e := range w.events {
				for _, to := range r.To {
					at := place{to.Address, rest.canonical()}
					if places, ok := named[e.Text]; ok {
						if _, again := places[at]; !again {
							places[at] = e
							order = append(order, at)
						}
					}
				}
			}
		}
	}
	for i, at := range order {
		j, hasJob := named[job][at]
		_, hasPipeline := named[pipeline][at]
		if hasJob && hasPipeline && !slices.Contains(order[:i], at) {
			c.report(configs.Warning, j.Pos, len(job), fmt.Sprintf("%s gets job.failed and pipeline.failed: two posts for one failure", at.address), "pipeline.failed names the failed jobs")
		}
	}
}
