package routes

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestIncluded: stop in an included file ends the reading of that file alone,
// in the main file of all; a fence holds whatever the file's routes say.
func TestIncluded(t *testing.T) {
	for _, c := range []struct {
		event *events.Event
		want  []string
		read  []bool
	}{
		{named("issue", "open"), []string{"s#main", "s#b1"}, []bool{true, true, true, true, false, true, true}},
		{named("push", ""), []string{"s#ended"}, []bool{true, false, false, false, false, false, false}},
		{change(named("issue", "open"), func(e *events.Event) { e.Project.Path = "acme/pay/x" }), []string{"s#main", "s#b1", "s#pay"}, []bool{true, true, true, true, false, true, true}},
	} {
		cfg, found := configs.Load("testdata/included/relay.yaml", env)
		table, more := Compile(cfg, listed)
		if found = append(found, more...); configs.HasErrors(found) {
			t.Fatal(text(t, found))
		}
		x := table.Explain(c.event)
		if diff := cmp.Diff(c.want, addresses(x.Decision)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.event.Name(), diff)
		}
		var read []bool
		for _, r := range x.Routes {
			read = append(read, r.Read)
		}
		if diff := cmp.Diff(c.read, read); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.event.Name(), diff)
		}
		if diff := cmp.Diff(x.Decision, table.Match(c.event)); diff != "" {
			t.Errorf("match disagrees:\n%s", diff)
		}
	}
}

// TestIncludedAlone: a main file without routes leaves each included file its
// own stop.
func TestIncludedAlone(t *testing.T) {
	cfg, found := configs.Load("testdata/included/alone.yaml", env)
	table, more := Compile(cfg, listed)
	if found = append(found, more...); configs.HasErrors(found) {
		t.Fatal(text(t, found))
	}
	if diff := cmp.Diff([]string{"s#b1", "s#pay"}, addresses(table.Match(named("issue", "open")))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
