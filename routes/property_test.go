package routes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// samples are the built-in events, each also as a confidential one, a draft,
// one of a bot, and on another branch.
func samples(t testing.TB) []*events.Event {
	t.Helper()
	var out []*events.Event
	for _, s := range events.Samples() {
		e := events.Decode(events.Input{Source: "gitlab", Header: s.Header, Body: s.Body})
		out = append(out, e)
		for _, f := range []func(*events.Event){
			func(e *events.Event) { e.Confidential = true },
			func(e *events.Event) { e.Draft, e.Actor.Bot, e.Material = true, true, false },
			func(e *events.Event) { e.Branch, e.Source = "release/1", "" },
		} {
			other := *e
			f(&other)
			out = append(out, &other)
		}
	}
	return out
}

func pattern(text string) configs.Pattern { return configs.Pattern{Text: text} }

func list(key string, choices []string) *rapid.Generator[*configs.List] {
	return rapid.Custom(func(t *rapid.T) *configs.List {
		if rapid.Bool().Draw(t, key+" is absent") {
			return nil
		}
		l := &configs.List{Key: key}
		for _, v := range rapid.SliceOfN(rapid.SampledFrom(choices), 1, 3).Draw(t, key) {
			l.Values = append(l.Values, pattern(v))
		}
		return l
	})
}

var (
	someProjects = []string{"acme/**", "acme/*", "**", "**/api", "other/x", "/api/", "ACME/api", "acme/api/**"}
	someBranches = []string{"main", "*", "release/*", "$default", "$protected", "/^fix/", "feature/*"}
	someAlso     = []string{"edited_notes", "child_pipelines", "system_notes", "immaterial_updates"}
	someActors   = []string{"ada", "*a*", "grace", "/^al/", "*-bot"}
	someLabels   = []string{"backend", "bug", "/^P/", "nothing"}
	someIfs      = []string{"branch == 'main'", "push.total > 1 || pipeline.duration > 60", "!(merge_request.draft)", "'bug' in labels", "actor.bot"}
	someNamed    = []configs.To{
		namedBy("mm", "gl-", configs.PlaceProjectPath), namedBy("mm", "gl-", configs.PlaceProjectName), namedBy("mm", "", configs.PlaceTopGroup),
		namedBy("ops", "", configs.PlaceBranch), namedBy("open", "env-", configs.PlaceEnvironment),
	}
	someWords = []string{"author", "actor", "assignees", "reviewers", "here", "@x"}
)

func someEvents() []string {
	return slices.Concat([]string{"standard", "classic", "all", "/e/", "merge_request.*"}, events.Kinds(), events.Names())
}

func flagOf(key string) *rapid.Generator[*configs.Flag] {
	return rapid.Custom(func(t *rapid.T) *configs.Flag {
		if rapid.IntRange(0, 4).Draw(t, key+" is there") > 0 {
			return nil
		}
		return &configs.Flag{Key: key, Value: rapid.Bool().Draw(t, key)}
	})
}

// rarely gives a list one time in four.
func rarely(key string, choices []string) *rapid.Generator[*configs.List] {
	return rapid.Custom(func(t *rapid.T) *configs.List {
		if rapid.IntRange(0, 3).Draw(t, key+" is there") > 0 {
			return nil
		}
		return list(key, choices).Draw(t, key)
	})
}

func conditionsOf(also bool) *rapid.Generator[configs.Conditions] {
	return rapid.Custom(func(t *rapid.T) configs.Conditions {
		c := configs.Conditions{
			Events:         list("events", someEvents()).Draw(t, "events"),
			Projects:       list("projects", someProjects).Draw(t, "projects"),
			Branches:       rarely("branches", someBranches).Draw(t, "branches"),
			TargetBranches: rarely("target_branches", someBranches).Draw(t, "target_branches"),
			Sources:        rarely("sources", []string{"gitlab", "other"}).Draw(t, "sources"),
			Visibility:     rarely("visibility", []string{"private", "public"}).Draw(t, "visibility"),
			Actors:         rarely("actors", someActors).Draw(t, "actors"),
			Paths:          rarely("paths", []string{"**/*.go", "**"}).Draw(t, "paths"),
			Environments:   rarely("environments", []string{"prod*", "x"}).Draw(t, "environments"),
			Bots:           flagOf("bots").Draw(t, "bots"),
			Draft:          flagOf("draft").Draw(t, "draft"),
			Confidential:   flagOf("confidential").Draw(t, "confidential"),
		}
		either, neither := rarely("any", someLabels).Draw(t, "any"), rarely("none", someLabels).Draw(t, "none")
		if either != nil || neither != nil {
			c.Labels = &configs.Labels{Any: either, None: neither}
		}
		if rapid.IntRange(0, 5).Draw(t, "if is there") == 0 {
			c.If = &configs.Expression{Text: rapid.SampledFrom(someIfs).Draw(t, "if")}
		}
		if also {
			c.Also = list("also", someAlso).Draw(t, "also")
		}
		return c
	})
}

