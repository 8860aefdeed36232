package events

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/xanzy/go-gitlab"
)

// TestOracle reads the payloads that go-gitlab tests itself with, and wants the
// fields that it reads from them to be ours. Of what it refuses it says nothing.
func TestOracle(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/xanzy/go-gitlab").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skip("the module's sources are not here")
	}
	files, err := filepath.Glob(filepath.Join(dir, "testdata", "webhooks", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no payloads in %s", dir)
	}
	compared := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			if compareOracle(t, headerFor(name), body) {
				compared++
			}
		})
	}
	if compared < 15 {
		t.Errorf("only %d payloads compared", compared)
	}
}

// TestOracleOnSamples compares what go-gitlab reads from our samples.
func TestOracleOnSamples(t *testing.T) {
	refused := 0
	samples := Samples()
	for _, s := range samples {
		t.Run(s.Name, func(t *testing.T) {
			if !compareOracle(t, s.Header, s.Body) {
				refused++
			}
		})
	}
	if refused > len(samples)/2 {
		t.Errorf("go-gitlab compares only %d of %d", len(samples)-refused, len(samples))
	}
}

// headerFor tells the header of go-gitlab's files from their names.
func headerFor(file string) string {
	kind := strings.TrimSuffix(file, ".json")
	switch {
	case strings.HasPrefix(kind, "note_"):
		return "Note Hook"
	case strings.HasPrefix(kind, "resource_access_token"):
		return "Resource Access Token Hook"
	case kind == "group_merge_request", kind == "service_merge_request":
		return "Merge Request Hook"
	case kind == "build":
		return "Job Hook"
	}
	return headerOf[kind]
}

// expect is a field: its name, what we read and what go-gitlab reads.
type expect struct {
	field     string
	got, want string
}

func num(n int) string     { return strconv.Itoa(n) }
func num64(n int64) string { return strconv.FormatInt(n, 10) }

func compareOracle(t *testing.T, header string, body []byte) bool {
	t.Helper()
	parsed, err := gitlab.ParseHook(gitlab.EventType(header), body)
	if err != nil {
		return false
	}
	e := Decode(Input{Header: header, Body: body})
	fields := oracleFields(e, parsed)
	for _, f := range fields {
		if f.got != f.want {
			t.Errorf("%s: %q, go-gitlab has %q", f.field, f.got, f.want)
		}
	}
	return len(fields) > 0
}

