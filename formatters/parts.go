package formatters

import (
	"regexp"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/events"
)

// Commit is a commit.
type Commit struct {
	SHA         Text
	ShortSHA    Text
	Title       Text
	URL         URL
	AuthorName  Text
	AuthorEmail Text
	Time        time.Time

	commit *events.Commit
	at     *events.Project
}

// Message is the whole message.
func (c Commit) Message() *Document { return document(c.commit.Message, c.at) }

// Added are the files that the commit added.
func (c Commit) Added() []Text { return texts(c.commit.Added) }

// Modified are the files that the commit changed.
func (c Commit) Modified() []Text { return texts(c.commit.Modified) }

// Removed are the files that the commit removed.
func (c Commit) Removed() []Text { return texts(c.commit.Removed) }

// Merge tells whether the commit merges a branch, by the title that git and
// GitLab give such commits.
func (c Commit) Merge() bool { return mergeTitle.MatchString(c.commit.Title) }

var mergeTitle = regexp.MustCompile(`^Merge (?:remote-tracking )?(?:branch|branches|tag|commit) '`)

func newCommit(c *events.Commit, at *events.Project) Commit {
	return Commit{
		SHA:         Text(c.SHA),
		ShortSHA:    Text(c.ShortSHA()),
		Title:       Text(c.Title),
		URL:         URL(c.URL),
		AuthorName:  Text(c.AuthorName),
		AuthorEmail: Text(c.AuthorEmail),
		Time:        c.Time,
		commit:      c,
		at:          at,
	}
}

// Push is the part of pushes of branches and tags.
type Push struct {
	Before     Text
	After      Text
	Total      int // of all commits, of which GitLab sends 20
	Created    bool
	Deleted    bool
	Forced     bool
	Protected  bool
	TagMessage *Document
	CompareURL URL
	MergedRef  Text

	event *events.Event
}

// maxCommits is how many commits a push shows.
const maxCommits = 5

func newPush(e *events.Event) *Push {
	p := e.Push
	return &Push{
		Before: Text(p.Before), After: Text(p.After), Total: p.Total,
		Created: p.Created, Deleted: p.Deleted, Forced: p.Forced, Protected: p.Protected,
		TagMessage: document(p.TagMessage, &e.Project),
		CompareURL: URL(p.CompareURL), MergedRef: Text(p.MergedRef),
		event: e,
	}
}

// Commits are the commits that GitLab sent, oldest first.
func (p *Push) Commits() []Commit {
	out := make([]Commit, len(p.event.Push.Commits))
	for i := range out {
		out[i] = newCommit(&p.event.Push.Commits[i], &p.event.Project)
	}
	return out
}

