package routes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// keysOf are the keys of a part of a route's explanation, as one line each.
func keysOf(r RouteExplanation, part string) []string {
	var out []string
	for _, k := range r.Keys {
		if k.Part != part {
			continue
		}
		ok := "no"
		if k.OK {
			ok = "yes"
		}
		out = append(out, strings.TrimSpace(k.Key+" want "+strings.Join(k.Want, "|")+" got "+strings.Join(k.Got, "|")+" "+ok+" "+k.Note))
	}
	return out
}

func TestExplainIgnore(t *testing.T) {
	table := compile(t, destinations+`
ignore: {actors: "*-bot", projects: acme/x, labels: {none: keep}}
routes:
  - {name: A, to: mm}
  - {name: B, when: {actors: deploy-bot, labels: keep}, to: mm}
`)
	x := table.Explain(change(labelled("keep"), func(e *events.Event) { e.Actor = events.User{Username: "Deploy-Bot", Bot: true} }))
	want := [][]string{
		{"projects want acme/x got Acme/Backend/API no", "labels want none of keep got keep no", "actors want *-bot got Deploy-Bot yes"},
		{"projects want acme/x got Acme/Backend/API no", "labels want none of keep got keep no", "actors want *-bot got Deploy-Bot yes yields: the route names it"},
	}
	got := [][]string{keysOf(x.Routes[0], partIgnore), keysOf(x.Routes[1], partIgnore)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if x.Routes[0].Matched || !x.Routes[1].Matched {
		t.Errorf("%+v", x.Routes)
	}
}

func TestExplainKeys(t *testing.T) {
	table := compile(t, destinations+`
routes:
  - name: A
    when: {events: [push, other], sources: gitlab, branches: main, paths: docs/**, bots: true, if: "pipeline.duration > 3 && push.total > 1 && branch != ''"}
    except: {draft: false}
    to: mm
`)
	e := change(changing("a", "b"), func(e *events.Event) { e.Push.Total = 30; e.Actor.Username = "jdoe" })
	x := table.Explain(e)
	want := []string{
		"events want push|other got push yes",
		"sources want gitlab got  no",
		"bots want true got false no",
		"branches want main got x no",
		"paths want docs/** got a|b no GitLab lists at most the newest 20 commits: 1 of 30 are looked at",
		"if want pipeline.duration > 3 && push.total > 1 && branch != '' got push.total = 30|branch = x no no pipeline",
	}
	if diff := cmp.Diff(want, keysOf(x.Routes[0], partWhen)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"draft want false got  no"}, keysOf(x.Routes[0], partExcept)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExplainWithheld(t *testing.T) {
	table := compile(t, destinations+`
  gate: {kind: log, only: [{projects: x/y}, {visibility: public}]}
routes: [{name: A, to: [mm, gate]}]
`)
	x := table.Explain(change(named("issue", "open"), func(e *events.Event) { e.Project.Visibility = "internal" }))
	want := []WithheldExplanation{{Destination: "gate", Route: "A", Reason: "only", Because: "visibility: want public, got internal"}}
	if diff := cmp.Diff(want, x.Withheld); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// stepsOfFiles checks that deciding on an event takes no more than the steps that
// each file has. What the last of its routes would take is counted, and not done.
func stepsOfFiles(t *testing.T, table *Table, e *events.Event) {
	t.Helper()
	s := table.subject(e)
	for i := range table.routes {
		if i == 0 || table.routes[i].group != table.routes[i-1].group {
			s.meter = meter{}
		}
		before := s.file
		table.takes(&table.routes[i], s, nil)
		if took := s.file - before; !s.over && (took > maxRouteSteps || s.file > maxFileSteps) {
			t.Errorf("%s: route %d took %d steps, its file %d", e.Name(), i, took, s.file)
		}
	}
}

// FuzzMatch looks for files and payloads that stop the matcher, that take more than
// their steps, that it decides in two ways, or that bring an event where a gate forbids it.
func FuzzMatch(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for i, file := range append(files, "../configs/relay.yaml", "../configs/examples/monorepo.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		samples := events.Samples()
		f.Add(string(data), samples[i*5%len(samples)].Body)
	}
	f.Fuzz(func(t *testing.T, yaml string, body []byte) {
		for _, word := range []string{"_file", "include", "templates"} {
			if strings.Contains(yaml, word) {
				return // reads what the fuzzer names
			}
		}
		cfg, found := configs.LoadBytes("relay.yaml", []byte(yaml), exampleEnv)
		table, more := Compile(cfg, listed)
		for _, x := range more {
			if x.Message == "" || x.Pos.Line < 0 {
				t.Errorf("%+v", x)
			}
		}
		if configs.HasErrors(append(found, more...)) {
			return
		}
		source := ""
		if len(cfg.Sources) > 0 {
			source = cfg.Sources[0].Name
		}
		for _, e := range []*events.Event{
			events.Decode(events.Input{Source: source, Body: body}), push("main"), change(labelled("bug"), func(e *events.Event) { e.Confidential = true }), hostileEvent(),
		} {
			stepsOfFiles(t, table, e)
			d := table.Match(e)
			if diff := cmp.Diff(d, table.Explain(e).Decision); diff != "" {
				t.Errorf("explain disagrees:\n%s", diff)
			}
			for _, x := range d.Deliveries {
				dest := cfg.Destination(x.Address.Destination)
				if e.Confidential && !dest.Allows(x.Address.Channel) || dest.Mentions == configs.MentionsNone && len(x.Mention) > 0 {
					t.Errorf("%+v of %s", x, e.Name())
				}
			}
		}
	})
}