func oracleFields(e *Event, parsed any) []expect {
	switch p := parsed.(type) {
	case *gitlab.PushEvent:
		fields := []expect{
			{"Before", e.Push.Before, p.Before}, {"After", e.Push.After, p.After}, {"Ref", e.Ref, p.Ref},
			{"Actor.Name", e.Actor.Name, p.UserName}, {"Actor.Username", e.Actor.Username, p.UserUsername},
			{"Actor.ID", num64(e.Actor.ID), num(p.UserID)}, {"Project.ID", num64(e.Project.ID), num(p.ProjectID)},
			{"Project.Path", e.Project.Path, p.Project.PathWithNamespace}, {"Project.URL", e.Project.URL, p.Project.WebURL},
			{"Total", num(e.Push.Total), num(p.TotalCommitsCount)}, {"commits", num(len(e.Push.Commits)), num(len(p.Commits))},
		}
		for i, c := range p.Commits {
			ours := e.Push.Commits[i]
			fields = append(fields,
				expect{"Commit.SHA", ours.SHA, c.ID}, expect{"Commit.Message", ours.Message, c.Message}, expect{"Commit.URL", ours.URL, c.URL},
				expect{"Commit.AuthorName", ours.AuthorName, c.Author.Name}, expect{"Commit.Time", num64(ours.Time.Unix()), num64(c.Timestamp.Unix())},
				expect{"Commit.Added", strings.Join(ours.Added, " "), strings.Join(c.Added, " ")})
		}
		return fields
	case *gitlab.TagEvent:
		return []expect{
			{"Before", e.Push.Before, p.Before}, {"After", e.Push.After, p.After}, {"Ref", e.Ref, p.Ref},
			{"Actor.Name", e.Actor.Name, p.UserName}, {"Project.Path", e.Project.Path, p.Project.PathWithNamespace},
			{"TagMessage", e.Push.TagMessage, p.Message},
		}
	case *gitlab.MergeEvent:
		a := p.ObjectAttributes
		fields := oracleUser(e, p.User)
		if len(p.Assignees) > 0 { // it does not read the assignee of old payloads
			fields = append(fields, expect{"assignees", num(len(e.MergeRequest.Assignees)), num(len(p.Assignees))})
		}
		return append(fields, []expect{
			{"IID", num64(e.MergeRequest.IID), num(a.IID)}, {"Title", e.Title, a.Title}, {"URL", e.URL, a.URL},
			{"State", e.MergeRequest.State, a.State}, {"SourceBranch", e.Branch, a.SourceBranch}, {"TargetBranch", e.TargetBranch, a.TargetBranch},
			{"Description", e.MergeRequest.Description, a.Description}, {"OldRev", e.MergeRequest.OldRev, a.OldRev},
			{"Project.Path", e.Project.Path, p.Project.PathWithNamespace}, {"labels", num(len(e.Labels)), num(len(p.Labels))},
			{"reviewers", num(len(e.MergeRequest.Reviewers)), num(len(p.Reviewers))}, {"SourcePath", e.MergeRequest.SourcePath, a.Source.PathWithNamespace},
		}...)
	case *gitlab.IssueEvent:
		a := p.ObjectAttributes
		return append([]expect{
			{"IID", num64(e.Issue.IID), num(a.IID)}, {"Title", e.Title, a.Title}, {"URL", e.URL, a.URL}, {"State", e.Issue.State, a.State},
			{"Description", e.Issue.Description, a.Description}, {"Project.Path", e.Project.Path, p.Project.PathWithNamespace},
			{"labels", num(len(e.Labels)), num(len(p.Labels))}, {"Action", e.Action, a.Action},
			{"Confidential", strconv.FormatBool(e.Issue.Confidential), strconv.FormatBool(a.Confidential)},
		}, oracleUser(e, p.User)...)
	case *gitlab.MergeCommentEvent:
		return append([]expect{
			{"Body", e.Note.Body, p.ObjectAttributes.Note}, {"URL", e.URL, p.ObjectAttributes.URL}, {"ID", num64(e.Note.ID), num(p.ObjectAttributes.ID)},
			{"OnTitle", e.Note.OnTitle, p.MergeRequest.Title}, {"Branch", e.Branch, p.MergeRequest.SourceBranch},
			{"IID", num64(e.MergeRequest.IID), num(p.MergeRequest.IID)},
		}, oracleUser(e, p.User)...)
	case *gitlab.IssueCommentEvent:
		return append([]expect{
			{"Body", e.Note.Body, p.ObjectAttributes.Note}, {"URL", e.URL, p.ObjectAttributes.URL},
			{"OnTitle", e.Note.OnTitle, p.Issue.Title}, {"IID", num64(e.Issue.IID), num(p.Issue.IID)},
		}, oracleUser(e, p.User)...)
	case *gitlab.CommitCommentEvent:
		return append([]expect{
			{"Body", e.Note.Body, p.ObjectAttributes.Note}, {"URL", e.URL, p.ObjectAttributes.URL}, {"SHA", e.Commit.SHA, p.Commit.ID},
			{"Message", e.Commit.Message, p.Commit.Message},
		}, oracleUser(e, p.User)...)
	case *gitlab.SnippetCommentEvent:
		return append([]expect{
			{"Body", e.Note.Body, p.ObjectAttributes.Note}, {"URL", e.URL, p.ObjectAttributes.URL}, {"OnTitle", e.Note.OnTitle, p.Snippet.Title},
		}, oracleUser(e, p.User)...)
	case *gitlab.PipelineEvent:
		return append(oraclePipeline(e, p), oracleUser(e, p.User)...)
	case *gitlab.JobEvent:
		return append([]expect{
			{"ID", num64(e.Job.ID), num(p.BuildID)}, {"Name", e.Title, p.BuildName}, {"Stage", e.Job.Stage, p.BuildStage}, {"Status", e.Action, p.BuildStatus},
			{"PipelineID", num64(e.Job.PipelineID), num(p.PipelineID)}, {"SHA", e.Commit.SHA, p.SHA}, {"Ref", e.Ref, p.Ref},
			{"Duration", strconv.FormatFloat(e.Job.Duration.Seconds(), 'f', 3, 64), strconv.FormatFloat(p.BuildDuration, 'f', 3, 64)},
			{"Runner", e.Job.Runner, p.Runner.Description}, {"AuthorName", e.Commit.AuthorName, p.Commit.AuthorName},
		}, oracleUser(e, p.User)...)
	case *gitlab.DeploymentEvent:
		return append([]expect{
			{"Status", e.Action, p.Status}, {"Environment", e.Title, p.Environment}, {"SHA", e.Deployment.SHA, p.ShortSHA},
			{"JobID", num64(e.Deployment.JobID), num(p.DeployableID)}, {"JobURL", e.Deployment.JobURL, p.DeployableURL}, {"Commit", e.Commit.Title, p.CommitTitle},
		}, oracleUser(e, p.User)...)
	case *gitlab.ReleaseEvent:
		return []expect{
			{"Name", e.Release.Name, p.Name}, {"Tag", e.Tag, p.Tag}, {"Action", e.Action, p.Action}, {"URL", e.URL, p.URL},
			{"Description", e.Release.Description, p.Description}, {"Assets", num(e.Release.Assets), num(p.Assets.Count)},
		}
	case *gitlab.WikiPageEvent:
		a := p.ObjectAttributes
		return append([]expect{{"Title", e.Title, a.Title}, {"URL", e.URL, a.URL}, {"Action", e.Action, a.Action}, {"Message", e.WikiPage.Message, a.Message}}, oracleUser(e, p.User)...)
	case *gitlab.FeatureFlagEvent:
		return append([]expect{{"Name", e.Title, p.ObjectAttributes.Name}, {"active", strconv.FormatBool(e.Action == "active"), strconv.FormatBool(p.ObjectAttributes.Active)}}, oracleUser(e, p.User)...)
	case *gitlab.MemberEvent:
		return []expect{{"Actor.Username", e.Actor.Username, p.UserUsername}, {"Group", e.Project.Group, p.GroupPath}, {"Access", e.Member.Access, p.GroupAccess}}
	case *gitlab.SubGroupEvent:
		return []expect{{"Title", e.Title, p.Name}, {"Group", e.Project.Group, p.FullPath}}
	}
	return nil
}