func routesOf(stops bool) *rapid.Generator[configs.Route] {
	return rapid.Custom(func(t *rapid.T) configs.Route {
		r := configs.Route{
			When:    rapid.SliceOfN(conditionsOf(true), 0, 2).Draw(t, "when"),
			Mention: rapid.SliceOfN(rapid.SampledFrom(someWords), 0, 2).Draw(t, "mention"),
			Stop:    stops && rapid.Bool().Draw(t, "stop"),
		}
		r.MentionPos = make([]configs.Pos, len(r.Mention))
		if rapid.Bool().Draw(t, "has except") {
			c := conditionsOf(false).Draw(t, "except")
			r.Except = &c
		}
		for _, a := range rapid.SliceOfN(rapid.SampledFrom([]string{"mm", "mm#a", "mm#b", "mm@c", "ops", "open", "open#d"}), 1, 3).Draw(t, "to") {
			address, err := configs.ParseAddress(a)
			if err != nil {
				t.Fatal(err)
			}
			r.To = append(r.To, configs.To{Address: address})
		}
		r.To = append(r.To, rapid.SliceOfN(rapid.SampledFrom(someNamed), 0, 2).Draw(t, "named by the event")...)
		return r
	})
}

func configOf(rs []configs.Route, t *rapid.T) *configs.Config {
	cfg := &configs.Config{
		Sources: []configs.Source{{Name: "gitlab"}},
		Destinations: []configs.Destination{
			{Name: "mm", Kind: configs.KindLog, Confidential: configs.Confidential{Channels: []string{"a", "@c", "gl-acme-a*", "gl-api"}}, Channels: []configs.Pattern{pattern("gl-acme-*"), pattern("gl-a*"), pattern("acme")}},
			{Name: "ops", Kind: configs.KindLog, Channel: "ops", Channels: []configs.Pattern{pattern("ma*"), pattern("ops")}, Only: rapid.SliceOfN(conditionsOf(false), 0, 2).Draw(t, "only"), Mentions: configs.MentionsNone},
			{Name: "open", Kind: configs.KindLog, Confidential: configs.Confidential{All: true}},
		},
		Usernames: configs.UsernamesSame,
		Routes:    rs,
		Unrouted:  configs.Unrouted{Mode: configs.UnroutedDrop},
	}
	for i := range rs {
		rs[i].Name = fmt.Sprintf("R%d", i)
	}
	if rapid.Bool().Draw(t, "unrouted") {
		cfg.Unrouted = configs.Unrouted{Mode: configs.UnroutedAddress, Address: configs.Address{Destination: "open", Channel: "rest"}}
	}
	if rapid.IntRange(0, 4).Draw(t, "limited") == 0 {
		cfg.Sources[0].Projects = []configs.Pattern{pattern(rapid.SampledFrom(someProjects).Draw(t, "source"))}
	}
	if rapid.Bool().Draw(t, "ignores") {
		c := conditionsOf(false).Draw(t, "ignore")
		cfg.Ignore = &c
	}
	return cfg
}

// all are the addresses that a decision names, delivered or withheld.
func all(d Decision) []string {
	out := addresses(d)
	for _, w := range d.Withheld {
		out = append(out, "withheld "+w.Address.String())
	}
	slices.Sort(out)
	return out
}

