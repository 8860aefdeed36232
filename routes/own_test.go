package routes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestOwnUsers: the users of a fenced file hold for its own routes alone, where
// they come before those of all files.
func TestOwnUsers(t *testing.T) {
	dir := t.TempDir()
	for name, yaml := range map[string]string{
		"relay.yaml": `
destinations: {mm: "${MM_URL}"}
users: {grace: grace.hopper, ada: {mattermost: ada, email: ada@acme.example}}
include:
  - {files: pay.yaml, to: ["mm#pay"]}
  - web.yaml
routes:
  - {name: main, when: {events: all}, to: mm#main, mention: [actor, author]}
`,
		"pay.yaml": `
users: {grace: mallory, alan: alan, eve: {mattermost: eve, email: [ada@acme.example]}}
routes: [{name: main, when: {events: all}, to: mm#pay, mention: [actor, author]}]
`,
		"web.yaml": `
users: {alan: turing}
routes: [{name: web, when: {events: all}, to: mm#web, mention: [actor, author]}]
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, found := configs.Load(filepath.Join(dir, "relay.yaml"), env)
	table, more := Compile(cfg, listed)
	if found = append(found, more...); configs.HasErrors(found) {
		t.Fatal(text(t, found))
	}
	for _, c := range []struct {
		actor, mail string
		want        map[string][]string
	}{
		{"grace", "", map[string][]string{"mm#main": {"@grace.hopper"}, "mm#pay": {"@mallory"}, "mm#web": {"@grace.hopper"}}},
		{"alan", "", map[string][]string{"mm#main": {"@turing"}, "mm#pay": {"@alan"}, "mm#web": {"@turing"}}},
		{"nobody", "ada@acme.example", map[string][]string{"mm#main": {"@ada"}, "mm#pay": {"@eve"}, "mm#web": {"@ada"}}},
	} {
		e := change(named(events.Pipeline, "failed"), func(e *events.Event) {
			e.Actor, e.Commit = events.User{Username: c.actor}, &events.Commit{AuthorEmail: c.mail}
		})
		got, people := map[string][]string{}, map[string]string{}
		for _, d := range table.Match(e).Deliveries {
			got[d.Address.String()] = d.Mention
			people[d.Address.String()], _ = table.People("mm", d.File)(c.actor)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.actor, diff)
		}
		for address, want := range c.want {
			if c.mail == "" && people[address] != want[0] {
				t.Errorf("%s: a text at %s mentions %q, want %q", c.actor, address, people[address], want[0])
			}
		}
		if diff := cmp.Diff(table.Match(e), table.Explain(e).Decision); diff != "" {
			t.Errorf("explain disagrees:\n%s", diff)
		}
	}
}

// TestNobodyIsEverybody: no name that calls a whole channel is ever mentioned,
// wherever it comes from.
func TestNobodyIsEverybody(t *testing.T) {
	table := compile(t, `
destinations: {mm: "${MM_URL}"}
defaults: {usernames: same}
routes: [{when: {events: all}, to: mm, mention: [actor, assignees, reviewers, author]}]
`)
	for _, name := range []string{"all", "channel", "here", "ALL", "Here", "here.", "channel-", "all_", "here.-_", "ChaNNel--", "here.-."} {
		if !configs.CallsAll(name) {
			t.Errorf("%q calls nobody", name)
		}
		u := events.User{Username: name}
		e := change(named(events.MergeRequest, "merge"), func(e *events.Event) {
			e.Actor, e.MergeRequest = u, &events.MergeRequestPart{Assignees: []events.User{u}, Reviewers: []events.User{u}}
		})
		if d := table.Match(e).Deliveries; len(d[0].Mention) > 0 {
			t.Errorf("%q is mentioned: %v", name, d[0].Mention)
		}
		if call, ok := table.People("mm", "")(name); ok {
			t.Errorf("a text mentions %q as %s", name, call)
		}
	}
	for _, name := range []string{"shere", "allen", "here1", "channels", "h.ere", ""} {
		if configs.CallsAll(name) {
			t.Errorf("%q calls everybody", name)
		}
	}
	cfg := &configs.Config{Users: []configs.User{{GitLab: "x", Mattermost: "here."}}}
	d := newDirectory(cfg, nil, cfg.Users)
	if got := d.call(d.person(events.User{Username: "x"}), configs.KindMattermost) + d.named("all-", configs.KindMattermost); got != "" {
		t.Errorf("mentions %s", got)
	}
}

// TestManyMentions: one message mentions so many and no more.
func TestManyMentions(t *testing.T) {
	table := compile(t, "destinations: {mm: \"${MM_URL}\"}\ndefaults: {usernames: same}\nroutes: [{when: {events: all}, to: mm, mention: assignees}]\n")
	var many []events.User
	for i := range 5000 {
		many = append(many, events.User{Username: "u" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))})
	}
	e := change(named(events.MergeRequest, "merge"), func(e *events.Event) { e.MergeRequest = &events.MergeRequestPart{Assignees: many} })
	if d := table.Match(e).Deliveries; len(d[0].Mention) != maxMentions {
		t.Errorf("%d are mentioned", len(d[0].Mention))
	}
}

// TestFileInstructions: the regular expressions of a fenced file are bounded
// together, wherever they are, so that a small file cannot take all memory. Those
// of relay.yaml are its owner's.
func TestFileInstructions(t *testing.T) {
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `"/^(push|%d[a-z]{0,900})/",`, i)
	}
	for _, when := range []string{
		"events: [%s]", "projects: [%s]", "branches: [%s]", "target_branches: [%s]", "labels: [%s]", "labels: {none: [%s]}",
		"actors: [%s]", "environments: [%s]", "paths: [%s]", `if: "title matches 'a{900}'"`,
	} {
		when = strings.Replace(when, "%s", many.String(), 1)
		times := 1
		if strings.HasPrefix(when, "if") {
			times = 100
		}
		routes := "routes:\n" + strings.Repeat("  - {when: {"+when+"}, to: mm#pay}\n", times)
		dir := t.TempDir()
		for name, yaml := range map[string]string{
			"relay.yaml": "destinations: {mm: \"${MM_URL}\"}\ninclude: {files: pay.yaml, to: mm#pay}\nroutes: [{when: {labels: [" + strings.Repeat("'/a{900}/', ", 60) + "x]}, to: mm}]\n",
			"pay.yaml":   routes,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(yaml), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cfg, found := configs.Load(filepath.Join(dir, "relay.yaml"), env)
		_, more := Compile(cfg, listed)
		var told []string
		for _, f := range append(found, more...) {
			if f.Severity == configs.Error {
				told = append(told, f.Message)
			}
		}
		if diff := cmp.Diff([]string{"the regular expressions of this file are too large together"}, told); diff != "" {
			t.Errorf("%.60s: errors (-want +got):\n%s", when, diff)
		}
	}
}

// TestFewerFindings: one file cannot fill the log with what is wrong in it, and the
// errors are kept.
func TestFewerFindings(t *testing.T) {
	var found []configs.Finding
	for i := range 1000 {
		found = append(found,
			configs.Finding{Pos: configs.Pos{File: "a", Line: i}, Severity: configs.Warning},
			configs.Finding{Pos: configs.Pos{File: "b", Line: i}, Severity: configs.Warning})
	}
	found = append(found, configs.Finding{Pos: configs.Pos{File: "a"}, Message: "wrong"}, configs.Finding{Pos: configs.Pos{File: "c"}})
	counts := map[string]int{}
	for _, f := range fewer(found) {
		counts[f.Pos.File+" "+f.Severity.String()]++
	}
	want := map[string]int{"a error": 1, "a warning": maxFindings, "b warning": maxFindings + 1, "c error": 1}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cfg := &configs.Config{Routes: []configs.Route{{When: []configs.Conditions{{Branches: &configs.List{Values: slices.Repeat([]configs.Pattern{{Text: "/(/"}}, 5000)}}}}}}
	if _, all := Compile(cfg, listed); len(all) > 2*maxFindings {
		t.Errorf("Compile tells of %d mistakes", len(all))
	}
}

// TestVariableOutsideFence: a mistake shows what a fenced file says, not what the
// environment makes of it.
func TestVariableOutsideFence(t *testing.T) {
	dir := t.TempDir()
	for name, yaml := range map[string]string{
		"relay.yaml": "destinations: {mm: \"${MM_URL}\"}\ninclude: {files: pay.yaml, projects: acme/pay/**, env: PAY_X}\n",
		"pay.yaml":   "routes: [{when: {projects: \"${PAY_X}\"}, to: mm}]\nusers: {a: {email: \"${PAY_X}@acme.example\"}, b: {email: \"${PAY_X}@acme.example\"}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret := "kanarie/" + strings.Repeat("x", 100)
	cfg, found := configs.Load(filepath.Join(dir, "relay.yaml"), func(name string) (string, bool) {
		if name == "PAY_X" {
			return secret, true
		}
		return env(name)
	})
	_, more := Compile(cfg, listed)
	got := text(t, append(found, more...))
	if strings.Contains(got, "kanarie") || !strings.Contains(got, `"${PAY_X}" never matches`) || !strings.Contains(got, "have the same e-mail address") {
		t.Error(got)
	}
}

// FuzzFencedSteps writes a team's file: deciding on an event takes no more than the
// steps that the file has, whatever stands in it.
func FuzzFencedSteps(f *testing.F) {
	for _, team := range []string{
		"routes: [{when: {projects: acme/pay/**}, to: mm#pay}]\n",
		"routes:\n" + strings.Repeat("  - {when: {events: all, paths: '"+strings.Repeat("{a,aa}", 200)+"{b,c}'}, to: mm#pay}\n", 20),
		"routes: [{when: {labels: '/(l|a|b|e)*x{900}$/', if: 'title contains \"x\"'}, to: mm#pay}, {when: {events: all}, except: {branches: '*a*a*a*b'}, to: mm#pay}]\n",
	} {
		f.Add(team)
	}
	dir := f.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	write("relay.yaml", "destinations: {mm: \"${MM_URL}\"}\ninclude: {files: pay.yaml, projects: '**', to: mm#pay}\nroutes: [{name: Own, when: {events: all}, to: mm}]\n")
	f.Fuzz(func(t *testing.T, team string) {
		write("pay.yaml", team)
		cfg, found := configs.Load(filepath.Join(dir, "relay.yaml"), env)
		table, more := Compile(cfg, listed)
		if configs.HasErrors(append(found, more...)) {
			return
		}
		for _, e := range []*events.Event{push("main"), hostileEvent(), change(labelled("bug"), func(e *events.Event) { e.Project.Path = "acme/pay/api" })} {
			stepsOfFiles(t, table, e)
		}
	})
}
