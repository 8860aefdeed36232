package formatters

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// chatNames are the people whom a chat knows.
func chatNames(username string) (string, bool) {
	m, ok := map[string]string{
		"ada": "@ada.l", "grace": "@grace", "alan.t": "@alan", "both": "@grace", "all": "@all", "trick": "@channel", "none": "",
	}[username]
	return m, ok
}

func TestAudience(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"@grace have a look", "@grace have a look"},
		{"cc @grace, @alan.t.", "cc @grace, @alan."},
		{"(@grace) “@alan.t” cc:@both", "(@grace) “@alan” cc:@\u2060both"},
		{"@grace's, 见@alan.t。", "@grace's, 见@\u2060alan.t。"},
		{"。@grace，", "。@grace，"},
		{"@grace @grace @both", "@grace @\u2060grace @\u2060both"}, // nobody twice
		{"@ada", "@\u2060ada"},                                     // who wrote it
		{"@all @trick @here @none @unknown", "@\u2060all @\u2060trick @\u2060here @\u2060none @\u2060unknown"},
		{"mail@grace x@grace @grace@x.example @grace/api", "mail@\u2060grace x@\u2060grace @\u2060grace@\u2060x.example @\u2060grace/api"},
		{"@\u200dgrace @\u2060grace é@grace @graceé @grace_ -@grace", "@\u2060\u200dgrace @\u2060\u2060grace é@\u2060grace @\u2060graceé @\u2060grace\\_ -@\u2060grace"},
		{"@", "@\u2060"},
		{"שלום @grace", "\u2068שלום @grace\u2069"},
	} {
		d := &Document{audience: &audience{people: chatNames, actor: "ada"}}
		if got := d.line(tt.in); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := new(Document).line("@grace *"); got != "@\u2060grace \\*" {
		t.Errorf("without an audience: %q", got)
	}
}

// TestMentionsInTables: in Slack a table is code, in which a mention would be
// shown and notify nobody.
func TestMentionsInTables(t *testing.T) {
	for kind, want := range map[string]string{configs.KindMattermost: "| @U02ABC |", configs.KindSlack: "@\u2060alan"} {
		e := sampleEvent(t, "note.merge_request")
		e.Note.Body = "| who |\n|---|\n| @alan |"
		post, err := newSet(t).Render(context.Background(), Request{
			Event: e, Kind: kind, People: func(string) (string, bool) { return "@U02ABC", true },
		})
		if err != nil || !strings.Contains(decodeBody(t, post.Body).Text, want) {
			t.Errorf("for %s: %s, %v", kind, post.Body, err)
		}
	}
}

// TestMentions looks at whole messages: who is notified, and where.
func TestMentions(t *testing.T) {
	set := newSet(t)
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	note := func(body string) *events.Event {
		e := sampleEvent(t, "note.merge_request")
		e.Note.Body, e.Actor, e.Time = body, events.User{Name: "Ada", Username: "ada"}, at
		e.MergeRequest.Title, e.Note.OnTitle = "Ask @grace", "Ask @grace"
		return e
	}
	slackNames := func(string) (string, bool) { return "<@U02ABC>", true }
	for _, tt := range []struct {
		name, body string
		kind       string
		mention    []string
		people     func(string) (string, bool)
		now        time.Time
		want       string
	}{
		{name: "nobody", body: "@grace look", want: "Ada commented on **!42 Ask @\u2060grace** in acme/api: “@\u2060grace look”"},
		{name: "mapped", body: "@grace look", people: chatNames, want: "Ada commented on **!42 Ask @\u2060grace** in acme/api: “@grace look”"},
		{name: "quoted", body: "@grace look at `@alan.t`\n\n@alan.t", people: chatNames,
			want: "Ada commented on **!42 Ask @\u2060grace** in acme/api\n> @grace look at `@alan.t`\n> @alan"},
		{name: "route", body: "nit", mention: []string{"@anna", "@here", "@anna", ""},
			want: "Ada commented on **!42 Ask @\u2060grace** in acme/api: “nit” · @anna @here"},
		{name: "both", body: "@grace look", mention: []string{"@grace"}, people: chatNames,
			want: "Ada commented on **!42 Ask @\u2060grace** in acme/api: “@\u2060grace look” · @grace"},
		{name: "late", body: "nit", mention: []string{"@anna"}, now: at.Add(2 * time.Hour),
			want: "Ada commented on **!42 Ask @\u2060grace** in acme/api: “nit” (posted 2 h late) · @anna"},
		{name: "Slack", body: "@grace look", kind: configs.KindSlack, mention: []string{"<!here>"}, people: slackNames,
			want: "Ada commented on **!42 Ask @\u2060grace** in acme/api: “<@U02ABC> look” · <!here>"},
	} {
		kind := tt.kind
		if kind == "" {
			kind = configs.KindMattermost
		}
		post, err := set.Render(context.Background(), Request{
			Event: note(tt.body), Kind: kind, Mention: tt.mention, People: tt.people, Now: tt.now, Received: at,
		})
		if err != nil || post.Fault != "" {
			t.Fatalf("%s: %v %s", tt.name, err, post.Fault)
		}
		if diff := cmp.Diff(tt.want, plain(post)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
		if kind == configs.KindSlack {
			for _, live := range []string{"“<@U02ABC> look”", " · <!here>"} {
				if !strings.Contains(string(post.Body), live) {
					t.Errorf("%s: %s is not in %s", tt.name, live, post.Body)
				}
			}
		}
	}
}

// TestFailedTemplateMentions: who was mentioned by a template that failed is
// mentioned by the one in its place.
func TestFailedTemplateMentions(t *testing.T) {
	set, err := setOf(t, map[string]string{
		"note":  `{{define "headline"}}{{inSentence .Note.Body}}{{.Nothing}}{{end}}`,
		"other": `{{define "headline"}}{{inSentence .Note.Body}}{{end}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	e := sampleEvent(t, "note.issue")
	e.Note.Body = "ask @alan.t"
	post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindLog, People: chatNames})
	if err != nil || !strings.HasPrefix(post.Markdown, "ask @alan\n") {
		t.Errorf("got %q, %v", post.Markdown, err)
	}
}
