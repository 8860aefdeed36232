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
	ShortSHA    Text // the first eight digits
	Title       Text // first line of the message
	URL         URL
	AuthorName  Text
	AuthorEmail Text
	Time        time.Time

	commit *events.Commit
	in     *setting
}

// Message is the whole message.
func (c Commit) Message() *Document { return c.in.document(withoutSignatures(c.commit.Message)) }

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

func newCommit(c *events.Commit, in *setting) Commit {
	return Commit{
		SHA:         Text(c.SHA),
		ShortSHA:    Text(c.ShortSHA()),
		Title:       Text(c.Title),
		URL:         URL(c.URL),
		AuthorName:  Text(c.AuthorName),
		AuthorEmail: Text(c.AuthorEmail),
		Time:        c.Time,
		commit:      c,
		in:          in,
	}
}

// Push is the part of pushes of branches and tags.
type Push struct {
	Before     Text
	After      Text
	Total      int       // of all commits, of which GitLab sends 20
	Created    bool      // a branch or tag made
	Deleted    bool      // a branch or tag removed
	Forced     bool      // a force-push, as far as the payload tells
	Protected  bool      // a protected branch or tag
	TagMessage *Document // of an annotated tag
	CompareURL URL       // before...after; empty when one side is missing
	MergedRef  Text      // "group/project!42" when the head commit brings in that merge request

	part *events.PushPart
	in   *setting
}

// maxCommits is how many commits a push shows.
const maxCommits = 5

func newPush(e *events.Event, in *setting) *Push {
	p := e.Push
	return &Push{
		Before: Text(p.Before), After: Text(p.After), Total: p.Total,
		Created: p.Created, Deleted: p.Deleted, Forced: p.Forced, Protected: p.Protected,
		TagMessage: in.document(withoutSignatures(p.TagMessage)),
		CompareURL: URL(p.CompareURL), MergedRef: Text(p.MergedRef),
		part: p, in: in,
	}
}

// Commits are the commits that GitLab sent, oldest first.
func (p *Push) Commits() []Commit {
	out := make([]Commit, len(p.part.Commits))
	for i := range out {
		out[i] = newCommit(&p.part.Commits[i], p.in)
	}
	return out
}

// Counts are the commits in words: "12 commits", "1 commit and a merge". They
// are as many as are listed, and as come after "more". It says nothing of a
// single one that is listed.
func (p *Push) Counts() Markdown {
	merges, others := p.merges()
	switch {
	case p.Total == 1 && len(p.part.Commits) == 1 || merges+others == 0:
		return ""
	case others == 0:
		return plural(merges, "merge")
	case merges == 0:
		return plural(others, "commit")
	case merges == 1:
		return plural(others, "commit") + " and a merge"
	}
	return plural(others, "commit") + " and " + plural(merges, "merge")
}

// merges counts the commits that are known to be merges, and all others.
func (p *Push) merges() (merges, others int) {
	for i := range p.part.Commits {
		if mergeTitle.MatchString(p.part.Commits[i].Title) {
			merges++
		}
	}
	return merges, max(0, p.Total-merges)
}

// Merged is the merge request that the push brings in, linked: "!42".
func (p *Push) Merged() Markdown {
	path, iid, ok := strings.Cut(string(p.MergedRef), "!")
	if !ok {
		return ""
	}
	url := projectURL(path, p.in.at)
	shown := path + "!" + iid
	if path == p.in.at.Path {
		url, shown = p.in.at.URL, "!"+iid
	}
	if url != "" {
		url += "/-/merge_requests/" + iid
	}
	return Markdown(linkTo(Text(shown).String(), url))
}

