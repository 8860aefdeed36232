package routes

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

var update = flag.Bool("update", false, "write the goldens anew")

var listed = Vocabulary{Kinds: events.Kinds(), Actions: events.Actions}

// env has a token for the source that a file without sources gets.
func env(name string) (string, bool) {
	v, ok := map[string]string{"RELAY_TOKEN": "canary", "MM_URL": "https://chat.example/hooks/canary"}[name]
	return v, ok
}

const destinations = `
destinations:
  mm: {kind: log, confidential: [security, "@boss"]}
  ops: {kind: log, channel: ops-alerts, username: CI}
  open: {kind: log, confidential: true}
`

// compile makes a table of a file, which must be without errors.
func compile(t testing.TB, yaml string) *Table {
	t.Helper()
	cfg, found := configs.LoadBytes("relay.yaml", []byte(yaml), env)
	table, more := Compile(cfg, listed)
	if found = append(found, more...); configs.HasErrors(found) {
		t.Fatalf("%s\n%v", yaml, text(t, found))
	}
	return table
}

func text(t testing.TB, fs []configs.Finding) string {
	t.Helper()
	var b strings.Builder
	if err := configs.WriteText(&b, fs); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// addresses are the deliveries as the file would write them.
func addresses(d Decision) []string {
	out := []string{}
	for _, x := range d.Deliveries {
		out = append(out, x.Address.String())
	}
	return out
}

func push(branch string) *events.Event {
	return &events.Event{
		Kind: events.Push, Material: true, Branch: branch, Ref: "refs/heads/" + branch,
		Project: events.Project{Path: "acme/backend/api", DefaultBranch: "main"}, Push: &events.PushPart{},
	}
}

// change is an event with something about it changed.
func change(e *events.Event, f func(*events.Event)) *events.Event {
	f(e)
	return e
}

func named(kind, action string) *events.Event {
	return &events.Event{
		Kind: kind, Action: action, Material: true,
		Project: events.Project{Path: "Acme/Backend/API", DefaultBranch: "main"},
	}
}

// TestConditions asks one route with each condition.
func TestConditions(t *testing.T) {
	mergeRequest := func(action string) *events.Event {
		return change(named(events.MergeRequest, action), func(e *events.Event) {
			e.Branch, e.TargetBranch, e.MergeRequest = "feature/x", "main", &events.MergeRequestPart{}
		})
	}
	note := func(on string) *events.Event {
		return change(named(events.Note, on), func(e *events.Event) { e.Note = &events.NotePart{On: on} })
	}
	pipeline := func(status, branch string) *events.Event {
		return change(named(events.Pipeline, status), func(e *events.Event) { e.Branch, e.Pipeline = branch, &events.PipelinePart{} })
	}
	deployment := func(status, tier string) *events.Event {
		return change(named(events.Deployment, status), func(e *events.Event) { e.Deployment = &events.DeploymentPart{Tier: tier} })
	}
	for _, c := range []struct {
		name  string
		route string // a route's keys without to
		event *events.Event
		want  bool
	}{
		{"exact name", `when: {events: merge_request.open}`, mergeRequest("open"), true},
		{"another action", `when: {events: merge_request.open}`, mergeRequest("merge"), false},
		{"kind alone", `when: {events: merge_request}`, mergeRequest("update"), true},
		{"kind with star", `when: {events: "merge_request.*"}`, mergeRequest("update"), true},
		{"kind alone has its bare event", `when: {events: push}`, push("x"), true},
		{"kind alone has a branch made", `when: {events: push}`, change(push("x"), func(e *events.Event) { e.Action = "create" }), true},
		{"regular expression", `when: {events: "/^merge_request\\.(open|merge)$/"}`, mergeRequest("merge"), true},
		{"list", `when: {events: [push, note]}`, note("issue"), true},
		{"all", `when: {events: all}`, named("emoji", "award"), true},
		{"all without system", `when: {events: all}`, named("system", "user_create"), false},
		{"all with what GitLab invents", `when: {events: all}`, named("kite", "flown"), true},
		{"system by name", `when: {events: system}`, named("system", "user_create"), true},
		{"classic job", `when: {events: classic}`, named("job", "running"), true},
		{"classic update", `when: {events: classic}`, mergeRequest("update"), true},
		{"classic has no push", `when: {events: classic}`, push("main"), false},
		{"classic has no approval", `when: {events: classic}`, mergeRequest("approved"), false},

		{"standard open", ``, mergeRequest("open"), true},
		{"standard open draft", ``, change(mergeRequest("open"), func(e *events.Event) { e.Draft = true }), false},
		{"standard merge of a draft", ``, change(mergeRequest("merge"), func(e *events.Event) { e.Draft = true }), true},
		{"standard ready", ``, mergeRequest("ready"), true},
		{"standard draft", ``, mergeRequest("draft"), false},
		{"standard approved", ``, mergeRequest("approved"), true},
		{"standard approval", ``, mergeRequest("approval"), false},
		{"standard update", ``, mergeRequest("update"), false},
		{"standard issue", ``, named("issue", "reopen"), true},
		{"standard issue update", ``, named("issue", "update"), false},
		{"standard note", ``, note("commit"), true},
		{"standard note by a bot", ``, change(note("commit"), func(e *events.Event) { e.Actor.Bot = true }), false},
		{"standard push", ``, push("main"), true},
		{"standard push elsewhere", ``, push("develop"), false},
		{"standard push without default branch", ``, change(push("main"), func(e *events.Event) { e.Project.DefaultBranch = "" }), false},
		{"standard push of a merge request", ``, change(push("main"), func(e *events.Event) { e.Push.MergedRef = "acme/backend/api!42" }), false},
		{"standard push of another project's", ``, change(push("main"), func(e *events.Event) { e.Push.MergedRef = "fork/api!42" }), true},
		{"standard branch made", ``, change(push("main"), func(e *events.Event) { e.Action = "create" }), false},
		{"standard pipeline", ``, pipeline("failed", "main"), true},
		{"standard pipeline elsewhere", ``, pipeline("failed", "develop"), false},
		{"standard pipeline success", ``, pipeline("success", "main"), false},
		{"standard tag", ``, named("tag_push", ""), true},
		{"standard release", ``, named("release", "create"), true},
		{"standard release update", ``, named("release", "update"), false},
		{"standard deployment", ``, deployment("failed", "production"), true},
		{"standard deployment running", ``, deployment("running", "production"), false},
		{"standard deployment to development", ``, deployment("success", "development"), false},
		{"standard wiki", ``, named("wiki_page", "update"), true},
		{"standard wiki delete", ``, named("wiki_page", "delete"), false},
		{"standard access token", ``, named("access_token", "expiring"), true},
		{"standard deploy token", ``, named("deploy_token", "expiring"), false},
		{"standard job", ``, named("job", "failed"), false},
		{"standard and more", `when: {events: [standard, job.failed]}`, named("job", "failed"), true},

		{"edited note", `when: {events: note}`, change(note("issue"), func(e *events.Event) { e.Note.Edited = true }), false},
		{"edited note asked for", `when: {events: note, also: edited_notes}`, change(note("issue"), func(e *events.Event) { e.Note.Edited = true }), true},
		{"system note", `when: {events: all, also: edited_notes}`, change(note("issue"), func(e *events.Event) { e.Note.System = true }), false},
		{"system note asked for", `when: {events: all, also: [edited_notes, system_notes]}`, change(note("issue"), func(e *events.Event) { e.Note.System = true }), true},
		{"child pipeline", `when: {events: pipeline.failed}`, change(pipeline("failed", "main"), func(e *events.Event) { e.Pipeline.ParentID = 7 }), false},
		{"child pipeline asked for", `when: {events: pipeline.failed, also: child_pipelines}`, change(pipeline("failed", "main"), func(e *events.Event) { e.Pipeline.Source = "parent_pipeline" }), true},
		{"immaterial update", `when: {events: merge_request.update}`, change(mergeRequest("update"), func(e *events.Event) { e.Material = false }), false},
		{"immaterial update asked for", `when: {events: merge_request.update, also: immaterial_updates}`, change(mergeRequest("update"), func(e *events.Event) { e.Material = false }), true},

		{"project", `when: {events: push, projects: acme/backend/api}`, push("x"), true},
		{"project without case", `when: {events: push, projects: ACME/backend/Api}`, push("x"), true},
		{"project's case", `when: {events: issue, projects: acme/backend/api}`, named("issue", "open"), true},
		{"project tree", `when: {events: push, projects: acme/**}`, push("x"), true},
		{"project tree itself", `when: {events: push, projects: acme/backend/api/**}`, push("x"), true},
		{"project tree with globs itself", `when: {events: push, projects: "*/backend/api/**"}`, push("x"), true},
		{"project tree of a namesake", `when: {events: push, projects: ac/**}`, push("x"), false},
		{"project star in one segment", `when: {events: push, projects: acme/*}`, push("x"), false},
		{"project anywhere", `when: {events: push, projects: "**/api"}`, push("x"), true},
		{"project alternatives", `when: {events: push, projects: "acme/{frontend,backend}/*"}`, push("x"), true},
		{"project expression", `when: {events: push, projects: "/END\\/a/"}`, push("x"), true},
		{"no project", `when: {events: all, projects: "**"}`, &events.Event{Kind: "emoji", Material: true}, false},
		{"group", `when: {events: all, projects: acme/**}`, &events.Event{Kind: "member", Action: "add", Material: true, Project: events.Project{Group: "Acme"}}, true},

		{"branch", `when: {events: push, branches: main}`, push("main"), true},
		{"branch with case", `when: {events: push, branches: Main}`, push("main"), false},
		{"branch star crosses slashes", `when: {events: push, branches: release/*}`, push("release/2026/1"), true},
		{"branch star inside", `when: {events: push, branches: "*-stable"}`, push("release/16-stable"), true},
		{"branch anchored", `when: {events: push, branches: release}`, push("release/1"), false},
		{"branch question mark is plain", `when: {events: push, branches: "mai?"}`, push("main"), false},
		{"branch expression", `when: {events: push, branches: '/^v\d{2}/'}`, push("v16.x"), true},
		{"branch expression unanchored", `when: {events: push, branches: /elea/}`, push("release/1"), true},
		{"branch default", `when: {events: push, branches: $default}`, push("main"), true},
		{"branch not default", `when: {events: push, branches: $default}`, push("develop"), false},
		{"branch protected", `when: {events: push, branches: $protected}`, change(push("x"), func(e *events.Event) { e.Push.Protected = true }), true},
		{"branch not protected", `when: {events: push, branches: $protected}`, push("main"), false},
		{"branch of a merge request is its source", `when: {events: merge_request, branches: feature/*}`, mergeRequest("open"), true},
		{"branch on a tag", `when: {events: pipeline.failed, branches: "*"}`, change(pipeline("failed", "v1"), func(e *events.Event) { e.Tag = "v1" }), false},
		{"branch of what has none", `when: {events: all, branches: "*"}`, named("issue", "open"), false},

		{"all keys", `when: {events: push, projects: acme/**, branches: main}`, push("main"), true},
		{"one key not", `when: {events: push, projects: acme/**, branches: main}`, push("x"), false},
		{"entries", `when: [{events: push, branches: x}, {events: push, branches: y}]`, push("y"), true},
		{"no entry", `when: [{events: push, branches: x}, {events: push, branches: y}]`, push("z"), false},
		{"except", `when: {events: push}, except: {branches: main}`, push("main"), false},
		{"except another", `when: {events: push}, except: {branches: main}`, push("x"), true},
		{"any key of except", `when: {events: push}, except: {projects: other/x, branches: main}`, push("main"), false},
		{"except what cannot apply", `when: {events: all}, except: {branches: "*"}`, named("issue", "open"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			route := c.route
			if route != "" {
				route += ", "
			}
			table := compile(t, destinations+"routes: [{"+route+"to: open}]\n")
			if got := len(table.Match(c.event).Deliveries) == 1; got != c.want {
				t.Errorf("route {%s} takes %s: %v, want %v", c.route, c.event.Name(), got, c.want)
			}
		})
	}
}

func TestDecision(t *testing.T) {
	confidential := change(named("issue", "open"), func(e *events.Event) { e.Confidential = true })
	for _, c := range []struct {
		name  string
		yaml  string
		event *events.Event
		want  Decision
	}{
		{
			"an address once, the first route decides",
			`
defaults: {username: GitLab, icon: ":fox_face:"}
routes:
  - {name: A, to: [mm, ops]}
  - {name: B, to: [ops#ops-alerts, mm, mm#other]}
`,
			named("issue", "open"),
			Decision{Deliveries: []Delivery{
				{configs.Address{Destination: "mm"}, "A", configs.Look{Username: "GitLab", Icon: ":fox_face:"}},
				{configs.Address{Destination: "ops"}, "A", configs.Look{Username: "CI", Icon: ":fox_face:"}},
				{configs.Address{Destination: "mm", Channel: "other"}, "B", configs.Look{Username: "GitLab", Icon: ":fox_face:"}},
			}},
		},
		{
			"confidential",
			"\nroutes: [{name: A, to: [mm, mm#security, mm@boss, mm@alice, open]}, {name: B, to: mm}]\n",
			confidential,
			Decision{
				Deliveries: []Delivery{
					{Address: configs.Address{Destination: "mm", Channel: "security"}, Route: "A"},
					{Address: configs.Address{Destination: "mm", Channel: "@boss"}, Route: "A"},
					{Address: configs.Address{Destination: "open"}, Route: "A"},
				},
				Withheld: []Withheld{
					{configs.Address{Destination: "mm"}, "A", ReasonConfidential},
					{configs.Address{Destination: "mm", Channel: "@alice"}, "A", ReasonConfidential},
				},
			},
		},
		{
			"unrouted",
			"\nroutes: [{name: A, when: {projects: other/**}, to: mm}]\nunrouted: open#rest\n",
			named("issue", "open"),
			Decision{
				Deliveries: []Delivery{{Address: configs.Address{Destination: "open", Channel: "rest"}, Route: "unrouted"}},
				Nearest:    "A", Because: "projects: want other/**, got Acme/Backend/API",
			},
		},
		{
			"unrouted is for the standard events",
			"\nroutes: [{name: A, when: {projects: other/**}, to: mm}]\nunrouted: open#rest\n",
			named("job", "failed"),
			Decision{Nearest: "A", Because: "events: want standard, got job.failed"},
		},
		{
			"unrouted confidential",
			"\nroutes: [{name: A, when: {projects: other/**}, to: mm}]\nunrouted: mm\n",
			confidential,
			Decision{
				Withheld: []Withheld{{configs.Address{Destination: "mm"}, "unrouted", ReasonConfidential}},
				Nearest:  "A", Because: "projects: want other/**, got Acme/Backend/API",
			},
		},
		{
			"withheld is taken",
			"\nroutes: [{name: A, to: mm}]\nunrouted: open\n",
			confidential,
			Decision{Withheld: []Withheld{{configs.Address{Destination: "mm"}, "A", ReasonConfidential}}},
		},
		{
			"nearest by kind of event first",
			"\nroutes: [{name: Failures, when: {events: pipeline.failed}, to: mm}, {name: Main, when: {events: push, branches: [main, release/*]}, to: mm}]\n",
			push("develop"),
			Decision{Nearest: "Main", Because: "branches: want main or release/*, got develop"},
		},
		{
			"nearest of standard",
			"\nroutes: [{name: A, to: mm}]\n",
			push("develop"),
			Decision{Nearest: "A", Because: "events: want standard, got push, not on the default branch"},
		},
		{
			"nearest by except",
			"\nroutes: [{name: A, when: {events: push, projects: x/**, branches: x}, to: mm}, {name: B, except: {projects: [acme/backend/*]}, to: mm}]\n",
			named("issue", "open"),
			Decision{Nearest: "B", Because: "except projects: has acme/backend/*, got Acme/Backend/API"},
		},
		{
			"nearest by also",
			"\nroutes: [{name: A, when: {events: merge_request}, to: mm}]\n",
			change(named("merge_request", "update"), func(e *events.Event) { e.Material = false }),
			Decision{Nearest: "A", Because: "also: got immaterial_updates, which the route does not name"},
		},
		{
			"nearest without a branch",
			"\nroutes: [{name: A, when: {events: all, branches: main}, to: mm}]\n",
			named("issue", "open"),
			Decision{Nearest: "A", Because: "branches: want main, got none"},
		},
		{
			"foreign",
			"\nsources: {team: {token: canary, projects: [other/**, more/*]}}\nroutes: [{name: A, to: mm}]\nunrouted: open\n",
			change(named("issue", "open"), func(e *events.Event) { e.Source = "team" }),
			Decision{Foreign: true, Because: "projects of the source: want other/** or more/*, got Acme/Backend/API"},
		},
		{
			"of the source's projects",
			"\nsources: {team: {token: canary, projects: acme/**}}\nroutes: [{name: A, to: mm}]\n",
			change(named("issue", "open"), func(e *events.Event) { e.Source = "team" }),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "mm"}, Route: "A"}}},
		},
		{
			"of a source that is gone, while others are limited",
			"\nsources: {team: {token: canary, projects: acme/**}}\nroutes: [{name: A, to: mm}]\n",
			change(named("issue", "open"), func(e *events.Event) { e.Source = "old" }),
			Decision{Foreign: true, Because: "source: the file names none of that name"},
		},
		{
			"without a project from a limited source",
			"\nsources: {team: {token: canary, projects: acme/**}}\nroutes: [{name: A, when: {events: all}, to: mm}]\n",
			&events.Event{Kind: "member", Source: "team", Material: true},
			Decision{Foreign: true, Because: "projects of the source: want acme/**, got none"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := compile(t, destinations+c.yaml).Match(c.event)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestBad pins the text of every mistake in what routes ask for. The files are
// right in form.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, found := configs.LoadBytes(filepath.Base(file), data, env)
			if configs.HasErrors(found) {
				t.Fatal(text(t, found))
			}
			_, found = Compile(cfg, listed)
			if len(found) == 0 {
				t.Error("nothing found")
			}
			got, golden := text(t, found), strings.TrimSuffix(file, ".yaml")+".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestManyAddresses crosses the number of addresses that fit on the stack.
func TestManyAddresses(t *testing.T) {
	var b strings.Builder
	b.WriteString(destinations + "routes:\n")
	for i := range 700 {
		fmt.Fprintf(&b, "  - to: [mm#c%d, mm#c%d]\n", i, i/2)
	}
	d := compile(t, b.String()).Match(named("issue", "open"))
	if len(d.Deliveries) != 700 {
		t.Errorf("%d deliveries, want 700", len(d.Deliveries))
	}
}

// TestExamples compiles what is shipped, without a finding.
func TestExamples(t *testing.T) {
	set := func(name string) (string, bool) {
		switch {
		case strings.HasSuffix(name, "_URL"):
			return "https://chat.example/hooks/" + name, true
		case strings.HasSuffix(name, "SIGNING_KEY"):
			return "whsec_Y2FuYXJ5", true
		}
		return "canary", name != "RELAY_DESTINATION"
	}
	for _, file := range []string{"relay.yaml", "examples/minimal.yaml", "examples/slack.yaml"} {
		cfg, found := configs.Load(filepath.Join("..", "configs", file), set)
		table, more := Compile(cfg, listed)
		if found = append(found, more...); len(found) > 0 {
			t.Errorf("%s", text(t, found))
		}
		if d := table.Match(named(events.Release, "create")); file != "relay.yaml" && len(d.Deliveries) != 1 {
			t.Errorf("%s: %+v", file, d)
		}
	}
}
