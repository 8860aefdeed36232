package events

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xanzy/go-gitlab"
)

// TestRefusedElsewhere has the payloads that go-gitlab refuses, though GitLab
// sends or has sent them: they are read whole and without a warning.
func TestRefusedElsewhere(t *testing.T) {
	mr := func(more string) string {
		return `{"object_kind":"merge_request","user":{"name":"Ada","username":"ada"},"project":{"path_with_namespace":"acme/api","web_url":"https://gitlab.example/acme/api"},` +
			`"object_attributes":{"iid":42,"title":"Limit requests","action":"update","target_branch":"main",` + more + `}}`
	}
	const readMR = "merge_request.update acme/api ada Limit requests https://gitlab.example/acme/api/-/merge_requests/42"
	note := func(noteable, more string) string {
		return `{"object_kind":"note","event_type":"note","user":{"username":"grace"},"project":{"path_with_namespace":"acme/api","web_url":"https://gitlab.example/acme/api"},` +
			`"object_attributes":{"id":9,"note":"Nice","noteable_type":"` + noteable + `","url":"https://gitlab.example/acme/api/-/x/3#note_9"` + more + `}}`
	}
	const readOther = "note.other acme/api grace  https://gitlab.example/acme/api/-/x/3#note_9"
	request := func(event, more string) string {
		return `{"event_name":"` + event + `","user_id":41,"user_name":"Alan","user_username":"alan","created_at":"2026-11-20T08:00:00Z",` + more + `}`
	}
	const group = `"group_name":"Acme","group_path":"acme","group_access":"Developer"`
	const project = `"project_name":"api","project_path_with_namespace":"acme/api","access_level":"Developer","project_visibility":"private"`
	tests := []struct {
		name, header, body string
		want               string // name, project, actor, title and URL
		check              func(e *Event) bool
	}{
		{"milestone", "Milestone Hook", sampleBody(t, "milestone.close"), "milestone.close acme/api  17.5 https://gitlab.example/acme/api/-/milestones/5", func(e *Event) bool { return e.Milestone.IID == 5 && e.Milestone.State == "closed" }},
		{"emoji", "Emoji Hook", sampleBody(t, "emoji.award"), "emoji.award acme/api grace Crash on empty input https://gitlab.example/acme/api/-/issues/7", func(e *Event) bool { return e.Emoji.Name == "thumbsup" && e.Emoji.OnReference == "#7" }},
		{"project", "Project Hook", sampleBody(t, "project.create"), "project.create acme/worker  worker ", func(e *Event) bool { return e.Project.ID != 0 && e.Project.Visibility == "private" }},
		{"vulnerability", "Vulnerability Hook", sampleBody(t, "vulnerability.detected"), "vulnerability.detected acme/api  REXML denial of service https://gitlab.example/acme/api/-/security/vulnerabilities/17", func(e *Event) bool { return e.Vulnerability.Severity == "high" && e.Confidential }},
		{"deploy token", "Resource Deploy Token Hook", sampleBody(t, "deploy_token.expiring"), "deploy_token.expiring acme/api  registry-pull ", func(e *Event) bool { return e.Token.Name == "registry-pull" && e.Token.ExpiresOn != "" }},
		{"no header", "", sampleBody(t, "push"), "push acme/api ada main https://gitlab.example/acme/api/-/tree/main", func(e *Event) bool { return e.Push.Total == 3 }},
		{"header in lower case", "push hook", sampleBody(t, "push"), "push acme/api ada main https://gitlab.example/acme/api/-/tree/main", func(e *Event) bool { return e.Push.Total == 3 }},

		{"access requested, group", "System Hook", request("user_access_request_to_group", group), "system.user_access_request_to_group acme (group) alan Alan ", func(e *Event) bool { return e.Actor.ID == 41 && e.Member.Access == "Developer" }},
		{"access requested, project", "System Hook", request("user_access_request_to_project", project), "system.user_access_request_to_project acme/api alan Alan ", func(e *Event) bool { return e.Project.Visibility == "private" && e.Member.Access == "Developer" }},
		{"access revoked, group", "System Hook", request("user_access_request_revoked_for_group", group), "system.user_access_request_revoked_for_group acme (group) alan Alan ", func(e *Event) bool { return e.Time.IsZero() }},
		{"access revoked, project", "System Hook", request("user_access_request_revoked_for_project", project), "system.user_access_request_revoked_for_project acme/api alan Alan ", func(e *Event) bool { return e.Time.IsZero() }},
		{"member approval", "System Hook", `{"object_kind":"gitlab_subscription_member_approval","action":"enqueue","object_attributes":{"new_access_level":30},"user_id":42,"updated_at":"2026-11-20T08:00:00Z"}`,
			"system.gitlab_subscription_member_approval    ", func(e *Event) bool { return e.Actor.ID == 42 && !e.Time.IsZero() }},
		{"member approvals", "System Hook", `{"object_kind":"gitlab_subscription_member_approvals","action":"deny","object_attributes":{"status":"success"},"user_id":42}`,
			"system.gitlab_subscription_member_approvals    ", func(e *Event) bool { return e.Actor.ID == 42 }},
		{"issue of an integration", "Service Hook", sampleBody(t, "issue.close"), "issue.close acme/api grace Crash on empty input https://gitlab.example/acme/api/-/issues/7", func(e *Event) bool { return e.Issue.State == "closed" && !e.Confidential }},

		{"note on an epic", "Note Hook", note("Epic", ""), readOther, func(e *Event) bool { return e.Note.Body == "Nice" && e.Note.OnType == "Epic" }},
		{"note on a wiki page", "Note Hook", note("WikiPage::Meta", ""), readOther, func(e *Event) bool { return e.Note.OnURL == "https://gitlab.example/acme/api/-/x/3" }},
		{"note on a design", "Note Hook", note("DesignManagement::Design", ""), readOther, func(e *Event) bool { return e.Note.ID == 9 && e.Confidential }},
		{"note on a vulnerability", "Note Hook", note("Vulnerability", ""), readOther, func(e *Event) bool { return e.Confidential }},
		{"note on a work item", "Note Hook", strings.Replace(note("WorkItem", ""), `"object_attributes"`, `"work_item":{"iid":3,"title":"Write it down","type":"Task"},"object_attributes"`, 1),
			"note.issue acme/api grace Write it down https://gitlab.example/acme/api/-/x/3#note_9", func(e *Event) bool { return e.Issue.Type == "task" && e.Note.OnReference == "#3" }},

		{"reviewers as two lists", "Merge Request Hook", strings.TrimSuffix(mr(`"x":1`), "}") + `,"changes":{"reviewers":[[{"name":"Alan","username":"alan"}],[{"name":"Grace","username":"grace"}]]}}`, readMR,
			func(e *Event) bool {
				return cmp.Equal(e.Changes, []Change{{Field: "reviewers", Added: []string{"Grace"}, Removed: []string{"Alan"}}})
			}},
		{"approvals_before_merge as a number", "Merge Request Hook", mr(`"approvals_before_merge":2`), readMR, nil},
		{"the same under a note", "Note Hook", strings.Replace(note("MergeRequest", ""), `"object_attributes"`, `"merge_request":{"iid":42,"title":"Limit requests","approvals_before_merge":2},"object_attributes"`, 1),
			"note.merge_request acme/api grace Limit requests https://gitlab.example/acme/api/-/x/3#note_9", func(e *Event) bool { return e.Note.OnReference == "!42" }},
		{"force_remove_source_branch empty", "Merge Request Hook", mr(`"merge_params":{"force_remove_source_branch":""}`), readMR, nil},
		{"force_remove_source_branch as a number", "Merge Request Hook", mr(`"merge_params":{"force_remove_source_branch":1}`), readMR, nil},
		{"commit's time empty", "Merge Request Hook", mr(`"last_commit":{"id":"abc","message":"Fix","timestamp":""}`), readMR, func(e *Event) bool {
			return e.MergeRequest.LastCommit.SHA == "abc" && e.MergeRequest.LastCommit.Time.IsZero()
		}},
		{"commit's time with a space", "Merge Request Hook", mr(`"last_commit":{"id":"abc","timestamp":"2015-04-08T21: 00:25-07:00"}`), readMR,
			func(e *Event) bool {
				return e.MergeRequest.LastCommit.Time.Equal(time.Date(2015, 4, 9, 4, 0, 25, 0, time.UTC))
			}},

		{"pushed commit's time", "Push Hook", `{"object_kind":"push","ref":"refs/heads/a/b","user_username":"ada","project":{"path_with_namespace":"acme/api"},"commits":[{"id":"x","timestamp":"2013-05-13 18:18:08 UTC"}]}`, "push acme/api ada a/b ",
			func(e *Event) bool {
				return e.Push.Commits[0].Time.Equal(time.Date(2013, 5, 13, 18, 18, 8, 0, time.UTC))
			}},
		{"member's time", "Member Hook", `{"event_name":"user_add_to_group","created_at":"2026-11-20 08:00:00 UTC","user_username":"alan","user_name":"Alan",` + group + `}`, "member.add acme (group) alan Alan ",
			func(e *Event) bool { return e.Time.Equal(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)) }},
		{"subgroup's time", "Subgroup Hook", `{"event_name":"subgroup_create","created_at":"2026-11-20 08:00:00 UTC","name":"backend","full_path":"acme/backend"}`, "subgroup.create acme/backend (group)  backend ",
			func(e *Event) bool { return e.Time.Equal(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)) }},

		{"pipeline's duration as a string", "Pipeline Hook", `{"object_kind":"pipeline","object_attributes":{"id":5,"status":"failed","ref":"main","duration":"63"},"user":{"username":"ada"}}`, "pipeline.failed  ada #5 ",
			func(e *Event) bool { return e.Pipeline.Duration == 63*time.Second }},
		{"pipeline's duration as a fraction", "Pipeline Hook", `{"object_kind":"pipeline","object_attributes":{"id":5,"status":"failed","duration":63.5}}`, "pipeline.failed   #5 ",
			func(e *Event) bool { return e.Pipeline.Duration == 63500*time.Millisecond }},
		{"duration of a pipeline's job as a string", "Pipeline Hook", `{"object_kind":"pipeline","object_attributes":{"id":5,"status":"failed"},"builds":[{"id":1,"name":"lint","stage":"test","status":"failed","duration":"17.1"}]}`, "pipeline.failed   #5 ",
			func(e *Event) bool {
				return len(e.Pipeline.Jobs) == 1 && e.Pipeline.Jobs[0].Duration == 17100*time.Millisecond
			}},
		{"a variable that is a number", "Pipeline Hook", `{"object_kind":"pipeline","object_attributes":{"id":5,"status":"failed","variables":[{"key":"A","value":1}]}}`, "pipeline.failed   #5 ", nil},
		{"job's duration as a string", "Job Hook", `{"object_kind":"build","build_id":7,"build_name":"lint","build_status":"success","build_duration":"17.1"}`, "job.success   lint ",
			func(e *Event) bool { return e.Job.Duration == 17100*time.Millisecond }},
		{"duration of a job's pipeline as a fraction", "Job Hook", `{"object_kind":"build","build_name":"lint","build_status":"success","commit":{"id":31,"duration":1.5}}`, "job.success   lint ",
			func(e *Event) bool { return e.Job.PipelineID == 31 }},

		{"due date with a time", "Issue Hook", `{"object_kind":"issue","object_attributes":{"iid":7,"title":"Crash","action":"open","due_date":"2026-12-01T00:00:00+02:00"}}`, "issue.open   Crash ",
			func(e *Event) bool { return e.Issue.DueDate == "2026-12-01" }},
		{"due date empty", "Issue Hook", `{"object_kind":"issue","object_attributes":{"iid":7,"title":"Crash","action":"open","due_date":""}}`, "issue.open   Crash ",
			func(e *Event) bool { return e.Issue.DueDate == "" && e.Issue.IID == 7 }},
		{"user_id as a string", "Push Hook", `{"object_kind":"push","user_id":"7","user_username":"ada","ref":"refs/heads/main"}`, "push  ada main ", func(e *Event) bool { return e.Actor.ID == 7 }},
		{"assignee_ids as strings", "Issue Hook", `{"object_kind":"issue","object_attributes":{"title":"Crash","action":"open","assignee_ids":["7"]}}`, "issue.open   Crash ", nil},
		{"st_diff as text", "Note Hook", strings.Replace(note("Commit", `,"st_diff":"--- a/x"`), `"object_attributes"`, `"commit":{"id":"1a2b3c4d5e6f","message":"Fix it"},"object_attributes"`, 1),
			"note.commit acme/api grace Fix it https://gitlab.example/acme/api/-/x/3#note_9", func(e *Event) bool { return e.Commit.SHA == "1a2b3c4d5e6f" && e.Note.OnReference == "1a2b3c4d" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := gitlab.ParseHook(gitlab.EventType(tt.header), []byte(tt.body)); err == nil {
				t.Error("go-gitlab reads it")
			}
			e := decode(tt.header, tt.body)
			got := strings.Join([]string{e.Name(), projectOf(e), e.Actor.Username, e.Title, e.URL}, " ")
			if got != tt.want {
				t.Errorf("read %q, want %q", got, tt.want)
			}
			if tt.check != nil && !tt.check(e) {
				t.Errorf("read wrong:\n%s", dump(e))
			}
			if len(e.Warnings) > 0 {
				t.Errorf("warnings: %q", e.Warnings)
			}
		})
	}
}

