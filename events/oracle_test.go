package events

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xanzy/go-gitlab"
)

// differences are the fields that we read otherwise than go-gitlab, and why:
// named by payload and field, or by field for all. One that is no difference is
// an error.
var differences = map[string]string{
	"pipeline.json Ref":                   "a merge request's pipeline runs on the request's source branch; go-gitlab's own payload has another ref beside it",
	"pipeline.json Jobs[0].FailureReason": "GitLab's reason for a job that did not fail is no reason",
	"repository_update.json Project.ID":   "the project object has no id, project_id has it",
	"merge_request.approval Time":         notDated,
	"merge_request.approved Time":         notDated,
	"merge_request.unapproval Time":       notDated,
	"merge_request.unapproved Time":       notDated,

	"MergeRequest.URL":       "built from the project's address where GitLab leaves it out",
	"URL":                    "built from the project's address where GitLab leaves it out",
	"Action":                 "an update that takes the draft mark off, or puts it on, is ready or draft",
	"MergeRequest.Assignees": "go-gitlab does not read the single assignee of old payloads",
	"Actor.Email":            "an address that GitLab hides is none",
	"Job.FailureReason":      "GitLab's reason for a job that did not fail is no reason",
	"Issue.Severity":         "unknown is what GitLab calls none",
}

const notDated = "the merge request's time is not that of the approval"

// TestOracle reads the payloads that go-gitlab tests itself with, and wants all
// that it reads from them to be ours too. Of what it refuses it says nothing.
func TestOracle(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/xanzy/go-gitlab").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skip("the module's sources are not here")
	}
	used := map[string]bool{}
	payloads, refused := 0, 0
	for _, folder := range []string{"webhooks", "systemhooks"} {
		files, err := filepath.Glob(filepath.Join(dir, "testdata", folder, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no payloads in %s of %s", folder, dir)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Base(file)
			payloads++
			t.Run(folder+"/"+name, func(t *testing.T) {
				if !compareOracle(t, name, headerFor(folder, name), body, used) {
					refused++
				}
			})
		}
	}
	t.Logf("%d payloads, of which go-gitlab refuses %d", payloads, refused)
	if payloads < 40 || refused > 1 {
		t.Errorf("go-gitlab reads only %d of %d payloads", payloads-refused, payloads)
	}
	for _, s := range Samples() {
		t.Run("samples/"+s.Name, func(t *testing.T) { compareOracle(t, s.Name, s.Header, s.Body, used) })
	}
	for difference := range differences {
		if !used[difference] {
			t.Errorf("no difference any more: %s", difference)
		}
	}
}

// headerFor tells the header of go-gitlab's files from their names.
func headerFor(folder, file string) string {
	kind := strings.TrimSuffix(file, ".json")
	switch {
	case folder == "systemhooks":
		return "System Hook"
	case kind == "build":
		return "Build Hook"
	case kind == "service_merge_request":
		return "Service Hook"
	case kind == "group_merge_request":
		return "Merge Request Hook"
	case strings.HasPrefix(kind, "note_"):
		return "Note Hook"
	case strings.HasPrefix(kind, "resource_access_token"):
		return "Resource Access Token Hook"
	}
	return headerOf[kind]
}

// compareOracle compares an event with what go-gitlab reads from the same
// payload; it returns false if go-gitlab refuses it.
func compareOracle(t *testing.T, name, header string, body []byte, used map[string]bool) bool {
	t.Helper()
	parsed, err := gitlab.ParseHook(gitlab.EventType(header), body)
	if err != nil {
		return false
	}
	read, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	o := oracle{e: Decode(Input{Header: header, Body: body})}
	decoder := json.NewDecoder(bytes.NewReader(read))
	decoder.UseNumber()
	if err := decoder.Decode(&o.root); err != nil {
		t.Fatal(err)
	}
	o.compareAll()
	if len(o.fields) < 2 {
		t.Errorf("only %d fields compared", len(o.fields))
	}
	for _, f := range o.fields {
		if f.got == f.want {
			continue
		}
		if key := name + " " + f.field; differences[key] != "" {
			used[key] = true
		} else if differences[f.field] != "" {
			used[f.field] = true
		} else {
			t.Errorf("%s: %q, go-gitlab has %q", f.field, f.got, f.want)
		}
	}
	return true
}

// expect is a field: its name, what we read and what it is to be.
type expect struct {
	field     string
	got, want string
}

// oracle is what go-gitlab read, by GitLab's own keys, and what we did.
type oracle struct {
	e      *Event
	root   any
	fields []expect
}