// took is the same without the address of last resort.
func took(d Decision) []string {
	d.Deliveries = slices.DeleteFunc(slices.Clone(d.Deliveries), func(x Delivery) bool { return x.Route == unroutedName })
	return all(d)
}

// TestProperties holds for every built-in event and any routes.
func TestProperties(t *testing.T) {
	known := samples(t)
	rapid.Check(t, func(t *rapid.T) {
		stops := rapid.Bool().Draw(t, "stops")
		rs := rapid.SliceOfN(routesOf(stops), 0, 5).Draw(t, "routes")
		cfg := configOf(rs, t)
		table, _ := Compile(cfg, listed)

		shuffled := *cfg
		shuffled.Routes = rapid.Permutation(rs).Draw(t, "order")
		other, _ := Compile(&shuffled, listed)

		longer := *cfg
		longer.Routes = append(slices.Clone(rs), routesOf(stops).Draw(t, "another"))
		more, _ := Compile(&longer, listed)

		without := *cfg
		without.Ignore = nil
		heeding, _ := Compile(&without, listed)

		for _, e := range rapid.SliceOfN(rapid.SampledFrom(known), 1, 20).Draw(t, "events") {
			d := table.Match(e)
			if diff := cmp.Diff(all(d), all(other.Match(e))); !stops && diff != "" {
				t.Fatalf("%s: the order of routes decides who gets it:\n%s", e.Name(), diff)
			}
			if got := all(d); len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Fatalf("%s: an address twice: %v", e.Name(), got)
			}
			for _, a := range took(d) {
				if !slices.Contains(took(more.Match(e)), a) {
					t.Fatalf("%s: another route takes %s away", e.Name(), a)
				}
				if !stops && !slices.Contains(took(heeding.Match(e)), a) {
					t.Fatalf("%s: ignore brings it to %s", e.Name(), a)
				}
			}
			gated(t, cfg, e, d)
			explained(t, table, e, d)
		}
	})
}

// gated checks that what is delivered passes the gates, asked in another way:
// an only as the when of a table of its own.
func gated(t *rapid.T, cfg *configs.Config, e *events.Event, d Decision) {
	for _, x := range d.Deliveries {
		dest := cfg.Destination(x.Address.Destination)
		if x.Placed != nil {
			reached(t, dest, e, x)
		}
		if e.Confidential && !dest.Allows(x.Address.Channel) {
			t.Fatalf("%s: confidential, yet delivered to %s", e.Name(), x.Address)
		}
		if len(dest.Only) > 0 && !passes(dest.Only, cfg, e) {
			t.Fatalf("%s: delivered to %s, whose only it does not pass", e.Name(), x.Address)
		}
		if dest.Mentions == configs.MentionsNone && len(x.Mention) > 0 {
			t.Fatalf("%s: mentions in %s: %v", e.Name(), x.Address, x.Mention)
		}
		sorted := slices.Sorted(slices.Values(x.Mention))
		if slices.Contains(sorted, "") || len(slices.Compact(sorted)) != len(x.Mention) {
			t.Fatalf("%s: mentions %q", e.Name(), x.Mention)
		}
	}
	for _, x := range d.Withheld {
		dest := cfg.Destination(x.Address.Destination)
		if x.Reason == ReasonOnly && passes(dest.Only, cfg, e) {
			t.Fatalf("%s: withheld from %s, whose only it passes", e.Name(), x.Address)
		}
	}
}

func passes(only []configs.Conditions, cfg *configs.Config, e *events.Event) bool {
	var when []configs.Conditions
	for _, c := range only {
		if c.Events == nil {
			c.Events = &configs.List{Key: "events", Values: []configs.Pattern{pattern("all"), pattern("system")}}
		}
		c.Also = &configs.List{Key: "also"}
		for _, word := range someAlso {
			c.Also.Values = append(c.Also.Values, pattern(word))
		}
		when = append(when, c)
	}
	gate := &configs.Config{
		Destinations: []configs.Destination{{Name: "x", Kind: configs.KindLog, Confidential: configs.Confidential{All: true}}},
		Routes:       []configs.Route{{When: when, To: []configs.To{{Address: configs.Address{Destination: "x"}}}}},
	}
	table, _ := Compile(gate, listed)
	return len(table.Match(e).Deliveries) == 1
}

