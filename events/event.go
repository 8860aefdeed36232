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

// Event is a webhook decoded into the relay's vocabulary: plain values only,
// named by GitLab's terms. What GitLab did not send is left zero. Strings are
// as GitLab sent them (untrusted), but always valid UTF-8.
type Event struct {
	Kind   string // one of the kinds above
	Action string // "open", "failed", …; empty where the kind has none
	Source string // name of the source that sent it
	Header string // X-Gitlab-Event as sent

	Project Project // zero for instance-wide and group-level events
	Actor   User    // who did it

	Title string // of the object; never empty when GitLab named it
	URL   string // of the object; built from Project.URL when GitLab leaves it out

	Ref          string // full ref of a push ("refs/heads/main"), short elsewhere
	Branch       string // a push's branch, a merge request's source, a pipeline's or job's ref; empty on tags
	TargetBranch string // of a merge request and of what belongs to one
	Tag          string // the tag of a tag push, or of a pipeline or job on a tag

	Labels       []string
	Confidential bool // confidential issue, note on one, internal note, vulnerability; when in doubt, true
	Draft        bool
	Material     bool // an update that changes something a person would tell; true for all that are no updates

	Time     time.Time // when it happened, by GitLab's clock; zero if not said
	Changes  []Change  // what an update changed, in a fixed order
	Warnings []string  // what could not be read

	Push          *PushPart
	MergeRequest  *MergeRequestPart
	Issue         *IssuePart
	Note          *NotePart
	Pipeline      *PipelinePart
	Job           *JobPart
	Deployment    *DeploymentPart
	Release       *ReleasePart
	WikiPage      *WikiPagePart
	Milestone     *MilestonePart
	Emoji         *EmojiPart
	Member        *MemberPart
	Token         *TokenPart
	Vulnerability *VulnerabilityPart

	// Commit is the head commit of a push, pipeline, job or deployment, and
	// the commit a note is on.
	Commit *Commit

	// Payload is the JSON object as GitLab sent it. It is shared, never
	// written to.
	Payload []byte
}

// Name is the event's full name: the kind, or kind.action.
func (e *Event) Name() string {
	if e.Action == "" {
		return e.Kind
	}
	return e.Kind + "." + e.Action
}

// OnDefaultBranch tells whether Branch is the project's default branch.
func (e *Event) OnDefaultBranch() bool {
	return e.Branch != "" && e.Branch == e.Project.DefaultBranch
}

// Project is where an event belongs. For group-level objects (epics) only
// Group is set.
type Project struct {
	ID            int64
	Name          string
	Path          string // path with namespace: "acme/backend/api"
	URL           string // web_url, no trailing slash
	DefaultBranch string
	Visibility    string // "private", "internal", "public"; empty if not said
	Group         string // full path of the group of a group-level event
	GroupURL      string
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
	ID       int64
	Name     string // display name; the username when GitLab sends none
	Username string
	Email    string // empty when absent or "[REDACTED]"
	Bot      bool
}

// Commit is one commit of a push, or the head commit of something.
type Commit struct {
	SHA         string
	Title       string // first line of the message
	Message     string
	URL         string
	AuthorName  string
	AuthorEmail string
	Time        time.Time
	Added       []string
	Modified    []string
	Removed     []string
}

// ShortSHA is the first eight digits.
func (c Commit) ShortSHA() string {
	if len(c.SHA) > 8 {
		return c.SHA[:8]
	}
	return c.SHA
}

// Change is one thing that an update changed. Field is GitLab's key
// ("labels", "target_branch", "reviewers", …).
type Change struct {
	Field   string
	From    string   // previous value, for single values
	To      string   // current value, for single values
	Added   []string // for lists: labels, people
	Removed []string
}

// PushPart is the part of push and tag_push events.
type PushPart struct {
	Before     string
	After      string
	Commits    []Commit // the newest 20 at most, oldest first, as GitLab sends them
	Total      int      // how many commits there were
	Created    bool     // a branch or tag made
	Deleted    bool     // a branch or tag removed
	Forced     bool     // told from the payload: after is not a descendant we can see; see Decode
	Protected  bool     // ref_protected
	TagMessage string   // of an annotated tag
	CompareURL string   // before...after; empty when one side is missing
	MergedRef  string   // "group/project!42" when the head commit's trailer says it brings in that merge request
}

