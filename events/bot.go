package events

import "strings"

// isBot tells whether a username is of the kind that GitLab or a well-known
// tool gives to bots: access tokens (project_1_bot_…, group_1_bot_…), service
// accounts, GitLab's internal users (app/models/concerns/has_user_type.rb and
// lib/users/internal.rb: support-bot, alert-bot, ghost, …) and anything that
// calls itself a bot.
func isBot(username string) bool {
	name := strings.ToLower(username)
	if tokenBot(name) || strings.HasPrefix(name, "service_account_") || strings.HasPrefix(name, "duo-") {
		return true
	}
	for _, suffix := range []string{"-bot", "_bot", ".bot", "[bot]"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	for _, prefix := range []string{"renovate", "dependabot", "gitlabduo", "gitlab-duo", "ghost"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && !startsWithLetter(rest) {
			return true
		}
	}
	switch name {
	case "mend-renovate", "whitesource-renovate", "depfu", "greenkeeper", "semantic-release":
		return true
	}
	return false
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
