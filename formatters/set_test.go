package formatters

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// setOf compiles templates that stand in a test; other is added if missing.
func setOf(t testing.TB, texts map[string]string) (*Set, error) {
	t.Helper()
	files := map[string]file{}
	add := func(name, text string) {
		files[name+templateSuffix] = file{base: name + templateSuffix, set: "test", path: "test/" + name + templateSuffix, text: text}
	}
	add("other", `{{define "headline"}}GitLab sent {{.Name}}{{end}}`)
	for name, text := range texts {
		add(name, text)
	}
	own, mistakes := compileFiles(files)
	for _, m := range mistakes {
		if own[files[m.file].name()] == nil { // others are for the time when it is used
			return nil, m
		}
	}
	return &Set{own: own, builtin: own, files: files, shipped: files}, nil
}

func pushEvent() *events.Event {
	return &events.Event{
		Kind: events.Push, Title: "main", Branch: "main", Actor: events.User{Name: "Ada"},
		Project: *project, Push: &events.PushPart{},
		Payload: []byte(`{"n": 12345678901234567890, "title": "@all", "none": null, "list": [{"name": "x"}],
			"object_attributes": {"variables": [{"key": "PASSWORD", "value": "hunter2"}]},
			"build": {"variables": {"TOKEN": "hunter2"}}, "odd": {"variables": "hunter2"}}`),
	}
}

// write renders a push with the text of its template.
func write(t *testing.T, text string) (Post, error) {
	t.Helper()
	set, err := setOf(t, map[string]string{"push": text})
	if err != nil {
		t.Fatal(err)
	}
	return set.Render(context.Background(), Request{Event: pushEvent(), Kind: configs.KindLog})
}

func TestCompileErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no headline", `{{define "body"}}x{{end}}`, "push.md.tmpl: it defines no headline; write {{define \"headline\"}}…{{end}}"},
		{"syntax", "{{define \"headline\"}}\n{{if}}{{end}}", "push.md.tmpl:2: missing value for if"},
		{"unknown function", `{{define "headline"}}{{env "HOME"}}{{end}}`, "push.md.tmpl:1: there is no function env"},
		{"recursion", `{{define "headline"}}{{template "a" .}}{{end}}{{define "a"}}{{if .}}{{template "a" .}}{{end}}{{end}}`,
			`push.md.tmpl:1: template "a" calls itself: a → a`},
		{"html", `{{define "headline"}}{{.Title | html}}{{end}}`, "push.md.tmpl:1: there is no function html"},
		{"call", `{{define "headline"}}{{if (call .X)}}x{{end}}{{end}}`, "push.md.tmpl:1: there is no function call"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := setOf(t, map[string]string{"push": tt.text})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestTemplateFails: whatever a template does, a message comes, and says why.
func TestTemplateFails(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"missing field", "{{define \"headline\"}}\n{{.Titel}}{{end}}",
			"push.md.tmpl:2: there is no field Titel in the event; did you mean Title?"},
		{"missing key", `{{define "headline"}}{{.Payload.nothing}}{{end}}`,
			`push.md.tmpl:1: the payload of push has no "nothing" there; {{get . "a.b"}} prints nothing where there is nothing`},
		{"nil part", `{{define "headline"}}{{.Issue.Title}}{{end}}`,
			"push.md.tmpl:1: push has no Issue; put what needs it between {{with .Issue}} and {{end}}"},
		{"endless", `{{define "headline"}}{{range 1000000000000}}{{end}}{{end}}`,
			"push.md.tmpl: it took more than 250,000 steps"},
		{"endless template", `{{define "headline"}}{{range 1000000000000}}{{template "a"}}{{end}}{{end}}{{define "a"}}{{end}}`,
			"push.md.tmpl: it took more than 250,000 steps"},
		{"too much", `{{define "headline"}}{{range 1000000}}too much {{end}}{{end}}`,
			"push.md.tmpl: more than 64 KiB of output"},
		{"doubling", `{{define "headline"}}{{$x := "double"}}{{range 60}}{{$x = print $x $x}}{{end}}{{end}}`,
			"push.md.tmpl:1: print: more than 64 KiB of output"},
		{"wide", `{{define "headline"}}{{printf "%1000000d" 1}}{{end}}`,
			"push.md.tmpl:1: printf: width and precision are at most 99"},
		{"missing field of a part", `{{define "headline"}}{{.Issue.Titel}}{{end}}`,
			"push.md.tmpl:1: there is no field Titel in an Issue; did you mean Title?"},
		{"field of a text", `{{define "headline"}}{{.Title.Name}}{{end}}`,
			"push.md.tmpl:1: there is no field Name in a text"},
		{"field of a list", `{{define "headline"}}{{.Labels.Title}}{{end}}`,
			"push.md.tmpl:1: there is no field Title in a list; go through a list with {{range}}"},
		{"nested lists", `{{define "headline"}}{{$x := list 1}}{{range 60}}{{$x = list $x $x}}{{end}}{{$x}}{{end}}`,
			"push.md.tmpl:1: list: a list holds at most 1000 values"},
		{"nested dicts", `{{define "headline"}}{{$x := dict "a" 1}}{{range 60}}{{$x = dict "a" $x "b" $x}}{{end}}{{$x}}{{end}}`,
			"push.md.tmpl:1: dict: it holds at most 1000 values"},
		{"many verbs", `{{define "headline"}}{{$f := "%s"}}{{range 10}}{{$f = print $f $f}}{{end}}{{printf $f 1}}{{end}}`,
			"push.md.tmpl:1: printf: at most 100 verbs"},
		{"wrong argument", `{{define "headline"}}{{facts .Title}}{{end}}`,
			"push.md.tmpl:1: .Title: wrong type for value; expected the event; got a text"},
		{"index", `{{define "headline"}}{{index .Labels 3}}{{end}}`,
			"push.md.tmpl:1: index: index out of range: 3"},
		{"empty headline", `{{define "headline"}} {{end}}`, "push.md.tmpl: the headline is empty"},
		{"color", `{{define "headline"}}x{{end}}{{define "body"}}x{{end}}{{define "color"}}red{{end}}`,
			"push.md.tmpl: the color is not good, warning, danger or #rrggbb"},
		{"cut Markdown", `{{define "headline"}}{{cut 3 (code .Title)}}{{end}}`,
			"push.md.tmpl:1: cut: finished Markdown cannot be cut; cut the text that goes into it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			post, err := write(t, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if want := "template " + tt.want; post.Fault != want {
				t.Errorf("fault:\n got %s\nwant %s", post.Fault, want)
			}
			headline, rest, _ := strings.Cut(post.Markdown, "\n")
			if headline != "GitLab sent push" || !strings.HasPrefix(rest, "(template push failed: push.md.tmpl") {
				t.Errorf("the message is %q", post.Markdown)
			}
		})
	}
}

