package formatters

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestFunctions calls every function from a template.
func TestFunctions(t *testing.T) {
	event := func() *events.Event {
		e := pushEvent()
		e.Title = "a_b * @all"
		e.URL = "https://gitlab.example/x"
		e.Labels = []string{"bug", "P1", "@all"}
		e.Time = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
		e.Commit = &events.Commit{AuthorName: "Grace"}
		e.Note = &events.NotePart{OnType: "DesignManagement::Design"}
		e.Changes = []events.Change{{Field: "labels", Added: []string{"P1"}}}
		e.Issue = &events.IssuePart{DueDate: "2026-12-01", Type: "test_case", Description: "One.\n\n> two"}
		e.MergeRequest = &events.MergeRequestPart{
			SourceBranch: "a", TargetBranch: "b", OldRev: "x",
			Reviewers: []events.User{{Name: "Ann"}, {Username: "bob"}, {Name: "Cy"}, {Name: "Dee"}},
		}
		return e
	}()
	now := time.Date(2026, 11, 20, 12, 5, 0, 0, time.UTC)
	used := map[string]bool{}
	for _, tt := range []struct{ text, want string }{
		{`{{ref .}}`, "[`main`](https://gitlab.example/acme/api/-/commits/main)"},
		{`{{onWhat .}}`, "on [`main`](https://gitlab.example/acme/api/-/commits/main) in [acme/api](https://gitlab.example/acme/api)"},
		{`{{facts .}}`, "`a` → `b` · reviewers Ann, bob, Cy and 1\u00a0other"},
		{`{{changes .}}`, "labels +P1 · new commits"},
		{`{{onlyChange .}}x`, "x"},
		{`{{workItem .}}`, "test case"},
		{`{{profile .}}`, "Ada"},
		{`{{target .Note}}`, "a design"},
		{`{{byOther .Commit .Actor}}`, "Grace"},
		{`{{expires . "2026-11-27"}}`, "expires in 7\u00a0days (27\u00a0Nov)"},
		{`{{expires . "2026-11-20"}}`, "expires today"},
		{`{{expires . "2026-11-01"}}`, "expired on 1\u00a0Nov"},
		{`{{expires . "soon"}}`, "expires soon"},
		{`{{get . "list.0.name"}}`, "x"},
		{`{{link .Title .URL}}`, "[a_b \\* @\u2060all](https://gitlab.example/x)"},
		{`{{link "read on" "javascript:alert(1)"}}`, "read on"},
		{`{{bold .Title .URL}}`, "**[a_b \\* @\u2060all](https://gitlab.example/x)**"},
		{`{{bold "" ""}}x`, "x"},
		{`{{code .Title}}`, "`a_b * @all`"},
		{`{{branch .Title}}`, "`a_b * @all`"},
		{`{{quote 6 500 .Issue.Description .URL}}`, "> One. > > two"},
		{`{{quote 6 500 .Title .URL}}`, "> a_b \\* @\u2060all"},
		{`{{prose .Issue.Description .URL}}`, "> One. > > two"},
		{`{{inSentence .Issue.Description}}x`, "x"},
		{`{{raw .Title}}`, "a_b * @all"},
		{`{{emoji "tada"}} {{emoji "our_logo"}} {{emoji "x:y"}}`, "🎉 :our_logo: x&#58;y"},
		{`{{cut 5 .Title}}`, "a_b…"},
		{`{{short 6 "abcdefghijkl"}}`, "abc…kl"},
		{`{{path "a/b/c/d.go"}} {{path "b/c/d.go"}} {{path "d.go"}}`, "…/c/d.go b/c/d.go d.go"},
		{`{{text .Title "" .Branch}}`, "a_b \\* @\u2060all main"},
		{`{{words "script_failure"}}`, "script failure"},
		{`{{title "high"}}`, "High"},
		{`{{status "manual"}}, {{status "odd_one"}}`, "waits for a manual action, is odd one"},
		{`{{line 88}}{{line 0}}`, ":88"},
		{`{{suffix .URL "/y"}}`, "https://gitlab.example/x/y"},
		{`{{join ", " .Labels}}`, "bug, P1, @\u2060all"},
		{`{{people .MergeRequest.Reviewers}}`, "Ann, bob, Cy and 1\u00a0other"},
		{`{{labels .Labels}}`, "bug, P1, @\u2060all"},
		{`{{range list 1 2}}{{.}},{{end}}`, "1,2,"},
		{`{{list "a" .Title (list 1 2)}}`, "a a_b \\* @\u2060all 1 2"},
		{`{{with dict "a" 1}}{{.a}}{{end}}`, "1"},
		{`{{dict "b" .Title "a" 1}} {{print (list 1 2) "."}}`, "a: 1 b: a_b \\* @\u2060all 1 2."},
		{`{{.}}`, "push"},
		{`{{plural 1 "commit"}}, {{plural 2 "commit"}}, {{plural 0 "branch" "branches"}}`, "1\u00a0commit, 2\u00a0commits, 0\u00a0branches"},
		{`{{date .Issue.DueDate .Time}}, {{date .Issue.DueDate}}, {{date .Time .Time}}`, "1\u00a0Dec, 1\u00a0Dec\u00a02026, 20\u00a0Nov"},
		{`{{ago .Time .Now}}`, "5\u00a0min ago"},
		{`{{default "nobody" .Tag}}, {{default "nobody" .Branch}}`, "nobody, main"},
		{`{{print "a" .Title}}`, "aa_b \\* @\u2060all"},
		{`{{println "a" 1}}`, "a 1"},
		{`{{printf "%s|%5d" .Title 7}}`, "a_b \\* @\u2060all|    7"},
		{`{{duration .Pipeline.Duration}}`, ""},
		{`{{.Who}} · {{.Object}} · {{.Where}}{{.In}}`, "Ada · **a design** · [acme/api](https://gitlab.example/acme/api) in [acme/api](https://gitlab.example/acme/api)"},
		{`{{if eq .Kind "push"}}{{len .Labels}}{{index .Labels 0}}{{slice .Branch 0 2}}{{end}}`, "3bugma"},
		{`{{.Actor}} {{.Name}} {{.OnDefaultBranch}} {{.URL}}`, "Ada push true https://gitlab.example/x"},
	} {
		for _, word := range regexp.MustCompile(`[a-zA-Z]+`).FindAllString(tt.text, -1) {
			used[word] = true
		}
		if tt.want == "" {
			continue // called in the tables below
		}
		set, err := setOf(t, map[string]string{"push": `{{define "headline"}}` + tt.text + `{{end}}`})
		if err != nil {
			t.Fatal(err)
		}
		post, err := set.Render(context.Background(), Request{Event: event, Kind: configs.KindLog, Now: now})
		if err != nil || post.Fault != "" {
			t.Errorf("%s: %v %s", tt.text, err, post.Fault)
		}
		if post.Markdown != tt.want {
			t.Errorf("%s\n got %q\nwant %q", tt.text, post.Markdown, tt.want)
		}
	}
	for name := range functions {
		if !used[name] {
			t.Errorf("function %s is not tried", name)
		}
	}
}

