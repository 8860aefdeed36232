package routes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// manyBraces stands for 33,554,432 patterns.
var manyBraces = strings.Repeat("{a,aa}", 25) + "b"

// expanded are the patterns that braces stand for.
func expanded(pattern string) (all []string) {
	depth, head, from := 0, 0, 0
	var parts []string
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case c == '{':
			if depth++; depth == 1 {
				head, from = i, i+1
			}
		case c == ',' && depth == 1:
			parts, from = append(parts, pattern[from:i]), i+1
		case c == '}':
			if depth--; depth > 0 {
				continue
			}
			for _, part := range append(parts, pattern[from:i]) {
				all = append(all, expanded(pattern[:head]+part+pattern[i+1:])...)
			}
			return all
		}
	}
	return []string{pattern}
}

// TestMatcher compares with doublestar, whose patterns these are. Sets hold no
// brace and no comma here: doublestar ends an alternative in the middle of a set.
func TestMatcher(t *testing.T) {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", "/", "*", "**", "**/", "/**", "?", "[ab]", "[^a]", "[!b-é]", "[a\\]]", "\\*", "\\/", "é", "{a,b}", "{,a}", "{**,b}", "{a/,*}"}),
		rapid.Custom(func(t *rapid.T) string {
			parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "", "/", "**", "*", "b/**", "{a,/b}", "[ab]", "\\,", "a?"}), 1, 3).Draw(t, "parts")
			return "{" + strings.Join(parts, ",") + "}"
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		pattern := strings.Join(rapid.SliceOfN(piece, 1, 6).Draw(t, "pattern"), "")
		if !doublestar.ValidatePattern(pattern) || slices.ContainsFunc(expanded(pattern), func(p string) bool { return strings.HasSuffix(p, "/") }) {
			return
		}
		m := compileMatcher(pattern)
		for range 20 {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", "é", "*", ",", "]", "\xff"}), 0, 7).Draw(t, "text"), "")
			got, least := m.matches(text, &meter{}), doublestar.MatchUnvalidated(pattern, text)
			most := slices.ContainsFunc(expanded(pattern), func(p string) bool { return doublestar.MatchUnvalidated(p, text) })
			// doublestar does not try every way where a set matches a slash.
			exact := !strings.Contains(pattern, "[^") && !strings.Contains(pattern, "[!")
			if least && !got || exact && got && !most {
				t.Fatalf("%q, %q: %v, doublestar says %v, and %v of the patterns that the braces stand for", pattern, text, got, least, most)
			}
		}
	})
}

func TestGlobs(t *testing.T) {
	for _, tt := range []struct{ pattern, texts string }{
		{"**/*.go", "a.go b/c/a.go .go !a.goo"},
		{"docs/**", "docs docs/a docs/a/b !docsx !a/docs"},
		{"services/*/docs/**", "services/a/docs services/a/docs/x/y !services/docs !services/a/b/docs/x"},
		{"**", "a a/b"},
		{"{api,web}/**/*.{go,mod}", "api/a.go web/x/y/go.mod !app/a.go"},
		{manyBraces, strings.Repeat("a", 25) + "b " + strings.Repeat("a", 50) + "b !" + strings.Repeat("a", 51) + "b !" + strings.Repeat("a", 50)},
	} {
		p, wrong := compileGlob(tt.pattern, false)
		if wrong != nil {
			t.Fatal(wrong.message)
		}
		for text := range strings.FieldsSeq(tt.texts) {
			text, not := strings.CutPrefix(text, "!")
			var steps meter
			if got := p.matches(text, &steps); got == not {
				t.Errorf("%q, %q: %v", tt.pattern, text, got)
			}
			if most := 1 + 4*(len(tt.pattern)+1)*len(text); steps.route > most {
				t.Errorf("%q, %q: %d steps, want at most %d", tt.pattern, text, steps.route, most)
			}
		}
	}
}

func TestPatternsHaveASize(t *testing.T) {
	for _, tt := range []struct{ key, pattern, want string }{
		{"paths", strings.Repeat("a", maxPattern+1), "a pattern of 4097 bytes is too long"},
		{"branches", strings.Repeat("*a", maxPattern), "a pattern of 8192 bytes is too long"},
		{"labels", "/(a{1,900}){1,900}/", "not a regular expression"},
		{"paths", "/" + strings.Repeat("a{900}", 20) + "/", "not a regular expression: expression too large"},
		{"if", `title matches "` + strings.Repeat("a{900}", 20) + `"`, "this regular expression is too large"},
	} {
		cfg, wrong := configs.LoadBytes("relay.yaml", fmt.Appendf(nil, "%sroutes: [{when: {%s: %q}, to: mm}]\n", destinations, tt.key, tt.pattern), env)
		_, more := Compile(cfg, listed)
		found := text(t, append(wrong, more...))
		if !strings.Contains(found, tt.want) {
			t.Errorf("%s: %.300s, want %q", tt.key, found, tt.want)
		}
	}
}

// hostileEvent has as much as package events reads of everything that conditions ask.
func hostileEvent() *events.Event {
	long := strings.Repeat("a", 1<<20)
	return change(push("main"), func(e *events.Event) {
		e.Title, e.Branch, e.Actor.Username = long, long, long
		e.MergeRequest = &events.MergeRequestPart{Description: long}
		for i := range 50_000 {
			e.Labels = append(e.Labels, fmt.Sprintf("label%d", i))
		}
		e.Push.Commits = nil
		for range 20 {
			c := events.Commit{Title: long}
			for range 250 {
				c.Added = append(c.Added, strings.Repeat("a/", 1000), strings.Repeat("a", 2000))
			}
			e.Push.Commits = append(e.Push.Commits, c)
		}
	})
}