func TestGenericFailsToo(t *testing.T) {
	set, err := setOf(t, map[string]string{"other": `{{define "headline"}}{{.Nothing}}{{end}}`})
	if err != nil {
		t.Fatal(err)
	}
	_, err = set.Render(context.Background(), Request{Event: pushEvent(), Kind: configs.KindLog})
	want := "render a message: template other.md.tmpl:1: there is no field Nothing in the event"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// TestPanicStaysInside: a part that is not as the event says must not stop the
// relay.
func TestPanicStaysInside(t *testing.T) {
	e := pushEvent()
	e.Kind, e.Push = events.Push, nil
	post, err := newSet(t).Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(post.Fault, "template push.md.tmpl:") {
		t.Errorf("fault: %q", post.Fault)
	}
}

func TestRequestsWithoutSense(t *testing.T) {
	set := newSet(t)
	if _, err := set.Render(context.Background(), Request{Kind: configs.KindLog}); err == nil {
		t.Error("no event: no error")
	}
	if _, err := set.Render(context.Background(), Request{Event: pushEvent(), Kind: "irc"}); err == nil {
		t.Error("an unknown kind of destination: no error")
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	set, err := setOf(t, map[string]string{"push": `{{define "headline"}}{{range 1000000000000}}{{end}}{{end}}`})
	if err != nil {
		t.Fatal(err)
	}
	post, err := set.Render(ctx, Request{Event: pushEvent(), Kind: configs.KindLog})
	if err != nil || !strings.Contains(post.Fault, "context canceled") {
		t.Errorf("got fault %q, error %v", post.Fault, err)
	}
}

// TestPartsOfActions: headline.delete is used for that action, the general
// parts for the others.
func TestPartsOfActions(t *testing.T) {
	set, err := setOf(t, map[string]string{"push": `{{define "headline"}}pushed{{end}}{{define "body"}}body{{end}}` +
		`{{define "headline.delete"}}deleted{{end}}{{define "body.create"}}created{{end}}{{define "helper.delete"}}{{end}}`})
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]string{
		"": "pushed\nbody", "delete": "deleted\nbody", "create": "pushed\ncreated", "@all": "pushed\nbody",
	} {
		e := pushEvent()
		e.Action = action
		post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindLog})
		if err != nil || post.Markdown != want {
			t.Errorf("action %q: %q, %v, want %q", action, post.Markdown, err, want)
		}
	}
}

