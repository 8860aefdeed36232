package gitlab

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestWanted: which triggers are on follows from what the routes can take, and each
// says why.
func TestWanted(t *testing.T) {
	both := func(kind string) Use { return Use{kind, true, true, "route " + kind} }
	tests := []struct {
		name  string
		words []string
		uses  []Use
		group bool
		want  string
	}{
		{"nothing", []string{"routed"}, nil, true, ""},
		{"public alone", []string{"routed"}, []Use{{events.Issue, true, false, "A"}, {events.Note, true, false, "B"}}, false, "issues_events: A, note_events: B"},
		{"confidential alone", []string{"routed"}, []Use{{events.Issue, false, true, "A"}, {events.Note, false, true, "B"}}, false, "confidential_issues_events: A, confidential_note_events: B"},
		{"to nobody", []string{"routed"}, []Use{{events.Push, false, false, "A"}, {events.Vulnerability, true, false, "A"}}, false, ""},
		{"the first counts", []string{"routed"}, []Use{{events.Push, true, false, "A"}, {events.Push, true, true, "B"}}, false, "push_events: A"},
		{"members are of groups", []string{"routed"}, []Use{both(events.Member)}, false, ""},
		{"members", []string{"routed"}, []Use{both(events.Member)}, true, "member_events: route member"},
		{"by name", []string{"job_events", "routed"}, []Use{both(events.Push)}, false, "job_events: events names it, push_events: route push"},
		{"what no webhook sends", []string{"routed"}, []Use{both(events.System), both(events.Other)}, true, ""},
	}
	for _, tt := range tests {
		got := wanted(tt.words, tt.uses, tt.group)
		var list []string
		for _, name := range slices.Sorted(maps.Keys(got)) {
			list = append(list, name+": "+got[name])
		}
		if diff := cmp.Diff(tt.want, strings.Join(list, ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if n := len(wanted([]string{"all"}, nil, true)); n != len(triggers) {
		t.Errorf("all are %d", n)
	}
}

// TestEveryKindHasATrigger: a kind of event that a webhook can send is one that a
// plan switches on.
func TestEveryKindHasATrigger(t *testing.T) {
	for _, kind := range events.Kinds() {
		has := slices.ContainsFunc(triggers, func(t trigger) bool { return t.kind == kind })
		if none := kind == events.System || kind == events.Other; has == none {
			t.Errorf("%s: %t", kind, has)
		}
	}
}

func TestCheck(t *testing.T) {
	var got []string
	for _, word := range []string{"routed", "all", "push_events", "merge_request", "pusch_events", "whatever"} {
		cfg := &configs.Config{Sources: []configs.Source{{Hooks: &configs.Hooks{Events: []configs.Pattern{{Text: word}}}}, {}}}
		for _, f := range Check(cfg) {
			hint, _, _ := strings.Cut(f.Hint, ": ")
			got = append(got, f.Message+"; "+hint)
		}
	}
	want := []string{
		`GitLab has no trigger "merge_request"; did you mean "merge_requests_events"?`,
		`GitLab has no trigger "pusch_events"; did you mean "push_events"?`,
		`GitLab has no trigger "whatever"; it takes routed, all, or GitLab's names`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