// TestStepsAreBounded: whatever the conditions and the event, no file takes more
// than its steps, and another condition than the one that took them is decided.
func TestStepsAreBounded(t *testing.T) {
	e := hostileEvent()
	for _, when := range []string{
		"paths: '" + strings.Repeat("{a,aa}", 600) + "{b,c}'",
		"paths: '" + strings.Repeat("*/a*", 800) + "{b,c}'",
		"paths: '/(a|a/)*b{900}$/'",
		"branches: '*" + strings.Repeat("a", 2000) + "b'",
		"branches: '/(a*)*b{900}$/'",
		"labels: '/(l|a|b|e)*x{900}$/'",
		"labels: {none: '/(l|a|b|e)*x{900}$/'}",
		"actors: '" + strings.Repeat("*{a,b}", 600) + "{b,c}'",
		"if: \"any(labels, lower(merge_request.description) + # == title)\"",
		"if: \"all(push.commits, .title matches 'b{900}$') || any(labels, title contains #)\"",
	} {
		table := compile(t, destinations+"routes: [{name: Hostile, when: {events: all, "+when+"}, to: mm}, {name: Plain, when: {events: push}, to: ops}]\n")
		s := table.subject(e)
		d := table.decide(s, nil)
		if !slices.Equal(d.Exceeded, []string{"Hostile"}) || len(d.Deliveries) != 1 || d.Deliveries[0].Route != "Plain" {
			t.Errorf("%.80s: exceeded %q, deliveries %+v; want only the hostile one and a delivery of the plain one", when, d.Exceeded, d.Deliveries)
		}
		if diff := cmp.Diff(d, table.Explain(e).Decision); diff != "" {
			t.Errorf("%.80s: explain decides otherwise (-match +explain):\n%s", when, diff)
		}
		if note := noteOf(table.Explain(e).Routes[0]); note != exceeded {
			t.Errorf("%.80s: explain says %q, want %q", when, note, exceeded)
		}
	}
}

// noteOf is what a route's explanation says of the key that took too much.
func noteOf(r RouteExplanation) string {
	for _, k := range r.Keys {
		if k.Note == exceeded {
			return k.Note
		}
	}
	return ""
}

// TestStepsOfAFile: routes of one file share its steps, and those of another have
// their own.
func TestStepsOfAFile(t *testing.T) {
	hostile := strings.Repeat("  - {when: {events: all, paths: '"+strings.Repeat("{a,aa}", 600)+"{b,c}'}, to: mm}\n", 20)
	table := compile(t, destinations+"routes:\n"+hostile+"  - {name: Plain, when: {events: push}, to: ops}\n")
	for i := range 20 {
		table.routes[i].group = 1
	}
	table.routes[20].group = 2
	s := table.subject(hostileEvent())
	d := table.decide(s, nil)
	if len(d.Exceeded) != 20 || len(d.Deliveries) != 1 {
		t.Errorf("%d routes exceeded, %d deliveries; want 20 and that of the other file", len(d.Exceeded), len(d.Deliveries))
	}
	table.routes = table.routes[:20]
	s.meter = meter{}
	for i := range table.routes {
		table.takes(&table.routes[i], s, nil)
	}
	if most := maxFileSteps + 2*maxRouteSteps; s.file > most {
		t.Errorf("the file took %d steps, want at most %d", s.file, most)
	}
}

// A gate that takes too much stays closed, and does not close others' gates.
func TestStepsOfAGate(t *testing.T) {
	table := compile(t, `
destinations:
  mm: {url: "https://chat.example/hooks/a", only: [{labels: {none: '/(l|a|b|e)*x{900}$/'}}]}
  ops: {url: "https://chat.example/hooks/b", only: [{events: push}]}
routes: [{when: {events: push}, to: [mm, ops]}]
`)
	d := table.Match(hostileEvent())
	if len(d.Withheld) != 1 || d.Withheld[0].Address.Destination != "mm" || len(d.Deliveries) != 1 {
		t.Errorf("withheld %+v, delivered %+v; want mm and ops", d.Withheld, d.Deliveries)
	}
}

// Of very many routes only those for the event's project are looked at for the
// nearest one.
func TestNearestOfManyRoutes(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "  - {name: R%d, when: {projects: acme/p%d, branches: main}, to: mm}\n", i, i)
	}
	table := compile(t, destinations+"routes:\n"+b.String())
	e := change(push("develop"), func(e *events.Event) { e.Project.Path = "acme/p9999" })
	if d := table.Match(e); d.Nearest != "R9999" {
		t.Errorf("nearest %q because %q, want R9999", d.Nearest, d.Because)
	}
	e.Project.Path = "other/project"
	if d := table.Match(e); d.Nearest == "" || d.Because == "" {
		t.Errorf("nearest %q because %q, want one of them", d.Nearest, d.Because)
	}
}

// What stands in the way is said in few words, however much the event holds.
func TestBecauseIsShort(t *testing.T) {
	table := compile(t, destinations+"routes: [{when: {labels: x}, to: mm}]\n")
	if d := table.Match(hostileEvent()); len(d.Because) > 2*maxGot {
		t.Errorf("%d bytes", len(d.Because))
	}
}

func BenchmarkGlob(b *testing.B) {
	for _, pattern := range []string{"docs/**", "**/*.go", "services/*/docs/**", "{api,web}/**/*.{go,mod}"} {
		p, _ := compileGlob(pattern, false)
		b.Run(pattern, func(b *testing.B) {
			for b.Loop() {
				p.matches("services/billing/docs/guide/start.md", &meter{})
			}
		})
		b.Run(pattern+" doublestar", func(b *testing.B) {
			for b.Loop() {
				doublestar.MatchUnvalidated(pattern, "services/billing/docs/guide/start.md")
			}
		})
	}
}
