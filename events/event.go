package events

import (
	"strings"
	"time"
)

// Kinds of events, in GitLab's own words. An Event's Kind is one of these,
// [Other], [System], or whatever unknown word GitLab sent.
const (
	Push          = "push"
	TagPush       = "tag_push"
	MergeRequest  = "merge_request"
	Issue         = "issue" // all work items; Issue.Type tells which
	Note          = "note"
	Pipeline      = "pipeline"
	Job           = "job" // GitLab's object_kind "build"
	Deployment    = "deployment"
	Release       = "release"
	WikiPage      = "wiki_page"
	Milestone     = "milestone"
	FeatureFlag   = "feature_flag"
	Emoji         = "emoji"
	Member        = "member"
	Subgroup      = "subgroup"
	ProjectKind   = "project"
	AccessToken   = "access_token"
	DeployToken   = "deploy_token"
	Vulnerability = "vulnerability"
	System        = "system"
	Other         = "other"
)

// What a text is, beside a line that somebody wrote: the type of a field tells
// templates and docs/events.md. For everybody else each is a string.
type (
	Address    = string // of a page
	LongText   = string // Markdown of several lines
	SignedText = string // the same, which may hold a signature that Git made
)

// Event is a webhook decoded into the relay's vocabulary: plain values only,
// named by GitLab's terms. What GitLab did not send is left zero. Strings are
// as GitLab sent them (untrusted), but always valid UTF-8.
type Event struct {
	Kind   string // what it is about: "push", "merge_request", "issue", …
	Action string // what happened to it: "open", "failed", …; empty where the kind has none
	Source string // name of the source that sent it
	Header string // X-Gitlab-Event as sent

	Instance Address // address of the GitLab that sent it, if a header says so
	Version  string  // version of that GitLab ("17.5.1-ee"), if a header says so

	Project Project // where it happened; of a group-level event only the group is set, of one of the whole instance nothing
	Actor   User    // who did it. Deployment: who started it; members, keys, accounts: whom it is about. Empty for releases and milestones

	Title string  // of what it is about; never empty when GitLab named it
	URL   Address // of what it is about; built from the project's address when GitLab leaves it out

	Ref          string // full ref of a push ("refs/heads/main"), short elsewhere
	Branch       string // a push's branch, a merge request's source, a pipeline's, job's or deployment's ref; empty on tags
	TargetBranch string // of a merge request, and of the notes and pipelines that belong to one
	Tag          string // the tag of a tag push, of a release, or of a pipeline or job on a tag

	Labels       []string // of the merge request or issue, also for notes on it; GitLab sends none with pipelines
	Confidential bool     // a confidential issue, a comment or reaction on one, an internal comment, a vulnerability; when in doubt, true
	Draft        bool     // the merge request is a draft
	Material     bool     // an update that changes something a person would tell; true for all that are no updates

	Time     time.Time // when it happened, by GitLab's clock; zero where GitLab does not say, as with pushes, approvals and what was deleted
	Changes  []Change  // what an update changed, in a fixed order, without GitLab's own bookkeeping
	Warnings []string  // what could not be read

	Push          *PushPart          // of push and tag_push
	MergeRequest  *MergeRequestPart  // of merge_request, notes and reactions on one, pipelines and jobs that run for one. Jobs have only its number
	Issue         *IssuePart         // of issue, and of notes and reactions on one
	Note          *NotePart          // of note
	Pipeline      *PipelinePart      // of pipeline
	Job           *JobPart           // of job
	Deployment    *DeploymentPart    // of deployment
	Release       *ReleasePart       // of release
	WikiPage      *WikiPagePart      // of wiki_page
	Milestone     *MilestonePart     // of milestone
	Emoji         *EmojiPart         // of emoji
	Member        *MemberPart        // of member, and of the system events about members
	Token         *TokenPart         // of access_token and deploy_token
	Vulnerability *VulnerabilityPart // of vulnerability
	Commit        *Commit            // the head commit of a push, pipeline, job, deployment or release, and the commit that a note or reaction is on

	Payload []byte // the JSON object as GitLab sent it; shared, never written to
}

// Name is the event's full name: the kind, or kind.action.
func (e *Event) Name() string {
	if e.Action == "" {
		return e.Kind
	}
	return e.Kind + "." + e.Action
}

// OnDefaultBranch tells whether the branch is the project's default branch; a fork's
// branch is not, whatever its name.
func (e *Event) OnDefaultBranch() bool {
	fork := e.MergeRequest != nil && e.MergeRequest.Fork
	return e.Branch != "" && e.Branch == e.Project.DefaultBranch && !fork
}

// Project is where an event belongs. For group-level objects (epics) only
// Group is set.
type Project struct {
	ID            int64   // GitLab's number of the project
	Name          string  // display name, without the group
	Path          string  // path with namespace: "acme/backend/api"
	URL           Address // address of its page, no trailing slash
	DefaultBranch string  // "main"
	Visibility    string  // "private", "internal", "public"; empty if not said
	Group         string  // full path of the group of a group-level event
	GroupURL      Address // address of that group's page, if said
}