// TestFunctionsAreListed: the list in funcs.go shows how to call each one.
func TestFunctionsAreListed(t *testing.T) {
	src, err := os.ReadFile("funcs.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range functions {
		if strings.HasPrefix(name, "print") {
			continue
		}
		if !regexp.MustCompile(`"` + name + `":.*// \{\{.*` + name + `\b`).Match(src) {
			t.Errorf("funcs.go does not show how to call %s", name)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, tt := range []struct {
		in   time.Duration
		want Markdown
	}{
		{0, ""}, {-time.Second, ""}, {400 * time.Millisecond, ""}, {8 * time.Second, "8s"}, {59900 * time.Millisecond, "1m"},
		{252 * time.Second, "4m\u00a012s"}, {2 * time.Hour, "2h"}, {2*time.Hour + 5*time.Minute, "2h\u00a05m"},
		{76 * time.Hour, "3d\u00a04h"},
	} {
		if got := duration(tt.in); got != tt.want {
			t.Errorf("duration(%v) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestDate(t *testing.T) {
	seen := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		in   any
		want Markdown
	}{
		{Text("2026-12-01"), "1\u00a0Dec"}, {Text("2027-12-01"), "1\u00a0Dec\u00a02027"}, {Text("2026-12-01T10:00:00Z"), "1\u00a0Dec"},
		{Text(""), ""}, {Text("@all"), ""}, {time.Time{}, ""}, {seen, "20\u00a0Nov"}, {nil, ""},
	} {
		if got, err := date(tt.in, seen); got != tt.want || err != nil {
			t.Errorf("date(%v) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestChanges(t *testing.T) {
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		c              events.Change
		sentence, fact string
	}{
		{events.Change{Field: "title", From: "old", To: "new"}, "title “old” → “new”", ""},
		{events.Change{Field: "description", From: "a", To: "b"}, "description", ""},
		{events.Change{Field: "labels", Added: []string{"P1"}}, "added label P1", "labels +P1"},
		{events.Change{Field: "labels", Added: []string{"P1", "P2"}}, "added labels P1, P2", "labels +P1, +P2"},
		{events.Change{Field: "labels", Removed: []string{"P1"}}, "removed label P1", "labels −P1"},
		{events.Change{Field: "labels", Added: []string{"a"}, Removed: []string{"b"}}, "labels +a, −b", ""},
		{events.Change{Field: "assignees", Added: []string{"Ann"}}, "assigned Ann", "assignees +Ann"},
		{events.Change{Field: "reviewers", Removed: []string{"Ann"}}, "no longer asked for a review by Ann", "reviewers −Ann"},
		{events.Change{Field: "re_requested", Added: []string{"Ann"}}, "asked again for a review by Ann", ""},
		{events.Change{Field: "target_branch", From: "a", To: "b"}, "target `a` → `b`", ""},
		{events.Change{Field: "due_date", To: "2026-12-01"}, "due 1\u00a0Dec", ""},
		{events.Change{Field: "due_date", From: "2026-12-01"}, "due 1\u00a0Dec → none", ""},
		{events.Change{Field: "confidential", To: "true"}, "made confidential", ""},
		{events.Change{Field: "discussion_locked", From: "true", To: "false"}, "discussion unlocked", ""},
		{events.Change{Field: "milestone", From: "17.4", To: "17.5"}, "milestone 17.4 → 17.5", ""},
		{events.Change{Field: "milestone_id", From: "3", To: "4"}, "changed the milestone", ""},
		{events.Change{Field: "milestone_id", To: "4"}, "set milestone", ""},
		{events.Change{Field: "milestone_id", From: "3"}, "removed the milestone", ""},
		{events.Change{Field: "epic_id", From: "3"}, "removed the epic", ""},
		{events.Change{Field: "health_status", To: "at_risk"}, "health status at risk", ""},
		{events.Change{Field: "health_status", From: "needs_attention", To: "on_track"}, "health status needs attention → on track", ""},
		{events.Change{Field: "moved_to_id", To: "99"}, "moved to another project", ""},
		{events.Change{Field: "duplicated_to_id", To: "99"}, "marked as a duplicate", ""},
		{events.Change{Field: "promoted_to_epic_id", To: "99"}, "promoted to an epic", ""},
		{events.Change{Field: "reviewed", Added: []string{"Ann"}}, "reviewed by Ann", ""},
		{events.Change{Field: "changes_requested", Added: []string{"Ann"}}, "changes requested by Ann", ""},
		{events.Change{Field: "@all"}, "@\u2060all", ""},
		{events.Change{Field: "labels", Added: strings.Split("a b c d e f g", " ")}, "added labels a, b, c, d, e, 2\u00a0more", "labels +a, +b, +c, +d, +e, 2\u00a0more"},
	} {
		d := &Data{Today: at, Changes: newChanges([]events.Change{tt.c})}
		if got := change(&d.Changes[0], d, true); got != tt.sentence {
			t.Errorf("%+v in a sentence: %q, want %q", tt.c, got, tt.sentence)
		}
		if tt.fact == "" {
			tt.fact = tt.sentence
		}
		if got := change(&d.Changes[0], d, false); got != tt.fact {
			t.Errorf("%+v on a line: %q, want %q", tt.c, got, tt.fact)
		}
	}
}

// TestPrintfEscapes: a verb that is not for strings prints no text as it came.
func TestPrintfEscapes(t *testing.T) {
	for _, verb := range []string{"%d", "%t", "%v", "%+v", "%#v", "%q", "%x", "%!", "%z"} {
		for _, v := range []any{Text("@all"), URL("javascript:@all"), User{Name: "@all"}, []Text{"@all"}, Change{To: "@all"}, map[string]any{"x": Text("@all")}} {
			got, err := sprintf(verb, v)
			if err != nil {
				t.Fatal(err)
			}
			if s, _ := source(got); strings.Contains(s, "@all") {
				t.Errorf("printf %q of a %T prints %s", verb, v, got)
			}
		}
	}
}