// at is the value at a path of keys and indexes; ok is false if go-gitlab has no
// field for it.
func (o *oracle) at(path string) (v any, ok bool) {
	v = o.root
	for key := range strings.SplitSeq(path, ".") {
		switch parent := v.(type) {
		case map[string]any:
			if v, ok = parent[key]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(parent) {
				return nil, false
			}
			v = parent[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func (o *oracle) has(path string) bool {
	v, ok := o.at(path)
	return ok && v != nil
}

func (o *oracle) add(field, got, want string) {
	o.fields = append(o.fields, expect{field, got, want})
}

// text compares a string.
func (o *oracle) text(field, got, path string) {
	if v, ok := o.at(path); ok {
		want, _ := v.(string)
		o.add(field, got, want)
	}
}

// number compares a whole number.
func (o *oracle) number(field string, got int64, path string) {
	if v, ok := o.at(path); ok {
		want, _ := v.(json.Number)
		o.add(field, strconv.FormatInt(got, 10), want.String())
	}
}

// truth compares a boolean.
func (o *oracle) truth(field string, got bool, path string) {
	if v, ok := o.at(path); ok {
		o.add(field, strconv.FormatBool(got), strconv.FormatBool(v == true))
	}
}

// seconds compares a duration.
func (o *oracle) seconds(field string, got time.Duration, path string) {
	if v, ok := o.at(path); ok {
		n, _ := v.(json.Number)
		want, _ := n.Float64()
		o.add(field, got.String(), time.Duration(want*float64(time.Second)).String())
	}
}

// moment compares a point in time, which go-gitlab has as a string, parsed or
// not.
func (o *oracle) moment(field string, got time.Time, path string) {
	v, ok := o.at(path)
	if s, _ := v.(string); ok && s != "" {
		want, _ := parseTime(s)
		o.add(field, got.String(), want.String())
	}
}

// list compares a list of strings, or of objects by one of their keys.
func (o *oracle) list(field string, got []string, path, key string) {
	v, ok := o.at(path)
	if !ok {
		return
	}
	items, _ := v.([]any)
	var want []string
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			item = object[key]
		}
		s, _ := item.(string)
		want = append(want, s)
	}
	o.add(field, strings.Join(got, "|"), strings.Join(want, "|"))
}

func usernamesOf(users []User) []string {
	var names []string
	for _, u := range users {
		names = append(names, u.Username)
	}
	return names
}

func (o *oracle) compareAll() {
	e := o.e
	o.compareProject()
	o.compareActor()
	switch e.Kind {
	case Push, TagPush:
		o.comparePush()
	case MergeRequest:
		o.compareMergeRequest("object_attributes")
		o.text("Title", e.Title, "object_attributes.title")
		o.text("URL", e.URL, "object_attributes.url")
		o.text("Action", e.Action, "object_attributes.action")
		o.moment("Time", e.Time, "object_attributes.updated_at")
		o.list("Labels", e.Labels, "labels", "title")
		o.list("MergeRequest.Reviewers", usernamesOf(e.MergeRequest.Reviewers), "reviewers", "username")
		o.list("MergeRequest.Assignees", usernamesOf(e.MergeRequest.Assignees), "assignees", "username")
	case Issue:
		o.compareIssue("object_attributes")
		o.text("Title", e.Title, "object_attributes.title")
		o.text("URL", e.URL, "object_attributes.url")
		o.text("Action", e.Action, "object_attributes.action")
		o.moment("Time", e.Time, "object_attributes.updated_at")
		o.list("Labels", e.Labels, "labels", "title")
		o.list("Issue.Assignees", usernamesOf(e.Issue.Assignees), "assignees", "username")
	case Note:
		o.compareNote()
	case Pipeline:
		o.comparePipeline()
	case Job:
		o.compareJob()
	default:
		o.compareOther()
	}
}

func (o *oracle) compareProject() {
	p := o.e.Project
	if o.has("project.web_url") {
		o.number("Project.ID", p.ID, "project.id")
		o.text("Project.Name", p.Name, "project.name")
		o.text("Project.Path", p.Path, "project.path_with_namespace")
		o.text("Project.URL", p.URL, "project.web_url")
		o.text("Project.DefaultBranch", p.DefaultBranch, "project.default_branch")
	} else if o.has("repository.homepage") {
		o.text("Project.Name", p.Name, "repository.name")
		o.text("Project.URL", p.URL, "repository.homepage")
	}
}

func (o *oracle) compareActor() {
	u := o.e.Actor
	if o.has("user") {
		o.text("Actor.Name", u.Name, "user.name")
		o.text("Actor.Username", u.Username, "user.username")
		o.text("Actor.Email", u.Email, "user.email")
		o.number("Actor.ID", u.ID, "user.id")
		return
	}
	o.text("Actor.Name", u.Name, "user_name")
	o.text("Actor.Username", u.Username, "user_username")
	o.text("Actor.Email", u.Email, "user_email")
	o.number("Actor.ID", u.ID, "user_id")
}

func (o *oracle) comparePush() {
	e, p := o.e, o.e.Push
	o.text("Ref", e.Ref, "ref")
	o.text("Push.Before", p.Before, "before")
	o.text("Push.After", p.After, "after")
	o.text("Push.TagMessage", p.TagMessage, "message")
	o.number("Push.Total", int64(p.Total), "total_commits_count")
	if o.has("checkout_sha") && !p.Deleted {
		o.text("Commit.SHA", e.Commit.SHA, "checkout_sha")
	}
	for i, c := range p.Commits {
		o.compareCommit("Commits["+strconv.Itoa(i)+"]", &c, "commits."+strconv.Itoa(i))
	}
	o.list("Commits", shasOf(p.Commits), "commits", "id")
}

func shasOf(commits []Commit) []string {
	var shas []string
	for _, c := range commits {
		shas = append(shas, c.SHA)
	}
	return shas
}

func (o *oracle) compareCommit(field string, c *Commit, path string) {
	if c == nil || !o.has(path) {
		return
	}
	o.text(field+".SHA", c.SHA, path+".id")
	o.text(field+".Message", c.Message, path+".message")
	o.text(field+".URL", c.URL, path+".url")
	o.text(field+".AuthorName", c.AuthorName, path+".author.name")
	o.text(field+".AuthorEmail", c.AuthorEmail, path+".author.email")
	o.moment(field+".Time", c.Time, path+".timestamp")
	o.list(field+".Added", c.Added, path+".added", "")
	o.list(field+".Modified", c.Modified, path+".modified", "")
	o.list(field+".Removed", c.Removed, path+".removed", "")
}

func (o *oracle) compareMergeRequest(path string) {
	e, mr := o.e, o.e.MergeRequest
	o.number("MergeRequest.IID", mr.IID, path+".iid")
	o.text("MergeRequest.Title", mr.Title, path+".title")
	o.text("MergeRequest.URL", mr.URL, path+".url")
	o.text("MergeRequest.State", mr.State, path+".state")
	o.text("MergeRequest.Description", mr.Description, path+".description")
	o.text("MergeRequest.OldRev", mr.OldRev, path+".oldrev")
	o.text("MergeRequest.SourcePath", mr.SourcePath, path+".source.path_with_namespace")
	o.text("Branch", e.Branch, path+".source_branch")
	o.text("TargetBranch", e.TargetBranch, path+".target_branch")
	o.truth("Draft", e.Draft, path+".work_in_progress")
	o.compareCommit("MergeRequest.LastCommit", mr.LastCommit, path+".last_commit")
	if path != "object_attributes" {
		o.list("Labels", e.Labels, path+".labels", "title")
	}
	if v, _ := o.at(path + ".detailed_merge_status"); v != nil && v != "" {
		o.text("MergeRequest.MergeStatus", mr.MergeStatus, path+".detailed_merge_status")
	} else {
		o.text("MergeRequest.MergeStatus", mr.MergeStatus, path+".merge_status")
	}
}

func (o *oracle) compareIssue(path string) {
	issue := o.e.Issue
	o.number("Issue.IID", issue.IID, path+".iid")
	o.text("Issue.Title", issue.Title, path+".title")
	o.text("URL", issue.URL, path+".url")
	o.text("Issue.State", issue.State, path+".state")
	o.text("Issue.Description", issue.Description, path+".description")
	o.text("Issue.DueDate", issue.DueDate, path+".due_date")
	o.text("Issue.Severity", issue.Severity, path+".severity")
	o.truth("Issue.Confidential", issue.Confidential, path+".confidential")
	if path != "object_attributes" {
		o.list("Labels", o.e.Labels, path+".labels", "title")
	}
}

func (o *oracle) compareNote() {
	e, n := o.e, o.e.Note
	const path = "object_attributes"
	o.number("Note.ID", n.ID, path+".id")
	o.text("Note.Body", n.Body, path+".note")
	o.text("Note.OnType", n.OnType, path+".noteable_type")
	o.text("Note.URL", e.URL, path+".url")
	o.text("Note.Discussion", n.Discussion, path+".discussion_id")
	o.truth("Note.System", n.System, path+".system")
	switch n.On {
	case MergeRequest:
		o.compareMergeRequest("merge_request")
		if position := path + ".position"; o.has(position) && n.Line > 0 {
			o.text("Note.File", n.File, position+".new_path")
			o.number("Note.Line", int64(n.Line), position+".new_line")
		}
	case Issue:
		o.compareIssue("issue")
	case "commit":
		o.compareCommit("Commit", e.Commit, "commit")
	case "snippet":
		o.text("Note.OnTitle", n.OnTitle, "snippet.title")
		o.text("Note.OnURL", n.OnURL, "snippet.url")
	}
}

func (o *oracle) comparePipeline() {
	e, p := o.e, o.e.Pipeline
	const path = "object_attributes"
	o.number("Pipeline.ID", p.ID, path+".id")
	o.number("Pipeline.IID", p.IID, path+".iid")
	o.text("Pipeline.Name", p.Name, path+".name")
	o.text("Pipeline.Status", p.Status, path+".status")
	o.text("Action", e.Action, path+".status")
	o.text("Pipeline.DetailedStatus", p.DetailedStatus, path+".detailed_status")
	o.text("Pipeline.Source", p.Source, path+".source")
	o.text("Pipeline.SHA", p.SHA, path+".sha")
	o.text("Ref", e.Ref, path+".ref")
	o.text("URL", e.URL, path+".url")
	o.truth("Tag", e.Tag != "", path+".tag")
	o.seconds("Pipeline.Duration", p.Duration, path+".duration")
	o.seconds("Pipeline.QueuedDuration", p.QueuedDuration, path+".queued_duration")
	o.list("Pipeline.Stages", p.Stages, path+".stages", "")
	o.number("Pipeline.ParentID", p.ParentID, "source_pipeline.pipeline_id")
	o.text("Pipeline.ParentProject", p.ParentProject, "source_pipeline.project.path_with_namespace")
	o.compareCommit("Commit", e.Commit, "commit")
	if p.MergeRequest != nil {
		o.compareMergeRequest("merge_request")
	}
	if builds, _ := o.at("builds"); builds != nil {
		o.add("Jobs", strconv.Itoa(len(p.Jobs)), strconv.Itoa(len(builds.([]any))))
	}
	for i, j := range p.Jobs {
		o.comparePipelineJob("Jobs["+strconv.Itoa(i)+"]", j, "builds."+strconv.Itoa(i))
	}
}

func (o *oracle) comparePipelineJob(field string, j JobPart, path string) {
	o.number(field+".ID", j.ID, path+".id")
	o.text(field+".Name", j.Name, path+".name")
	o.text(field+".Stage", j.Stage, path+".stage")
	o.text(field+".Status", j.Status, path+".status")
	o.text(field+".FailureReason", j.FailureReason, path+".failure_reason")
	o.text(field+".Environment", j.Environment, path+".environment.name")
	o.text(field+".Runner", j.Runner, path+".runner.description")
	o.truth(field+".Manual", j.Manual, path+".manual")
	o.truth(field+".AllowFailure", j.AllowFailure, path+".allow_failure")
	o.seconds(field+".Duration", j.Duration, path+".duration")
}

func (o *oracle) compareJob() {
	e, j := o.e, o.e.Job
	o.number("Job.ID", j.ID, "build_id")
	o.text("Job.Name", j.Name, "build_name")
	o.text("Title", e.Title, "build_name")
	o.text("Job.Stage", j.Stage, "build_stage")
	o.text("Job.Status", j.Status, "build_status")
	o.text("Action", e.Action, "build_status")
	o.text("Job.FailureReason", j.FailureReason, "build_failure_reason")
	o.truth("Job.AllowFailure", j.AllowFailure, "build_allow_failure")
	o.seconds("Job.Duration", j.Duration, "build_duration")
	o.number("Job.PipelineID", j.PipelineID, "pipeline_id")
	o.number("Job.PipelineID", j.PipelineID, "commit.id")
	o.text("Job.PipelineName", j.PipelineName, "commit.name")
	o.text("Job.Runner", j.Runner, "runner.description")
	o.text("Job.Environment", j.Environment, "environment.name")
	o.text("Ref", e.Ref, "ref")
	o.truth("Tag", e.Tag != "", "tag")
	o.text("Commit.SHA", e.Commit.SHA, "sha")
	o.text("Commit.Message", e.Commit.Message, "commit.message")
	o.text("Commit.AuthorName", e.Commit.AuthorName, "commit.author_name")
	o.text("Commit.AuthorEmail", e.Commit.AuthorEmail, "commit.author_email")
}

func (o *oracle) compareOther() {
	e := o.e
	const path = "object_attributes"
	switch e.Kind {
	case Deployment:
		d := e.Deployment
		o.text("Action", e.Action, "status")
		o.text("Title", e.Title, "environment")
		o.text("URL", e.URL, "deployable_url")
		o.text("Ref", e.Ref, "ref")
		o.text("Deployment.SHA", d.SHA, "short_sha")
		o.text("Deployment.JobURL", d.JobURL, "deployable_url")
		o.text("Deployment.EnvironmentURL", d.EnvironmentURL, "environment_external_url")
		o.number("Deployment.ID", d.ID, "deployment_id")
		o.number("Deployment.JobID", d.JobID, "deployable_id")
		o.text("Commit.Title", e.Commit.Title, "commit_title")
		o.text("Commit.URL", e.Commit.URL, "commit_url")
		o.moment("Time", e.Time, "status_changed_at")
	case Release:
		o.text("Title", e.Title, "name")
		o.text("Tag", e.Tag, "tag")
		o.text("Action", e.Action, "action")
		o.text("URL", e.URL, "url")
		o.text("Release.Description", e.Release.Description, "description")
		if links, ok := o.at("assets.links"); ok {
			list, _ := links.([]any)
			o.add("Release.Assets", strconv.Itoa(e.Release.Assets), strconv.Itoa(len(list)))
		}
		o.compareCommit("Commit", e.Commit, "commit")
	case WikiPage:
		o.text("Title", e.Title, path+".title")
		o.text("URL", e.URL, path+".url")
		o.text("Action", e.Action, path+".action")
		o.text("WikiPage.Message", e.WikiPage.Message, path+".message")
		o.text("WikiPage.Slug", e.WikiPage.Slug, path+".slug")
		o.text("WikiPage.DiffURL", e.WikiPage.DiffURL, path+".diff_url")
	case FeatureFlag:
		o.text("Title", e.Title, path+".name")
		o.truth("Action", e.Action == "active", path+".active")
	case AccessToken:
		o.text("Title", e.Title, path+".name")
		o.text("Token.ExpiresOn", e.Token.ExpiresOn, path+".expires_at")
		o.text("Project.Group", e.Project.Group, "group.group_path")
		o.text("Kind", e.Kind, "object_kind")
	case Member, Subgroup, System:
		o.compareNamed()
	}
}

// compareNamed compares the events with an event_name and flat keys.
func (o *oracle) compareNamed() {
	e := o.e
	event, _ := o.at("event_name")
	name, _ := event.(string)
	if e.Kind == System {
		o.text("Action", e.Action, "event_name")
	}
	if e.Member != nil {
		o.text("Member.Access", e.Member.Access, "group_access")
		o.text("Member.Access", e.Member.Access, "access_level")
		o.text("Project.Group", e.Project.Group, "group_path")
		o.text("Project.Path", e.Project.Path, "project_path_with_namespace")
		o.text("Project.Name", e.Project.Name, "project_name")
	}
	switch {
	case strings.HasPrefix(name, "project_"):
		o.text("Project.Path", e.Project.Path, "path_with_namespace")
		o.text("Project.Name", e.Project.Name, "name")
		o.text("Project.Visibility", e.Project.Visibility, "project_visibility")
		o.number("Project.ID", e.Project.ID, "project_id")
		o.text("Title", e.Title, "name")
	case strings.HasPrefix(name, "group_"), strings.HasPrefix(name, "subgroup_"):
		if full, _ := o.at("full_path"); full != "" {
			o.text("Project.Group", e.Project.Group, "full_path")
		} else {
			o.text("Project.Group", e.Project.Group, "path")
		}
		o.text("Title", e.Title, "name")
	case strings.HasPrefix(name, "key_"):
		o.text("Actor.Username", e.Actor.Username, "username")
	case o.has("username"):
		o.text("Actor.Username", e.Actor.Username, "username")
		o.text("Actor.Name", e.Actor.Name, "name")
		o.text("Actor.Email", e.Actor.Email, "email")
		o.text("Title", e.Title, "name")
	}
	if !e.endsObject() {
		o.moment("Time", e.Time, "updated_at")
	}
}
