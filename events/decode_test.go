package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
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

// TestStrictDecodersFail has what go-gitlab was seen to refuse, or GitLab to
// send in another form than documented.
func TestStrictDecodersFail(t *testing.T) {
	mr := func(more string) string {
		return `{"object_kind":"merge_request","object_attributes":{"iid":42,"title":"T","action":"open",` + more + `}}`
	}
	tests := []struct {
		name, body string
		warnings   int
		check      func(e *Event) bool
	}{
		{"approvals as number", mr(`"approvals_before_merge":2`), 0, func(e *Event) bool { return e.MergeRequest.IID == 42 }},
		{"force_remove_source_branch", mr(`"merge_params":{"force_remove_source_branch":""}`), 0, func(e *Event) bool { return e.MergeRequest.IID == 42 }},
		{"empty timestamp", mr(`"last_commit":{"id":"abc","timestamp":""}`), 0, func(e *Event) bool { return e.MergeRequest.LastCommit.SHA == "abc" }},
		{"space in a timestamp", mr(`"last_commit":{"id":"abc","timestamp":"2015-04-08T21: 00:25-07:00"}`), 0, func(e *Event) bool {
			return e.MergeRequest.LastCommit.Time.Equal(time.Date(2015, 4, 9, 4, 0, 25, 0, time.UTC))
		}},
		{"bad timestamp", mr(`"last_commit":{"id":"abc","timestamp":"yesterday"},"updated_at":"2026-13-41 00:00:00 UTC"`), 2, func(e *Event) bool {
			return e.MergeRequest.LastCommit.SHA == "abc" && e.Time.IsZero()
		}},
		{"source deleted", mr(`"source":null,"last_commit":null,"head_pipeline_id":null`), 0, func(e *Event) bool { return e.MergeRequest.SourcePath == "" && e.MergeRequest.LastCommit == nil }},
		{"old draft", mr(`"work_in_progress":true`), 0, func(e *Event) bool { return e.Draft }},
		{"iid as string", `{"object_kind":"merge_request","object_attributes":{"iid":"42"}}`, 0, func(e *Event) bool { return e.MergeRequest.IID == 42 }},
		{"iid as float", `{"object_kind":"merge_request","object_attributes":{"iid":42.0}}`, 0, func(e *Event) bool { return e.MergeRequest.IID == 42 }},
		{"iid beyond all numbers", `{"object_kind":"merge_request","object_attributes":{"iid":1e400}}`, 1, func(e *Event) bool { return e.MergeRequest.IID == 0 }},
		{"commit time with a space", `{"object_kind":"push","ref":"refs/heads/a/b","commits":[{"id":"x","timestamp":"2013-05-13 18:18:08 UTC"}]}`, 0, func(e *Event) bool {
			return e.Branch == "a/b" && e.Push.Commits[0].Time.Equal(time.Date(2013, 5, 13, 18, 18, 8, 0, time.UTC))
		}},
		{"user_id as string", `{"object_kind":"push","user_id":"7","ref":"refs/heads/main"}`, 0, func(e *Event) bool { return e.Actor.ID == 7 }},
		{"durations as strings", `{"object_kind":"pipeline","object_attributes":{"status":"failed","duration":"63","queued_duration":2.5},"builds":[{"id":1,"duration":"17.1"}]}`, 0, func(e *Event) bool {
			return e.Pipeline.Duration == 63*time.Second && e.Pipeline.QueuedDuration == 2500*time.Millisecond && e.Pipeline.Jobs[0].Duration == 17100*time.Millisecond
		}},
		{"variable of another type", `{"object_kind":"pipeline","object_attributes":{"status":"failed","variables":[{"key":"A","value":1}]}}`, 0, func(e *Event) bool { return e.Action == "failed" }},
		{"pipeline of nulls", `{"object_kind":"pipeline","object_attributes":{"id":5,"status":"created","duration":null,"name":null,"finished_at":null},"merge_request":null,"user":null,"commit":null,"builds":null}`, 0, func(e *Event) bool {
			return e.Pipeline.MergeRequest == nil && e.Commit == nil && e.Title == "#5"
		}},
		{"job duration as string", `{"object_kind":"build","build_status":"success","build_duration":"17.1","commit":{"id":31,"duration":1.5}}`, 0, func(e *Event) bool {
			return e.Job.Duration == 17100*time.Millisecond && e.Job.PipelineID == 31
		}},
		{"reason of a job that did not fail", `{"object_kind":"build","build_status":"success","build_failure_reason":"unknown_failure"}`, 0, func(e *Event) bool { return e.Job.FailureReason == "" }},
		{"due date with time", `{"object_kind":"issue","object_attributes":{"due_date":"2026-12-01T00:00:00+02:00","confidential":false}}`, 0, func(e *Event) bool { return e.Issue.DueDate == "2026-12-01" }},
		{"empty due date", `{"object_kind":"issue","object_attributes":{"due_date":"","confidential":false}}`, 0, func(e *Event) bool { return e.Issue.DueDate == "" }},
		{"st_diff as text", `{"object_kind":"note","object_attributes":{"noteable_type":"Commit","st_diff":"--- a/x"}}`, 0, func(e *Event) bool { return e.Note.On == "commit" }},
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

// TestListsAreBounded wants a payload of many small things not to become an
// event of many large ones.
func TestListsAreBounded(t *testing.T) {
	body := `{"object_kind":"push","commits":[` + strings.Repeat("{},", 100_000) + `{}],"after":"end"}`
	e := decode("Push Hook", body)
	if len(e.Push.Commits) != maxObjects {
		t.Errorf("%d commits", len(e.Push.Commits))
	}
	if len(e.Warnings) != 1 || e.Warnings[0] != "commits: list cut at 5000" {
		t.Errorf("warnings %q", e.Warnings)
	}
	if e.Push.After != "end" {
		t.Error("what follows the list was not read")
	}
	body = "{" + strings.Repeat(`"a":{"b":[1]},`, 10_000) + `"object_kind":"push"}`
	if e := decode("Push Hook", body); len(e.Warnings) == 0 || len(e.Warnings) > maxWarnings {
		t.Errorf("%d warnings", len(e.Warnings))
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

// TestEveryByteCut decodes every beginning of some samples.
func TestEveryByteCut(t *testing.T) {
	for _, name := range []string{"push", "merge_request.update", "note.merge_request~diff", "pipeline.failed~merge_request", "job.failed", "deployment.approved", "system.user_create"} {
		header, body := sent(t, name)
		for i := range body {
			e := Decode(Input{Header: header, Body: body[:i:i]})
			if e.Kind == "" {
				t.Fatalf("%s cut at %d has no kind", name, i)
			}
		}
	}
}

// TestEveryTypeSwapped puts a value of every other type in the place of every
// value of a sample of each kind.
func TestEveryTypeSwapped(t *testing.T) {
	others := []any{nil, true, -1.5, "", "x", []any{}, []any{nil, "x", []any{}}, map[string]any{}, map[string]any{"id": []any{}, "": nil}}
	for _, name := range []string{
		"push", "tag_push", "merge_request.update", "issue.update~assignees", "note.merge_request~diff", "note.commit",
		"note.snippet", "pipeline.success~child", "pipeline.failed~merge_request", "job.manual", "deployment.approved",
		"release.create", "wiki_page.update", "milestone.close", "feature_flag.active", "emoji.award", "member.add",
		"subgroup.create", "project.create", "access_token.expiring", "vulnerability.detected", "system.repository_update",
	} {
		s, _ := SampleNamed(name)
		var root any
		if err := json.Unmarshal(s.Body, &root); err != nil {
			t.Fatal(err)
		}
		eachPlace(root, func(set func(any)) {
			for _, other := range others {
				set(other)
				body, err := json.Marshal(root)
				if err != nil {
					t.Fatal(err)
				}
				e := Decode(Input{Header: s.Header, Body: body})
				if e.Kind == "" {
					t.Fatalf("no kind for %s", body)
				}
			}
		})
	}
}

// eachPlace calls visit with a setter of every value within v, and puts back
// what was there.
func eachPlace(v any, visit func(set func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for key, old := range v {
			visit(func(other any) { v[key] = other })
			v[key] = old
			eachPlace(old, visit)
		}
	case []any:
		for i, old := range v {
			visit(func(other any) { v[i] = other })
			v[i] = old
			eachPlace(old, visit)
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

// TestCorpus decodes payloads that others published, where they lie beside the
// checkout.
func TestCorpus(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "corpus")
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		t.Skip("no corpus beside the checkout")
	}
	for line := range strings.Lines(string(manifest)) {
		columns := strings.Split(strings.TrimSpace(line), "\t")
		path, header, word := columns[0], columns[1], columns[2]
		if path == "path" {
			continue
		}
		body, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckObject(body); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		e := Decode(Input{Header: header, Body: body})
		if want := wantKind(header, word); e.Kind != want {
			t.Errorf("%s: decoded as %s, want %s", path, e.Name(), want)
		}
		if len(e.Warnings) > 0 {
			t.Errorf("%s: %q", path, e.Warnings)
		}
	}
}

func wantKind(header, word string) string {
	switch word {
	case "build":
		return Job
	case "work_item":
		return Issue
	case Push, TagPush, MergeRequest:
		return word
	}
	switch header {
	case "Member Hook":
		return Member
	case "Subgroup Hook":
		return Subgroup
	case "Project Hook":
		return ProjectKind
	case "System Hook":
		return System
	}
	return word
}

func FuzzDecode(f *testing.F) {
	for _, s := range Samples() {
		f.Add(s.Header, s.Body)
	}
	f.Add("", []byte(`{"object_kind":"push","ref":"\ud800\"","commits":[{"added":[1,"`))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		before := bytes.Clone(body)
		e := Decode(Input{Header: header, Body: body})
		if e.Kind == "" {
			t.Error("no kind")
		}
		if !bytes.Equal(before, body) {
			t.Error("body changed")
		}
		if strings.Trim(e.Action, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("action %q", e.Action)
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
