package routes

import (
	"strings"

	"github.com/gitlab-mattermost/relay/events"
)

// bots is who counts as a bot beside the built-in list, and who does not
// whatever that says.
type bots struct {
	added, removed []glob
}

// has tells whether somebody counts as a bot: by the file, else by the built-in
// list. Nil goes by that alone.
func (b *bots) has(u *events.User) bool {
	if b == nil || u.Username == "" {
		return u.Bot
	}
	name, steps := strings.ToLower(u.Username), meter{}
	return !anyMatches(b.removed, name, &steps) && (u.Bot || anyMatches(b.added, name, &steps))
}
