package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// User is a person of GitLab in the chats.
type User struct {
	GitLab     string // username
	Mattermost string // username; may be empty
	Slack      string // member id, "U02ABCDEF"; may be empty
	Emails     []string
	Pos        Pos
}

// Bots are the usernames that count as a bot's, or do not, whatever the
// built-in list says. What both name does not.
type Bots struct {
	Add    []Pattern
	Remove []Pattern
}

var (
	// GitLab's usernames: letters, digits, dots, - and _ (lib/gitlab/path_regex.rb).
	gitlabUser = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}$`)
	slackUser  = regexp.MustCompile(`^[UW][A-Z0-9]{5,20}$`)
	email      = regexp.MustCompile(`^[^@\s<>]+@[^@\s<>]+$`)
)

// callsAll are the names by which a chat calls a whole channel.
var callsAll = []string{"all", "channel", "here"}

// CallsAll tells whether a chat takes @name for everybody in a channel, whatever
// the case and whatever punctuation ends it: Mattermost takes "@Here.-" for @here
// (server/channels/app/mention_parser_standard.go).
func CallsAll(name string) bool {
	word := strings.TrimFunc(name, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	return slices.Contains(callsAll, strings.ToLower(word))
}

// people are the users that hold together: of all files, or of a fenced one.
type people struct {
	names map[string]User // by GitLab's username in lower case
	mails map[string]User // by address in lower case
}

func newPeople() *people { return &people{map[string]User{}, map[string]User{}} }

// users reads `users`.
func (r *reader) users(top object) {
	f, ok := top.fields["users"]
	if !ok {
		return
	}
	o, ok := r.entries(f.value, "users")
	if !ok {
		return
	}
	r.nothing(f, "users")
	known := r.known
	if r.fence != nil {
		known = newPeople()
	}
	var all []User
	for _, name := range o.order {
		if u, ok := r.user(name, o.fields[name]); ok && r.only(u, known, o.fields[name].key) {
			all = append(all, u)
		}
	}
	switch {
	case r.fence == nil:
		r.cfg.Users = append(r.cfg.Users, all...)
	case r.cfg.Own == nil:
		r.cfg.Own = map[string][]User{}
		fallthrough
	default:
		r.cfg.Own[r.text.name] = all
	}
}

// only tells of a user who is there already, and of an address that somebody has.
func (r *reader) only(u User, known *people, key *yaml.Node) bool {
	name := strings.ToLower(u.GitLab)
	if other, again := known.names[name]; again {
		r.errorf(key, "keep one of them", "user %q is in %s too", harmless(u.GitLab), other.Pos)
		return false
	}
	known.names[name] = u
	for _, e := range u.Emails {
		mail := strings.ToLower(e)
		if other, again := known.mails[mail]; again && other.GitLab != u.GitLab {
			r.errorf(key, "keep it with one of them", "users %q and %q have the same e-mail address", harmless(u.GitLab), harmless(other.GitLab))
			continue
		}
		known.mails[mail] = u
	}
	return true
}

// user reads the chat's username, or {mattermost, slack, email}.
func (r *reader) user(name string, entry field) (User, bool) {
	u := User{GitLab: name, Pos: r.pos(entry.key)}
	where := fmt.Sprintf("user %q", harmless(name))
	if !gitlabUser.MatchString(name) {
		hint := "it is the name in the address of the person's page in GitLab"
		if bare := strings.TrimPrefix(name, "@"); bare != name && gitlabUser.MatchString(bare) {
			hint = fmt.Sprintf("did you mean %q?", bare)
		}
		r.errorf(entry.key, hint, "%q is no GitLab username", harmless(name))
		return u, false
	}
	if entry.value.Kind == yaml.ScalarNode {
		v, ok := r.text1(entry.value, entry.key, where)
		if !ok {
			return u, false
		}
		u.Mattermost, ok = r.mattermostUser(v, where)
		return u, ok
	}
	o, ok := r.object(entry.value, where, userKeys)
	if !ok {
		return u, false
	}
	if v, ok := r.scalar(o, "mattermost"); ok {
		u.Mattermost, _ = r.mattermostUser(v, where)
	}
	if v, ok := r.scalar(o, "slack"); ok {
		if u.Slack = strings.TrimPrefix(v.text, "@"); !slackUser.MatchString(u.Slack) {
			r.errorf(v.node, "it is in the person's profile in Slack: Copy member ID, U02ABCDEF", "%q is no Slack member id, in %s", v.shown(), where)
		}
	}
	emails, _ := r.list(o, "email")
	for _, v := range emails {
		if !email.MatchString(v.text) {
			r.errorf(v.node, "", "%q is no e-mail address, in %s", v.shown(), where)
			continue
		}
		u.Emails = append(u.Emails, v.text)
	}
	if len(entry.value.Content) == 0 {
		r.errorf(entry.key, "give them a name in a chat, or remove them", "%s is empty", where)
	}
	return u, true
}

func (r *reader) mattermostUser(v value, where string) (string, bool) {
	if CallsAll(v.text) {
		r.errorf(v.node, "name a person", "%q calls everybody in a channel, in %s", v.shown(), where)
		return "", false
	}
	if userPattern.MatchString(v.text) {
		return v.text, true
	}
	hint := "lower-case letters, digits, dots, - and _"
	switch bare := strings.TrimPrefix(strings.ToLower(v.text), "@"); {
	case slackUser.MatchString(v.text):
		hint = fmt.Sprintf("a Slack member id is written {slack: %s}", v.text)
	case userPattern.MatchString(bare) && v.text == v.node.Value:
		hint = fmt.Sprintf("did you mean %q?", bare)
	case email.MatchString(v.text):
		hint = "an e-mail address is written {email: …}"
	}
	r.errorf(v.node, hint, "%q is no Mattermost username, in %s", v.shown(), where)
	return "", false
}

// bots reads `bots`.
func (r *reader) bots(top object) Bots {
	f, ok := top.fields["bots"]
	if !ok {
		return Bots{}
	}
	o, ok := r.object(f.value, "bots", botKeys)
	if !ok {
		return Bots{}
	}
	r.nothing(f, "bots")
	var b Bots
	b.Add, _ = r.patterns(o, "add")
	b.Remove, _ = r.patterns(o, "remove")
	return b
}
