package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
)

// fencedMain is a relay.yaml with two teams behind fences, of which the fuzzer
// writes one's file.
const fencedMain = `
sources: {gitlab: {token: "${RELAY_TOKEN}"}}
destinations: {mm: "${MM_URL}"}
defaults: {usernames: same}
users: {jdoe: john.doe}
include:
  - {files: fuzzed.yaml, projects: fuzzed/**, to: ["mm#fuzzed", "mm#fuzzed-*"]}
  - {files: other.yaml, projects: [acme/**, "*/**"], to: ["mm#other", "mm@other"]}
`

const otherTeam = `
users: {asmith: anna}
routes:
  - {name: Other, when: {events: all}, to: mm#other, mention: [author, assignees, actor, "@anna"]}
  - {to: mm@other, when: {events: [issue, note]}, mention: here}
`

const fuzzCanary = "canary-of-the-environment-7"

// fencedRoutes writes a team's file of all keys and odd values, as the bytes say.
func fencedRoutes(choice []byte) string {
	values := []string{
		"all", "'*'", "'**'", "fuzzed/**", "other", "Other", "mm#other", "mm#fuzzed", "mm#fuzzed-a", "mm@other", "mm", "true", "false", "here", "here.", "channel-",
		"'@here'", "'@all.'", "anna", "jdoe", "asmith", "author", "'${MM_URL}'", "'${RELAY_TOKEN:-x}'", "'$${RELAY_TOKEN}'", "'/(a|b)*$/'", "'{a,aa}{a,aa}{a,aa}b'",
		"'title contains \"x\"'", "push", "issue.open", "'pipeline.*'", "[]", "{}", "null", "'x'", "1e9", "../other.yaml", "'@channel @here'", "full", "title", "card", "&a x", "*a", "note",
	}
	keys := []string{
		"name", "to", "stop", "template", "detail", "layout", "mention", "events", "sources", "projects", "visibility", "branches", "target_branches", "labels", "actors",
		"bots", "paths", "environments", "draft", "confidential", "if", "also", "env", "include", "users",
	}
	fitting := map[string][]string{
		"name": {"Other", "'@channel @here'", "x y", "routes[0]"}, "to": {"mm#fuzzed", "[mm#fuzzed, mm#fuzzed-a]", "mm#fuzzed-b"}, "stop": {"true", "false"},
		"template": {"push", "issue", "note"}, "detail": {"full", "brief", "title"}, "layout": {"plain", "card"}, "mention": {"here", "channel", "author", "actor", "[assignees, '@anna']", "'@jdoe'"},
		"events": {"all", "[issue, note]", "push", "pipeline.*", "/./", "standard"}, "sources": {"gitlab"}, "projects": {"fuzzed/**", "'**'", "[fuzzed/api, 'fuz*/*']", "/api/"},
		"visibility": {"[private, internal, public]", "public"}, "branches": {"'*'", "main", "[$default, release/*]"}, "target_branches": {"'*'"}, "labels": {"[bug, x]", "{none: wip}"},
		"actors": {"'*'", "/./"}, "bots": {"true", "false"}, "paths": {"'**'", "'{a,aa}{a,aa}{a,aa}b'"}, "environments": {"'**'"}, "draft": {"true", "false"}, "confidential": {"false"},
		"if": {"'title contains \"x\"'", "'len(labels) >= 0'"}, "also": {"edited_notes", "[system_notes, child_pipelines]"},
		"users": {"mallory", "grace", "{mattermost: eve, email: [ada@acme.example, jdoe@acme.example]}", "{slack: U02ABCDEF}"},
	}
	at := 0
	next := func(n int) int {
		if at >= len(choice) {
			return 0
		}
		at++
		return int(choice[at-1]) % n
	}
	pick := func(key string) string {
		if good := fitting[key]; good != nil && next(12) > 0 {
			return good[next(len(good))]
		}
		if next(3) == 0 {
			return "[" + values[next(len(values))] + ", " + values[next(len(values))] + "]"
		}
		return values[next(len(values))]
	}
	var b strings.Builder
	b.WriteString("users:\n  grace: " + pick("users") + "\n  " + []string{"jdoe", "asmith", "eve"}[next(3)] + ": " + pick("users") + "\nroutes:\n")
	for at < len(choice) && b.Len() < 5000 {
		b.WriteString("  - to: " + pick("to") + "\n")
		for _, part := range []string{"", "when", "except"} {
			n := next(3)
			if n == 0 {
				continue
			}
			indent := "    "
			if part != "" {
				b.WriteString("    " + part + ":\n")
				indent += "  "
			}
			used := map[string]bool{"to": part == ""}
			for range n {
				k := keys[next(len(keys))]
				if part != "" {
					k = keys[7+next(len(keys)-7)]
					if next(12) > 0 {
						k = keys[7+next(len(keys)-10)]
					}
				} else if next(12) > 0 {
					k = keys[next(7)]
				}
				if !used[k] {
					used[k] = true
					b.WriteString(indent + k + ": " + pick(k) + "\n")
				}
			}
		}
	}
	return b.String()
}

