package formatters

import (
	"slices"
	"strings"
)

// audience decides which @user in somebody's text becomes the mention of a
// person in the chat. The nil one never does. One serves one message.
type audience struct {
	people func(username string) (mention string, ok bool)
	actor  string   // username, who is never mentioned
	done   []string // mentions that the message has already
}

// newAudience returns nil for a request whose text mentions nobody.
func newAudience(r Request) *audience {
	if r.People == nil {
		return nil
	}
	return &audience{people: r.People, actor: r.Event.Actor.Username, done: slices.Clone(r.Mention)}
}

// everybody are the words that notify whole channels: Mattermost's
// (model/at_mentions.go) and Slack's.
var everybody = []string{"all", "channel", "here", "everyone"}

// at looks at s[i], which is an @. If a GitLab username that is known stands
// there, it returns the mention to write as it is, and how many bytes of s it
// stands for, the @ included; otherwise n is 0. It remembers whom it gave.
func (m *audience) at(s string, i int) (mention string, n int) {
	if m == nil || i > 0 && (isAlnum(s[i-1]) || strings.IndexByte("_@/", s[i-1]) >= 0) {
		return "", 0
	}
	name := username(s[i+1:])
	mention, ok := m.mention(name)
	if !ok {
		return "", 0
	}
	return mention, 1 + len(name)
}

// mention is how the chat mentions a GitLab user whom somebody wrote to, once;
// not ok for who must not be notified, or not again. It remembers whom it gave.
func (m *audience) mention(username string) (mention string, ok bool) {
	if m == nil || username == "" || strings.EqualFold(username, m.actor) || isEverybody(username) {
		return "", false
	}
	mention, ok = m.people(username)
	if !ok || mention == "" || slices.Contains(m.done, mention) || isEverybody(mention) {
		return "", false
	}
	m.done = append(m.done, mention)
	return mention, true
}

// isEverybody tells whether a mention would notify a whole channel.
func isEverybody(mention string) bool {
	return slices.Contains(everybody, strings.ToLower(strings.Trim(mention, "@<!>")))
}

// username is the GitLab username that starts s: letters, digits, _ - and dots,
// not at its end (GitLab's lib/gitlab/path_regex.rb). It is empty where a path
// goes on, as in @acme/backend, which names a group.
func username(s string) string {
	n := 0
	for n < len(s) && (isAlnum(s[n]) || s[n] == '_' || s[n] == '-' || s[n] == '.') {
		n++
	}
	if n < len(s) && (s[n] == '@' || s[n] == '/' && n+1 < len(s) && isWord(s[n+1])) {
		return ""
	}
	return strings.TrimRight(s[:n], ".-")
}

// escapeLine is a line of somebody's text as Markdown, like that of [Text], with
// live mentions.
func (m *audience) escapeLine(s string) string {
	s = oneLine(s)
	if m == nil || !strings.Contains(s, "@") {
		return Text(s).String()
	}
	rtl := rightToLeft(s)
	b := make([]byte, 0, len(s)+16)
	if rtl {
		b = append(b, isolate...)
	}
	number := listNumber(s)
	for i := 0; i < len(s); i++ {
		if s[i] == '@' {
			if mention, n := m.at(s, i); n > 0 {
				b = append(b, mention...)
				i += n - 1
				continue
			}
		}
		b = appendEscapedByte(b, s, i, number)
	}
	if rtl {
		b = append(b, isolateEnd...)
	}
	return string(b)
}

// mentioned is what a headline ends with if people are to be notified: " · @anna
// @here".
func mentioned(r Request) string {
	var list []string
	for _, m := range r.Mention {
		if m = oneLine(m); m != "" && !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " · " + strings.Join(list, " ")
}
