package events

import (
	"testing"
)

// TestReviewer tells who submitted a review: the actor, also where GitLab names no
// user.
func TestReviewer(t *testing.T) {
	const changes = `"changes":{"reviewers":[[{"id":9,"name":"Grace","username":"grace","state":"unreviewed"}],[{"id":9,"name":"Grace","username":"grace","state":"requested_changes"}]]}`
	for _, user := range []string{`{"id":9,"name":"Grace","username":"grace"}`, `null`} {
		e := decode("Merge Request Hook", `{"object_kind":"merge_request","user":`+user+`,"object_attributes":{"action":"update"},`+changes+`}`)
		if e.Name() != "merge_request.changes_requested" || e.Actor.Username != "grace" || e.Actor.ID != 9 {
			t.Errorf("user %s: %s by %+v", user, e.Name(), e.Actor)
		}
		if by := e.MergeRequest.ReviewedBy; len(by) != 1 || by[0].Name != "Grace" {
			t.Errorf("user %s: reviewed by %+v", user, by)
		}
	}
}

// TestDraftWithoutDraft tells a draft by its title where GitLab sends neither
// draft nor work_in_progress.
func TestDraftWithoutDraft(t *testing.T) {
	tests := []struct {
		attributes string
		draft      bool
	}{
		{`"title":"Draft: x"`, true},
		{`"title":"x"`, false},
		{`"title":"Draft: x","draft":false`, false},
		{`"title":"x","draft":true`, true},
		{`"title":"WIP: x","work_in_progress":false`, false},
	}
	for _, tt := range tests {
		e := decode("Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{"action":"open",`+tt.attributes+`}}`)
		if e.Draft != tt.draft {
			t.Errorf("%s: draft %v", tt.attributes, e.Draft)
		}
	}
}

// TestCommitOrder puts the oldest commit of a push first, whichever end GitLab
// begins with.
func TestCommitOrder(t *testing.T) {
	const a, b, c = `{"id":"aaaaaaaa1"}`, `{"id":"bbbbbbbb2"}`, `{"id":"cccccccc3"}`
	const zeros = "0000000000000000000000000000000000000000"
	tests := []struct{ name, before, commits, more string }{
		{"oldest first", "1", a + "," + b + "," + c, ""},
		{"newest first, as the Test button sends it", "1", c + "," + b + "," + a, ""},
		{"newest first, on a new branch", zeros, c + "," + b + "," + a, `,"checkout_sha":"cccccccc3"`},
	}
	for _, tt := range tests {
		e := decode("Push Hook", `{"object_kind":"push","ref":"refs/heads/main","before":"`+tt.before+`","after":"cccccccc3"`+tt.more+`,"commits":[`+tt.commits+`],"total_commits_count":3}`)
		got := ""
		for _, c := range e.Push.Commits {
			got += c.SHA[:1]
		}
		if got != "abc" || e.Commit == nil || e.Commit.SHA != "cccccccc3" {
			t.Errorf("%s: %s, head %+v", tt.name, got, e.Commit)
		}
	}
}

// TestEditedNote tells an edited note of a GitLab that sends no action with notes.
func TestEditedNote(t *testing.T) {
	const created = `"created_at":"2026-11-20 09:12:44 UTC"`
	tests := []struct {
		attributes string
		edited     bool
	}{
		{created + `,"updated_at":"2026-11-20 09:12:44 UTC","updated_by_id":null,"last_edited_at":null`, false},
		{created + `,"updated_at":"2026-11-20 09:12:45 UTC","updated_by_id":7`, false},
		{created + `,"updated_at":"2026-11-20 09:30:00 UTC"`, false}, // resolved, or moved along with its thread
		{created + `,"updated_at":"2026-11-20 09:30:00 UTC","updated_by_id":7`, true},
		{created + `,"last_edited_at":"2026-11-20 09:30:00 UTC"`, true},
		{created + `,"last_edited_at":"2026-11-20 09:12:45 UTC"`, false},
		{`"last_edited_at":"2026-11-20 09:30:00 UTC"`, false},
		{created + `,"last_edited_at":"2026-11-20 09:30:00 UTC","action":"create"`, false},
		{created + `,"action":"update"`, true},
	}
	for _, tt := range tests {
		e := decode("Note Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Issue","note":"x",`+tt.attributes+`}}`)
		if e.Note.Edited != tt.edited {
			t.Errorf("%s: edited %v", tt.attributes, e.Note.Edited)
		}
	}
}

// TestThings names what a comment or a reaction is on though GitLab sends no
// object of it.
func TestThings(t *testing.T) {
	const project = `"project":{"path_with_namespace":"acme/api","web_url":"https://gitlab.example/acme/api"}`
	tests := []struct{ name, header, body, title, commit string }{
		{"commit by its SHA", "Note Hook", `{"object_kind":"note",` + project + `,"object_attributes":{"noteable_type":"Commit","note":"x","commit_id":"1a2b3c4db01afc2b"}}`, "1a2b3c4d", "https://gitlab.example/acme/api/-/commit/1a2b3c4db01afc2b"},
		{"reaction to a design", "Emoji Hook", `{"object_kind":"emoji",` + project + `,"object_attributes":{"name":"tada","awardable_type":"DesignManagement::Design"}}`, "a design", ""},
		{"reaction to a comment on a wiki page", "Emoji Hook", `{"object_kind":"emoji",` + project + `,"object_attributes":{"name":"tada","awardable_type":"Note"},"note":{"noteable_type":"WikiPage::Meta"}}`, "a wiki page", ""},
		{"reaction to a comment on a commit", "Emoji Hook", `{"object_kind":"emoji",` + project + `,"object_attributes":{"name":"tada","awardable_type":"Note"},"note":{"noteable_type":"Commit","commit_id":"1a2b3c4db01afc2b"}}`, "", "https://gitlab.example/acme/api/-/commit/1a2b3c4db01afc2b"},
		{"reaction to a vulnerability", "Emoji Hook", `{"object_kind":"emoji",` + project + `,"object_attributes":{"name":"tada","awardable_type":"Vulnerability"}}`, "a vulnerability", ""},
		{"reaction to what is not known", "Emoji Hook", `{"object_kind":"emoji",` + project + `,"object_attributes":{"name":"tada","awardable_type":"Moon"}}`, "something", ""},
		{"reaction to a comment on what is not known", "Emoji Hook", `{"object_kind":"emoji",` + project + `,"object_attributes":{"name":"tada","awardable_type":"Note"}}`, "something", ""},
	}
	for _, tt := range tests {
		e := decode(tt.header, tt.body)
		if e.Title != tt.title {
			t.Errorf("%s: title %q", tt.name, e.Title)
		}
		switch {
		case tt.commit == "" && e.Commit != nil:
			t.Errorf("%s: commit %+v", tt.name, e.Commit)
		case tt.commit != "" && (e.Commit == nil || e.Commit.URL != tt.commit):
			t.Errorf("%s: commit %+v", tt.name, e.Commit)
		}
	}
}

// TestStateByNumber tells the close and reopen of what GitLab sends as an update:
// requirements are archived and reopened so.
func TestStateByNumber(t *testing.T) {
	for to, want := range map[string]string{"2": "issue.close", "1": "issue.reopen", "4": "issue.update"} {
		e := decode("Issue Hook", `{"object_kind":"work_item","object_attributes":{"action":"update","type":"Requirement"},"changes":{"state_id":{"previous":0,"current":`+to+`}}}`)
		if e.Name() != want || e.Material != (want != "issue.update") {
			t.Errorf("to %s: %s, material %v", to, e.Name(), e.Material)
		}
	}
}

// TestMergeRequestRef tells the merge request of what runs on a ref that GitLab
// made for it.
func TestMergeRequestRef(t *testing.T) {
	tests := []struct {
		ref    string
		iid    int64
		branch string
	}{
		{"refs/merge-requests/15/head", 15, ""},
		{"refs/merge-requests/15/merge", 15, ""},
		{"refs/merge-requests/15/train", 15, ""},
		{"refs/merge-requests/-15/head", 0, ""},
		{"refs/merge-requests/x/head", 0, ""},
		{"refs/pipelines/15", 0, ""},
		{"main", 0, "main"},
		{"refs/heads/main", 0, "main"},
	}
	const project = `"project":{"path_with_namespace":"acme/api","web_url":"https://gitlab.example/acme/api"}`
	for _, tt := range tests {
		for _, body := range []string{
			`{"object_kind":"build","build_id":1,"build_status":"failed",` + project + `,"ref":"` + tt.ref + `"}`,
			`{"object_kind":"pipeline",` + project + `,"object_attributes":{"id":1,"status":"failed","ref":"` + tt.ref + `"}}`,
			`{"object_kind":"deployment","deployment_id":1,"status":"failed",` + project + `,"ref":"` + tt.ref + `"}`,
		} {
			e := decode("", body)
			var iid int64
			if mr := e.MergeRequest; mr != nil {
				if iid = mr.IID; mr.URL != "https://gitlab.example/acme/api/-/merge_requests/15" {
					t.Errorf("%s: %s", tt.ref, mr.URL)
				}
			}
			if iid != tt.iid || e.Branch != tt.branch {
				t.Errorf("%s of %s: !%d, branch %q", tt.ref, e.Kind, iid, e.Branch)
			}
		}
	}
}