// otherMessages are the messages of an event for the other team, and what else
// is posted.
func otherMessages(t *testing.T, c *configuration, e *events.Event) (others, all string) {
	t.Helper()
	var b, every strings.Builder
	for _, d := range c.table.Match(e).Deliveries {
		post, err := c.formatter.Render(context.Background(), formatters.Request{
			Event: e, Kind: configs.KindMattermost, Channel: d.Address.Channel, Look: d.Look, Mention: d.Mention, People: c.table.People(d.Address.Destination, d.File),
		})
		if err != nil {
			t.Fatal(err)
		}
		every.Write(post.Body)
		if a := d.Address.String(); a == "mm#other" || a == "mm@other" {
			b.WriteString(a + " " + d.Route + " " + string(post.Body) + "\n")
		} else if !strings.HasPrefix(a, "mm#fuzzed") {
			t.Errorf("posts to %s", a)
		}
	}
	return b.String(), every.String()
}

// FuzzFencedFile writes a team's file beside another team's: whatever loads, no
// message of the other team changes, and nothing shows a secret. What deciding on an
// event takes is counted where the routes are: FuzzMatch.
func FuzzFencedFile(f *testing.F) {
	for i := range 40 {
		f.Add([]byte(strings.Repeat(string(rune('a'+i))+string(rune('!'+i*2))+"\x00\x07", 12)), i%2 == 0)
	}
	f.Add([]byte("users: {jdoe: channel, asmith: here.}\nroutes: [{to: mm#fuzzed, name: \"${MM_URL}\"}]\n"), true)
	f.Add([]byte("users: {jdoe: mallory, asmith: {mattermost: eve, email: [jdoe@acme.example]}}\nroutes: [{name: Other, when: {events: all}, to: mm#fuzzed, stop: true}]\n"), true)
	dir := f.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	env := environment(map[string]string{"RELAY_TOKEN": fuzzCanary, "MM_URL": "https://chat.example/hooks/" + fuzzCanary})
	load := func() (*configuration, []configs.Finding) {
		return compile(configs.Load(filepath.Join(dir, "relay.yaml"), env))
	}
	write("relay.yaml", fencedMain)
	write("other.yaml", otherTeam)
	write("fuzzed.yaml", "routes: [{to: mm#fuzzed}]\n")
	base, found := load()
	if configs.HasErrors(found) {
		f.Fatal(found)
	}
	var all []*events.Event
	for _, s := range events.Samples() {
		if strings.Contains(s.Name, "~") || strings.HasPrefix(s.Name, "system.") {
			continue
		}
		all = append(all, events.Decode(events.Input{Source: "gitlab", Header: s.Header, Body: s.Body}))
		mine := events.Decode(events.Input{Source: "gitlab", Header: s.Header, Body: s.Body})
		mine.Project.Path = "fuzzed/api"
		all = append(all, mine)
	}
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		text := string(data)
		if !raw {
			text = fencedRoutes(data)
		}
		write("fuzzed.yaml", text)
		c, found := load()
		for _, f := range found {
			if strings.Contains(f.Text(), fuzzCanary) {
				t.Errorf("a secret is shown: %s", f.Text())
			}
		}
		if configs.HasErrors(found) {
			return
		}
		for _, e := range all {
			want, _ := otherMessages(t, base, e)
			got, every := otherMessages(t, c, e)
			if got != want {
				t.Errorf("with this file\n%s\nthe other team gets of %s\n%s\nin place of\n%s", text, e.Name(), got, want)
			}
			if strings.Contains(every, fuzzCanary) {
				t.Errorf("with this file\n%s\na secret is posted: %s", text, every)
			}
		}
	})
}
