package routes

import (
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/events"
)

// environment is what an `if` sees: the event's fields by their names in snake
// case. Parts that the event lacks are nil. The types are for the checker, which
// finds fields by their tags; they have no methods, which `if` could call.
type environment struct {
	Event        string       `expr:"event"`
	Kind         string       `expr:"kind"`
	Action       string       `expr:"action"`
	Source       string       `expr:"source"`
	Header       string       `expr:"header"`
	Instance     string       `expr:"instance"`
	Version      string       `expr:"version"`
	Project      projectVars  `expr:"project"`
	Actor        userVars     `expr:"actor"`
	Title        string       `expr:"title"`
	URL          string       `expr:"url"`
	Ref          string       `expr:"ref"`
	Branch       string       `expr:"branch"`
	TargetBranch string       `expr:"target_branch"`
	Tag          string       `expr:"tag"`
	Labels       []string     `expr:"labels"`
	Confidential bool         `expr:"confidential"`
	Draft        bool         `expr:"draft"`
	Material     bool         `expr:"material"`
	Time         string       `expr:"time"`
	Changes      []changeVars `expr:"changes"`
	Warnings     []string     `expr:"warnings"`

	Push          *pushVars          `expr:"push"`
	MergeRequest  *mergeRequestVars  `expr:"merge_request"`
	Issue         *issueVars         `expr:"issue"`
	Note          *noteVars          `expr:"note"`
	Pipeline      *pipelineVars      `expr:"pipeline"`
	Job           *jobVars           `expr:"job"`
	Deployment    *deploymentVars    `expr:"deployment"`
	Release       *releaseVars       `expr:"release"`
	WikiPage      *wikiPageVars      `expr:"wiki_page"`
	Milestone     *milestoneVars     `expr:"milestone"`
	Emoji         *emojiVars         `expr:"emoji"`
	Member        *memberVars        `expr:"member"`
	Token         *tokenVars         `expr:"token"`
	Vulnerability *vulnerabilityVars `expr:"vulnerability"`
	Commit        *commitVars        `expr:"commit"`
}

var typeOfEnvironment = reflect.TypeFor[environment]()

// maxVariable is how much of a text an `if` looks at, in bytes: its time is
// bounded, whatever the event holds.
const maxVariable = 16 << 10

// cut is the beginning of a text that an `if` looks at.
func cut(s string) string {
	if len(s) <= maxVariable {
		return s
	}
	i := maxVariable
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return s[:i]
}

func cutAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = cut(s)
	}
	return out
}

// mapped is a list with each element made another.
func mapped[A, B any](list []A, f func(*A) B) []B {
	out := make([]B, len(list))
	for i := range list {
		out[i] = f(&list[i])
	}
	return out
}

// part makes the variables of a part that the event may lack.
func part[A, B any](p *A, f func(*A) B) *B {
	if p == nil {
		return nil
	}
	b := f(p)
	return &b
}

func newEnvironment(s *subject) *environment {
	e := s.event
	env := &environment{
		Event: e.Name(), Kind: e.Kind, Action: e.Action, Source: e.Source, Header: cut(e.Header), Instance: cut(e.Instance), Version: cut(e.Version),
		Project: projectVars{
			ID: int(e.Project.ID), Name: cut(e.Project.Name), Path: cut(e.Project.Path), URL: cut(e.Project.URL),
			DefaultBranch: cut(e.Project.DefaultBranch), Visibility: e.Project.Visibility, Group: cut(e.Project.Group), GroupURL: cut(e.Project.GroupURL),
		},
		Actor: s.bots.user(&e.Actor), Title: cut(e.Title), URL: cut(e.URL), Ref: cut(e.Ref), Branch: cut(s.branch()),
		TargetBranch: cut(e.TargetBranch), Tag: cut(e.Tag), Labels: cutAll(e.Labels),
		Confidential: e.Confidential, Draft: e.Draft, Material: e.Material, Time: moment(e.Time), Warnings: cutAll(e.Warnings),
		Changes: mapped(e.Changes, func(c *events.Change) changeVars {
			return changeVars{cut(c.Field), cut(c.From), cut(c.To), cutAll(c.Added), cutAll(c.Removed)}
		}),
	}
	env.code(s)
	env.planning(s)
	env.ci(s)
	env.Emoji = part(e.Emoji, func(p *events.EmojiPart) emojiVars {
		return emojiVars{cut(p.Name), cut(p.OnType), cut(p.OnReference)}
	})
	env.Member = part(e.Member, func(p *events.MemberPart) memberVars { return memberVars{cut(p.Access), cut(p.ExpiresOn)} })
	env.Token = part(e.Token, func(p *events.TokenPart) tokenVars { return tokenVars{cut(p.Name), cut(p.ExpiresOn)} })
	env.Vulnerability = part(e.Vulnerability, func(p *events.VulnerabilityPart) vulnerabilityVars {
		return vulnerabilityVars{cut(p.State), cut(p.Severity), cut(p.Identifier), cut(p.Package), cut(p.File), cut(p.Report)}
	})
	return env
}

