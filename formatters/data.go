package formatters

import (
	"time"

	"github.com/gitlab-mattermost/relay/events"
)

// Data is what a template sees: the event, with [Text] for every string that
// came from GitLab, and [URL] for every address. The names are those of
// [events.Event]. Parts that the event does not have are nil.
type Data struct {
	// Pieces of the sentence, ready to print.
	Who    Markdown // the actor's name, or Someone
	Object Markdown // what it was done to: reference and title, bold, linked
	Where  Markdown // the project or group, linked
	In     Markdown // " in " and where; nothing for the whole instance

	Kind   Text
	Action Text
	Source Text

	Project Project
	Actor   User

	Title Text
	URL   URL

	Ref          Text
	Branch       Text
	TargetBranch Text
	Tag          Text

	Labels       []Text
	Confidential bool
	Draft        bool
	Material     bool

	Time    time.Time
	Now     time.Time // when the message is written; zero where that must not show
	Changes []Change

	Push         *Push
	MergeRequest *MergeRequest
	Issue        *Issue
	Note         *Note
	Pipeline     *Pipeline
	Job          *Job
	Deployment   *Deployment
	Release      *Release
	WikiPage     *WikiPage
	Milestone    *Milestone
	Emoji        *Emoji
	Commit       *Commit

	event   *events.Event
	payload map[string]any // decoded at the first use
}

// Project is where the event belongs; group-level events have only a Group.
type Project struct {
	ID            int64
	Name          Text
	Path          Text
	URL           URL
	DefaultBranch Text
	Visibility    Text
	Group         Text
	GroupURL      URL
}

// User is a GitLab user.
type User struct {
	ID       int64
	Name     Text
	Username Text
	Email    Text
	Bot      bool
}

// String is the user's name; the user name when there is none.
func (u User) String() string {
	if u.Name != "" {
		return u.Name.String()
	}
	return u.Username.String()
}

// Change is one thing that an update changed.
type Change struct {
	Field   Text
	From    Text
	To      Text
	Added   []Text
	Removed []Text
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
		Changes:      newChanges(e.Changes),
		event:        e,
	}
	d.addParts(e)
	d.Who, d.Object, d.Where = who(d), object(d), where(d)
	if d.Where != "" {
		d.In = " in " + d.Where
	}
	return d
}

func (d *Data) addParts(e *events.Event) {
	at := &e.Project
	if e.Push != nil {
		d.Push = newPush(e)
	}
	if e.MergeRequest != nil {
		d.MergeRequest = newMergeRequest(e.MergeRequest, at)
	}
	if e.Issue != nil {
		d.Issue = newIssue(e.Issue, at)
	}
	if e.Note != nil {
		d.Note = newNote(e.Note, at)
	}
	if e.Pipeline != nil {
		d.Pipeline = newPipeline(e.Pipeline, at)
	}
	if e.Job != nil {
		j := newJob(e.Job)
		d.Job = &j
	}
	if e.Deployment != nil {
		d.Deployment = newDeployment(e.Deployment)
	}
	if e.Release != nil {
		d.Release = newRelease(e.Release, at)
	}
	if e.WikiPage != nil {
		d.WikiPage = newWikiPage(e.WikiPage, at)
	}
	if e.Milestone != nil {
		d.Milestone = newMilestone(e.Milestone)
	}
	if e.Emoji != nil {
		d.Emoji = &Emoji{Name: Text(e.Emoji.Name), OnType: Text(e.Emoji.OnType), OnReference: Text(e.Emoji.OnReference)}
	}
	if e.Commit != nil {
		c := newCommit(e.Commit, at)
		d.Commit = &c
	}
}

// Name is the event's full name: the kind, or kind.action.
func (d *Data) Name() Text { return Text(d.event.Name()) }

// OnDefaultBranch tells whether Branch is the project's default branch.
func (d *Data) OnDefaultBranch() bool { return d.event.OnDefaultBranch() }

// Payload is the JSON that GitLab sent. Its strings are [Text], its numbers
// json.Number, the values of pipeline and job variables are masked.
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