// Base is the URL of the GitLab instance (with its relative URL root, if
// any), or empty.
func (p Project) Base() string {
	if p.Path == "" || !strings.HasSuffix(p.URL, "/"+p.Path) {
		return ""
	}
	return strings.TrimSuffix(p.URL, "/"+p.Path)
}

// User is a GitLab user as far as a webhook tells.
type User struct {
	ID       int64  // GitLab's number of the user
	Name     string // display name; the username when GitLab sends none
	Username string // without @
	Email    string // empty when absent or hidden ("[REDACTED]")
	Bot      bool   // by the username: an access token, a service account, GitLab's own, renovate, dependabot, or the word "bot" at the end
}

// Commit is one commit of a push, or the head commit of something.
type Commit struct {
	SHA         string     // whole, 40 digits or 64; of a deployment whose commit has no address, short
	Title       string     // first line of the message
	Message     SignedText // the whole message
	URL         Address    // address of its page
	AuthorName  string     // as Git has it, which need not be a GitLab user
	AuthorEmail string     // as Git has it
	Time        time.Time  // when it was committed
	Added       []string   // paths of the files it added; only in pushes
	Modified    []string   // paths of the files it changed
	Removed     []string   // paths of the files it removed
}

// ShortSHA is the first eight digits.
func (c Commit) ShortSHA() string {
	if len(c.SHA) > 8 {
		return c.SHA[:8]
	}
	return c.SHA
}

// Change is one thing that an update changed.
type Change struct {
	Field   string   // GitLab's key: "labels", "target_branch", …; also "re_requested", "reviewed" and "changes_requested" of reviews
	From    string   // previous value, for single values
	To      string   // current value, for single values
	Added   []string // for lists: labels, people
	Removed []string // for lists: labels, people
}

// PushPart is the part of push and tag_push events.
type PushPart struct {
	Before     string     // SHA before the push; zeros if there was nothing
	After      string     // SHA after the push; zeros if there is nothing any more; of an annotated tag that of the tag
	Commits    []Commit   // the newest 20 at most, oldest first, as GitLab sends them
	Total      int        // how many commits there were
	Created    bool       // a branch or tag made
	Deleted    bool       // a branch or tag removed
	Forced     bool       // the branch went back to an older commit; a forced push that brings new commits looks like any other
	Protected  bool       // the branch or tag is protected, if GitLab says
	TagMessage SignedText // of an annotated tag
	CompareURL Address    // before...after; empty when one side is missing
	MergedRef  string     // "group/project!42" when the head commit's trailer says it brings in that merge request
}

// Paths are the files of the commits, each once.
func (p *PushPart) Paths() []string {
	var out []string
	seen := map[string]bool{}
	p.EachPath(func(name string) bool {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
		return true
	})
	return out
}

// EachPath calls f with each file of its commits until f says no. A file of
// several commits comes several times.
func (p *PushPart) EachPath(f func(name string) bool) {
	for i := range p.Commits {
		c := &p.Commits[i]
		for _, list := range [...][]string{c.Added, c.Modified, c.Removed} {
			for _, name := range list {
				if !f(name) {
					return
				}
			}
		}
	}
}

// MergeRequestPart is the merge request of an event, or the one it is on.
type MergeRequestPart struct {
	IID          int64    // the number after the exclamation mark: 42 of !42
	Title        string   // with GitLab's "Draft:" in front if it is one
	URL          Address  // address of its page
	State        string   // opened, closed, merged, locked
	SourceBranch string   // where it comes from
	TargetBranch string   // where it goes
	SourcePath   string   // path of the source project; empty if deleted
	Fork         bool     // the source branch is in another project
	Description  LongText // Markdown
	Draft        bool     // not ready yet
	Assignees    []User   // in GitLab's order
	Reviewers    []User   // in GitLab's order; only in merge_request events
	ReviewedBy   []User   // whose review the event is about; only of changes_requested and reviewed
	Labels       []string // titles
	Milestone    string   // title, where GitLab sends it
	MergeStatus  string   // whether it can be merged: mergeable, not_approved, conflict, … (detailed_merge_status)
	OldRev       string   // head before an update with new commits
	LastCommit   *Commit  // head of the source branch
	System       bool     // done by GitLab, not by a person's click
	SystemAction string   // approvals_reset_on_push, code_owner_approvals_reset_on_push
}

// IssuePart is an issue or any other work item.
type IssuePart struct {
	IID          int64    // the number after the hash: 7 of #7
	Type         string   // "issue", "task", "incident", "epic", …, in lower case
	Title        string   // its title
	URL          Address  // address of its page
	State        string   // opened, closed
	Description  LongText // Markdown
	Assignees    []User   // in GitLab's order
	Labels       []string // titles
	Milestone    string   // title, where GitLab sends it
	DueDate      string   // YYYY-MM-DD
	Severity     string   // of an incident: critical, high, medium, low; empty if unknown
	Confidential bool     // not for everybody who sees the project
}