// explained checks that an explanation is of the very decision.
func explained(t *rapid.T, table *Table, e *events.Event, d Decision) {
	x := table.Explain(e)
	if diff := cmp.Diff(d, x.Decision); diff != "" {
		t.Fatalf("%s: explain disagrees:\n%s", e.Name(), diff)
	}
	takers := map[string]bool{}
	stopped := false
	for _, r := range x.Routes {
		if r.Read == stopped {
			t.Fatalf("%s: route %s read %v after a stop %v", e.Name(), r.Name, r.Read, stopped)
		}
		if says := matchedBy(r); says != r.Matched {
			t.Fatalf("%s: route %s matched %v, its keys say %v: %+v", e.Name(), r.Name, r.Matched, says, r.Keys)
		}
		takers[r.Name] = takers[r.Name] || r.Matched && r.Read
		stopped = stopped || r.Matched && r.Stop && !d.Foreign
	}
	for _, delivery := range d.Deliveries {
		if delivery.Route != unroutedName && !takers[delivery.Route] {
			t.Fatalf("%s: delivered by route %s, which does not take it", e.Name(), delivery.Route)
		}
	}
	if (d.Nearest == "") != (d.Because == "") && !d.Foreign {
		t.Fatalf("%s: nearest %q because %q", e.Name(), d.Nearest, d.Because)
	}
}

// matchedBy works out from a route's keys whether it matched.
func matchedBy(r RouteExplanation) bool {
	entries, excluded := map[int]bool{}, false
	for _, k := range r.Keys {
		switch {
		case k.Part == partExcept:
			excluded = excluded || k.OK
		case k.Part == partIgnore:
			excluded = excluded || k.OK && k.Note != yieldsNote
		case !k.OK:
			entries[k.Index] = false
		default:
			if _, failed := entries[k.Index]; !failed {
				entries[k.Index] = true
			}
		}
	}
	for _, ok := range entries {
		if ok && !excluded {
			return true
		}
	}
	return false
}

