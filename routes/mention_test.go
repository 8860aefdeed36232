package routes

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

const chats = `
destinations:
  mm: {url: "${MM_URL}"}
  slack: {url: "${SLACK_URL}"}
  routed: {kind: log, mentions: route}
  quiet: {kind: log, mentions: none}
users:
  JDoe: john.doe
  asmith: {mattermost: anna, slack: U02ABCDEF, email: [anna@acme.example]}
  bob: {slack: U03BOB00}
  sven-bot: sven
`

// TestMention asks what a route's mention calls, in Mattermost and in Slack.
func TestMention(t *testing.T) {
	jdoe, asmith, bob, eve := events.User{Username: "jdoe"}, events.User{Username: "ASmith"}, events.User{Username: "bob"}, events.User{Username: "Eve"}
	mergeRequest := func(actor events.User, assignees, reviewers []events.User) *events.Event {
		return change(named(events.MergeRequest, "ready"), func(e *events.Event) {
			e.Actor, e.MergeRequest = actor, &events.MergeRequestPart{Assignees: assignees, Reviewers: reviewers}
		})
	}
	committed := func(kind string, actor events.User, name, email string) *events.Event {
		return change(named(kind, "failed"), func(e *events.Event) {
			e.Actor, e.Commit = actor, &events.Commit{AuthorName: name, AuthorEmail: email}
		})
	}
	people := func(u ...events.User) []events.User { return u }
	for _, c := range []struct {
		name      string
		top       string // more of the file
		mention   string
		event     *events.Event
		mm, slack []string
	}{
		{"here", "", "here", push("x"), []string{"@here"}, []string{"<!here>"}},
		{"channel", "", "[channel, channel]", push("x"), []string{"@channel"}, []string{"<!channel>"}},
		{"name", "", `"@anna"`, push("x"), []string{"@anna"}, []string{"<@U02ABCDEF>"}},
		{"id", "", `"@U02ABCDEF"`, push("x"), []string{"@anna"}, []string{"<@U02ABCDEF>"}},
		{"actor", "", "actor", by("jdoe", false), []string{"@john.doe"}, nil},
		{"actor unknown", "", "actor", by("eve", false), nil, nil},
		{"actor with the same names", "defaults: {usernames: same}", "actor", by("Eve", false), []string{"@eve"}, nil},
		{"actor whose name calls everybody", "defaults: {usernames: same}", "actor", by("all", false), nil, nil},
		{"bot with the same names", "defaults: {usernames: same}", "actor", by("deploy-bot", true), nil, nil},
		{"bot that users names", "", "actor", by("sven-bot", true), []string{"@sven"}, nil},
		{
			"reviewers whom the file calls bots and people", "defaults: {usernames: same}\nbots: {add: [ci-*], remove: ada-bot}\n", "reviewers",
			mergeRequest(eve, nil, people(events.User{Username: "ci-lint"}, events.User{Username: "ada-bot", Bot: true}, events.User{Username: "renovate", Bot: true})),
			[]string{"@ada-bot"}, nil,
		},
		{"assignees and reviewers, each once", "", "[assignees, reviewers]", mergeRequest(eve, people(jdoe, asmith), people(asmith, bob)), []string{"@john.doe", "@anna"}, []string{"<@U02ABCDEF>", "<@U03BOB00>"}},
		{"assignees but for who did it", "", "assignees", mergeRequest(asmith, people(jdoe, asmith), nil), []string{"@john.doe"}, nil},
		{"assignees and who did it", "", "[assignees, actor]", mergeRequest(asmith, people(jdoe, asmith), nil), []string{"@john.doe", "@anna"}, []string{"<@U02ABCDEF>"}},
		{"a name is not of who did it", "", `["@anna", "@x"]`, mergeRequest(asmith, nil, nil), []string{"@x"}, nil},
		{"author of a merge request", "", "author", mergeRequest(eve, people(jdoe), people(asmith)), []string{"@john.doe"}, nil},
		{"author of a merge request without assignees", "", "author", mergeRequest(jdoe, nil, people(asmith)), nil, nil},
		{"author of a pipeline by e-mail", "", "author", committed(events.Pipeline, jdoe, "Anna S", "Anna@acme.example"), []string{"@anna"}, []string{"<@U02ABCDEF>"}},
		{"author of a pipeline by name", "", "author", committed(events.Pipeline, eve, "JDOE", "x@y.example"), []string{"@john.doe"}, nil},
		{"author of a pipeline by the chat's name", "", "author", committed(events.Pipeline, eve, "anna", ""), []string{"@anna"}, []string{"<@U02ABCDEF>"}},
		{"author of a pipeline unknown", "", "author", committed(events.Pipeline, jdoe, "Nobody", "x@y.example"), []string{"@john.doe"}, nil},
		{"author of a pipeline who started it", "", "author", committed(events.Pipeline, asmith, "anna", ""), []string{"@anna"}, []string{"<@U02ABCDEF>"}},
		{"author of a deployment", "", "author", committed(events.Deployment, asmith, "", ""), []string{"@anna"}, []string{"<@U02ABCDEF>"}},
		{"author of a push who pushed it", "", "author", committed(events.Push, asmith, "anna", ""), nil, nil},
		{"author of a push of another's", "", "author", committed(events.Push, eve, "anna", ""), []string{"@anna"}, []string{"<@U02ABCDEF>"}},
		{"author of a note", "", "author", change(named(events.Note, "issue"), func(e *events.Event) {
			e.Actor, e.Issue, e.Note = eve, &events.IssuePart{Assignees: people(jdoe)}, &events.NotePart{}
		}), []string{"@john.doe"}, nil},
		{"author of a note on what has no assignees", "", "author", change(named(events.Note, "commit"), func(e *events.Event) {
			e.Actor, e.Note, e.Commit = eve, &events.NotePart{}, &events.Commit{AuthorName: "anna"}
		}), nil, nil},
		{"author of a release", "", "[author, here]", change(named(events.Release, "create"), func(e *events.Event) { e.Commit = &events.Commit{AuthorName: "anna"} }), []string{"@here"}, []string{"<!here>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			yaml := chats + c.top + "\nroutes: [{when: {events: all}, to: [mm, slack, routed, quiet], mention: " + c.mention + "}]\n"
			cfg, found := configs.LoadBytes("relay.yaml", []byte(yaml), env)
			if configs.HasErrors(found) {
				t.Fatal(text(t, found))
			}
			table, _ := Compile(cfg, listed) // which finds words that cannot call anybody in all these chats
			d := table.Match(c.event)
			got := map[string][]string{}
			for _, x := range d.Deliveries {
				got[x.Address.Destination] = x.Mention
			}
			want := map[string][]string{"mm": c.mm, "slack": c.slack, "routed": c.mm, "quiet": nil}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(d, table.Explain(c.event).Decision); diff != "" {
				t.Errorf("explain disagrees:\n%s", diff)
			}
		})
	}
}