// MergeRequestPart is the merge request of an event, or the one it is on.
type MergeRequestPart struct {
	IID          int64
	Title        string
	URL          string
	State        string // opened, closed, merged, locked
	SourceBranch string
	TargetBranch string
	SourcePath   string // path of the source project, "" if deleted
	Description  string
	Draft        bool
	Assignees    []User
	Reviewers    []User
	Labels       []string
	Milestone    string
	MergeStatus  string // detailed_merge_status
	OldRev       string // head before an update with new commits
	LastCommit   *Commit
	System       bool   // done by GitLab, not by a person's click
	SystemAction string // approvals_reset_on_push, …
}

// IssuePart is an issue or any other work item.
type IssuePart struct {
	IID          int64
	Type         string // "issue", "task", "incident", "epic", …, in lower case
	Title        string
	URL          string
	State        string // opened, closed
	Description  string
	Assignees    []User
	Labels       []string
	Milestone    string
	DueDate      string // YYYY-MM-DD
	Severity     string
	Confidential bool
}

// NotePart is a comment.
type NotePart struct {
	ID          int64
	On          string // merge_request, issue, commit, snippet, other
	OnType      string // GitLab's noteable_type
	OnTitle     string // title of what it is on
	OnURL       string // URL of what it is on, without the note's anchor
	OnReference string // "!42", "#7", "$3", short SHA
	Body        string
	URL         string
	Edited      bool
	Internal    bool
	System      bool
	File        string // of a diff note
	Line        int
	Discussion  string
}

// PipelinePart is a pipeline.
type PipelinePart struct {
	ID             int64
	IID            int64
	Name           string
	Status         string // GitLab's status
	DetailedStatus string // "passed with warnings", …
	Source         string // push, schedule, merge_request_event, parent_pipeline, …
	SHA            string
	Duration       time.Duration
	QueuedDuration time.Duration
	Stages         []string
	Jobs           []JobPart
	MergeRequest   *MergeRequestPart // the one it runs for, or nil
	ParentID       int64             // pipeline that started it; 0 if none
	ParentProject  string
	ParentURL      string
	Error          string // the CI configuration error of one that could not start
}

// Child tells whether another pipeline started this one.
func (p *PipelinePart) Child() bool { return p.ParentID != 0 || p.Source == "parent_pipeline" }

// CouldNotStart tells a pipeline that failed before any job was made, as one with
// a mistake in its configuration does.
func (p *PipelinePart) CouldNotStart() bool { return p.Status == "failed" && len(p.Jobs) == 0 }

// JobPart is a job, alone or as part of a pipeline.
type JobPart struct {
	ID            int64
	Name          string
	Stage         string
	Status        string
	FailureReason string // GitLab's word, only if it failed: "script_failure"
	AllowFailure  bool
	Retried       bool // a later job of the same name stands in the pipeline
	Manual        bool
	Duration      time.Duration
	PipelineID    int64
	PipelineName  string
	URL           string
	Environment   string
	Runner        string
}

// DeploymentPart is a deployment.
type DeploymentPart struct {
	ID             int64
	Status         string
	Environment    string
	EnvironmentURL string // external URL of the environment
	Tier           string
	SHA            string // short
	JobID          int64
	JobURL         string
	Approver       string
	Comment        string
}

// ReleasePart is a release.
type ReleasePart struct {
	Name        string
	Tag         string
	Description string
	Assets      int
	URL         string
}

// WikiPagePart is a wiki page.
type WikiPagePart struct {
	Title   string
	Slug    string
	Message string
	DiffURL string
}

// MilestonePart is a milestone.
type MilestonePart struct {
	IID     int64
	Title   string
	State   string
	DueDate string
}

// EmojiPart is a reaction. What was reacted to is in Event.Title and Event.URL.
type EmojiPart struct {
	Name        string // without colons: "thumbsup"
	OnType      string // GitLab's awardable_type: Issue, MergeRequest, Note, Snippet
	OnReference string // "!42", "#7", "$3", short SHA; of a note's what the note is on
}

// MemberPart is somebody's place in a group. The person is Event.Actor: GitLab
// does not say who changed it.
type MemberPart struct {
	Access    string // "Developer", …
	ExpiresOn string // YYYY-MM-DD
}

// TokenPart is an access token or deploy token.
type TokenPart struct {
	Name      string
	ExpiresOn string // YYYY-MM-DD
}

// VulnerabilityPart is a vulnerability.
type VulnerabilityPart struct {
	State      string // detected, confirmed, dismissed, resolved
	Severity   string // info, unknown, low, medium, high, critical
	Identifier string // the CVE if there is one, else the first identifier
	Package    string // name and version of the package, of one in a dependency
	File       string
	Report     string // what found it: dependency_scanning, sast, …
}
