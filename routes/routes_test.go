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
	v, ok := map[string]string{"RELAY_TOKEN": "canary", "MM_URL": "https://chat.example/hooks/canary", "SLACK_URL": "https://hooks.slack.com/services/canary"}[name]
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

func labelled(labels ...string) *events.Event {
	return change(named(events.Issue, "open"), func(e *events.Event) { e.Labels = labels })
}

func by(username string, bot bool) *events.Event {
	return change(push("x"), func(e *events.Event) { e.Actor = events.User{Username: username, Bot: bot} })
}

func changing(files ...string) *events.Event {
	return change(push("x"), func(e *events.Event) {
		e.Push.Commits, e.Push.Total = []events.Commit{{Added: files[:1], Modified: files[1:]}}, 1
	})
}

func inEnvironment(name string) *events.Event {
	return change(named(events.Deployment, "failed"), func(e *events.Event) { e.Deployment = &events.DeploymentPart{Environment: name} })
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

		{"source", `when: {events: push, sources: gitlab}`, change(push("x"), func(e *events.Event) { e.Source = "gitlab" }), true},
		{"source of a sample", `when: {events: push, sources: gitlab}`, push("x"), false},
		{"visibility", `when: {events: push, visibility: [internal, public]}`, change(push("x"), func(e *events.Event) { e.Project.Visibility = "public" }), true},
		{"visibility unknown", `when: {events: push, visibility: [private, internal, public]}`, push("x"), false},
		{"target branch", `when: {events: merge_request, target_branches: main}`, mergeRequest("open"), true},
		{"target branch default", `when: {events: merge_request, target_branches: $default}`, mergeRequest("open"), true},
		{"target branch star", `when: {events: merge_request, target_branches: release/*}`, mergeRequest("open"), false},
		{"target branch of a push", `when: {events: all, target_branches: "*"}`, push("main"), false},

		{"label", `when: {events: issue, labels: bug}`, labelled("bug", "P1"), true},
		{"labels are any", `when: {events: issue, labels: [x, P1]}`, labelled("bug", "P1"), true},
		{"label with case", `when: {events: issue, labels: Bug}`, labelled("bug"), false},
		{"label expression", `when: {events: issue, labels: /^team::/}`, labelled("team::core"), true},
		{"labels any and none", `when: {events: issue, labels: {any: [bug], none: [wip, x]}}`, labelled("bug"), true},
		{"labels any but one", `when: {events: issue, labels: {any: [bug], none: [wip, x]}}`, labelled("bug", "wip"), false},
		{"labels none", `when: {events: issue, labels: {none: wip}}`, labelled("bug"), true},
		{"labels none without labels", `when: {events: push, labels: {none: wip}}`, push("main"), true},
		{"labels any without labels", `when: {events: all, labels: [a]}`, push("main"), false},
		{"except labels", `when: {events: issue}, except: {labels: wip}`, labelled("wip"), false},
		{"except labels none", `when: {events: issue}, except: {labels: {none: bug}}`, labelled("x"), false},

		{"actor", `when: {events: push, actors: jdoe}`, by("JDoe", false), true},
		{"actor glob", `when: {events: push, actors: "*-bot"}`, by("deploy-bot", true), true},
		{"actor expression", `when: {events: push, actors: /DOE$/}`, by("jdoe", false), true},
		{"actor unknown", `when: {events: push, actors: "*"}`, push("x"), false},
		{"bot", `when: {events: push, bots: true}`, by("deploy-bot", true), true},
		{"no bot", `when: {events: push, bots: false}`, by("deploy-bot", true), false},
		{"person", `when: {events: push, bots: false}`, by("jdoe", false), true},
		{"nobody is no bot and no person", `when: {events: push, bots: false}`, push("x"), false},
		{"except bots", `when: {events: push}, except: {bots: true}`, push("x"), true},

		{"path", `when: {events: push, paths: docs/**}`, changing("docs/a/b.md"), true},
		{"path of a removed file", `when: {events: push, paths: "**/*.md"}`, change(push("x"), func(e *events.Event) { e.Push.Commits = []events.Commit{{}, {Removed: []string{"README.md"}}} }), true},
		{"path with case", `when: {events: push, paths: Docs/**}`, changing("docs/a"), false},
		{"path star in one segment", `when: {events: push, paths: docs/*}`, changing("docs/a/b.md"), false},
		{"path of a push without commits", `when: {events: push, paths: "**"}`, push("x"), false},
		{"except a path", `when: {events: push}, except: {paths: docs/**}`, changing("docs/a", "src/b"), false},

		{"environment", `when: {events: deployment, environments: production}`, inEnvironment("production"), true},
		{"environment with case", `when: {events: deployment, environments: Production}`, inEnvironment("production"), false},
		{"environment glob", `when: {events: deployment, environments: review/**}`, inEnvironment("review/a/b"), true},
		{"environment of a job", `when: {events: job.failed, environments: staging}`, change(named("job", "failed"), func(e *events.Event) { e.Job = &events.JobPart{Environment: "staging"} }), true},
		{"environment of a job without", `when: {events: job.failed, environments: "*"}`, change(named("job", "failed"), func(e *events.Event) { e.Job = &events.JobPart{} }), false},

		{"draft", `when: {events: merge_request, draft: true}`, change(mergeRequest("open"), func(e *events.Event) { e.Draft = true }), true},
		{"no draft", `when: {events: merge_request, draft: false}`, mergeRequest("open"), true},
		{"draft of what is no merge request", `when: {events: all, draft: false}`, push("x"), false},
		{"draft of a pipeline's merge request", `when: {events: all, draft: false}`, change(pipeline("failed", "x"), func(e *events.Event) { e.MergeRequest = &events.MergeRequestPart{} }), false},
		{"confidential", `when: {events: issue, confidential: true}`, change(named("issue", "open"), func(e *events.Event) { e.Confidential = true }), true},
		{"not confidential", `when: {events: push, confidential: false}`, push("x"), true},

		{"if", `when: {events: push, if: "branch == 'main'"}`, push("main"), true},
		{"if not", `when: {events: push, if: "branch == 'main'"}`, push("x"), false},
		{"except if", `when: {events: push}, except: {if: "branch == 'main' && push.total == 0"}`, push("main"), false},

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
				{Address: configs.Address{Destination: "mm"}, Route: "A", Look: configs.Look{Username: "GitLab", Icon: ":fox_face:"}},
				{Address: configs.Address{Destination: "ops"}, Route: "A", Look: configs.Look{Username: "CI", Icon: ":fox_face:"}},
				{Address: configs.Address{Destination: "mm", Channel: "other"}, Route: "B", Look: configs.Look{Username: "GitLab", Icon: ":fox_face:"}},
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
					{Address: configs.Address{Destination: "mm"}, Route: "A", Reason: ReasonConfidential},
					{Address: configs.Address{Destination: "mm", Channel: "@alice"}, Route: "A", Reason: ReasonConfidential},
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
				Withheld: []Withheld{{Address: configs.Address{Destination: "mm"}, Route: "unrouted", Reason: ReasonConfidential}},
				Nearest:  "A", Because: "projects: want other/**, got Acme/Backend/API",
			},
		},
		{
			"withheld is taken",
			"\nroutes: [{name: A, to: mm}]\nunrouted: open\n",
			confidential,
			Decision{Withheld: []Withheld{{Address: configs.Address{Destination: "mm"}, Route: "A", Reason: ReasonConfidential}}},
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
			Decision{Nearest: "B", Because: "except takes it out: projects: has acme/backend/*, got Acme/Backend/API"},
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
			"stop",
			"\nroutes: [{name: A, to: mm, stop: true}, {name: B, to: ops}]\n",
			named("issue", "open"),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "mm"}, Route: "A"}}},
		},
		{
			"stop of a route that does not take it",
			"\nroutes: [{name: A, when: {events: push}, to: mm, stop: true}, {name: B, to: open}]\n",
			named("issue", "open"),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "open"}, Route: "B"}}},
		},
		{
			"stop of a route that was withheld",
			"\nroutes: [{name: A, to: mm, stop: true}, {name: B, to: open}]\nunrouted: open\n",
			confidential,
			Decision{Withheld: []Withheld{{Address: configs.Address{Destination: "mm"}, Route: "A", Reason: ReasonConfidential}}},
		},
		{
			"ignore",
			"\nignore: {projects: acme/**}\nroutes: [{name: A, to: mm}]\nunrouted: open\n",
			named("issue", "open"),
			Decision{Nearest: "A", Because: "ignore takes it out: projects: has acme/**, got Acme/Backend/API"},
		},
		{
			"ignore yields to who names the project",
			"\nignore: {projects: acme/**}\nroutes: [{name: A, when: {projects: [x/**, acme/backend/api]}, to: mm}]\n",
			named("issue", "open"),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "mm"}, Route: "A"}}},
		},
		{
			"ignore yields to its own words",
			"\nignore: {projects: acme/**}\nroutes: [{name: A, when: {projects: acme/**}, to: mm}]\n",
			named("issue", "open"),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "mm"}, Route: "A"}}},
		},
		{
			"ignore yields to no wider pattern",
			"\nignore: {projects: acme/**}\nroutes: [{name: A, when: {projects: \"**\"}, to: mm}]\n",
			named("issue", "open"),
			Decision{Nearest: "A", Because: "ignore takes it out: projects: has acme/**, got Acme/Backend/API"},
		},
		{
			"ignore yields for the bot and not for the project",
			"\nignore: {bots: true, projects: acme/**}\nroutes: [{name: A, when: {actors: deploy-bot}, to: mm}]\n",
			change(named("issue", "open"), func(e *events.Event) { e.Actor = events.User{Username: "deploy-bot", Bot: true} }),
			Decision{Nearest: "A", Because: "ignore takes it out: projects: has acme/**, got Acme/Backend/API"},
		},
		{
			"ignore yields to the bot in the entry that matches",
			"\nignore: {bots: true}\nroutes: [{name: A, when: [{actors: deploy-bot, events: push}, {actors: \"*\"}], to: mm}, {name: B, when: {actors: deploy-bot}, to: open}]\n",
			change(named("issue", "open"), func(e *events.Event) { e.Actor = events.User{Username: "deploy-bot", Bot: true} }),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "open"}, Route: "B"}}},
		},
		{
			"ignore with several keys leaves out what any matches",
			"\nignore: {actors: x, labels: bot}\nroutes: [{name: A, to: mm}]\n",
			labelled("bot"),
			Decision{Nearest: "A", Because: "ignore takes it out: labels: bot"},
		},
		{
			"bots of the file",
			"\nbots: {add: [jenkins-*], remove: gitlab-duo}\nroutes: [{name: A, when: {bots: true}, to: mm}, {name: B, when: {bots: false}, to: open}]\n",
			change(named("issue", "open"), func(e *events.Event) { e.Actor = events.User{Username: "Jenkins-CI"} }),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "mm"}, Route: "A"}}},
		},
		{
			"no bot by the file",
			"\nbots: {add: [gitlab-*], remove: gitlab-duo}\nroutes: [{name: A, when: {bots: true}, to: mm}, {name: B, when: {bots: false}, to: open}]\n",
			change(named("issue", "open"), func(e *events.Event) { e.Actor = events.User{Username: "gitlab-duo", Bot: true} }),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "open"}, Route: "B"}}},
		},
		{
			"only",
			"  gate: {kind: log, confidential: true, only: [{visibility: public}, {projects: acme/oss/**, bots: false}]}\nroutes: [{name: A, to: [gate, gate#x, mm]}]\n",
			change(named("issue", "open"), func(e *events.Event) { e.Project.Visibility = "private" }),
			Decision{
				Deliveries: []Delivery{{Address: configs.Address{Destination: "mm"}, Route: "A"}},
				Withheld: []Withheld{
					{Address: configs.Address{Destination: "gate"}, Route: "A", Reason: ReasonOnly},
					{Address: configs.Address{Destination: "gate", Channel: "x"}, Route: "A", Reason: ReasonOnly},
				},
			},
		},
		{
			"only opens",
			"  gate: {kind: log, only: [{visibility: public}, {projects: acme/backend/*}]}\nroutes: [{name: A, to: gate}]\n",
			named("issue", "open"),
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "gate"}, Route: "A"}}},
		},
		{
			"only of the unrouted address",
			"  gate: {kind: log, only: {visibility: public}}\nroutes: [{name: A, when: {events: push}, to: mm}]\nunrouted: gate\n",
			named("issue", "open"),
			Decision{
				Withheld: []Withheld{{Address: configs.Address{Destination: "gate"}, Route: "unrouted", Reason: ReasonOnly}},
				Nearest:  "A", Because: "events: want push, got issue.open",
			},
		},
		{
			"looks",
			`
  full: {kind: log, detail: full, layout: card}
  brief: {kind: log, detail: brief}
  plain: {kind: log}
defaults: {detail: title, layout: plain}
routes:
  - {name: A, to: [full, brief, plain]}
  - {name: B, to: [full#b, brief#b, plain#b], detail: full, layout: auto, template: t}
  - {name: C, to: [brief#c], detail: title}
`,
			named("issue", "open"),
			Decision{Deliveries: []Delivery{
				{Address: configs.Address{Destination: "full"}, Route: "A", Look: configs.Look{Detail: "full", Layout: "card"}},
				{Address: configs.Address{Destination: "brief"}, Route: "A", Look: configs.Look{Detail: "brief", Layout: "plain"}},
				{Address: configs.Address{Destination: "plain"}, Route: "A", Look: configs.Look{Detail: "title", Layout: "plain"}},
				{Address: configs.Address{Destination: "full", Channel: "b"}, Route: "B", Look: configs.Look{Detail: "full", Layout: "auto", Template: "t"}},
				{Address: configs.Address{Destination: "brief", Channel: "b"}, Route: "B", Look: configs.Look{Detail: "brief", Layout: "auto", Template: "t"}},
				{Address: configs.Address{Destination: "plain", Channel: "b"}, Route: "B", Look: configs.Look{Detail: "full", Layout: "auto", Template: "t"}},
				{Address: configs.Address{Destination: "brief", Channel: "c"}, Route: "C", Look: configs.Look{Detail: "title", Layout: "plain"}},
			}},
		},
		{
			"nearest by if",
			"\nroutes: [{name: A, when: {events: push, if: \"push.total > 3 && branch != 'x'\"}, to: mm}]\n",
			push("main"),
			Decision{Nearest: "A", Because: "if: want push.total > 3 && branch != 'x', got push.total = 0, branch = main"},
		},
		{
			"nearest by if without the part",
			"\nroutes: [{name: A, when: {events: all, if: pipeline.duration > 3}, to: mm}]\n",
			push("main"),
			Decision{Nearest: "A", Because: "if: want pipeline.duration > 3, got none, no pipeline"},
		},
		{
			"nearest by paths",
			"\nroutes: [{name: A, when: {events: push, paths: docs/**}, to: mm}]\n",
			change(changing("a", "b"), func(e *events.Event) { e.Push.Total = 57 }),
			Decision{Nearest: "A", Because: "paths: want docs/**, got a, b, GitLab lists at most the newest 20 commits: 1 of 57 are looked at"},
		},
		{
			"nearest by labels of a pipeline",
			"\nroutes: [{name: A, when: {events: all, labels: {any: [a], none: [b]}}, to: mm}]\n",
			named("pipeline", "failed"),
			Decision{Nearest: "A", Because: "labels: want a or none of b, got none, GitLab sends no labels with a pipeline"},
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
			t.Chdir("testdata/bad")
			name := filepath.Base(file)
			cfg, found := configs.Load(name, env)
			if configs.HasErrors(found) {
				t.Fatal(text(t, found))
			}
			_, found = Compile(cfg, listed)
			if len(found) == 0 {
				t.Error("nothing found")
			}
			got, golden := text(t, found), strings.TrimSuffix(name, ".yaml")+".txt"
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

// exampleEnv has every variable of the files that are shipped.
func exampleEnv(name string) (string, bool) {
	switch {
	case name == "RELAY_DESTINATION" || name == "GITLAB_BOT_NAME":
		return "", false
	case strings.HasPrefix(name, "SLACK"):
		return "https://hooks.slack.com/services/T0/B0/" + name, true
	case strings.HasSuffix(name, "_URL"):
		return "https://chat.example/hooks/" + name, true
	case strings.HasSuffix(name, "SIGNING_KEY"):
		return "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=", true
	}
	return "canary-" + name, true
}

// sample loads what a test of a file calls its event.
func sample(name string) (*events.Event, error) {
	s, ok := events.SampleNamed(name)
	if !ok {
		return nil, fmt.Errorf("there is no sample %s", name)
	}
	return events.Decode(events.Input{Header: s.Header, Body: s.Body}), nil
}

func allPass(t *testing.T, results []TestResult) {
	t.Helper()
	if len(results) == 0 {
		t.Error("no tests")
	}
	for _, r := range results {
		if r.Err != nil || !r.Pass {
			t.Errorf("%s: %s: want %v, got %v, %v", r.Pos, r.Name, r.Want, r.Got, r.Err)
		}
	}
}

// TestExamples compiles what is shipped, without a finding, and runs its tests;
// and again without its secrets, of which nothing but warnings come.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../configs/examples/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range append(files, "../configs/relay.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			cfg, found := configs.Load(file, exampleEnv)
			table, more := Compile(cfg, listed)
			if found = append(found, more...); len(found) > 0 {
				t.Fatalf("%s", text(t, found))
			}
			allPass(t, RunTests(cfg, table, sample))

			cfg, found = configs.Inspect(file, func(string) (string, bool) { return "", false })
			table, more = Compile(cfg, listed)
			if found = append(found, more...); configs.HasErrors(found) || len(found) != cfg.Missing || cfg.Missing == 0 {
				t.Fatalf("%d secrets missing:\n%s", cfg.Missing, text(t, found))
			}
			allPass(t, RunTests(cfg, table, sample))
		})
	}
}

// TestSchema keeps the schema that is shipped: that of package configs, with
// the events of package events.
func TestSchema(t *testing.T) {
	got, err := configs.Schema(events.Names())
	if err != nil {
		t.Fatal(err)
	}
	const golden = "../configs/relay.schema.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
