package main

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/routes"
)

// TestExplanation shows what a decision may hold beyond what the scripts bring
// about.
func TestExplanation(t *testing.T) {
	e := &events.Event{Kind: "push", Source: "gitlab", Branch: "a\x1b[31m\nb\u202ec", Warnings: []string{"ref: \x00 is no text"}}
	e.Project.Path, e.Actor.Username = "acme/api", "ada"
	key := func(part, key, want, got string, ok bool, note string) routes.KeyExplanation {
		return routes.KeyExplanation{Part: part, Key: key, Want: strings.Fields(want), Got: strings.Fields(got), OK: ok, Note: note}
	}
	x := routes.Explanation{
		Routes: []routes.RouteExplanation{
			{Name: "First", File: "relay.yaml", Line: 3, Matched: true, Read: true, Stop: true, Keys: []routes.KeyExplanation{
				key("when", "if", `pipeline.duration>1800&&pipeline.source!='schedule'||push.commits>100`, "", true, ""),
				key("ignore", "actors", "ada intern-bot", "ada", true, "yields: the route names it"),
				key("ignore", "projects", "acme/sandbox/**", "acme/api", false, ""),
			}, Mention: []routes.MentionExplanation{
				{Word: "author", Found: []string{"anna", "ben"}, Note: "by the e-mail of the head commit"},
				{Word: "reviewers", Note: "none"},
				{Word: "here", Found: []string{"here"}},
			}},
			{Name: "Second", File: "team.yaml", Line: 9, Keys: []routes.KeyExplanation{key("when", "events", "all", "push", true, "")}},
			{Name: "Third\x1b[0m", File: "environment", Read: true, Keys: []routes.KeyExplanation{key("when", "branches", "main", "a\x07b", false, "")}},
		},
		Deliveries: []routes.DeliveryExplanation{
			{Destination: "mm", Channel: "reviews", Route: "First", Mention: []string{"@anna", "@here"}},
			{Destination: "mm", Channel: "@alice", Route: "First"},
		},
		Withheld: []routes.WithheldExplanation{
			{Destination: "partner", Route: "First", Reason: routes.ReasonOnly, Because: "visibility: want public, got private"},
		},
	}
	want := `push in acme/api by ada on a [31m b c
  could not be read: ref:   is no text

✓ First (relay.yaml:3) and stops
  ✓ when.if        want pipeline.duration>1800&&pipeline.source!='schedule'||push.commits>100  got nothing
  ✓ ignore.actors  not ada, intern-bot  got ada (yields: the route names it)
    mentions author: anna, ben (by the e-mail of the head commit)
    mentions reviewers: nobody (none)
    mentions here

– Second (team.yaml:9) is not read: a route before it stops

✗ Third [0m (environment)
  ✗ when.branches  want main            got a b

goes to mm#reviews (route First), mentioning @anna, @here
goes to mm@alice (route First)
withheld from partner (route First): destination partner does not take it (only): visibility: want public, got private
`
	c := &configuration{Config: &configs.Config{}}
	if diff := cmp.Diff(want, c.explanation(e, x)); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  []string
	}{
		{nil, []string{""}},
		{[]string{"main"}, []string{"main"}},
		{[]string{"main", "release/*"}, []string{"main, release/*"}},
		{[]string{"0123456789", "0123456789", "0"}, []string{"0123456789,", "0123456789, 0"}},
		{[]string{"a", strings.Repeat("ä", 30), "b"}, []string{"a,", strings.Repeat("ä", 30) + ",", "b"}},
	} {
		got := wrap(tt.words, 20)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("wrap(%q) (-want +got):\n%s", tt.words, diff)
		}
		if joined := strings.Join(got, " "); joined != strings.Join(tt.words, ", ") {
			t.Errorf("wrap(%q) loses something: %q", tt.words, joined)
		}
	}
}

// TestColumns: in every explanation of every sample, got stands in one column
// as long as what is wanted is no wider than its own.
func TestColumns(t *testing.T) {
	c, _ := loadText(t, `
sources: {gitlab: {insecure: true}}
destinations: {screen: {kind: log}}
routes:
  - {name: One, when: {events: [push, merge_request.open, merge_request.merge, pipeline.failed], branches: [main, release/*]}, to: screen}
  - {name: Two, when: [{projects: acme/**}, {events: all}], except: {branches: main}, to: "screen#two"}
`, nil)
	for _, s := range events.Samples() {
		e := events.Decode(events.Input{Source: "gitlab", Header: s.Header, Body: s.Body})
		text := c.explanation(e, c.table.Explain(e))
		var columns []int
		for line := range strings.Lines(text) {
			if before, _, ok := strings.Cut(line, "  got "); ok {
				columns = append(columns, utf8.RuneCountInString(before))
			}
		}
		if len(slices.Compact(columns)) != 1 {
			t.Errorf("%s: got stands in columns %v:\n%s", s.Name, columns, text)
		}
	}
}