// Newest are the commits to show: at most 5, newest first, without merges
// unless there is nothing else.
func (p *Push) Newest() []Commit {
	all := p.event.Push.Commits
	var out []Commit
	for _, merges := range [...]bool{false, true} {
		for i := len(all) - 1; i >= 0 && len(out) < maxCommits; i-- {
			if merges || !mergeTitle.MatchString(all[i].Title) {
				out = append(out, newCommit(&all[i], &p.event.Project))
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

// More is how many commits there are beside the Newest, merges left out as far
// as they are known.
func (p *Push) More() int {
	known, shown := 0, 0
	for i := range p.event.Push.Commits {
		if mergeTitle.MatchString(p.event.Push.Commits[i].Title) {
			known++
		} else {
			shown++
		}
	}
	if shown == 0 {
		return max(0, p.Total-min(known, maxCommits))
	}
	return max(0, p.Total-known-min(shown, maxCommits))
}

// MergeRequest is the merge request of an event, or the one it is on.
type MergeRequest struct {
	IID          int64
	Title        Text
	URL          URL
	State        Text
	SourceBranch Text
	TargetBranch Text
	SourcePath   Text
	Description  *Document
	Draft        bool
	Assignees    []User
	Reviewers    []User
	Labels       []Text
	Milestone    Text
	MergeStatus  Text
	OldRev       Text
	System       bool
	SystemAction Text
}

func newMergeRequest(m *events.MergeRequestPart, at *events.Project) *MergeRequest {
	return &MergeRequest{
		IID: m.IID, Title: Text(m.Title), URL: URL(m.URL), State: Text(m.State),
		SourceBranch: Text(m.SourceBranch), TargetBranch: Text(m.TargetBranch), SourcePath: Text(m.SourcePath),
		Description: document(m.Description, at), Draft: m.Draft,
		Assignees: newUsers(m.Assignees), Reviewers: newUsers(m.Reviewers), Labels: texts(m.Labels),
		Milestone: Text(m.Milestone), MergeStatus: Text(m.MergeStatus), OldRev: Text(m.OldRev),
		System: m.System, SystemAction: Text(m.SystemAction),
	}
}

// Issue is an issue or any other work item.
type Issue struct {
	IID          int64
	Type         Text
	Title        Text
	URL          URL
	State        Text
	Description  *Document
	Assignees    []User
	Labels       []Text
	Milestone    Text
	DueDate      Text
	Severity     Text
	Confidential bool
}

func newIssue(i *events.IssuePart, at *events.Project) *Issue {
	return &Issue{
		IID: i.IID, Type: Text(i.Type), Title: Text(i.Title), URL: URL(i.URL), State: Text(i.State),
		Description: document(i.Description, at), Assignees: newUsers(i.Assignees), Labels: texts(i.Labels),
		Milestone: Text(i.Milestone), DueDate: Text(i.DueDate), Severity: Text(i.Severity),
		Confidential: i.Confidential,
	}
}

// Note is a comment.
type Note struct {
	ID          int64
	On          Text
	OnType      Text
	OnTitle     Text
	OnURL       URL
	OnReference Text
	Body        *Document
	URL         URL
	Edited      bool
	Internal    bool
	System      bool
	File        Text
	Line        int
	Discussion  Text
}

func newNote(n *events.NotePart, at *events.Project) *Note {
	return &Note{
		ID: n.ID, On: Text(n.On), OnType: Text(n.OnType), OnTitle: Text(n.OnTitle), OnURL: URL(n.OnURL),
		OnReference: Text(n.OnReference), Body: document(n.Body, at), URL: URL(n.URL),
		Edited: n.Edited, Internal: n.Internal, System: n.System,
		File: Text(n.File), Line: n.Line, Discussion: Text(n.Discussion),
	}
}

// Deployment is a deployment.
type Deployment struct {
	ID             int64
	Status         Text
	Environment    Text
	EnvironmentURL URL
	Tier           Text
	SHA            Text
	JobID          int64
	JobURL         URL
	Approver       Text
	Comment        Text
}

func newDeployment(d *events.DeploymentPart) *Deployment {
	return &Deployment{
		ID: d.ID, Status: Text(d.Status), Environment: Text(d.Environment), EnvironmentURL: URL(d.EnvironmentURL),
		Tier: Text(d.Tier), SHA: Text(d.SHA), JobID: d.JobID, JobURL: URL(d.JobURL),
		Approver: Text(d.Approver), Comment: Text(d.Comment),
	}
}

// Release is a release.
type Release struct {
	Name        Text
	Tag         Text
	Description *Document
	Assets      int
	URL         URL
}

func newRelease(r *events.ReleasePart, at *events.Project) *Release {
	return &Release{
		Name: Text(r.Name), Tag: Text(r.Tag), Description: document(r.Description, at),
		Assets: r.Assets, URL: URL(r.URL),
	}
}

// WikiPage is a wiki page.
type WikiPage struct {
	Title   Text
	Slug    Text
	Message *Document // if somebody wrote one
	DiffURL URL
}

func newWikiPage(w *events.WikiPagePart, at *events.Project) *WikiPage {
	out := &WikiPage{Title: Text(w.Title), Slug: Text(w.Slug), DiffURL: URL(w.DiffURL)}
	if !givenMessage.MatchString(w.Message) || !strings.HasSuffix(w.Message, w.Title) {
		out.Message = document(w.Message, at)
	}
	return out
}

// givenMessage matches what GitLab writes when nobody wrote a message for a
// change of a wiki page (app/models/wiki.rb, default_message): "Create Home",
// "ada updated page: Home".
var givenMessage = regexp.MustCompile(`^(?:[\w.-]+ )?(?i:create|update|delete)d?(?: page)?:? `)

// Milestone is a milestone.
type Milestone struct {
	IID     int64
	Title   Text
	State   Text
	DueDate Text
}

func newMilestone(m *events.MilestonePart) *Milestone {
	return &Milestone{IID: m.IID, Title: Text(m.Title), State: Text(m.State), DueDate: Text(m.DueDate)}
}

// Emoji is a reaction; what it is to is in Data's Title and URL.
type Emoji struct {
	Name        Text
	OnType      Text
	OnReference Text
}