// TestMentionUnited: an address gets what all routes mention, in their order.
func TestMentionUnited(t *testing.T) {
	table := compile(t, chats+`
routes:
  - {name: A, when: {events: push}, to: [mm, quiet]}
  - {name: B, when: {events: push}, to: [routed, mm], mention: ["@anna", here]}
  - {name: C, when: {events: push}, to: mm, mention: [here, channel]}
  - {name: D, when: {events: issue}, to: mm, mention: "@x"}
  - {name: E, when: {events: push}, to: routed, stop: true}
  - {name: F, when: {events: push}, to: [routed, slack], mention: here}
`)
	got := map[string][]string{}
	for _, d := range table.Match(push("x")).Deliveries {
		got[d.Address.String()+" of "+d.Route] = d.Mention
	}
	want := map[string][]string{"mm of A": {"@anna", "@here", "@channel"}, "quiet of A": nil, "routed of B": {"@anna", "@here"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExplainMention(t *testing.T) {
	table := compile(t, chats+"routes: [{when: {events: pipeline.failed}, to: [mm], mention: [author, here, actor]}]\n")
	x := table.Explain(change(named(events.Pipeline, "failed"), func(e *events.Event) {
		e.Actor, e.Commit = events.User{Username: "eve"}, &events.Commit{AuthorEmail: "anna@acme.example"}
	}))
	want := []MentionExplanation{
		{Word: "author", Found: []string{"asmith"}, Note: "the head commit's author, found by e-mail"},
		{Word: "here", Found: []string{"here"}},
		{Word: "actor", Found: []string{"eve"}},
	}
	if diff := cmp.Diff(want, x.Routes[0].Mention); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"@anna", "@here"}, x.Deliveries[0].Mention); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPeople(t *testing.T) {
	const routes = "routes: [{to: [mm, slack, routed, quiet]}]\n"
	table, same := compile(t, chats+routes), compile(t, chats+"defaults: {usernames: same}\n"+routes)
	if table.People("routed", "") != nil || table.People("quiet", "") != nil || table.People("nowhere", "") != nil {
		t.Error("people of a destination that does not map")
	}
	for _, c := range []struct {
		table             *Table
		destination, name string
		want              string
	}{
		{table, "mm", "jdoe", "@john.doe"}, {table, "mm", "ASMITH", "@anna"}, {table, "mm", "bob", ""}, {table, "mm", "eve", ""},
		{table, "slack", "bob", "<@U03BOB00>"}, {table, "slack", "jdoe", ""}, {same, "slack", "eve", ""},
		{same, "mm", "eve", "@eve"}, {same, "mm", "bob", "@bob"}, {same, "mm", "jdoe", "@john.doe"},
		{same, "mm", "all", ""}, {same, "mm", "Channel", ""}, {same, "mm", "here", ""}, {same, "mm", "", ""}, {same, "mm", "a b", ""},
	} {
		got, ok := c.table.People(c.destination, "")(c.name)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s in %s: %q, %v; want %q", c.name, c.destination, got, ok, c.want)
		}
	}
}