// oracleUser compares the actor; go-gitlab has two types for it.
func oracleUser(e *Event, user any) []expect {
	var id int
	var name, username string
	switch u := user.(type) {
	case *gitlab.EventUser:
		if u == nil {
			return nil
		}
		id, name, username = u.ID, u.Name, u.Username
	case *gitlab.User:
		if u == nil {
			return nil
		}
		id, name, username = u.ID, u.Name, u.Username
	}
	return []expect{{"Actor.Name", e.Actor.Name, name}, {"Actor.Username", e.Actor.Username, username}, {"Actor.ID", num64(e.Actor.ID), num(id)}}
}

func oraclePipeline(e *Event, p *gitlab.PipelineEvent) []expect {
	a := p.ObjectAttributes
	fields := []expect{
		{"ID", num64(e.Pipeline.ID), num(a.ID)}, {"Status", e.Action, a.Status}, {"Source", e.Pipeline.Source, a.Source}, {"SHA", e.Pipeline.SHA, a.SHA},
		{"Duration", num64(int64(e.Pipeline.Duration.Seconds())), num(a.Duration)}, {"Stages", strings.Join(e.Pipeline.Stages, " "), strings.Join(a.Stages, " ")},
		{"Commit", e.Commit.Message, p.Commit.Message}, {"jobs", num(len(e.Pipeline.Jobs)), num(len(p.Builds))},
		{"ParentID", num64(e.Pipeline.ParentID), num(p.SourcePipline.PipelineID)},
	}
	for i, b := range p.Builds {
		j := e.Pipeline.Jobs[i]
		fields = append(fields, expect{"Job.ID", num64(j.ID), num(b.ID)}, expect{"Job.Name", j.Name, b.Name}, expect{"Job.Status", j.Status, b.Status},
			expect{"Job.Environment", j.Environment, b.Environment.Name})
		if b.Status == "failed" {
			fields = append(fields, expect{"Job.FailureReason", j.FailureReason, b.FailureReason})
		}
	}
	return fields
}