// TestExplainJSON pins the shape for programs.
func TestExplainJSON(t *testing.T) {
	table := compile(t, destinations+`
routes:
  - name: Main
    when: {events: push, projects: acme/**, branches: [main, release/*]}
    except: {projects: acme/legacy}
    to: [mm#reviews, mm@alice]
  - {name: Standard, to: mm}
`)
	e := change(push("main"), func(e *events.Event) { e.Confidential, e.Push.MergedRef = true, "acme/backend/api!1" })
	got, err := json.MarshalIndent(table.Explain(e), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "fields": {
    "event": "push",
    "on_default_branch": true,
    "kind": "push",
    "project": {
      "path": "acme/backend/api",
      "default_branch": "main"
    },
    "ref": "refs/heads/main",
    "branch": "main",
    "confidential": true,
    "material": true,
    "push": {
      "merged_ref": "acme/backend/api!1"
    }
  },
  "routes": [
    {
      "name": "Main",
      "file": "relay.yaml",
      "line": 8,
      "matched": true,
      "read": true,
      "stop": false,
      "keys": [
        {
          "part": "when",
          "index": 0,
          "key": "events",
          "want": [
            "push"
          ],
          "got": [
            "push"
          ],
          "ok": true
        },
        {
          "part": "when",
          "index": 0,
          "key": "projects",
          "want": [
            "acme/**"
          ],
          "got": [
            "acme/backend/api"
          ],
          "ok": true
        },
        {
          "part": "when",
          "index": 0,
          "key": "branches",
          "want": [
            "main",
            "release/*"
          ],
          "got": [
            "main"
          ],
          "ok": true
        },
        {
          "part": "except",
          "index": 0,
          "key": "projects",
          "want": [
            "acme/legacy"
          ],
          "got": [
            "acme/backend/api"
          ],
          "ok": false
        }
      ]
    },
    {
      "name": "Standard",
      "file": "relay.yaml",
      "line": 12,
      "matched": false,
      "read": true,
      "stop": false,
      "keys": [
        {
          "part": "when",
          "index": 0,
          "key": "events",
          "want": [
            "standard"
          ],
          "got": [
            "push"
          ],
          "ok": false,
          "note": "it only brings in a merge request"
        }
      ]
    }
  ],
  "deliveries": [],
  "withheld": [
    {
      "destination": "mm",
      "channel": "reviews",
      "route": "Main",
      "reason": "confidential"
    },
    {
      "destination": "mm",
      "channel": "@alice",
      "route": "Main",
      "reason": "confidential"
    }
  ]
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func manyRoutes(n int) string {
	yaml := destinations + "routes:\n"
	for i := range n {
		yaml += fmt.Sprintf("  - {when: {events: [push, merge_request.merge], projects: acme/team%d/**, branches: [main, release/*]}, except: {projects: \"**/legacy\"}, to: mm#c%d}\n", i, i)
	}
	return yaml + "  - {when: {events: push}, to: ops}\n"
}

// TestMatchAllocates keeps routes that do not match free of allocations.
func TestMatchAllocates(t *testing.T) {
	few, many := compile(t, manyRoutes(20)), compile(t, manyRoutes(200))
	e := push("main")
	base := testing.AllocsPerRun(100, func() { few.Match(e) })
	if got := testing.AllocsPerRun(100, func() { many.Match(e) }); got > base {
		t.Errorf("%v allocations with 200 routes, %v with 20", got, base)
	}
	if base > 3 {
		t.Errorf("%v allocations for one delivery", base)
	}
}

// byHand is what 20 of manyRoutes ask, written as a program would: what a table
// costs is told by the difference.
func byHand(e *events.Event) []string {
	var out []string
	if e.Kind == events.Push || e.Kind == events.MergeRequest && e.Action == "merge" {
		project := strings.ToLower(e.Project.Path)
		branch := e.Branch
		if e.Tag != "" {
			branch = ""
		}
		for i := range 20 {
			team := teams[i]
			if !strings.HasPrefix(project, team) || len(project) > len(team) && project[len(team)] != '/' {
				continue
			}
			if branch != "main" && !strings.HasPrefix(branch, "release/") || strings.HasSuffix(project, "/legacy") {
				continue
			}
			out = append(out, "mm#c"+team[9:])
		}
	}
	if e.Kind == events.Push {
		out = append(out, "ops")
	}
	return out
}

var teams = func() []string {
	var out []string
	for i := range 20 {
		out = append(out, fmt.Sprintf("acme/team%d", i))
	}
	return out
}()

// TestByHand keeps the benchmark's two sides alike.
func TestByHand(t *testing.T) {
	table := compile(t, manyRoutes(20))
	for _, e := range []*events.Event{
		push("main"), push("x"), named("issue", "open"),
		change(push("release/1"), func(e *events.Event) { e.Project.Path = "acme/team7/api" }),
		change(push("main"), func(e *events.Event) { e.Project.Path = "acme/team7/legacy" }),
		change(push("main"), func(e *events.Event) { e.Project.Path = "acme/team1" }),
	} {
		if diff := cmp.Diff(addresses(table.Match(e)), append([]string{}, byHand(e)...)); diff != "" {
			t.Errorf("%s in %s (-table +by hand):\n%s", e.Name(), e.Project.Path, diff)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	e := change(push("main"), func(e *events.Event) { e.Project.Path = "acme/team7/api" })
	b.Run("20 routes by hand", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			byHand(e)
		}
	})
	for _, n := range []int{20, 1000} {
		table := compile(b, manyRoutes(n))
		b.Run(fmt.Sprintf("%d routes", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Match(e)
			}
		})
	}
	places := compile(b, strings.Replace(manyRoutes(960), "routes:\n", "routes:\n"+strings.Repeat("  - {when: {events: [push, merge_request.merge], projects: acme/other/**}, to: \"mm#gl-{project.path}\"}\n", 40), 1))
	b.Run("1000 routes, 40 with places", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			places.Match(e)
		}
	})
	named := compile(b, destinations+"routes: [{when: {events: push}, to: \"mm#gl-{project.path}\"}]\n")
	b.Run("a place", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			named.Match(e)
		}
	})
	table := compile(b, destinations+"routes: [{when: {events: push, if: \"branch == 'main' && push.total > 3\"}, to: mm}, {when: {events: push}, to: ops}]\n")
	b.Run("an if", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			table.Match(e)
		}
	})
}
