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
	shared *directory // of all files; nil for that one itself
	same   bool       // GitLab's usernames are the chat's
	bots   *bots
	users  []configs.User
	names  map[string]int // GitLab usernames in lower case
	mails  map[string]int // e-mail addresses in lower case
	chats  map[string]int // usernames of Mattermost
	slacks map[string]int // member ids of Slack
}

func newDirectory(cfg *configs.Config, b *bots, users []configs.User) *directory {
	d := &directory{
		same: cfg.Usernames == configs.UsernamesSame, bots: b, users: users,
		names: map[string]int{}, mails: map[string]int{}, chats: map[string]int{}, slacks: map[string]int{},
	}
	for i, u := range users {
		d.names[strings.ToLower(u.GitLab)] = i
		for _, m := range u.Emails {
			d.mails[strings.ToLower(m)] = i
		}
		if first, again := d.chats[u.Mattermost]; u.Mattermost != "" && (!again || users[first].Slack == "") {
			d.chats[u.Mattermost] = i
		}
		if u.Slack != "" {
			d.slacks[u.Slack] = i
		}
	}
	return d
}

// find is the user of a key: of this directory, or of the shared one.
func (d *directory) find(by func(*directory) map[string]int, key string) *configs.User {
	for ; d != nil && key != ""; d = d.shared {
		if i, ok := by(d)[key]; ok {
			return &d.users[i]
		}
	}
	return nil
}

func byName(d *directory) map[string]int  { return d.names }
func byMail(d *directory) map[string]int  { return d.mails }
func byChat(d *directory) map[string]int  { return d.chats }
func bySlack(d *directory) map[string]int { return d.slacks }

// person is somebody of GitLab who may be mentioned.
type person struct {
	username string
	bot      bool
	user     *configs.User // nil when the file does not name them
}

// person is somebody of GitLab, a bot if the file says so.
func (d *directory) person(u events.User) person {
	u.Bot = d.bots.has(&u)
	return person{username: u.Username, bot: u.Bot, user: d.find(byName, strings.ToLower(u.Username))}
}

// committer finds who made a commit, by e-mail or by name.
func (d *directory) committer(c *events.Commit) (person, string) {
	if c == nil {
		return person{}, ""
	}
	by := "the head commit's author, found by e-mail"
	u := d.find(byMail, strings.ToLower(c.AuthorEmail))
	if u == nil {
		by = "the head commit's author, found by name"
		u = d.find(byName, strings.ToLower(c.AuthorName))
	}
	if u == nil {
		u = d.find(byChat, strings.ToLower(c.AuthorName))
	}
	if u == nil {
		return person{}, ""
	}
	return person{username: u.GitLab, user: u}, by
}

// chatName is what a Mattermost username looks like.
var chatName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// call is how a kind of chat mentions somebody; empty when they are not known
// there, and for a name that would call a whole channel.
func (d *directory) call(p person, kind string) string {
	if kind == configs.KindSlack {
		if p.user == nil || p.user.Slack == "" {
			return ""
		}
		return "<@" + p.user.Slack + ">"
	}
	name := strings.ToLower(p.username)
	if p.user != nil && p.user.Mattermost != "" {
		name = p.user.Mattermost
	} else if !d.same || p.bot {
		return ""
	}
	return calling(name)
}

// calling mentions a username of Mattermost. Nobody has a name that calls a whole
// channel.
func calling(name string) string {
	if !chatName.MatchString(name) || configs.CallsAll(name) {
		return ""
	}
	return "@" + name
}

// named is how a kind of chat mentions `"@name"`; empty when it cannot.
func (d *directory) named(name, kind string) string {
	if slackID := name != strings.ToLower(name); slackID {
		if kind == configs.KindSlack {
			return "<@" + name + ">"
		}
		if u := d.find(bySlack, name); u != nil && u.Mattermost != "" {
			return calling(u.Mattermost)
		}
		return ""
	}
	if kind != configs.KindSlack {
		return calling(name)
	}
	if u := d.find(byChat, name); u != nil && u.Slack != "" {
		return "<@" + u.Slack + ">"
	}
	if u := d.find(byName, name); u != nil && u.Mattermost == "" && u.Slack != "" {
		return "<@" + u.Slack + ">"
	}
	return ""
}

