package events

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func decode(header, body string) *Event {
	return Decode(Input{Source: "gitlab", Header: header, Body: []byte(body)})
}

func TestDispatch(t *testing.T) {
	tests := []struct{ name, header, body, want string }{
		{"object_kind", "", `{"object_kind":"push"}`, "push"},
		{"object_kind last", "", `{"ref":"refs/heads/x","object_kind":"push"}`, "push"},
		{"object_kind before event_name", "", `{"event_name":"tag_push","object_kind":"push"}`, "push"},
		{"event_name", "System Hook", `{"event_name":"push"}`, "push"},
		{"body before header", "Issue Hook", `{"object_kind":"note","object_attributes":{"noteable_type":"Commit"}}`, "note.commit"},
		{"work item", "Issue Hook", `{"object_kind":"work_item","object_attributes":{"action":"close"}}`, "issue.close"},
		{"build", "Build Hook", `{"object_kind":"build","build_status":"failed"}`, "job.failed"},
		{"new status", "Pipeline Hook", `{"object_kind":"pipeline","object_attributes":{"status":"Waiting-For Callback"}}`, "pipeline.waiting_for_callback"},
		{"new action", "Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{"action":"auto_merge"}}`, "merge_request.auto_merge"},
		{"no action", "Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{}}`, "merge_request"},
		{"no attributes", "Merge Request Hook", `{"object_kind":"merge_request"}`, "merge_request"},
		{"member", "Member Hook", `{"event_name":"user_add_to_group"}`, "member.add"},
		{"member, new word", "Member Hook", `{"event_name":"user_invite_to_group"}`, "member.invite"},
		{"the same under a system hook", "System Hook", `{"event_name":"user_add_to_group"}`, "system.user_add_to_group"},
		{"the same without header", "", `{"event_name":"user_add_to_group"}`, "system.user_add_to_group"},
		{"project", "Project Hook", `{"event_name":"project_destroy"}`, "project.destroy"},
		{"project under a system hook", "System Hook", `{"event_name":"project_destroy"}`, "system.project_destroy"},
		{"subgroup", "Subgroup Hook", `{"event_name":"subgroup_create"}`, "subgroup.create"},
		{"merge request of a system hook", "System Hook", `{"object_kind":"merge_request","object_attributes":{"action":"open"}}`, "merge_request.open"},
		{"unknown system event", "System Hook", `{"event_name":"Cell Moved"}`, "system.cell_moved"},
		{"approval of a system hook", "System Hook", `{"object_kind":"gitlab_subscription_member_approval","action":"enqueue"}`, "system.gitlab_subscription_member_approval"},
		{"unknown kind", "Design Hook", `{"object_kind":"design","action":"create"}`, "other.design"},
		{"token", "Resource Access Token Hook", `{"object_kind":"access_token","event_name":"expiring_access_token"}`, "access_token.expiring"},
		{"token, new word", "Resource Access Token Hook", `{"object_kind":"access_token","event_name":"revoked_access_token"}`, "access_token.revoked_access_token"},
		{"emoji by event_type", "Emoji Hook", `{"object_kind":"emoji","event_type":"revoke"}`, "emoji.revoke"},
		{"custom template", "Push Hook", `{"text":"hi"}`, "other"},
		{"empty", "Push Hook", `{}`, "other"},
		{"no word, but what a push has", "Push Hook", `{"ref":"refs/heads/main","before":"a","after":"b"}`, "push"},
		{"no word, but what an issue has", "Issue Hook", `{"object_attributes":{"action":"open"}}`, "issue.open"},
		{"repository update under its own header", "Repository Update Hook", `{"event_name":"repository_update"}`, "system.repository_update"},
		{"word of system hooks alone under another header", "Push Hook", `{"event_name":"user_create"}`, "system.user_create"},
		{"test of an old GitLab, without action", "Issue Hook", `{"object_kind":"issue","object_attributes":{"iid":1}}`, "issue"},
		{"test of a closed issue", "Issue Hook", `{"object_kind":"issue","object_attributes":{"iid":1,"state":"closed","action":"open"}}`, "issue.open"},
		{"approvals reset by a push", "Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{"action":"unapproved","system":true,"system_action":"approvals_reset_on_push"}}`, "merge_request.unapproved"},
		{"header and body disagree", "Pipeline Hook", `{"object_kind":"build","build_status":"failed"}`, "job.failed"},
		{"no word under a system hook", "System Hook", `{"object_attributes":{"action":"open"}}`, "system"},
		{"word is null", "Push Hook", `{"object_kind":null,"event_name":null}`, "other"},
		{"word is an object", "Push Hook", `{"object_kind":{"a":1}}`, "other"},
		{"word with line break", "", `{"object_kind":"a\nb.c"}`, "other.a_b_c"},
		{"header in other case", "merge request hook", `{"object_attributes":{"action":"open"}}`, "merge_request.open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := decode(tt.header, tt.body).Name(); got != tt.want {
				t.Errorf("decoded as %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNoteTargets(t *testing.T) {
	tests := []struct{ noteable, target, want string }{
		{"MergeRequest", `"merge_request":{"iid":1}`, "note.merge_request"},
		{"Issue", `"issue":{"iid":1}`, "note.issue"},
		{"WorkItem", `"work_item":{"iid":1}`, "note.issue"},
		{"Commit", `"commit":{"id":"a"}`, "note.commit"},
		{"Snippet", `"snippet":{"id":1}`, "note.snippet"},
		{"ProjectSnippet", `"snippet":{"id":1}`, "note.snippet"},
		{"", `"merge_request":{"iid":1}`, "note.merge_request"},
		{"Epic", `"x":1`, "note.other"},
		{"WikiPage::Meta", `"x":1`, "note.other"},
		{"DesignManagement::Design", `"x":1`, "note.other"},
		{"Vulnerability", `"x":1`, "note.other"},
		{"AlertManagement::Alert", `"x":1`, "note.other"},
	}
	for _, tt := range tests {
		e := decode("Note Hook", fmt.Sprintf(`{"object_kind":"note","object_attributes":{"noteable_type":%q},%s}`, tt.noteable, tt.target))
		if e.Name() != tt.want {
			t.Errorf("note on %s decoded as %s, want %s", tt.noteable, e.Name(), tt.want)
		}
	}
}

// TestOddPayloads has what GitLab sends in another form than it documents, and
// what it never should.
func TestOddPayloads(t *testing.T) {
	mr := func(more string) string {
		return `{"object_kind":"merge_request","object_attributes":{"iid":42,"title":"T","action":"open",` + more + `}}`
	}
	tests := []struct {
		name, body string
		warnings   int
		check      func(e *Event) bool
	}{
		{"bad timestamp", mr(`"last_commit":{"id":"abc","timestamp":"yesterday"},"updated_at":"2026-13-41 00:00:00 UTC"`), 2, func(e *Event) bool {
			return e.MergeRequest.LastCommit.SHA == "abc" && e.Time.IsZero()
		}},
		{"source deleted", mr(`"source":null,"last_commit":null,"head_pipeline_id":null`), 0, func(e *Event) bool { return e.MergeRequest.SourcePath == "" && e.MergeRequest.LastCommit == nil }},
		{"old draft", mr(`"work_in_progress":true`), 0, func(e *Event) bool { return e.Draft }},
		{"iid as string", `{"object_kind":"merge_request","object_attributes":{"iid":"42"}}`, 0, func(e *Event) bool { return e.MergeRequest.IID == 42 }},
		{"iid as float", `{"object_kind":"merge_request","object_attributes":{"iid":42.0}}`, 0, func(e *Event) bool { return e.MergeRequest.IID == 42 }},
		{"iid beyond all numbers", `{"object_kind":"merge_request","object_attributes":{"iid":1e400}}`, 1, func(e *Event) bool { return e.MergeRequest.IID == 0 }},
		{"test on an empty repository", `{"object_kind":"push","event_name":"push","ref":"refs/heads/master","message":"Hello World","user_id":4,"user_name":"John Smith","project":{"path_with_namespace":"gitlab/gitlab","visibility_level":0},"commits":[{"id":"c5feabde","title":"Add search"}],"total_commits_count":1,"push_options":{"ci":{"skip":true}}}`, 0, func(e *Event) bool {
			return e.Push.TagMessage == "" && e.Actor.Name == "John Smith" && e.Push.Total == 1 && e.Push.Commits[0].Title == "Add search"
		}},
		{"pipeline of nulls", `{"object_kind":"pipeline","object_attributes":{"id":5,"status":"created","duration":null,"name":null,"finished_at":null},"merge_request":null,"user":null,"commit":null,"builds":null}`, 0, func(e *Event) bool {
			return e.Pipeline.MergeRequest == nil && e.Commit == nil && e.Title == "#5"
		}},
		{"reason of a job that did not fail", `{"object_kind":"build","build_status":"success","build_failure_reason":"unknown_failure"}`, 0, func(e *Event) bool { return e.Job.FailureReason == "" }},
		{"image position", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest","position":{"new_path":"a.png","width":1,"height":2,"x":3,"y":4,"position_type":"image"}},"merge_request":{}}`, 0, func(e *Event) bool {
			return e.Note.File == "a.png" && e.Note.Line == 0
		}},
		{"line that is gone", `{"object_kind":"note","object_attributes":{"noteable_type":"MergeRequest","position":{"old_path":"a.go","new_path":null,"old_line":5,"new_line":null}},"merge_request":{}}`, 0, func(e *Event) bool {
			return e.Note.File == "a.go" && e.Note.Line == 5
		}},
		{"e-mail hidden in another language", `{"object_kind":"issue","user":{"name":"A","email":"[ZENSIERT]"},"object_attributes":{"confidential":false}}`, 0, func(e *Event) bool { return e.Actor.Email == "" }},
		{"invalid UTF-8", "{\"object_kind\":\"push\",\"ref\":\"refs/heads/\xff\"}", 1, func(e *Event) bool { return e.Branch == "\uFFFD" }},
		{"half a surrogate pair", `{"object_kind":"push","ref":"refs/heads/\ud800x"}`, 0, func(e *Event) bool { return utf8.ValidString(e.Branch) }},
		{"escaped keys", `{"object_\u006bind":"push","r\u0065f":"refs/heads/\u0061\/b"}`, 0, func(e *Event) bool { return e.Branch == "a/b" }},
		{"one key twice", `{"object_kind":"issue","object_kind":"push"}`, 0, func(e *Event) bool { return e.Kind == Push }},
		{"lists that are none", `{"object_kind":"merge_request","labels":{"a":1},"assignees":"x","object_attributes":{"labels":5,"last_commit":[]}}`, 1, func(e *Event) bool { return e.MergeRequest.Labels == nil }},
		{"web address that is none", mr(`"url":"javascript:alert(1)"`), 1, func(e *Event) bool { return e.URL == "" }},
		{"labels as texts", mr(`"labels":["a",{"title":"b"},{"name":"c"},null]`), 0, func(e *Event) bool { return slices.Equal(e.Labels, []string{"a", "b", "c"}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := decode("", tt.body)
			if !tt.check(e) {
				t.Errorf("read wrong:\n%s", dump(e))
			}
			if len(e.Warnings) != tt.warnings {
				t.Errorf("%d warnings, want %d: %q", len(e.Warnings), tt.warnings, e.Warnings)
			}
		})
	}
}

func TestNotAnObject(t *testing.T) {
	for _, body := range []string{"", " ", "null", "[]", `"x"`, "7", "{", "\xff", "{\"", `{"a`, `{"a":`, `{"object_kind":"push"`, "<html>"} {
		e := decode("Push Hook", body)
		if e.Kind == "" {
			t.Errorf("%q: no kind", body)
		}
		if e.Kind == Other && len(e.Warnings) == 0 {
			t.Errorf("%q: no warning", body)
		}
	}
}

func TestForced(t *testing.T) {
	a, b, zero := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("0", 40)
	tests := []struct {
		name, header, kind, before, after, total string
		want                                     bool
	}{
		{"went back", "Push Hook", "push", a, b, `,"total_commits_count":0`, true},
		{"new commits", "Push Hook", "push", a, b, `,"total_commits_count":2`, false},
		{"commits not counted", "Push Hook", "push", a, b, ``, false},
		{"count is null", "Push Hook", "push", a, b, `,"total_commits_count":null`, false},
		{"nothing moved", "Push Hook", "push", a, a, `,"total_commits_count":0`, false},
		{"branch made", "Push Hook", "push", zero, b, `,"total_commits_count":0`, false},
		{"branch removed", "Push Hook", "push", a, zero, `,"total_commits_count":0`, false},
		{"system hooks list no commits", "System Hook", "push", a, b, `,"total_commits_count":0`, false},
		{"tag moved", "Tag Push Hook", "tag_push", a, b, `,"total_commits_count":0`, false},
	}
	for _, tt := range tests {
		e := decode(tt.header, fmt.Sprintf(`{"object_kind":%q,"before":%q,"after":%q,"ref":"refs/heads/x"%s}`, tt.kind, tt.before, tt.after, tt.total))
		if e.Push.Forced != tt.want {
			t.Errorf("%s: Forced = %v", tt.name, e.Push.Forced)
		}
	}
}

func TestIsZeroID(t *testing.T) {
	for id, want := range map[string]bool{
		strings.Repeat("0", 40): true, strings.Repeat("0", 64): true,
		"": false, "0": false, strings.Repeat("0", 39) + "1": false, strings.Repeat("0", 39): false,
	} {
		if isZeroID(id) != want {
			t.Errorf("isZeroID(%q) = %v", id, !want)
		}
	}
}

func TestMergedRef(t *testing.T) {
	tests := []struct{ message, want string }{
		{"Merge branch 'a' into 'main'\n\nTitle\n\nSee merge request acme/api!42", "acme/api!42"},
		{"Title\n\nSee merge request acme/backend/api!7\n", "acme/backend/api!7"},
		{"Title\n\nSee merge request acme/api!7\nSigned-off-by: A\n", "acme/api!7"},
		{"See merge request acme/api!1\n\nSee merge request acme/api!2", "acme/api!2"},
		{"See merge request acme/api!42 for why", ""},
		{"As I said, See merge request acme/api!42", ""},
		{"See merge request !42", ""},
		{"See merge request acme/api#42", ""},
		{"See merge request acme/api!", ""},
		{"See merge request a b!4", ""},
		{"Fix it", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := mergedRef(tt.message); got != tt.want {
			t.Errorf("mergedRef(%q) = %q, want %q", tt.message, got, tt.want)
		}
	}
}

func TestRetried(t *testing.T) {
	jobs := []JobPart{
		{ID: 5, Stage: "test", Name: "rspec"},
		{ID: 2, Stage: "test", Name: "rspec"},
		{ID: 3, Stage: "deploy", Name: "rspec"},
		{ID: 4, Stage: "test", Name: "rspec 2/3"},
		{ID: 0, Stage: "test", Name: "lint"},
	}
	markRetried(jobs)
	for _, j := range jobs {
		if j.Retried != (j.ID == 2) {
			t.Errorf("%s/%s %d: Retried = %v", j.Stage, j.Name, j.ID, j.Retried)
		}
	}
}

// TestOnDefaultBranch wants a fork's branch never to be the default branch, be it
// called so.
func TestOnDefaultBranch(t *testing.T) {
	const project = `"project":{"id":1,"path_with_namespace":"acme/api","default_branch":"main"}`
	pipeline := func(source, target, more string) string {
		return `{"object_kind":"pipeline",` + project + `,"object_attributes":{"status":"failed","ref":"main"` + more + `},` +
			`"merge_request":{"iid":1,"source_branch":"main","source_project_id":` + source + `,"target_branch":"main","target_project_id":` + target + `}}`
	}
	tests := []struct {
		name, body string
		fork, want bool
	}{
		{"push", `{"object_kind":"push",` + project + `,"ref":"refs/heads/main"}`, false, true},
		{"push to another branch", `{"object_kind":"push",` + project + `,"ref":"refs/heads/main2"}`, false, false},
		{"branch and default branch unknown", `{"object_kind":"push"}`, false, false},
		{"pipeline", `{"object_kind":"pipeline",` + project + `,"object_attributes":{"status":"failed","ref":"main"}}`, false, true},
		{"pipeline on a tag", `{"object_kind":"pipeline",` + project + `,"object_attributes":{"status":"failed","ref":"main","tag":true}}`, false, false},
		{"pipeline of a merge request", pipeline("1", "1", ""), false, true},
		{"pipeline of a fork's merge request", pipeline("2", "1", ""), true, false},
		{"pipeline of a merge request of who knows where", pipeline("null", "1", ""), false, true},
		{"merge request of a fork that was deleted", `{"object_kind":"merge_request",` + project + `,"object_attributes":{"action":"open","source_branch":"main","source":null}}`, true, false},
		{"merge request of a fork", `{"object_kind":"merge_request",` + project + `,"object_attributes":{"action":"open","source_branch":"main","source_project_id":"2","target_project_id":1,"source":{"path_with_namespace":"ada/api"}}}`, true, false},
	}
	for _, tt := range tests {
		e := decode("", tt.body)
		if got := e.OnDefaultBranch(); got != tt.want {
			t.Errorf("%s: OnDefaultBranch = %v", tt.name, got)
		}
		if fork := e.MergeRequest != nil && e.MergeRequest.Fork; fork != tt.fork {
			t.Errorf("%s: Fork = %v", tt.name, fork)
		}
	}
}

// TestTimeIsOfTheEvent wants no time where GitLab sends only when the object was
// made or last changed, which may be years ago.
func TestTimeIsOfTheEvent(t *testing.T) {
	const times = `"created_at":"2020-01-01 00:00:00 UTC","updated_at":"2020-02-02 00:00:00 UTC"`
	attributes := func(kind, action string) string {
		return `{"object_kind":"` + kind + `","object_attributes":{"action":"` + action + `",` + times + `}}`
	}
	named := func(event string) string { return `{"event_name":"` + event + `",` + times + `}` }
	tests := []struct{ header, body, want string }{
		{"", attributes("merge_request", "open"), "2020-02-02"},
		{"", attributes("merge_request", "approved"), ""},
		{"", attributes("merge_request", "unapproval"), ""},
		{"", attributes("issue", "close"), "2020-02-02"},
		{"", attributes("emoji", "award"), "2020-02-02"},
		{"", attributes("emoji", "revoke"), ""},
		{"", `{"object_kind":"milestone","action":"close","object_attributes":{` + times + `}}`, "2020-02-02"},
		{"", `{"object_kind":"milestone","action":"delete","object_attributes":{` + times + `}}`, ""},
		{"", `{"object_kind":"release","action":"create","created_at":"2020-03-03 00:00:00 UTC","released_at":"2019-01-01 00:00:00 UTC"}`, "2020-03-03"},
		{"", `{"object_kind":"release","action":"update","created_at":"2020-03-03 00:00:00 UTC","released_at":"2019-01-01 00:00:00 UTC"}`, ""},
		{"", `{"object_kind":"release","action":"delete","created_at":"2020-03-03 00:00:00 UTC","released_at":"2019-01-01 00:00:00 UTC"}`, ""},
		{"Member Hook", named("user_add_to_group"), "2020-02-02"},
		{"Member Hook", named("user_remove_from_group"), ""},
		{"Member Hook", named("user_access_request_denied_for_group"), ""},
		{"Project Hook", named("project_destroy"), ""},
		{"System Hook", named("project_rename"), "2020-02-02"},
		{"System Hook", named("project_destroy"), ""},
		{"System Hook", named("user_remove_from_team"), ""},
		{"System Hook", named("user_failed_login"), ""},
	}
	for _, tt := range tests {
		e := decode(tt.header, tt.body)
		got := ""
		if !e.Time.IsZero() {
			got = e.Time.Format("2006-01-02")
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", e.Name(), got, tt.want)
		}
	}
}

// TestEmojiTargets has what can be reacted to: GitLab names it by its class.
func TestEmojiTargets(t *testing.T) {
	tests := []struct{ target, title, reference string }{
		{`"issue":{"iid":7,"title":"Crash","confidential":false}`, "Crash", "#7"},
		{`"work_item":{"iid":8,"title":"Task","confidential":false}`, "Task", "#8"},
		{`"merge_request":{"iid":42,"title":"Limit"}`, "Limit", "!42"},
		{`"project_snippet":{"id":3,"title":"Notes"}`, "Notes", "$3"},
		{`"note":{"noteable_type":"Commit"},"commit":{"id":"1a2b3c4d5e6f","message":"Fix\n\nmore"}`, "Fix", "1a2b3c4d"},
	}
	for _, tt := range tests {
		e := decode("Emoji Hook", `{"object_kind":"emoji","event_type":"award","object_attributes":{"name":"thumbsup"},`+tt.target+`}`)
		if e.Title != tt.title || e.Emoji.OnReference != tt.reference || e.Emoji.Name != "thumbsup" || e.Confidential {
			t.Errorf("%s: title %q, reference %q, confidential %v", tt.target, e.Title, e.Emoji.OnReference, e.Confidential)
		}
	}
}

func TestPipelineRefs(t *testing.T) {
	tests := []struct{ name, attributes, more, branch, tag, target string }{
		{"branch", `"ref":"main"`, ``, "main", "", ""},
		{"tag", `"ref":"v1","tag":true`, ``, "", "v1", ""},
		{"full ref", `"ref":"refs/heads/a/b"`, ``, "a/b", "", ""},
		{"merge request", `"ref":"refs/merge-requests/42/merge"`, `,"merge_request":{"iid":42,"source_branch":"a","target_branch":"main"}`, "a", "", "main"},
		{"merge request that is not shown", `"ref":"refs/merge-requests/42/merge"`, ``, "", "", ""},
	}
	for _, tt := range tests {
		e := decode("Pipeline Hook", `{"object_kind":"pipeline","object_attributes":{"status":"failed",`+tt.attributes+`}`+tt.more+`}`)
		if e.Branch != tt.branch || e.Tag != tt.tag || e.TargetBranch != tt.target {
			t.Errorf("%s: branch %q, tag %q, target %q", tt.name, e.Branch, e.Tag, e.TargetBranch)
		}
	}
}

// TestPayloadIsUntouched wants Decode to only read the body, and to keep it.
func TestPayloadIsUntouched(t *testing.T) {
	for _, s := range Samples() {
		body := bytes.Clone(s.Body)
		e := Decode(Input{Header: s.Header, Body: body})
		if !bytes.Equal(body, s.Body) || &e.Payload[0] != &body[0] {
			t.Errorf("%s: body changed or copied", s.Name)
		}
	}
}

func TestDecodeAllocates(t *testing.T) {
	header, body := sent(t, "merge_request.open")
	n := testing.AllocsPerRun(100, func() { Decode(Input{Source: "gitlab", Header: header, Body: body}) })
	if n > 25 {
		t.Errorf("%v allocations for a merge request, want at most 25", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range Samples() {
		f.Add(s.Header, s.Body)
	}
	f.Add("", []byte(`{"object_kind":"push","ref":"\ud800\"","commits":[{"added":[1,"`))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		before := bytes.Clone(body)
		e := Decode(Input{Header: header, Body: body})
		wellFormed(t, e)
		if !bytes.Equal(before, body) {
			t.Error("body changed")
		}
		eachString(reflect.ValueOf(*e), func(s string) {
			if !utf8.ValidString(s) {
				t.Errorf("%q is not valid UTF-8", s)
			}
		})
	})
}

// eachString calls visit with every string within v.
func eachString(v reflect.Value, visit func(string)) {
	switch v.Kind() {
	case reflect.String:
		visit(v.String())
	case reflect.Pointer:
		if !v.IsNil() {
			eachString(v.Elem(), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				eachString(v.Field(i), visit)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachString(v.Index(i), visit)
		}
	}
}