func sampleBody(t *testing.T, name string) string {
	t.Helper()
	return string(mustSample(t, name).Body)
}

// TestLostElsewhere has what go-gitlab reads without a word of what it loses.
func TestLostElsewhere(t *testing.T) {
	tests := []struct {
		name, header, body string
		check              func(e *Event) bool
	}{
		{"visibility", "Push Hook", `{"object_kind":"push","project":{"visibility_level":20}}`, func(e *Event) bool { return e.Project.Visibility == "public" }},
		{"private is not unknown", "Push Hook", `{"object_kind":"push","project":{"visibility_level":0}}`, func(e *Event) bool { return e.Project.Visibility == "private" }},
		{"unknown is not private", "Push Hook", `{"object_kind":"push","project":{"visibility_level":null}}`, func(e *Event) bool { return e.Project.Visibility == "" }},
		{"protected", "Push Hook", `{"object_kind":"push","ref_protected":true}`, func(e *Event) bool { return e.Push.Protected }},
		{"done by GitLab", "Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{"action":"unapproved","system":true,"system_action":"approvals_reset_on_push"}}`,
			func(e *Event) bool {
				return e.MergeRequest.System && e.MergeRequest.SystemAction == "approvals_reset_on_push"
			}},
		{"type of a work item", "Issue Hook", `{"object_kind":"work_item","event_type":"work_item","object_attributes":{"action":"open","type":"Key Result"}}`, func(e *Event) bool { return e.Name() == "issue.open" && e.Issue.Type == "key result" }},
		{"approver of a deployment", "Deployment Hook", `{"object_kind":"deployment","status":"rejected","approver":{"name":"Grace"},"approval":{"status":"rejected","comment":"Not today"}}`,
			func(e *Event) bool { return e.Deployment.Approver == "Grace" && e.Deployment.Comment == "Not today" }},
		{"custom template", "Push Hook", `{"text":"hi"}`, func(e *Event) bool { return e.Name() == "other" && e.Push == nil && len(e.Warnings) == 2 }},
		{"epic without project", "Issue Hook", `{"object_kind":"work_item","event_type":"work_item","project":null,"repository":null,"object_attributes":{"action":"open","type":"Epic","iid":3,"title":"Faster","url":"https://gitlab.example/groups/acme/backend/-/epics/3"}}`,
			func(e *Event) bool {
				return e.Project.Group == "acme/backend" && e.Project.GroupURL == "https://gitlab.example/groups/acme/backend" && e.Project.Path == ""
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := gitlab.ParseHook(gitlab.EventType(tt.header), []byte(tt.body)); err != nil {
				t.Errorf("go-gitlab: %v", err)
			}
			if e := decode(tt.header, tt.body); !tt.check(e) {
				t.Errorf("read wrong:\n%s", dump(e))
			}
		})
	}
}