// reaches tells whether anybody of the directory is known in a kind of chat.
func (d *directory) reaches(kind string) bool {
	for ; d != nil; d = d.shared {
		if kind == configs.KindSlack && len(d.slacks) > 0 || kind != configs.KindSlack && (d.same || len(d.chats) > 0) {
			return true
		}
	}
	return false
}

// maxMentions is how many one message mentions.
const maxMentions = 100

// mention adds to a list whom the words of a route's mention call there, each
// once.
func (d *directory) mention(list, words []string, kind string, s *subject) []string {
	actor := d.call(d.actor(s), kind)
	for _, word := range words {
		for _, call := range d.calls(word, kind, s) {
			if len(list) >= maxMentions {
				return list
			}
			if call == "" || slices.Contains(list, call) || call == actor && !mayCallActor(word, s.event.Kind) {
				continue
			}
			list = append(list, call)
		}
	}
	return list
}

func (d *directory) actor(s *subject) person { return d.person(s.event.Actor) }

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

func (d *directory) calls(word, kind string, s *subject) []string {
	if word == configs.MentionHere || word == configs.MentionChannel {
		if kind == configs.KindSlack {
			return []string{"<!" + word + ">"}
		}
		return []string{"@" + word}
	}
	if name, ok := strings.CutPrefix(word, "@"); ok {
		return []string{d.named(name, kind)}
	}
	people, _ := d.found(word, s)
	var out []string
	for _, p := range people {
		out = append(out, d.call(p, kind))
	}
	return out
}

// found is whom a word of mention means, and how they were found.
func (d *directory) found(word string, s *subject) ([]person, string) {
	switch word {
	case configs.MentionActor:
		return []person{d.actor(s)}, ""
	case configs.MentionAssignees:
		return d.all(assignees(s.event)), ""
	case configs.MentionReviewers:
		if mr := s.event.MergeRequest; mr != nil {
			return d.all(mr.Reviewers), ""
		}
	case configs.MentionAuthor:
		return d.author(s)
	}
	return nil, ""
}

// author is of a push, pipeline, job or deployment who made the head commit, if
// the file knows them; else, and of anything else without assignees, who did it.
func (d *directory) author(s *subject) ([]person, string) {
	switch s.event.Kind {
	case events.Push, events.TagPush, events.Pipeline, events.Job, events.Deployment:
		if p, by := d.committer(s.event.Commit); by != "" {
			return []person{p}, by
		}
		return []person{d.actor(s)}, "the actor, since users does not know the head commit's author"
	}
	if people := assignees(s.event); len(people) > 0 {
		return d.all(people), "the assignees: GitLab does not say who wrote it"
	}
	if s.event.Kind == events.Note {
		return nil, "what the note is on has no assignees"
	}
	return []person{d.actor(s)}, "the actor, since there are no assignees"
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

func (d *directory) all(users []events.User) []person {
	users = users[:min(len(users), maxPeople)]
	out := make([]person, len(users))
	for i, u := range users {
		out[i] = d.person(u)
	}
	return out
}

// People tells how to mention the person that somebody wrote to as @username,
// for the texts of a destination whose mentions are mapped; it is nil for every
// other destination. file is [Delivery.File]. It never calls a whole channel. Whom
// a text may not mention though they are known, the actor above all, is for the
// caller to leave out.
func (t *Table) People(destination, file string) func(username string) (mention string, ok bool) {
	if to := t.destinations[destination]; to == nil || to.config.Mentions != configs.MentionsMapped {
		return nil
	}
	calls := t.Calls(destination, file)
	return func(username string) (string, bool) {
		call := calls(username)
		return call, call != ""
	}
}

// Calls tells how a destination's chat mentions a GitLab user, "" when that is not
// known; it is nil for a destination that is not known. file is [Delivery.File].
func (t *Table) Calls(destination, file string) func(username string) (mention string) {
	to := t.destinations[destination]
	if to == nil {
		return nil
	}
	d := t.chat
	if own := t.own[file]; own != nil {
		d = own
	}
	return func(username string) string { return d.call(d.person(events.User{Username: username}), to.config.Kind) }
}
