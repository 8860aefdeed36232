package main

import (
	"fmt"
	"strings"
)

// target is an address as relay.yaml names it.
type target struct {
	dest    int // index in plan.dests
	channel string
}

// destination is one incoming webhook of the chat.
type destination struct {
	hook string // its id, which is its secret
	yaml string // more keys: "concurrency: 4"
}

// plan is who gets what. It is the whole configuration, and the expectation
// that the ledger is checked against.
type plan struct {
	dests  []destination
	homes  []target // by project
	shared []target // get the merge requests and pipelines of all projects
}

func (p *plan) project(i int) string { return fmt.Sprintf("acme/p%d", i) }

// expect is where a webhook has to go.
func (p *plan) expect(project int, kind string) []address {
	all := []address{p.address(p.homes[project])}
	if kind == "merge_request.open" || kind == "pipeline.failed" {
		for _, t := range p.shared {
			all = append(all, p.address(t))
		}
	}
	return all
}

func (p *plan) address(t target) address { return address{p.dests[t.dest].hook, t.channel} }

// label is an address as the relay names it in its log.
func (p *plan) label(a address) string {
	for i, d := range p.dests {
		if d.hook == a.hook && a.channel == "" {
			return fmt.Sprintf("d%d", i)
		} else if d.hook == a.hook {
			return fmt.Sprintf("d%d#%s", i, a.channel)
		}
	}
	return a.channel
}

func (t target) String() string {
	if t.channel == "" {
		return fmt.Sprintf("d%d", t.dest)
	}
	return fmt.Sprintf("d%d#%s", t.dest, t.channel)
}

// yaml is the plan as relay.yaml. The URLs of hooks and the token stand in the
// environment.
func (p *plan) yaml() string {
	var b strings.Builder
	b.WriteString("sources: {gitlab: {token: \"${TOKEN}\"}}\ndestinations:\n")
	for i, d := range p.dests {
		more := ""
		if d.yaml != "" {
			more = ", " + d.yaml
		}
		fmt.Fprintf(&b, "  d%d: {url: \"${HOOK%d}\"%s}\n", i, i, more)
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	b.WriteString("routes:\n")
	for i, t := range p.homes {
		fmt.Fprintf(&b, "  - {name: Project %d, when: {projects: %s, events: [%s]}, to: \"%s\"}\n", i, p.project(i), strings.Join(names, ", "), t)
	}
	for _, t := range p.shared {
		fmt.Fprintf(&b, "  - {name: All of %s, when: {projects: \"acme/p*\", events: [merge_request.open, pipeline.failed]}, to: \"%s\"}\n", t.channel, t)
	}
	return b.String()
}

// ordinary is a plan of so many projects, each with its channel of one hook,
// and one channel of another hook that hears of all of them.
func (b *bench) ordinary(projects int) *plan {
	p := &plan{dests: []destination{{hook: b.secret("d0")}, {hook: b.secret("d1")}}, shared: []target{{1, "reviews"}}}
	for i := range projects {
		p.homes = append(p.homes, target{0, fmt.Sprintf("p%d", i)})
	}
	return p
}

// apart is a plan of so many projects, each with a hook of its own.
func (b *bench) apart(projects int) *plan {
	p := &plan{}
	for i := range projects {
		p.dests = append(p.dests, destination{hook: b.secret(fmt.Sprintf("d%d", i))})
		p.homes = append(p.homes, target{i, ""})
	}
	return p
}
