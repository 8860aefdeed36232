package events

import (
	"slices"
	"strings"
)

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
// calls itself a bot. A file can say otherwise; package routes goes by both.
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
