package formatters

import (
	"cmp"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// Data is what a template sees: the event, with [Text] for every string that
// came from GitLab, and [URL] for every address. The names are those of
// [events.Event]. Parts that the event does not have are nil.
type Data struct {
	Who    Markdown // the name of the person who did it; "Someone" if GitLab does not say
	Object Markdown // what it was done to: reference and title, bold and linked
	Where  Markdown // the project or group, linked
	In     Markdown // " in " and the project or group; empty for an event of the whole instance
	By     Markdown // " · " and the name of the person; empty if GitLab does not say, or if the headline ends with a mention of that person

	Kind   Text // "push", "merge_request", …
	Action Text // "open", "failed", …; empty for a kind that has no actions
	Source Text // name of the source in relay.yaml that sent the event

	Project Project // the project of the event
	Actor   User    // the person who did it

	Title Text // title of the object
	URL   URL  // page of the object

	Ref          Text // full ref of a push ("refs/heads/main"); short ref of other events
	Branch       Text // branch of a push, source branch of a merge request, ref of a pipeline or job; empty for a tag
	TargetBranch Text // target branch of the merge request
	Tag          Text // the tag that was pushed, released, or that a pipeline or job runs for

	Labels       []Text // labels of the merge request or issue, also if the event is a comment on it
	Confidential bool   // true for a confidential issue and comments on it, an internal note, a vulnerability
	Draft        bool   // true for a draft merge request
	Material     bool   // true if the update changes something that matters to people

	Time    time.Time // when it happened, by GitLab's clock
	Now     time.Time // when the message is written; zero in a preview
	Today   time.Time // when the message is written; in a preview, when it happened
	Changes []Change  // what an update changed
	Detail  string    // "full", "brief" or "title", as relay.yaml says

	Push          *Push          // only push and tag_push have it
	MergeRequest  *MergeRequest  // only merge_request, and comments on a merge request, have it
	Issue         *Issue         // only issue, and comments on an issue, have it
	Note          *Note          // only note has it
	Pipeline      *Pipeline      // only pipeline has it
	Job           *Job           // only job has it
	Deployment    *Deployment    // only deployment has it
	Release       *Release       // only release has it
	WikiPage      *WikiPage      // only wiki_page has it
	Milestone     *Milestone     // only milestone has it
	Emoji         *Emoji         // only emoji has it
	Member        *Member        // only member, and system events about members, have it
	Token         *Token         // only access_token and deploy_token have it
	Vulnerability *Vulnerability // only vulnerability has it
	Commit        *Commit        // the head commit of a push, pipeline, job or deployment, or the commit that a comment is on

	event   *events.Event
	in      setting
	payload map[string]any // decoded at the first use
}

// Project is the project of an event. An event of a group has only a Group.
type Project struct {
	ID            int64 // GitLab's number of the project
	Name          Text  // display name, without the group
	Path          Text  // path with the groups: "acme/backend/api"
	URL           URL   // page of the project
	DefaultBranch Text  // "main"
	Visibility    Text  // "private", "internal", "public"; empty if GitLab does not say
	Group         Text  // full path of the group, if the event belongs to a group
	GroupURL      URL   // page of that group
}

// User is a GitLab user. {{.Actor}} prints the name.
type User struct {
	ID       int64 // GitLab's number of the user
	Name     Text  // display name
	Username Text  // name after the @
	Email    Text  // empty if GitLab hides it
	Bot      bool  // true for a bot, by its user name
}

// String is the name; the user name when there is none.
func (u User) String() string { return Text(u.shown()).String() }

func (u User) shown() string {
	if u.Name != "" {
		return string(u.Name)
	}
	return string(u.Username)
}

// Change is one thing that an update changed.
type Change struct {
	Field   Text   // "labels", "target_branch", "reviewers", …
	From    Text   // previous value, if it is not a list
	To      Text   // current value, if it is not a list
	Added   []Text // labels or people that were added
	Removed []Text // labels or people that were removed
}

func newData(r Request) *Data {
	e := r.Event
	d := &Data{
		Kind:         Text(e.Kind),
		Action:       Text(e.Action),
		Source:       Text(e.Source),
		Project:      newProject(e.Project),
		Actor:        newUser(e.Actor),
		Title:        Text(e.Title),
		URL:          URL(e.URL),
		Ref:          Text(e.Ref),
		Branch:       Text(e.Branch),
		TargetBranch: Text(e.TargetBranch),
		Tag:          Text(e.Tag),
		Labels:       texts(e.Labels),
		Confidential: e.Confidential,
		Draft:        e.Draft,
		Material:     e.Material,
		Time:         e.Time,
		Now:          r.Now,
		Today:        r.Now,
		Changes:      newChanges(e.Changes),
		Detail:       cmp.Or(r.Look.Detail, configs.DetailFull),
		event:        e,
	}
	if d.Today.IsZero() {
		d.Today = e.Time
	}
	d.in = setting{
		at: &e.Project, audience: newAudience(r), names: e.Labels, labels: d.Labels,
		oldUploads: e.Major() > 0 && e.Major() < idUploads,
	}
	d.addParts(e, &d.in)
	d.Who, d.Object, d.Where = who(d), object(d), where(d)
	if d.Where != "" {
		d.In = " in " + d.Where
	}
	d.By = by(d, r)
	return d
}

// setting is what the texts of one event have in common.
type setting struct {
	at       *events.Project // what their relative links are relative to
	audience *audience       // whom they may mention
	names    []string        // of the event's labels
	labels   []Text          // the same

	oldUploads bool // uploaded files are below the project's page
}

// labelTexts are the labels of a part of the event, which mostly are its own.
func (s *setting) labelTexts(list []string) []Text {
	if len(list) > 0 && len(list) == len(s.names) && &list[0] == &s.names[0] {
		return s.labels
	}
	return texts(list)
}

// document returns nil for a text without anything to see.
func (s *setting) document(raw string) *Document {
	d := document(raw, s.at)
	if d != nil {
		d.audience, d.oldUploads = s.audience, s.oldUploads
	}
	return d
}

func (d *Data) addParts(e *events.Event, s *setting) {
	if e.Push != nil {
		d.Push = newPush(e, s)
	}
	if e.MergeRequest != nil {
		d.MergeRequest = newMergeRequest(e.MergeRequest, s)
	}
	if e.Issue != nil {
		d.Issue = newIssue(e.Issue, s)
	}
	if e.Note != nil {
		d.Note = newNote(e.Note, s)
	}
	if e.Pipeline != nil {
		d.Pipeline = newPipeline(e.Pipeline, s)
	}
	if e.Job != nil {
		j := newJob(e.Job, s.at)
		d.Job = &j
	}
	if e.Deployment != nil {
		d.Deployment = newDeployment(e.Deployment)
	}
	if e.Release != nil {
		d.Release = newRelease(e.Release, s)
	}
	if e.WikiPage != nil {
		d.WikiPage = newWikiPage(e.WikiPage, s)
	}
	if e.Commit != nil {
		c := newCommit(e.Commit, s)
		d.Commit = &c
	}
	d.addSmallParts(e)
}

// addSmallParts adds those without any text to quote.
func (d *Data) addSmallParts(e *events.Event) {
	if e.Milestone != nil {
		d.Milestone = newMilestone(e.Milestone)
	}
	if e.Emoji != nil {
		d.Emoji = &Emoji{Name: Text(e.Emoji.Name), OnType: Text(e.Emoji.OnType), OnReference: Text(e.Emoji.OnReference)}
	}
	if e.Member != nil {
		d.Member = &Member{Access: Text(e.Member.Access), ExpiresOn: Text(e.Member.ExpiresOn)}
	}
	if e.Token != nil {
		d.Token = newToken(e)
	}
	if e.Vulnerability != nil {
		d.Vulnerability = newVulnerability(e.Vulnerability)
	}
}

// String is the event's name, so that {{.}} shows nothing that was not meant.
func (d *Data) String() string { return d.Name().String() }

// Name is the event's full name: the kind, or kind.action.
func (d *Data) Name() Text { return Text(d.event.Name()) }

// Header is the X-Gitlab-Event that came with the webhook.
func (d *Data) Header() Text { return Text(d.event.Header) }

// Instance is the address of the GitLab that sent it, if GitLab says.
func (d *Data) Instance() URL { return URL(d.event.Instance) }

// Version is the version of that GitLab ("17.5.1-ee"), if GitLab says.
func (d *Data) Version() Text { return Text(d.event.Version) }

// Warnings are what could not be read of the payload.
func (d *Data) Warnings() []Text { return texts(d.event.Warnings) }

// OnDefaultBranch tells whether Branch is the project's default branch. A fork's
// branch is not.
func (d *Data) OnDefaultBranch() bool { return d.event.OnDefaultBranch() }

// Payload is the JSON that GitLab sent. Its strings are [Text], its numbers
// json.Number; values of CI variables are masked.
func (d *Data) Payload() map[string]any {
	if d.payload == nil {
		d.payload = decodePayload(d.event.Payload)
	}
	return d.payload
}

func newProject(p events.Project) Project {
	return Project{
		ID:            p.ID,
		Name:          Text(p.Name),
		Path:          Text(p.Path),
		URL:           URL(p.URL),
		DefaultBranch: Text(p.DefaultBranch),
		Visibility:    Text(p.Visibility),
		Group:         Text(p.Group),
		GroupURL:      URL(p.GroupURL),
	}
}

func newUser(u events.User) User {
	return User{ID: u.ID, Name: Text(u.Name), Username: Text(u.Username), Email: Text(u.Email), Bot: u.Bot}
}

func newUsers(list []events.User) []User {
	if len(list) == 0 {
		return nil
	}
	out := make([]User, len(list))
	for i, u := range list {
		out[i] = newUser(u)
	}
	return out
}

func newChanges(list []events.Change) []Change {
	if len(list) == 0 {
		return nil
	}
	out := make([]Change, len(list))
	for i, c := range list {
		out[i] = Change{
			Field: Text(c.Field), From: Text(c.From), To: Text(c.To),
			Added: texts(c.Added), Removed: texts(c.Removed),
		}
	}
	return out
}

func texts(list []string) []Text {
	if len(list) == 0 {
		return nil
	}
	out := make([]Text, len(list))
	for i, s := range list {
		out[i] = Text(s)
	}
	return out
}

// Vulnerability is a vulnerability.
type Vulnerability struct {
	State      Text // "detected", "confirmed", "dismissed", "resolved"
	Severity   Text // "info", "unknown", "low", "medium", "high", "critical"
	Identifier Text // the CVE, or another identifier
	Package    Text // name and version of the package, if it is in a dependency
	File       Text // path of the file where it was found
	Report     Text // "dependency_scanning", "sast", …: what found it
}

func newVulnerability(v *events.VulnerabilityPart) *Vulnerability {
	return &Vulnerability{
		State: Text(v.State), Severity: Text(v.Severity), Identifier: Text(v.Identifier),
		Package: Text(v.Package), File: Text(v.File), Report: Text(v.Report),
	}
}
