package routes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUses: what the routes can take from a project is known before any event.
func TestUses(t *testing.T) {
	table := compile(t, destinations+`
sources:
  gitlab: {insecure: true, projects: [acme/**, partner/**]}
  lab: {insecure: true}
routes:
  - {name: CI, when: {events: [job.failed, "/^pipeline[.]f/"], projects: acme/**}, to: ops}
  - {name: Issues, when: {events: issue.open, confidential: true}, to: open}
  - {name: Closed, when: {events: issue.close, confidential: true}, to: ops}
  - {name: Notes, when: [{events: note.commit, confidential: false, sources: lab}, {events: note.issue}], to: open}
  - {name: Canceled, when: {events: pipeline.canceled, projects: [partner/**, lab/**]}, to: ops}
`)
	tests := []struct{ source, project, want string }{
		{"gitlab", "acme/api", "CI:job.failed CI:pipeline.failed Issues:issue.open(c) Closed:issue.close() Notes:note.issue(pc)"},
		{"gitlab", "Partner/web", "Issues:issue.open(c) Closed:issue.close() Notes:note.issue(pc) Canceled:pipeline.canceled"},
		{"lab", "lab/x", "Issues:issue.open(c) Closed:issue.close() Notes:note.commit Notes:note.issue(pc) Canceled:pipeline.canceled"},
		{"gitlab", "", "CI:job.failed CI:pipeline.failed Issues:issue.open(c) Closed:issue.close() Notes:note.issue(pc) Canceled:pipeline.canceled"},
	}
	for _, tt := range tests {
		var got []string
		for _, u := range table.Uses(tt.source, tt.project) {
			s := u.Route + ":" + u.Event
			switch {
			case u.Public && u.Confidential:
				s += "(pc)"
			case u.Confidential:
				s += "(c)"
			case !u.Public:
				s += "()"
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.source, tt.project, diff)
		}
	}
	if !table.MaySpeakFor("gitlab", "Acme/api") || table.MaySpeakFor("gitlab", "lab/x") || !table.MaySpeakFor("lab", "acme/api") {
		t.Error("MaySpeakFor does not follow projects of the source")
	}
}

// TestUsesOfUnrouted: what no route takes is wanted where unrouted goes somewhere.
func TestUsesOfUnrouted(t *testing.T) {
	for unrouted, want := range map[string]bool{"drop": false, "log": true, "ops": true} {
		table := compile(t, destinations+"unrouted: "+unrouted+"\nroutes: [{name: All, when: {events: job.failed}, to: [mm, ops, open]}]\n")
		got := slices.ContainsFunc(table.Uses("gitlab", "acme/api"), func(u Use) bool { return u.Event == "merge_request.merge" && u.Route == unroutedName })
		if got != want {
			t.Errorf("unrouted %s: merge_request.merge is used: %t", unrouted, got)
		}
	}
}

// TestHooked: projects of hooks are globs as in routes, without regard to case.
func TestHooked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "api")
	if err := os.WriteFile(file, []byte(strings.Repeat("a", 20)), 0o600); err != nil {
		t.Fatal(err)
	}
	table := compile(t, destinations+`
sources:
  gitlab:
    token: `+strings.Repeat("t", 32)+`
    api: {url: "https://gitlab.example", token_file: "`+file+`"}
    hooks: {url: "https://relay.example/hooks/gitlab", projects: [Acme/**, /^lab./], except: acme/archive/**}
routes: [{to: [mm, ops, open]}]
`)
	for project, want := range map[string]bool{"acme/api": true, "ACME/x/y": true, "acme/archive/old": false, "lab-1/x": true, "other/x": false} {
		if got := table.Hooked("gitlab", project); got != want {
			t.Errorf("%s: %t", project, got)
		}
	}
}
