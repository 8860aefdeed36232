package formatters

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/gitlab-mattermost/relay/events"
)

// What is cut in a headline, in characters.
const (
	maxTitle  = 120
	maxBranch = 48
	maxName   = 60
)

// who is the name of who did it.
func who(d *Data) Markdown {
	s := oneLine(d.Actor.shown())
	if s == "" {
		return "Someone"
	}
	return Markdown(Text(cutEnd(s, maxName)).String())
}

// by is the actor behind a headline that does not begin with them. Who is
// mentioned at its end is named there.
func by(d *Data, r Request) Markdown {
	if blank(string(d.Actor.Name)) {
		return ""
	}
	name := string(d.Actor.Username)
	call := "@" + name
	if r.Call != nil && len(r.Mention) > 0 {
		call = cmp.Or(r.Call(name), call)
	}
	if name != "" && slices.Contains(r.Mention, call) {
		return ""
	}
	return " · " + d.Who
}

// profile is the user name of who did it, linked to the profile.
func profile(d *Data) Markdown {
	name := d.Actor.Username
	if blank(string(name)) {
		return d.Who
	}
	base := site(d)
	if base == "" {
		return Markdown(name.String())
	}
	return Markdown(linkTo(name.String(), base+"/"+pathEscape(string(name))))
}

// site is the address of the GitLab; "" if it is not known.
func site(d *Data) string {
	at, base := &d.event.Project, d.event.Project.Base()
	for _, end := range [...]string{"/groups/" + at.Group, "/" + at.Group} {
		if rest, ok := strings.CutSuffix(at.GroupURL, end); ok && base == "" && at.Group != "" {
			base = rest
		}
	}
	if base == "" {
		base = strings.TrimRight(d.event.Instance, "/")
	}
	return base
}

// where is the project, or the group of a group-level event, linked; nothing
// for an event of the whole instance.
func where(d *Data) Markdown {
	p := &d.Project
	if p.Path != "" {
		return Markdown(linkTo(Text(cutMiddle(p.Path.plain(), maxTitle)).String(), string(p.URL)))
	}
	if p.Group != "" {
		return Markdown(linkTo(Text(cutMiddle(p.Group.plain(), maxTitle)).String(), string(p.GroupURL)))
	}
	return Markdown(linkTo(p.Name.String(), string(p.URL)))
}

// object is what something was done to: a bold link with its reference and
// title.
func object(d *Data) Markdown {
	switch {
	case d.Note != nil:
		n := d.Note
		url := n.URL
		if url == "" {
			url = n.OnURL
		}
		return boldLink(noteTarget(n), url)
	case d.MergeRequest != nil && d.Job == nil && d.Deployment == nil:
		m := *d.MergeRequest
		if d.Draft && (d.Action == "open" || d.Action == "draft") {
			m.Title = withoutDraft(m.Title) // the sentence says so
		}
		return mergeRequestLink(&m, d.URL)
	case d.Issue != nil:
		i := d.Issue
		mark := "#"
		if i.Type == "epic" {
			mark = "&"
		}
		url := i.URL
		if url == "" {
			url = d.URL
		}
		return boldLink(Text(joinWords(numbered(mark, i.IID), i.Title.plain())), url)
	}
	title, url := subject(d)
	if d.gone() {
		url = ""
	}
	return boldLink(title, url)
}

// subject is what an event is about: of one about a project, a group or an
// account, that.
func subject(d *Data) (Text, URL) {
	p, about := &d.Project, string(d.Kind)
	if about == events.System {
		about, _, _ = strings.Cut(string(d.Action), "_")
	}
	switch {
	case about == events.ProjectKind && p.Path != "":
		return p.Path, p.URL
	case (about == events.Subgroup || about == "group") && p.Group != "":
		return p.Group, p.GroupURL
	case about == "user" && d.Actor.Username != "":
		url := ""
		if site := site(d); site != "" {
			url = site + "/" + pathEscape(string(d.Actor.Username))
		}
		return Text(d.Actor.shown() + " (" + string(d.Actor.Username) + ")"), URL(url)
	}
	return d.Title, d.URL
}

// gone tells whether what the event is about has no page any more.
func (d *Data) gone() bool {
	return d.Action == "delete" || d.Action == "destroy" || d.Kind == events.System && strings.HasSuffix(string(d.Action), "_destroy")
}

func withoutDraft(t Text) Text {
	if short, _ := events.CutDraftMark(string(t)); !blank(short) {
		return Text(short)
	}
	return t
}

func mergeRequestLink(m *MergeRequest, url URL) Markdown {
	if m.URL != "" {
		url = m.URL
	}
	return boldLink(Text(joinWords(numbered("!", m.IID), m.Title.plain())), url)
}

func numbered(mark string, iid int64) string {
	if iid == 0 {
		return ""
	}
	return mark + strconv.FormatInt(iid, 10)
}

func joinWords(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}

// boldLink is a title, bold, linked if there is somewhere to go.
func boldLink(title Text, url URL) Markdown {
	s := Text(cutEnd(title.plain(), maxTitle)).String()
	if s == "" {
		s = "(no title)"
	}
	if to := safeURL(string(url)); to != "" {
		return Markdown("**[" + inLinkText(s) + "](" + to + ")**")
	}
	return Markdown("**" + s + "**")
}

// ref is the branch or tag of the event as code, linked to its commits. What
// was deleted is not linked.
func ref(d *Data) Markdown {
	name, kind := d.Branch, "/-/commits/"
	if name == "" {
		name, kind = d.Tag, "/-/tags/"
	}
	if name == "" {
		name, kind = d.Ref, "/-/commits/"
	}
	return refLink(d, name, kind)
}