// code fills in the parts about commits.
func (env *environment) code(s *subject) {
	e := s.event
	env.Commit = part(e.Commit, commit)
	env.Push = part(e.Push, func(p *events.PushPart) pushVars {
		return pushVars{
			Before: cut(p.Before), After: cut(p.After), Total: p.Total, Created: p.Created, Deleted: p.Deleted, Forced: p.Forced,
			Protected: p.Protected, TagMessage: cut(p.TagMessage), CompareURL: cut(p.CompareURL), MergedRef: cut(p.MergedRef),
			Commits: mapped(p.Commits, commit), Paths: cutAll(s.files()),
		}
	})
	env.MergeRequest = part(e.MergeRequest, s.bots.mergeRequest)
	env.Release = part(e.Release, func(p *events.ReleasePart) releaseVars {
		return releaseVars{cut(p.Name), cut(p.Tag), cut(p.Description), p.Assets, cut(p.URL)}
	})
}

// planning fills in the parts about what people write.
func (env *environment) planning(s *subject) {
	e := s.event
	env.Issue = part(e.Issue, func(p *events.IssuePart) issueVars {
		return issueVars{
			IID: int(p.IID), Type: cut(p.Type), Title: cut(p.Title), URL: cut(p.URL), State: cut(p.State), Description: cut(p.Description),
			Assignees: mapped(p.Assignees, s.bots.user), Labels: cutAll(p.Labels), Milestone: cut(p.Milestone),
			DueDate: cut(p.DueDate), Severity: cut(p.Severity), Confidential: p.Confidential,
		}
	})
	env.Note = part(e.Note, func(p *events.NotePart) noteVars {
		return noteVars{
			ID: int(p.ID), On: p.On, OnType: cut(p.OnType), OnTitle: cut(p.OnTitle), OnURL: cut(p.OnURL), OnReference: cut(p.OnReference),
			Body: cut(p.Body), URL: cut(p.URL), Discussion: cut(p.Discussion),
			Edited: p.Edited, Internal: p.Internal, System: p.System, File: cut(p.File), Line: p.Line,
		}
	})
	env.WikiPage = part(e.WikiPage, func(p *events.WikiPagePart) wikiPageVars {
		return wikiPageVars{cut(p.Title), cut(p.Slug), cut(p.Message), cut(p.DiffURL)}
	})
	env.Milestone = part(e.Milestone, func(p *events.MilestonePart) milestoneVars {
		return milestoneVars{int(p.IID), cut(p.Title), cut(p.State), cut(p.DueDate)}
	})
}

