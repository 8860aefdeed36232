package routes

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

func compiledIf(t testing.TB, text string) *expression {
	t.Helper()
	x, wrong := compileExpression(&configs.Expression{Text: text})
	if wrong != nil {
		t.Fatalf("%s: %s", text, wrong.Message)
	}
	return x
}

func asked(e *events.Event) *subject { return (&Table{}).subject(e) }

// TestExpression: a part that the event lacks makes what asks for it neither
// true nor false.
func TestExpression(t *testing.T) {
	pipeline := change(named(events.Pipeline, "success"), func(e *events.Event) {
		e.Branch, e.Labels = "main", []string{"a", "b"}
		e.Actor = events.User{Username: "jdoe"}
		e.Pipeline = &events.PipelinePart{
			Duration: 90 * time.Second, Source: "schedule",
			Jobs: []events.JobPart{{Name: "lint", Status: "success"}, {Name: "test", Status: "failed"}},
		}
	})
	for text, want := range map[string]bool{
		"pipeline.duration > 60":                                     true,
		"pipeline.duration == 90":                                    true,
		"pipeline.duration < 60.5":                                   false,
		"pipeline.source in ['schedule', 'web']":                     true,
		"project.path == 'Acme/Backend/API' and branch == 'main'":    true,
		"'a' in labels && 'b' in labels":                             true,
		"not ('x' in labels)":                                        true,
		"actor.username startsWith 'j'":                              true,
		"any(pipeline.jobs, .name == 'test' && .status != 'x')":      true,
		"all(pipeline.jobs, {.status == 'success'})":                 false,
		"len(filter(pipeline.jobs, .status == 'failed')) == 1":       true,
		"pipeline.jobs[0].name == 'lint'":                            true,
		"pipeline.jobs[7].name == 'lint'":                            false,
		"branch matches '^ma'":                                       true,
		"event == 'pipeline.success' && kind == 'pipeline'":          true,
		"upper(branch) == 'MAIN'":                                    true,
		"draft":                                                      false,
		"!draft":                                                     true,
		"branch == 'main' ? pipeline.duration > 60 : push.total > 3": false, // reaches into push
		"push == nil":                                                true,
		"pipeline != nil":                                            true,
		"push?.total == nil":                                         true,
		"(push?.total ?? 3) == 3":                                    true,
		// What the event lacks.
		"push.total > 3":                              false,
		"push.total <= 3":                             false,
		"!(push.total > 3)":                           false,
		"not (push.total > 3 || job.name == 'x')":     false,
		"push.total > 3 || pipeline.duration > 60":    true,
		"pipeline.duration > 60 || push.total > 3":    true,
		"push.total > 3 && pipeline.duration > 60":    false,
		"!(push.total > 3 && pipeline.duration > 60)": false,
		"!(push.total > 3 && pipeline.duration < 60)": true, // whatever the push
		"!(push.total > 3) || branch == 'main'":       true,
		"any(push.commits, .title == 'x')":            false,
		"none(push.commits, .title == 'x')":           false,
		"merge_request.iid == 1 || issue.iid == 1":    false,
	} {
		if got := compiledIf(t, text).holds(asked(pipeline)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestExpressionPage compiles what docs/routing.md shows, and looks that it names
// every function.
func TestExpressionPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "routing.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n#### Expressions\n")
	if section, _, _ = strings.Cut(section, "\n#### "); !ok {
		t.Fatal("docs/routing.md has no section Expressions")
	}
	shown := 0
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(section, -1) {
		if text := m[1]; strings.ContainsAny(text, "\"<>=") && strings.ContainsFunc(text, unicode.IsLower) && !strings.Contains(text, "TEXT") && !strings.HasPrefix(text, "if: ") {
			compiledIf(t, text)
			shown++
		}
	}
	if shown < 12 {
		t.Errorf("the page shows %d expressions", shown)
	}
	for _, f := range functions {
		if !regexp.MustCompile("`" + f + "[`(]").MatchString(section) {
			t.Errorf("the page does not name %s", f)
		}
	}
}

// TestExpressionVariables asks for every variable, of every sample.
func TestExpressionVariables(t *testing.T) {
	var subjects []*subject
	for _, e := range samples(t) {
		subjects = append(subjects, asked(e))
	}
	for _, f := range eventView.fields {
		name, of := f.Name, f.Type
		compiledIf(t, name+" == nil || true")
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
			continue
		}
		for _, sub := range viewOf(of).names() {
			path := name + "." + sub
			x, wrong := compileExpression(&configs.Expression{Text: path + " == " + path})
			if wrong != nil {
				continue // a list
			}
			for _, s := range subjects {
				_, there := s.environment().lookup(name)
				if got := x.holds(s); got != there {
					t.Errorf("%s: %s: %v, the part is there: %v", s.event.Name(), path, got, there)
				}
				if (x.note(s) == "") != there {
					t.Errorf("%s: %s: note %q", s.event.Name(), path, x.note(s))
				}
			}
		}
	}
}

// TestExpressionBounded: the largest event and the most costly expression end
// soon. The bound is generous: it tells thousandths of seconds from minutes.
func TestExpressionBounded(t *testing.T) {
	long := strings.Repeat("ab", 500_000)
	e := change(named(events.Pipeline, "success"), func(e *events.Event) {
		e.Title, e.Pipeline = long, &events.PipelinePart{}
		for i := range 2000 {
			e.Pipeline.Jobs = append(e.Pipeline.Jobs, events.JobPart{Name: fmt.Sprint(i)})
		}
		e.MergeRequest = &events.MergeRequestPart{Description: long}
	})
	x := compiledIf(t, "any(pipeline.jobs, merge_request.description contains 'ba' + .name + 'b')"+strings.Repeat(" || title matches '(a|b)*c'", 20))
	start := time.Now()
	if x.holds(asked(e)) {
		t.Error("it holds")
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// FuzzExpression looks for expressions that stop the compiler or the machine,
// and for ones that say true of what they say is false.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"pipeline.duration > 1800 && pipeline.source != 'schedule'", "any(pipeline.jobs, .name == 'x')", "!(push.total > 3) || draft",
		"labels | any(# == 'x')", "branch matches '^a(b)*$'", "(push?.total ?? 3) > 2", "title[1:3] == \"ab\"", "{'a': 1}.a == 1", "1/0 > 2", "let x = 1; x > 0",
		"if draft { true } else { false }", "count(changes, .field == 'labels') >= 1", "not not draft", "-1 ** 3 < 2 % 0", "(((", "`a` == 'a'",
	} {
		f.Add(text)
	}
	known := samples(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 2000 || strings.TrimSpace(text) == "" {
			return
		}
		x, wrong := compileExpression(&configs.Expression{Text: text, Plain: true})
		if wrong != nil {
			if wrong.Message == "" || wrong.Width < 1 || wrong.Pos.Col < 0 {
				t.Errorf("%+v", wrong)
			}
			return
		}
		negated, wrong := compileExpression(&configs.Expression{Text: "!(" + text + ")"})
		for i := 0; i < len(known); i += 7 {
			s := asked(known[i])
			is := x.holds(s)
			x.got(s)
			x.note(s)
			if wrong == nil && is && negated.holds(s) {
				t.Errorf("%q is true and false of %s", text, known[i].Name())
			}
		}
	})
}