func TestPayload(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`{{.Payload.n}}`, "12345678901234567890"},
		{`{{.Payload.title}}`, "@" + joiner + "all"},
		{`{{raw .Payload.title}}`, "@all"},
		{`{{get . "list.0.name"}}`, "x"},
		{`{{get . "list.7.name"}}{{get . "no.where"}}{{get . "none"}}{{.Payload.none}}x`, "x"},
		{`{{with get . "list.x"}}{{.}}{{else}}nothing{{end}}`, "nothing"},
		{`{{get . "object_attributes.variables.0.key"}}={{get . "object_attributes.variables.0.value"}}`, `PASSWORD=\[redacted\]`},
		{`{{.Payload.build.variables.TOKEN}}`, `\[redacted\]`},
		{`{{.Payload.odd.variables}}`, `\[redacted\]`},
	} {
		post, err := write(t, `{{define "headline"}}`+tt.text+`{{end}}`)
		if err != nil || post.Fault != "" {
			t.Errorf("%s: %v %s", tt.text, err, post.Fault)
		}
		if strings.Contains(post.Markdown, "hunter2") {
			t.Errorf("%s shows a secret: %s", tt.text, post.Markdown)
		}
		if post.Markdown != tt.want {
			t.Errorf("%s: got %s, want %s", tt.text, post.Markdown, tt.want)
		}
	}
}

func TestLateness(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	set := newSet(t)
	for _, tt := range []struct {
		kind string
		now  time.Time
		want string
	}{
		{events.Push, time.Time{}, ""},
		{events.Push, at.Add(-time.Hour), ""},
		{events.Push, at.Add(10 * time.Minute), ""},
		{events.Push, at.Add(11 * time.Minute), " (posted 11\u00a0min late)"},
		{events.Push, at.Add(2*time.Hour + 50*time.Minute), " (posted 2\u00a0h late)"},
		{events.Push, at.Add(72 * time.Hour), " (posted 3\u00a0d late)"},
		{events.Milestone, at.Add(20 * time.Hour), " (posted 20\u00a0h late)"},
	} {
		e := pushEvent()
		e.Kind, e.Time = tt.kind, at.AddDate(-1, 0, 0) // what is said of is old
		post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindMattermost, Now: tt.now, Received: at})
		if err != nil {
			t.Fatal(err)
		}
		headline, _, _ := strings.Cut(post.Markdown, "\n")
		if _, late, _ := strings.Cut(headline, "acme/api)"); !strings.HasSuffix(late, tt.want) || tt.want == "" && strings.Contains(late, "late") {
			t.Errorf("%s at %v: %q, want it to end %q", tt.kind, tt.now, headline, tt.want)
		}
	}
}

// TestBarePayloads: a payload that says next to nothing still gives a message,
// by the template of its kind.
func TestBarePayloads(t *testing.T) {
	set := newSet(t)
	for _, sample := range events.Samples() {
		var payload map[string]any
		if err := json.Unmarshal(sample.Body, &payload); err != nil {
			t.Fatal(err)
		}
		bare := map[string]any{}
		for _, key := range []string{"object_kind", "event_name", "event_type"} {
			if v, ok := payload[key]; ok {
				bare[key] = v
			}
		}
		body, err := json.Marshal(bare)
		if err != nil {
			t.Fatal(err)
		}
		e := events.Decode(events.Input{Source: "gitlab", Header: sample.Header, Body: body})
		for _, kind := range []string{configs.KindMattermost, configs.KindSlack} {
			post, err := set.Render(context.Background(), Request{Event: e, Kind: kind})
			if err != nil || post.Fault != "" {
				t.Errorf("%s: %v %s", body, err, post.Fault)
			}
		}
	}
}

