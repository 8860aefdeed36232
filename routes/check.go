package routes

import (
	"fmt"
	"slices"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// check looks for routes that cannot do what they seem to ask for.
func (c *compiler) check(routes []checkedRoute, t *Table) {
	seen := map[string][]checkedRoute{}
	for i, r := range routes {
		for _, w := range r.when {
			c.checkKeys(w, partWhen)
			c.checkAlso(w)
			c.checkNoisy(w)
			c.checkFence(w, r.Fence)
		}
		if r.except != nil {
			c.checkExcept(r)
		}
		c.checkMention(r, t)
		c.checkAddresses(r)
		same := r.canonical()
		if !c.checkRepeated(r, seen[same]) {
			c.checkStopped(r, routes[:i])
		}
		seen[same] = append(seen[same], r)
	}
	c.checkBothFailures(routes)
}

func (c *compiler) report(severity configs.Severity, pos configs.Pos, width int, message, hint string) {
	c.found = append(c.found, configs.Finding{Pos: pos, Severity: severity, Width: width, Message: message, Hint: hint})
}

// immaterial are the events that can be updates of nothing a person would tell.
var immaterial = []string{events.MergeRequest + ".update", events.Issue + ".update"}

// checkNoisy warns of `events: pipeline`. Who means it writes pipeline.*.
func (c *compiler) checkNoisy(w checkedConditions) {
	for _, e := range w.events {
		if e.Text == events.Pipeline || e.Text == events.Job {
			c.report(configs.Warning, e.Pos, len(e.Text), fmt.Sprintf("%[1]s brings up to 5 posts a %[1]s", e.Text), fmt.Sprintf("did you mean %s.failed? %s.* says that all are meant", e.Text, e.Text))
		}
	}
}

// checkRepeated warns of a route that adds nothing to an earlier one with the
// same conditions.
func (c *compiler) checkRepeated(r checkedRoute, earlier []checkedRoute) bool {
	if len(r.To) == 0 {
		return false
	}
	for _, e := range earlier {
		adds := r.Stop && !e.Stop
		for _, to := range r.To {
			adds = adds || !slices.ContainsFunc(e.To, func(o configs.To) bool { return o.Address == to.Address })
		}
		for _, m := range r.Mention {
			adds = adds || !slices.Contains(e.Mention, m)
		}
		if !adds {
			c.report(configs.Warning, r.Pos, 1, fmt.Sprintf("%s is never reached: %s takes the same events to the same addresses", r.named(), e.placed(r)), "remove one of them")
			return true
		}
	}
	return false
}

// placed is how a sentence about another route calls a route and its place.
func (r checkedRoute) placed(other checkedRoute) string {
	if r.Pos.File == other.Pos.File {
		return fmt.Sprintf("%s in line %d", r.named(), r.Pos.Line)
	}
	return fmt.Sprintf("%s in %s:%d", r.named(), r.Pos.File, r.Pos.Line)
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
