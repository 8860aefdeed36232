package routes

import (
	"encoding/json"
	"fmt"
	"slices"
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
	someProjects = []string{"acme/**", "acme/*", "**", "**/api", "other/x", "/api/", "ACME/backend/api"}
	someBranches = []string{"main", "*", "release/*", "$default", "$protected", "/^fix/", "feature/*"}
	someAlso     = []string{"edited_notes", "child_pipelines", "system_notes", "immaterial_updates"}
)

func someEvents() []string {
	return slices.Concat([]string{"standard", "classic", "all", "/e/", "merge_request.*"}, events.Kinds(), events.Names())
}

func conditionsOf(also bool) *rapid.Generator[configs.Conditions] {
	return rapid.Custom(func(t *rapid.T) configs.Conditions {
		c := configs.Conditions{
			Events:   list("events", someEvents()).Draw(t, "events"),
			Projects: list("projects", someProjects).Draw(t, "projects"),
			Branches: list("branches", someBranches).Draw(t, "branches"),
		}
		if also {
			c.Also = list("also", someAlso).Draw(t, "also")
		}
		return c
	})
}

func routesOf() *rapid.Generator[configs.Route] {
	return rapid.Custom(func(t *rapid.T) configs.Route {
		r := configs.Route{
			Name: rapid.StringMatching(`[A-Z][a-z]{0,5}`).Draw(t, "name"),
			When: rapid.SliceOfN(conditionsOf(true), 0, 2).Draw(t, "when"),
		}
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
		return r
	})
}

func configOf(rs []configs.Route, t *rapid.T) *configs.Config {
	cfg := &configs.Config{
		Sources: []configs.Source{{Name: "gitlab"}},
		Destinations: []configs.Destination{
			{Name: "mm", Kind: configs.KindLog, Confidential: configs.Confidential{Channels: []string{"a", "@c"}}},
			{Name: "ops", Kind: configs.KindLog, Channel: "ops"},
			{Name: "open", Kind: configs.KindLog, Confidential: configs.Confidential{All: true}},
		},
		Routes:   rs,
		Unrouted: configs.Unrouted{Mode: configs.UnroutedDrop},
	}
	if rapid.Bool().Draw(t, "unrouted") {
		cfg.Unrouted = configs.Unrouted{Mode: configs.UnroutedAddress, Address: configs.Address{Destination: "open", Channel: "rest"}}
	}
	if rapid.IntRange(0, 4).Draw(t, "limited") == 0 {
		cfg.Sources[0].Projects = []configs.Pattern{pattern(rapid.SampledFrom(someProjects).Draw(t, "source"))}
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
		rs := rapid.SliceOfN(routesOf(), 0, 5).Draw(t, "routes")
		cfg := configOf(rs, t)
		table, _ := Compile(cfg, listed)

		shuffled := *cfg
		shuffled.Routes = rapid.Permutation(rs).Draw(t, "order")
		other, _ := Compile(&shuffled, listed)

		longer := *cfg
		longer.Routes = append(slices.Clone(rs), routesOf().Draw(t, "another"))
		more, _ := Compile(&longer, listed)

		for _, e := range rapid.SliceOfN(rapid.SampledFrom(known), 1, 20).Draw(t, "events") {
			d := table.Match(e)
			if diff := cmp.Diff(all(d), all(other.Match(e))); diff != "" {
				t.Fatalf("%s: the order of routes decides who gets it:\n%s", e.Name(), diff)
			}
			if got := all(d); len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Fatalf("%s: an address twice: %v", e.Name(), got)
			}
			for _, a := range took(d) {
				if !slices.Contains(took(more.Match(e)), a) {
					t.Fatalf("%s: another route takes %s away", e.Name(), a)
				}
			}
			if e.Confidential {
				for _, x := range d.Deliveries {
					if !cfg.Destination(x.Address.Destination).Allows(x.Address.Channel) {
						t.Fatalf("%s: confidential, yet delivered to %s", e.Name(), x.Address)
					}
				}
			}
			explained(t, table, e, d)
		}
	})
}

// explained checks that an explanation is of the very decision.
func explained(t *rapid.T, table *Table, e *events.Event, d Decision) {
	x := table.Explain(e)
	if diff := cmp.Diff(d, x.Decision); diff != "" {
		t.Fatalf("%s: explain disagrees:\n%s", e.Name(), diff)
	}
	takers := map[string]bool{}
	for _, r := range x.Routes {
		entries, excluded := map[int]bool{}, false
		for _, k := range r.Keys {
			switch {
			case k.Part == partExcept:
				excluded = excluded || k.OK
			case !k.OK:
				entries[k.Index] = false
			default:
				if _, failed := entries[k.Index]; !failed {
					entries[k.Index] = true
				}
			}
		}
		matched := false
		for _, ok := range entries {
			matched = matched || ok
		}
		if matched = matched && !excluded; matched != r.Matched {
			t.Fatalf("%s: route %s matched %v, its keys say %v: %+v", e.Name(), r.Name, r.Matched, matched, r.Keys)
		}
		takers[r.Name] = takers[r.Name] || matched
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

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{20, 1000} {
		table := compile(b, manyRoutes(n))
		b.Run(fmt.Sprintf("%d routes", n), func(b *testing.B) {
			e := push("main")
			b.ReportAllocs()
			for b.Loop() {
				table.Match(e)
			}
		})
	}
}