func refLink(d *Data, name Text, kind string) Markdown {
	s := codeSpan(cutMiddle(name.plain(), maxBranch))
	gone := d.Push != nil && d.Push.Deleted
	if s == "" || d.Project.URL == "" || gone || strings.HasPrefix(string(name), "refs/") { // GitLab has no page of such a ref
		return Markdown(s)
	}
	return Markdown(linkTo(s, string(d.Project.URL)+kind+pathEscape(string(name))))
}

// facts is what there is to know of a merge request or an issue, on one line:
// branches, people, labels, dates.
func facts(d *Data) Markdown {
	f := line{b: make([]byte, 0, 256)}
	switch {
	case d.MergeRequest != nil:
		m := d.MergeRequest
		f.add(codeSpan(cutMiddle(sourceBranch(m), maxBranch)),
			" → ", codeSpan(cutMiddle(m.TargetBranch.plain(), maxBranch)))
		if len(m.Assignees) != 1 || m.Assignees[0].Username != d.Actor.Username {
			f.list("assigned to ", people(m.Assignees))
		}
		f.list(pluralOf("reviewer ", "reviewers ", len(m.Reviewers)), people(m.Reviewers))
		f.list("", labels(m.Labels))
		f.list("milestone ", Markdown(Text(cutEnd(m.Milestone.plain(), maxName)).String()))
	case d.Issue != nil:
		i := d.Issue
		f.list("assigned to ", people(i.Assignees))
		f.list("", labels(i.Labels))
		f.list("severity ", Markdown(severity(i.Severity)))
		f.list("milestone ", Markdown(Text(cutEnd(i.Milestone.plain(), maxName)).String()))
		due, _ := date(i.DueDate, d.Today)
		f.list("due ", due)
	}
	return Markdown(f.String())
}

// sourceBranch is where a merge request comes from, with the project if that is
// a fork: "grace/api:feature/x".
func sourceBranch(m *MergeRequest) string {
	branch := m.SourceBranch.plain()
	if m.Fork && m.SourcePath != "" {
		return m.SourcePath.plain() + ":" + branch
	}
	return branch
}

func severity(t Text) string {
	if t == "unknown" || t == "UNKNOWN" {
		return ""
	}
	return strings.ToLower(t.String())
}

func pluralOf(one, many string, n int) string {
	if n == 1 {
		return one
	}
	return many
}

// line is a line of facts, separated by dots.
type line struct{ b []byte }

func (l *line) add(parts ...string) {
	if len(l.b) > 0 {
		l.b = append(l.b, " · "...)
	}
	for _, p := range parts {
		l.b = append(l.b, p...)
	}
}

// list adds a fact with words before it, if there is one.
func (l *line) list(words string, m Markdown) {
	if m != "" {
		l.add(words, string(m))
	}
}

func (l *line) String() string { return string(l.b) }

// byOther is the name of a commit's author, if that is not the user.
func byOther(c any, u User) Markdown {
	var commit Commit
	switch c := c.(type) {
	case Commit:
		commit = c
	case *Commit:
		if c == nil {
			return ""
		}
		commit = *c
	}
	switch name := oneLine(string(commit.AuthorName)); {
	case name == "" || name == oneLine(string(u.Name)) || name == string(u.Username):
		return ""
	case commit.AuthorEmail != "" && commit.AuthorEmail == u.Email:
		return ""
	default:
		return Markdown(Text(cutEnd(name, maxName)).String())
	}
}

// onWhat is where a pipeline or a job ran: " on `main` in acme/api", or " for
// !42 … in acme/api" if it ran for a merge request.
func onWhat(d *Data) Markdown {
	var b strings.Builder
	switch m := d.MergeRequest; {
	case m != nil && m.Title != "":
		b.WriteString(" for ")
		b.WriteString(string(mergeRequestLink(m, "")))
	case m != nil && m.IID != 0: // its number is all that GitLab tells
		b.WriteString(" for ")
		b.WriteString(linkTo(numbered("!", m.IID), string(m.URL)))
	default:
		if r := ref(d); r != "" {
			b.WriteString(" on ")
			b.WriteString(string(r))
		}
	}
	b.WriteString(string(d.In))
	return Markdown(b.String())
}

// workItem is what kind of work item it is: "issue", "confidential task".
func workItem(d *Data) Markdown {
	kind := "issue"
	if d.Issue != nil && !blank(string(d.Issue.Type)) {
		kind = plainWords(d.Issue.Type).String()
	}
	if d.Confidential {
		kind = "confidential " + kind
	}
	return Markdown(kind)
}

// target is what kind of thing a comment is on: "an issue".
func target(n *Note) Text {
	kind := string(n.OnType)
	switch n.On { // of these GitLab has several words, or old ones have none
	case events.MergeRequest:
		kind = "MergeRequest"
	case "snippet":
		kind = "Snippet"
	case "commit":
		kind = "Commit"
	case events.Issue:
		if kind != "WorkItem" {
			kind = "Issue"
		}
	}
	return Text(events.Thing(kind))
}

func noteTarget(n *Note) Text {
	if n.On == "commit" && n.OnReference != "" && n.OnTitle == "" {
		return "commit " + n.OnReference
	}
	if t := words(n.OnReference, n.OnTitle); t != "" {
		return t
	}
	return target(n)
}
