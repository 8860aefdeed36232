package routes

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
)

func TestRunTests(t *testing.T) {
	const yaml = destinations + `
sources: {a: {token: canary}, b: {token: canary}}
routes: [{name: R, when: {sources: a, events: push, branches: main}, to: [mm, ops#ops-alerts]}]
tests:
  - {name: right, event: push, with: {branch: main}, expect: {to: [ops, mm]}}
  - {name: wrong, event: push, with: {branch: x}, expect: {to: mm}}
  - {name: of another source, event: push, with: {branch: main, source: b}, expect: {to: []}}
  - {name: no source, event: push, with: {source: c}, expect: {to: []}}
  - {name: no event, event: pus, expect: {to: []}}
  - {name: no such thing, event: push, with: {draft: true}, expect: {to: []}}
`
	cfg, found := configs.LoadBytes("relay.yaml", []byte(yaml), env)
	table, more := Compile(cfg, listed)
	if found = append(found, more...); configs.HasErrors(found) {
		t.Fatal(text(t, found))
	}
	var got []string
	for _, r := range RunTests(cfg, table, sample) {
		line := r.Name + ": "
		switch {
		case r.Err != nil:
			line += r.Err.Error()
		case r.Pass:
			line += "pass"
		default:
			line += "want " + strings.Join(r.Want, " ") + ", got " + strings.Join(r.Got, " ") + ", " + r.Explanation.Because
		}
		got = append(got, line)
	}
	want := []string{
		"right: pass",
		"wrong: want mm, got , branches: want main, got x",
		"of another source: pass",
		`no source: set source: there is none called "c"`,
		"no event: load pus: there is no sample pus",
		"no such thing: change push: set draft: push has no draft",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