// ci fills in the parts about pipelines and what they do.
func (env *environment) ci(s *subject) {
	e := s.event
	env.Pipeline = part(e.Pipeline, func(p *events.PipelinePart) pipelineVars {
		return pipelineVars{
			ID: int(p.ID), IID: int(p.IID), Name: cut(p.Name), Status: cut(p.Status), DetailedStatus: cut(p.DetailedStatus), Source: cut(p.Source),
			SHA: cut(p.SHA), Duration: p.Duration.Seconds(), QueuedDuration: p.QueuedDuration.Seconds(), Stages: cutAll(p.Stages),
			Jobs: mapped(p.Jobs, job), Child: p.Child(), MergeRequest: part(p.MergeRequest, s.bots.mergeRequest),
			ParentID: int(p.ParentID), ParentProject: cut(p.ParentProject), ParentURL: cut(p.ParentURL),
			CouldNotStart: p.CouldNotStart(), Error: cut(p.Error),
		}
	})
	env.Job = part(e.Job, job)
	env.Deployment = part(e.Deployment, func(p *events.DeploymentPart) deploymentVars {
		return deploymentVars{
			ID: int(p.ID), Status: cut(p.Status), Environment: cut(p.Environment), EnvironmentURL: cut(p.EnvironmentURL), Tier: cut(p.Tier),
			SHA: cut(p.SHA), JobID: int(p.JobID), JobURL: cut(p.JobURL), Approver: cut(p.Approver), Comment: cut(p.Comment),
		}
	})
}

// user is somebody of GitLab, a bot if the file says so.
func (b *bots) user(u *events.User) userVars {
	return userVars{int(u.ID), cut(u.Name), cut(u.Username), cut(u.Email), b.has(u)}
}

func (b *bots) mergeRequest(p *events.MergeRequestPart) mergeRequestVars {
	return mergeRequestVars{
		IID: int(p.IID), Title: cut(p.Title), URL: cut(p.URL), State: cut(p.State), SourceBranch: cut(p.SourceBranch), TargetBranch: cut(p.TargetBranch),
		SourcePath: cut(p.SourcePath), Fork: p.Fork, Description: cut(p.Description), Draft: p.Draft,
		Assignees: mapped(p.Assignees, b.user), Reviewers: mapped(p.Reviewers, b.user), ReviewedBy: mapped(p.ReviewedBy, b.user),
		Labels: cutAll(p.Labels), Milestone: cut(p.Milestone), MergeStatus: cut(p.MergeStatus), OldRev: cut(p.OldRev),
		LastCommit: part(p.LastCommit, commit), System: p.System, SystemAction: cut(p.SystemAction),
	}
}

func commit(c *events.Commit) commitVars {
	return commitVars{
		SHA: cut(c.SHA), Title: cut(c.Title), Message: cut(c.Message), URL: cut(c.URL), AuthorName: cut(c.AuthorName), AuthorEmail: cut(c.AuthorEmail),
		Time: moment(c.Time), Added: cutAll(c.Added), Modified: cutAll(c.Modified), Removed: cutAll(c.Removed),
	}
}

// moment is a time as text: "2026-12-01T09:30:00Z"; "" when it is not known.
// The later of two times compares as the greater.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func job(j *events.JobPart) jobVars {
	return jobVars{
		ID: int(j.ID), Name: cut(j.Name), Stage: cut(j.Stage), Status: cut(j.Status), FailureReason: cut(j.FailureReason),
		AllowFailure: j.AllowFailure, Retried: j.Retried, Manual: j.Manual, Duration: j.Duration.Seconds(),
		PipelineID: int(j.PipelineID), PipelineName: cut(j.PipelineName), URL: cut(j.URL), Environment: cut(j.Environment), Runner: cut(j.Runner),
	}
}

// fieldNames are the names that `if` knows the fields of a struct by.
func fieldNames(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("expr")
	}
	return names
}

// lookup is the value of a path such as "pipeline.duration"; not ok when a part
// of it is missing.
func (env *environment) lookup(path string) (any, bool) {
	v := reflect.ValueOf(env)
	for name := range strings.SplitSeq(path, ".") {
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return nil, false
			}
			v = v.Elem()
		}
		i := fieldIndex(v.Type(), name)
		if i < 0 {
			return nil, false
		}
		v = v.Field(i)
	}
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, false
	}
	return v.Interface(), true
}

func fieldIndex(t reflect.Type, name string) int {
	if t.Kind() != reflect.Struct {
		return -1
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("expr") == name {
			return i
		}
	}
	return -1
}
