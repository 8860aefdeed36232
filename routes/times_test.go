package routes

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

const timed = destinations + `
times:
  office: {days: mon-fri, hours: "08:00-18:00", zone: Europe/Berlin}
  weekend: {days: [sat, sun], zone: Europe/Berlin}
`

func arrival(t testing.TB, s string) time.Time {
	t.Helper()
	if s == "" {
		return time.Time{}
	}
	at, err := configs.ParseMoment(s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestTimes: a route takes what came in its times, and everything without a time.
func TestTimes(t *testing.T) {
	table := compile(t, timed+`
routes:
  - {name: Office, when: {events: push, times: office}, to: mm#office}
  - {name: Week, when: {events: push}, except: {times: weekend}, to: mm#week}
unrouted: ops
`)
	for _, c := range []struct {
		at   string
		want []string
	}{
		{"2026-12-07 09:00 Europe/Berlin", []string{"mm#office", "mm#week"}},
		{"2026-12-07 20:00 Europe/Berlin", []string{"mm#week"}},
		{"2026-12-05 09:00 Europe/Berlin", []string{}}, // a Saturday: a route claims it, so that unrouted does not
		{"", []string{"mm#office", "mm#week"}},
	} {
		at := arrival(t, c.at)
		e := push("main")
		if diff := cmp.Diff(c.want, addresses(table.MatchAt(e, at))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.at, diff)
		}
		if diff := cmp.Diff(addresses(table.MatchAt(e, at)), addresses(table.ExplainAt(e, at).Decision)); diff != "" {
			t.Errorf("%s is explained otherwise:\n%s", c.at, diff)
		}
	}
	other := change(push("main"), func(e *events.Event) { e.Kind, e.Tag = "tag_push", "v1" })
	if got := addresses(table.MatchAt(other, arrival(t, "2026-12-05 09:00 Europe/Berlin"))); len(got) != 1 || got[0] != "ops" {
		t.Errorf("what no route claims goes to %v", got)
	}
}

// TestTimesAreExplained: the answer says when the webhook came, on the clock of the times.
func TestTimesAreExplained(t *testing.T) {
	table := compile(t, timed+"routes: [{name: Office, when: {events: push, times: office}, to: mm}]\n")
	x := table.ExplainAt(push("main"), arrival(t, "2026-12-05T08:00:00Z"))
	if want := "times: want office, got Sat 2026-12-05 09:00 CET"; x.Because != want {
		t.Errorf("%q, want %q", x.Because, want)
	}
	x = table.Explain(push("main"))
	if k := x.Routes[0].Keys[1]; !k.OK || !strings.Contains(k.Note, "without a time") {
		t.Errorf("%+v", k)
	}
}
