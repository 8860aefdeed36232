package formatters

import (
	"regexp"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/events"
)

// Commit is a commit.
type Commit struct {
	SHA         Text      // all digits
	ShortSHA    Text      // the first eight digits
	Title       Text      // first line of the message
	URL         URL       // page of the commit
	AuthorName  Text      // name of the author in Git
	AuthorEmail Text      // address of the author in Git
	Time        time.Time // when it was committed

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

// Push is a push of a branch or a tag.
type Push struct {
	Before     Text      // SHA before the push; zeros if there was none
	After      Text      // SHA after the push; zeros if there is none
	Total      int       // number of all commits; GitLab sends at most 20 of them
	Created    bool      // true if the branch or tag is new
	Deleted    bool      // true if the branch or tag was deleted
	Forced     bool      // true if the payload shows that it was a force-push
	Protected  bool      // true for a protected branch or tag
	TagMessage *Document // message of an annotated tag, without its signature
	CompareURL URL       // page that compares before and after; empty if one of them is missing
	MergedRef  Text      // "group/project!42" if the head commit merges that merge request

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

// Counts is the number of commits in words: "12 commits", "1 commit and a
// merge". It is empty for a single commit that is listed.
func (p *Push) Counts() Markdown {
	merges, others := p.merges()
	switch {
	case p.Total == 1 && len(p.part.Commits) == 1 || merges+others == 0:
		return ""
	case others == 0:
		return plural(merges, "merge")
	case merges == 0 || merges == len(p.part.Commits): // merges are listed if there is nothing else
		return plural(merges+others, "commit")
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

// Merged is the merge request that the push merges, linked: "!42".
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

// Newest are the commits to list: at most 5, newest first. Merges are listed
// only if there is nothing else.
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

// More is the number of commits that Newest leaves out; 0 if nothing is listed,
// as with system hooks.
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

// Unsent is the number of commits that GitLab did not send.
func (p *Push) Unsent() int { return max(0, p.Total-len(p.part.Commits)) }

// MergeRequest is the merge request of an event, or the one it is on.
type MergeRequest struct {
	IID          int64     // the number in !42
	Title        Text      // title, with "Draft:" if it is a draft
	URL          URL       // page of the merge request
	State        Text      // "opened", "closed", "merged", "locked"
	SourceBranch Text      // branch that it comes from
	TargetBranch Text      // branch that it goes to
	SourcePath   Text      // path of the source project; empty if that was deleted
	Fork         bool      // true if the source branch is in another project
	Description  *Document // what the author wrote
	Draft        bool      // true for a draft
	Assignees    []User    // people it is assigned to
	Reviewers    []User    // people asked for a review
	ReviewedBy   []User    // people whose review the event is about; only of changes_requested and reviewed
	Labels       []Text    // titles of the labels
	Milestone    Text      // title of the milestone
	MergeStatus  Text      // "mergeable", "conflict", …: whether it can be merged
	OldRev       Text      // the head before new commits were pushed
	System       bool      // true if GitLab did it, and nobody clicked
	SystemAction Text      // "approvals_reset_on_push", …: why GitLab did it

	part *events.MergeRequestPart
	in   *setting
}

// LastCommit is the head of the source branch, if GitLab sends it.
func (m *MergeRequest) LastCommit() *Commit {
	if m.part.LastCommit == nil {
		return nil
	}
	c := newCommit(m.part.LastCommit, m.in)
	return &c
}

func newMergeRequest(m *events.MergeRequestPart, in *setting) *MergeRequest {
	return &MergeRequest{
		IID: m.IID, Title: Text(m.Title), URL: URL(m.URL), State: Text(m.State),
		SourceBranch: Text(m.SourceBranch), TargetBranch: Text(m.TargetBranch), SourcePath: Text(m.SourcePath),
		Description: in.document(m.Description), Draft: m.Draft,
		Assignees: newUsers(m.Assignees), Reviewers: newUsers(m.Reviewers), ReviewedBy: newUsers(m.ReviewedBy), Labels: in.labelTexts(m.Labels),
		Milestone: Text(m.Milestone), MergeStatus: Text(m.MergeStatus), OldRev: Text(m.OldRev),
		System: m.System, SystemAction: Text(m.SystemAction), Fork: m.Fork, part: m, in: in,
	}
}

// Issue is an issue or any other work item.
type Issue struct {
	IID          int64     // the number in #7
	Type         Text      // "issue", "task", "incident", "epic", …
	Title        Text      // title
	URL          URL       // page of the issue
	State        Text      // "opened", "closed"
	Description  *Document // what the author wrote
	Assignees    []User    // people it is assigned to
	Labels       []Text    // titles of the labels
	Milestone    Text      // title of the milestone
	DueDate      Text      // 2026-12-01
	Severity     Text      // "critical", "high", …: of an incident
	Confidential bool      // true for a confidential issue
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
	ID          int64     // GitLab's number of the comment
	On          Text      // "merge_request", "issue", "commit", "snippet", "other"
	OnType      Text      // GitLab's own word: "MergeRequest", "WikiPage::Meta", …
	OnTitle     Text      // title of what it is on
	OnURL       URL       // page of what it is on
	OnReference Text      // "!42", "#7", "$3", short SHA
	Body        *Document // the comment
	URL         URL       // address of the comment
	Edited      bool      // true if it was changed after it was written
	Internal    bool      // true for an internal note
	System      bool      // true if GitLab wrote it
	File        Text      // path of the file, if the comment is on a diff
	Line        int       // number of the line in that file; 0 if there is none
	Discussion  Text      // GitLab's id of the thread
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
	ID             int64 // GitLab's number of the deployment
	Status         Text  // "success", "failed", …
	Environment    Text  // name of the environment
	EnvironmentURL URL   // address of what was deployed
	Tier           Text  // "production", "development", …
	SHA            Text  // short SHA of the commit
	JobID          int64 // number of the job that deploys; 0 if no job does
	JobURL         URL   // page of that job
	Approver       Text  // name of the person who approved or rejected it
	Comment        Text  // what that person wrote
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
	Name        Text      // name of the release
	Tag         Text      // tag of the release
	Description *Document // release notes, without signatures
	Assets      int       // number of attached links; source archives do not count
	URL         URL       // page of the release
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
	Title   Text      // title of the page
	Slug    Text      // the page in the address
	Message *Document // what the author wrote about the change; empty if it is the text that GitLab fills in
	DiffURL URL       // page that shows the change
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
	IID     int64 // number in the project or group
	Title   Text  // title
	State   Text  // "active", "closed"
	DueDate Text  // 2026-12-01
}

func newMilestone(m *events.MilestonePart) *Milestone {
	return &Milestone{IID: m.IID, Title: Text(m.Title), State: Text(m.State), DueDate: Text(m.DueDate)}
}

// Emoji is a reaction. Title and URL of the event say what it is to.
type Emoji struct {
	Name        Text // "thumbsup"
	OnType      Text // "Issue", "MergeRequest", "Note", "Snippet", …
	OnReference Text // "!42", "#7", "$3", short SHA; for a reaction to a comment, what the comment is on
}

// Member is the membership of the Actor in a group or project. GitLab does not
// say who changed it.
type Member struct {
	Access    Text // "Developer", …: the access level
	ExpiresOn Text // 2026-12-01; empty if the membership does not end
}

// Token is an access token or a deploy token.
type Token struct {
	Name      Text // name of the token
	ExpiresOn Text // 2026-12-01
	RenewURL  URL  // page where it can be renewed
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
