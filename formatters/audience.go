package formatters

import (
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
)

// audience decides which @user in somebody's text becomes the mention of a
// person in the chat. The nil one never does. One serves one message.
type audience struct {
	people func(username string) (mention string, ok bool)
	actor  string   // username, who is never mentioned
	done   []string // mentions that the message has already
	tables bool     // it reads mentions in tables, too
}

// newAudience returns nil for a request whose text mentions nobody.
func newAudience(r Request) *audience {
	if r.People == nil {
		return nil
	}
	return &audience{
		people: r.People, actor: r.Event.Actor.Username, done: slices.Clone(r.Mention),
		tables: r.Kind != configs.KindSlack,
	}
}

// everybody are the words that notify whole channels: Mattermost's
// (model/at_mentions.go) and Slack's.
var everybody = []string{"all", "channel", "here", "everyone"}

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
