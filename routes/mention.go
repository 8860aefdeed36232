package routes

import (
	"regexp"
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// directory is who the people of GitLab are in the chats.
type directory struct {
	same  bool // GitLab's usernames are the chat's
	users []configs.User
	names map[string]int // GitLab usernames in lower case
	mails map[string]int // e-mail addresses in lower case
	chats map[string]int // usernames of Mattermost
}

func newDirectory(cfg *configs.Config) directory {
	d := directory{
		same: cfg.Usernames == configs.UsernamesSame, users: cfg.Users,
		names: map[string]int{}, mails: map[string]int{}, chats: map[string]int{},
	}
	for i, u := range cfg.Users {
		d.names[strings.ToLower(u.GitLab)] = i
		for _, m := range u.Emails {
			d.mails[strings.ToLower(m)] = i
		}
		if u.Mattermost != "" {
			d.chats[u.Mattermost] = i
		}
	}
	return d
}

// person is somebody of GitLab who may be mentioned.
type person struct {
	username string
	bot      bool
	user     *configs.User // nil when the file does not name them
}

func (d *directory) person(u events.User) person {
	p := person{username: u.Username, bot: u.Bot}
	if i, ok := d.names[strings.ToLower(u.Username)]; ok && u.Username != "" {
		p.user = &d.users[i]
	}
	return p
}

// committer finds who made a commit, by e-mail or by name.
func (d *directory) committer(c *events.Commit) (person, string) {
	if c == nil || len(d.users) == 0 {
		return person{}, ""
	}
	by := "the head commit's author, found by e-mail"
	i, ok := d.mails[strings.ToLower(c.AuthorEmail)]
	if !ok {
		by = "the head commit's author, found by name"
		i, ok = d.names[strings.ToLower(c.AuthorName)]
	}
	if !ok {
		i, ok = d.chats[strings.ToLower(c.AuthorName)]
	}
	if !ok {
		return person{}, ""
	}
	return person{username: d.users[i].GitLab, user: &d.users[i]}, by
}

// chatName is what a Mattermost username looks like.
var chatName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// call is how a kind of chat mentions somebody; empty when they are not known
// there.
func (d *directory) call(p person, kind string) string {
	if kind == configs.KindSlack {
		if p.user == nil || p.user.Slack == "" {
			return ""
		}
		return "<@" + p.user.Slack + ">"
	}
	if p.user != nil && p.user.Mattermost != "" {
		return "@" + p.user.Mattermost
	}
	name := strings.ToLower(p.username)
	if !d.same || p.bot || !chatName.MatchString(name) || slices.Contains(everybody, name) {
		return ""
	}
	return "@" + name
}

// everybody are the names that call a whole channel.
var everybody = []string{"all", "channel", "here"}

// named is how a kind of chat mentions `"@name"`; empty when it cannot.
func (d *directory) named(name, kind string) string {
	slackID := name != strings.ToLower(name)
	for i := range d.users {
		u := &d.users[i]
		if kind != configs.KindSlack && slackID && u.Slack == name && u.Mattermost != "" {
			return "@" + u.Mattermost
		}
		if kind == configs.KindSlack && !slackID && u.Slack != "" && (u.Mattermost == name || u.Mattermost == "" && strings.EqualFold(u.GitLab, name)) {
			return "<@" + u.Slack + ">"
		}
	}
	switch {
	case kind == configs.KindSlack && slackID:
		return "<@" + name + ">"
	case kind == configs.KindSlack || slackID:
		return ""
	}
	return "@" + name
}

// mention adds to a list whom the words of a route's mention call there, each
// once.
func (t *Table) mention(list, words []string, kind string, s *subject) []string {
	actor := t.chat.call(t.actor(s), kind)
	for _, word := range words {
		for _, call := range t.calls(word, kind, s) {
			if call == "" || slices.Contains(list, call) || call == actor && !mayCallActor(word, s.event.Kind) {
				continue
			}
			list = append(list, call)
		}
	}
	return list
}

func (t *Table) actor(s *subject) person { return t.person(s.event.Actor) }

// person is somebody of GitLab, a bot if the file says so.
func (t *Table) person(u events.User) person {
	u.Bot = t.bots.has(&u)
	return t.chat.person(u)
}

// mayCallActor: nobody is told of what they just did, but of what became of it.
func mayCallActor(word, kind string) bool {
	switch word {
	case configs.MentionActor:
		return true
	case configs.MentionAuthor:
		return kind == events.Pipeline || kind == events.Job || kind == events.Deployment
	}
	return false
}

func (t *Table) calls(word, kind string, s *subject) []string {
	if word == configs.MentionHere || word == configs.MentionChannel {
		if kind == configs.KindSlack {
			return []string{"<!" + word + ">"}
		}
		return []string{"@" + word}
	}
	if name, ok := strings.CutPrefix(word, "@"); ok {
		return []string{t.chat.named(name, kind)}
	}
	people, _ := t.found(word, s)
	var out []string
	for _, p := range people {
		out = append(out, t.chat.call(p, kind))
	}
	return out
}

// found is whom a word of mention means, and how they were found.
func (t *Table) found(word string, s *subject) ([]person, string) {
	switch word {
	case configs.MentionActor:
		return []person{t.actor(s)}, ""
	case configs.MentionAssignees:
		return t.all(assignees(s.event)), ""
	case configs.MentionReviewers:
		if mr := s.event.MergeRequest; mr != nil {
			return t.all(mr.Reviewers), ""
		}
	case configs.MentionAuthor:
		return t.author(s)
	}
	return nil, ""
}

// author is of a push, pipeline, job or deployment who made the head commit, if
// the file knows them; else, and of anything else without assignees, who did it.
func (t *Table) author(s *subject) ([]person, string) {
	switch s.event.Kind {
	case events.Push, events.TagPush, events.Pipeline, events.Job, events.Deployment:
		if p, by := t.chat.committer(s.event.Commit); by != "" {
			return []person{p}, by
		}
		return []person{t.actor(s)}, "the actor, since users does not know the head commit's author"
	}
	if people := assignees(s.event); len(people) > 0 {
		return t.all(people), "the assignees: GitLab does not say who wrote it"
	}
	if s.event.Kind == events.Note {
		return nil, "what the note is on has no assignees"
	}
	return []person{t.actor(s)}, "the actor, since there are no assignees"
}

// assignees are of the merge request or issue, also of what belongs to one.
func assignees(e *events.Event) []events.User {
	switch {
	case e.MergeRequest != nil:
		return e.MergeRequest.Assignees
	case e.Issue != nil:
		return e.Issue.Assignees
	}
	return nil
}

// maxPeople is how many assignees or reviewers a word of mention calls.
const maxPeople = 100

func (t *Table) all(users []events.User) []person {
	users = users[:min(len(users), maxPeople)]
	out := make([]person, len(users))
	for i, u := range users {
		out[i] = t.person(u)
	}
	return out
}

// People tells how to mention the person that somebody wrote to as @username,
// for the texts of a destination whose mentions are mapped; it is nil for every
// other destination. It never calls a whole channel. Whom a text may not
// mention though they are known, the actor above all, is for the caller to
// leave out.
func (t *Table) People(destination string) func(username string) (mention string, ok bool) {
	kind, mapped := t.mapped[destination]
	if !mapped {
		return nil
	}
	return func(username string) (string, bool) {
		call := t.chat.call(t.person(events.User{Username: username}), kind)
		return call, call != ""
	}
}
