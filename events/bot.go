package events

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Bots changes who counts as a bot beside the built-in rules ([User].Bot). The
// zero Bots and a nil one change nothing. It is safe for concurrent use.
type Bots struct {
	add, remove usernames
}

// NewBots makes a Bots of usernames and globs of usernames ("ci-*",
// "{jenkins,sonar}"), which match without regard to case. What is in remove is
// no bot, whatever the built-in rules and add say. An error names the pattern
// that cannot be read.
func NewBots(add, remove []string) (*Bots, error) {
	b := &Bots{}
	var err error
	if b.add, err = newUsernames(add); err != nil {
		return nil, fmt.Errorf("read the bots to add: %w", err)
	}
	if b.remove, err = newUsernames(remove); err != nil {
		return nil, fmt.Errorf("read the bots to remove: %w", err)
	}
	return b, nil
}

// Has tells whether the user of that name is a bot.
func (b *Bots) Has(username string) bool {
	switch {
	case b == nil:
		return isBot(username)
	case b.remove.match(username):
		return false
	}
	return isBot(username) || b.add.match(username)
}

// usernames are patterns, in lower case.
type usernames struct {
	exact map[string]bool
	globs []string
}

func newUsernames(patterns []string) (usernames, error) {
	var u usernames
	for _, p := range patterns {
		pattern := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(p), "@"))
		switch {
		case pattern == "":
			return u, fmt.Errorf("%q is empty", p)
		case !doublestar.ValidatePattern(pattern):
			return u, fmt.Errorf("%q is not a glob", p)
		case strings.ContainsAny(pattern, `*?[{\`):
			u.globs = append(u.globs, pattern)
		default:
			if u.exact == nil {
				u.exact = map[string]bool{}
			}
			u.exact[pattern] = true
		}
	}
	return u, nil
}

func (u usernames) match(name string) bool {
	const longest = 255 // of a GitLab username; a longer one would cost time
	if len(u.exact)+len(u.globs) == 0 || len(name) > longest {
		return false
	}
	name = strings.ToLower(name)
	if u.exact[name] {
		return true
	}
	for _, glob := range u.globs {
		if doublestar.MatchUnvalidated(glob, name) {
			return true
		}
	}
	return false
}

// What usernames of bots are, end with, and begin with, in lower case. After a
// letter no other letter may follow a beginning: a ghostwriter is a person.
var (
	botNames      = []string{"mend-renovate", "whitesource-renovate", "depfu", "greenkeeper", "semantic-release"}
	botEndings    = []string{"-bot", "_bot", ".bot", "[bot]"}
	botBeginnings = []string{"renovate", "dependabot", "gitlabduo", "gitlab-duo", "duo-", "ghost", "service_account_"}
)

// isBot tells whether a username is of the kind that GitLab or a well-known
// tool gives to bots: access tokens (project_1_bot_…, group_1_bot_…), service
// accounts, GitLab's internal users (app/models/concerns/has_user_type.rb and
// lib/users/internal.rb: support-bot, alert-bot, ghost, …) and anything that
// calls itself a bot.
func isBot(username string) bool {
	name := strings.ToLower(username)
	for _, ending := range botEndings {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	for _, beginning := range botBeginnings {
		if rest, ok := strings.CutPrefix(name, beginning); ok && (!startsWithLetter(rest) || !endsWithLetter(beginning)) {
			return true
		}
	}
	return slices.Contains(botNames, name) || tokenBot(name)
}

// tokenBot tells whether name is project_<id>_bot or group_<id>_bot, with
// whatever follows.
func tokenBot(name string) bool {
	rest, ok := strings.CutPrefix(name, "project_")
	if !ok {
		if rest, ok = strings.CutPrefix(name, "group_"); !ok {
			return false
		}
	}
	id := strings.TrimLeft(rest, "0123456789")
	return id != rest && strings.HasPrefix(id, "_bot")
}

func startsWithLetter(s string) bool { return s != "" && 'a' <= s[0] && s[0] <= 'z' }

func endsWithLetter(s string) bool { return s != "" && startsWithLetter(s[len(s)-1:]) }
