package routes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// TestRestrict: of two versions of a file the one that allows less decides about
// confidential events and only, also when that version has mistakes elsewhere.
func TestRestrict(t *testing.T) {
	const rest = "sources: {gitlab: {token: abcdefghijklmnopqrst}}\nroutes: [{when: {events: all}, to: mm}]\n"
	event := func(project string, confidential bool) *events.Event {
		return &events.Event{Kind: "issue", Action: "open", Source: "gitlab", Project: events.Project{Path: project}, Confidential: confidential}
	}
	for _, tt := range []struct {
		name     string
		old, new string // keys of the destination
		goes     []string
	}{
		{"both allow all", "confidential: true", "confidential: true", []string{"a", "b", "a secret", "b secret"}},
		{"the new one says nothing", "confidential: true", "", []string{"a", "b"}},
		{"the old one says nothing", "", "confidential: true", []string{"a", "b"}},
		{"the new one names other channels", "channel: x, confidential: x", "channel: x, confidential: z", []string{"a", "b"}},
		{"the same channel", "channel: x, confidential: [x, y]", "channel: x, confidential: x", []string{"a", "b", "a secret", "b secret"}},
		{"the new one has an only", "", "only: {projects: acme/a}", []string{"a"}},
		{"the old one has an only", "only: {projects: acme/a}", "", []string{"a"}},
		{"both have another", "only: {projects: acme/a}", "only: {projects: acme/b}", nil},
		{"lists of them", "only: [{projects: acme/a}, {projects: acme/b}]", "only: [{projects: acme/b}, {events: push}]", []string{"b"}},
		{"a mistaken one", "only: {projects: acme/a}", "only: {projects: acme/a, events: isue.open}", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			load := func(keys, more string) *configs.Config {
				text := "destinations: {mm: {" + strings.TrimPrefix("url: \"https://chat.example/hooks/x\", "+keys, ", ") + "}}\n" + rest + more
				cfg, found := configs.LoadBytes("relay.yaml", []byte(text), func(string) (string, bool) { return "", false })
				if more == "" && configs.HasErrors(found) {
					t.Fatalf("%s: %v", text, found)
				}
				return cfg
			}
			old := load(tt.old, "")
			old.Restrict(load(tt.new, "mistake: here\n"))
			table, found := Compile(old, listed)
			if configs.HasErrors(found) {
				t.Errorf("the other version's mistakes are this one's: %v", found)
			}
			var goes []string
			for _, project := range []string{"a", "b"} {
				if len(table.Match(event("acme/"+project, false)).Deliveries) > 0 {
					goes = append(goes, project)
				}
			}
			for _, project := range []string{"a", "b"} {
				if len(table.Match(event("acme/"+project, true)).Deliveries) > 0 {
					goes = append(goes, project+" secret")
				}
			}
			if !slices.Equal(goes, tt.goes) {
				t.Errorf("what goes: %q, want %q", goes, tt.goes)
			}
		})
	}
}

// TestClosedLeftOut: what waits was routed by a file that has a mistake now, so
// that nothing of it is in force. It is posted: the fence is as it was.
func TestClosedLeftOut(t *testing.T) {
	dir := t.TempDir()
	main, team := filepath.Join(dir, "relay.yaml"), filepath.Join(dir, "team.yaml")
	text := "sources: {gitlab: {token: abcdefghijklmnopqrst}}\ndestinations: {mm: \"https://chat.example/hooks/x\"}\ninclude: {files: team.yaml, to: \"mm#a\"}\n"
	if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, found := configs.Reading{Env: env, Instead: map[string][]byte{team: nil}}.Load(main)
	table, more := Compile(cfg, listed)
	if found = append(found, more...); configs.HasErrors(found) {
		t.Fatal(text, found)
	}
	for channel, want := range map[string]string{"a": "", "b": ReasonFence} {
		got := table.Closed(named("issue", "open"), configs.Address{Destination: "mm", Channel: channel}, team)
		if got != want {
			t.Errorf("mm#%s is closed: %q, want %q", channel, got, want)
		}
	}
}