// Newest are the commits to show: at most 5, newest first, without merges
// unless there is nothing else.
func (p *Push) Newest() []Commit {
	all := p.part.Commits
	var out []Commit
	for _, merges := range [...]bool{false, true} {
		for i := len(all) - 1; i >= 0 && len(out) < maxCommits; i-- {
			if merges || !mergeTitle.MatchString(all[i].Title) {
				out = append(out, newCommit(&all[i], p.in))
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

// More is how many commits there are beside the Newest; 0 if none is listed,
// as of system hooks.
func (p *Push) More() int {
	merges, others := p.merges()
	shown := others
	if merges == len(p.part.Commits) {
		shown += merges // they are listed, because there is nothing else
	}
	if len(p.part.Commits) == 0 {
		return 0
	}
	return max(0, shown-len(p.Newest()))
}

// Unsent is how many commits there are beside the Commits.
func (p *Push) Unsent() int { return max(0, p.Total-len(p.part.Commits)) }

// MergeRequest is the merge request of an event, or the one it is on.
type MergeRequest struct {
	IID          int64 // as in !42
	Title        Text
	URL          URL
	State        Text // "opened", "closed", "merged", "locked"
	SourceBranch Text
	TargetBranch Text
	SourcePath   Text // of the source project; empty if that was deleted
	Description  *Document
	Draft        bool
	Assignees    []User
	Reviewers    []User
	ReviewedBy   []User // whose review the event is about; only of changes_requested and reviewed
	Labels       []Text
	Milestone    Text
	MergeStatus  Text
	OldRev       Text // head before an update with new commits
	System       bool // done by GitLab, not by a person's click
	SystemAction Text // "approvals_reset_on_push", …

	fork bool // the source branch is in another project
}

func newMergeRequest(m *events.MergeRequestPart, in *setting) *MergeRequest {
	return &MergeRequest{
		IID: m.IID, Title: Text(m.Title), URL: URL(m.URL), State: Text(m.State),
		SourceBranch: Text(m.SourceBranch), TargetBranch: Text(m.TargetBranch), SourcePath: Text(m.SourcePath),
		Description: in.document(m.Description), Draft: m.Draft,
		Assignees: newUsers(m.Assignees), Reviewers: newUsers(m.Reviewers), ReviewedBy: newUsers(m.ReviewedBy), Labels: in.labelTexts(m.Labels),
		Milestone: Text(m.Milestone), MergeStatus: Text(m.MergeStatus), OldRev: Text(m.OldRev),
		System: m.System, SystemAction: Text(m.SystemAction), fork: m.Fork,
	}
}

// Issue is an issue or any other work item.
type Issue struct {
	IID          int64 // as in #7
	Type         Text  // "issue", "task", "incident", "epic", …
	Title        Text
	URL          URL
	State        Text // "opened", "closed"
	Description  *Document
	Assignees    []User
	Labels       []Text
	Milestone    Text
	DueDate      Text // 2026-12-01
	Severity     Text
	Confidential bool
}

func newIssue(i *events.IssuePart, in *setting) *Issue {
	return &Issue{
		IID: i.IID, Type: Text(i.Type), Title: Text(i.Title), URL: URL(i.URL), State: Text(i.State),
		Description: in.document(i.Description), Assignees: newUsers(i.Assignees), Labels: in.labelTexts(i.Labels),
		Milestone: Text(i.Milestone), DueDate: Text(i.DueDate), Severity: Text(i.Severity),
		Confidential: i.Confidential,
	}
}

// Note is a comment.
type Note struct {
	ID          int64
	On          Text // "merge_request", "issue", "commit", "snippet", "other"
	OnType      Text // GitLab's own word: "MergeRequest", "WikiPage::Meta", …
	OnTitle     Text // title of what it is on
	OnURL       URL  // of what it is on
	OnReference Text // "!42", "#7", "$3", short SHA
	Body        *Document
	URL         URL
	Edited      bool
	Internal    bool
	System      bool // written by GitLab
	File        Text // of a comment on a diff
	Line        int  // 0 if it is on none
	Discussion  Text
}

func newNote(n *events.NotePart, in *setting) *Note {
	return &Note{
		ID: n.ID, On: Text(n.On), OnType: Text(n.OnType), OnTitle: Text(n.OnTitle), OnURL: URL(n.OnURL),
		OnReference: Text(n.OnReference), Body: in.document(n.Body), URL: URL(n.URL),
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
	Tier           Text // "production", "development", …
	SHA            Text // short
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
	Assets      int // how many links are attached
	URL         URL
}

// HasTag tells whether the name holds the tag already.
func (r Release) HasTag() bool {
	return strings.Contains(strings.ToLower(string(r.Name)), strings.ToLower(string(r.Tag)))
}

func newRelease(r *events.ReleasePart, in *setting) *Release {
	return &Release{
		Name: Text(r.Name), Tag: Text(r.Tag), Description: in.document(withoutSignatures(r.Description)),
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

func newWikiPage(w *events.WikiPagePart, in *setting) *WikiPage {
	out := &WikiPage{Title: Text(w.Title), Slug: Text(w.Slug), DiffURL: URL(w.DiffURL)}
	if !givenMessage.MatchString(w.Message) || !strings.HasSuffix(w.Message, w.Title) {
		out.Message = in.document(w.Message)
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
	DueDate Text // 2026-12-01
}

func newMilestone(m *events.MilestonePart) *Milestone {
	return &Milestone{IID: m.IID, Title: Text(m.Title), State: Text(m.State), DueDate: Text(m.DueDate)}
}

// Emoji is a reaction; what it is to is in the event's Title and URL.
type Emoji struct {
	Name        Text // "thumbsup"
	OnType      Text // "Issue", "MergeRequest", "Note", "Snippet"
	OnReference Text // "!42", "#7", "$3", short SHA; of a comment's what that is on
}

// Member is somebody's place in a group: that of the Actor, GitLab does not say
// who changed it.
type Member struct {
	Access    Text // "Developer", …
	ExpiresOn Text // 2026-12-01
}

// Token is an access token or a deploy token.
type Token struct {
	Name      Text
	ExpiresOn Text // 2026-12-01
	RenewURL  URL  // where it is renewed
}

func newToken(e *events.Event) *Token {
	page := "/-/settings/access_tokens"
	if e.Kind == events.DeployToken {
		page = "/-/settings/repository#js-deploy-tokens"
	}
	t := &Token{Name: Text(e.Token.Name), ExpiresOn: Text(e.Token.ExpiresOn)}
	switch p := e.Project; {
	case p.URL != "":
		t.RenewURL = URL(p.URL + page)
	case p.GroupURL != "":
		t.RenewURL = URL(p.GroupURL + page)
	}
	return t
}

// Vulnerability is a vulnerability.
type Vulnerability struct {
	State      Text // "detected", "confirmed", "dismissed", "resolved"
	Severity   Text // "info", "unknown", "low", "medium", "high", "critical"
	Identifier Text // the CVE if there is one
	Package    Text // name and version, of one in a dependency
	File       Text
	Report     Text // what found it: "dependency_scanning", "sast", …
}

func newVulnerability(v *events.VulnerabilityPart) *Vulnerability {
	return &Vulnerability{
		State: Text(v.State), Severity: Text(v.Severity), Identifier: Text(v.Identifier),
		Package: Text(v.Package), File: Text(v.File), Report: Text(v.Report),
	}
}