// NotePart is a comment.
type NotePart struct {
	ID          int64    // GitLab's number of the comment
	On          string   // what it is on: merge_request, issue, commit, snippet, other
	OnType      string   // GitLab's noteable_type
	OnTitle     string   // title of what it is on
	OnURL       Address  // address of what it is on, without the note's anchor
	OnReference string   // "!42", "#7", "$3", short SHA
	Body        LongText // Markdown
	URL         Address  // address of the comment
	Edited      bool     // changed after it was written; GitLab 16.11 and later
	Internal    bool     // an internal note
	System      bool     // written by GitLab ("changed the description")
	File        string   // of a note on a diff
	Line        int      // of a note on a diff: in the new file, else in the old one
	Discussion  string   // GitLab's id of the thread
}

// PipelinePart is a pipeline.
type PipelinePart struct {
	ID             int64             // GitLab's number of the pipeline, on the whole instance
	IID            int64             // its number within the project
	Name           string            // workflow:name; GitLab 16.1 and later
	Status         string            // GitLab's status, as in the event's name
	DetailedStatus string            // "passed", "passed with warnings", …
	Source         string            // push, schedule, merge_request_event, parent_pipeline, …
	SHA            string            // of the commit it runs for
	Duration       time.Duration     // how long it ran; 0 while it runs
	QueuedDuration time.Duration     // how long it waited
	Stages         []string          // in the order in which they run
	Jobs           []JobPart         // in GitLab's order
	MergeRequest   *MergeRequestPart // the one it runs for, or none
	ParentID       int64             // pipeline that started it; 0 if none
	ParentProject  string            // path of the project of that pipeline
	ParentURL      Address           // address of that pipeline
	Error          string            // the CI configuration error of one that could not start
}

// Child tells whether another pipeline started it.
func (p *PipelinePart) Child() bool { return p.ParentID != 0 || p.Source == "parent_pipeline" }

// CouldNotStart tells whether it failed before any job was made, as with a mistake
// in its configuration.
func (p *PipelinePart) CouldNotStart() bool {
	return p.Status == "failed" && (p.Error != "" || len(p.Jobs) == 0 && p.Duration == 0)
}

// JobPart is a job, alone or as part of a pipeline.
type JobPart struct {
	ID            int64         // GitLab's number of the job
	Name          string        // "rspec 2/3"
	Stage         string        // "test"
	Status        string        // GitLab's status
	FailureReason string        // GitLab's word, only if it failed: "script_failure"
	AllowFailure  bool          // its failure does not fail the pipeline
	Retried       bool          // the pipeline has a later job of the same name
	Manual        bool          // started by a person, or waiting for one
	Duration      time.Duration // how long it ran; 0 while it runs
	PipelineID    int64         // of its pipeline
	PipelineName  string        // of its pipeline
	URL           Address       // address of its page
	Environment   string        // where it deploys to, if it does
	Runner        string        // description of the runner
}

// DeploymentPart is a deployment.
type DeploymentPart struct {
	ID             int64   // GitLab's number of the deployment
	Status         string  // GitLab's status, as in the event's name
	Environment    string  // "production"
	EnvironmentURL Address // external address of the environment
	Tier           string  // production, staging, testing, development, other
	SHA            string  // short
	JobID          int64   // of the job that deploys; 0 if it was not a job
	JobURL         Address // address of that job
	Approver       string  // display name of who approved or rejected it
	Comment        string  // what they wrote
}

// ReleasePart is a release.
type ReleasePart struct {
	Name        string     // its name, if it has one
	Tag         string     // the tag it is made of
	Description SignedText // release notes, Markdown
	Assets      int        // how many links are attached to it, without GitLab's source archives
	URL         Address    // address of its page
}

// WikiPagePart is a wiki page.
type WikiPagePart struct {
	Title   string   // its title
	Slug    string   // the end of its address
	Message LongText // what the author wrote about the change
	DiffURL Address  // address of the change
}

// MilestonePart is a milestone.
type MilestonePart struct {
	IID     int64  // its number within the project or group
	Title   string // its title
	State   string // active, closed
	DueDate string // YYYY-MM-DD
}

// EmojiPart is a reaction. The event's title and URL are those of what was
// reacted to.
type EmojiPart struct {
	Name        string // without colons: "thumbsup"
	OnType      string // GitLab's awardable_type: Issue, MergeRequest, Note, Snippet
	OnReference string // "!42", "#7", "$3", short SHA; of a note's what the note is on
}

// MemberPart is somebody's place in a group, or in system events also in a
// project. The person is the event's actor: GitLab does not say who changed it.
type MemberPart struct {
	Access    string // "Guest", "Developer", "Maintainer", …
	ExpiresOn string // YYYY-MM-DD
}

// TokenPart is an access token or deploy token.
type TokenPart struct {
	Name      string // as its maker called it
	ExpiresOn string // YYYY-MM-DD
}

// VulnerabilityPart is a vulnerability.
type VulnerabilityPart struct {
	State      string // detected, confirmed, dismissed, resolved
	Severity   string // info, unknown, low, medium, high, critical
	Identifier string // the CVE if there is one, else the first identifier
	Package    string // name and version of the package, of one in a dependency
	File       string // where it was found
	Report     string // what found it: dependency_scanning, sast, …
}