func TestSetIsShared(t *testing.T) {
	set := newSet(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, sample := range events.Samples() {
				e := decodeSample(sample)
				if _, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindSlack}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestCuts looks at what is left out of long things.
func TestCuts(t *testing.T) {
	set := newSet(t)
	render := func(name string, change func(*events.Event)) string {
		t.Helper()
		sample, ok := events.SampleNamed(name)
		if !ok {
			t.Fatalf("no sample %s", name)
		}
		e := decodeSample(sample)
		change(e)
		post, err := set.Render(context.Background(), Request{Event: e, Kind: configs.KindLog})
		if err != nil || post.Fault != "" {
			t.Fatalf("%v %s", err, post.Fault)
		}
		return strings.ReplaceAll(post.Markdown, "https://gitlab.example/acme/api/-/", "")
	}
	people := func(names ...string) (list []events.User) {
		for _, n := range names {
			list = append(list, events.User{Name: n})
		}
		return list
	}
	for _, tt := range []struct{ name, got, want string }{
		{"commits", render("push", func(e *events.Event) {
			e.Push.Total, e.Push.CompareURL = 12, "https://gitlab.example/c"
			e.Push.Commits = nil
			for i := range 12 {
				title := fmt.Sprintf("commit %d", i+1)
				if i == 10 {
					title = "Merge branch 'x' into 'main'"
				}
				e.Push.Commits = append(e.Push.Commits, events.Commit{SHA: "abcdef0123", Title: title})
			}
		}), "Ada Lovelace pushed [11\u00a0commits and a merge](https://gitlab.example/c) to [`main`](commits/main) in [acme/api](https://gitlab.example/acme/api)\n" +
			"`abcdef01` commit 12\n`abcdef01` commit 10\n`abcdef01` commit 9\n`abcdef01` commit 8\n`abcdef01` commit 7\n" +
			"[and 6 more](https://gitlab.example/c)"},
		{"facts", render("merge_request.open", func(e *events.Event) {
			m := e.MergeRequest
			m.SourceBranch = "feature/PLAT-10423-migrate-the-billing-tables-to-the-new-schema-part-3-of-7"
			m.Reviewers = people("Ann", "Bob", "Cy", "Dee", "Eve")
			m.Labels = []string{"a", "b", "c", "d", "e", "f", "g", "h"}
			m.Description, m.Title = "", strings.Repeat("word ", 40)
		}), "Ada Lovelace opened **[!42 " + strings.TrimSpace(strings.Repeat("word ", 23)) + "…](merge_requests/42)** in [acme/api](https://gitlab.example/acme/api)\n" +
			"`feature/PLAT-10423-migrate-the-…hema-part-3-of-7` → `main` · reviewers Ann, Bob, Cy and 2\u00a0others · a, b, c, d, e +3"},
		{"jobs", render("pipeline.failed", func(e *events.Event) {
			e.Pipeline.Stages = []string{"build", "test", "deploy"}
			e.Pipeline.Jobs, e.Commit = nil, nil
			for i := range 24 {
				stage := e.Pipeline.Stages[i%3]
				e.Pipeline.Jobs = append(e.Pipeline.Jobs, events.JobPart{Name: fmt.Sprintf("j%d", i), Stage: stage, Status: "failed", Retried: i == 0, AllowFailure: i == 1})
			}
		}), "❌ **[Pipeline #1287](pipelines/1287/failures)** failed on [`main`](commits/main) in [acme/api](https://gitlab.example/acme/api) · Ada Lovelace · 4m\u00a012s\n" +
			"build: j3, j6, j9, j12, j15 [and 2 more](pipelines/1287/failures)\n" +
			"test: j4, j7, j10, j13, j16 [and 2 more](pipelines/1287/failures)\n" +
			"deploy: [8\u00a0jobs](pipelines/1287/failures)"},
		{"direction", render("issue.close", func(e *events.Event) { e.Issue.Title = "שלום @all" }),
			"\u200eGrace Hopper closed issue **[\u2068#7 שלום @\u2060all\u2069](issues/7)** in [acme/api](https://gitlab.example/acme/api)"},
		{"direction before bold", render("pipeline.canceled", func(e *events.Event) { e.Branch = "שלום" }),
			"**\u200e[Pipeline #1287](pipelines/1287)** was canceled on [`שלום`](commits/%D7%A9%D7%9C%D7%95%D7%9D) in [acme/api](https://gitlab.example/acme/api) · Ada Lovelace · 1m\u00a047s"},
		{"system note", render("note.merge_request", func(e *events.Event) { e.Note.System, e.Note.Body = true, "assigned to @grace" }),
			"Grace Hopper added a system note to **[!42 Limit requests per client](merge_requests/42#note_88123)** in [acme/api](https://gitlab.example/acme/api): “assigned to [@\u2060grace](https://gitlab.example/grace)”"},
		{"reset approvals", render("merge_request.unapproved", func(e *events.Event) { e.MergeRequest.System = true }),
			"A push by Ada Lovelace withdrew the approvals of **[!42 Limit requests per client](merge_requests/42)** in [acme/api](https://gitlab.example/acme/api)"},
		{"nobody", render("push.delete", func(e *events.Event) { e.Actor = events.User{} }),
			"Someone deleted branch `feature/rate-limit` in [acme/api](https://gitlab.example/acme/api)"},
		{"config error", render("pipeline.failed~config", func(e *events.Event) {
			e.Commit, e.Pipeline.Error = nil, "jobs:test config contains unknown keys: scrpt"
		}), "❌ **[Pipeline #1289](pipelines/1289)** could not start on [`main`](commits/main) in [acme/api](https://gitlab.example/acme/api) · Ada Lovelace\n" +
			"jobs:test config contains unknown keys: scrpt"},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
