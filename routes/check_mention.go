package routes

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// checkMention finds words of mention that can never call anybody.
func (c *compiler) checkMention(r checkedRoute, t *Table) {
	if len(r.Mention) == 0 || len(r.To) == 0 {
		return
	}
	var kinds, silent []string
	for _, to := range r.To {
		d := c.cfg.Destination(to.Address.Destination)
		switch {
		case d == nil, d.KindGuessed:
			return
		case d.Mentions == configs.MentionsNone:
			silent = append(silent, d.Name)
		case !slices.Contains(kinds, d.Kind):
			kinds = append(kinds, d.Kind)
		}
	}
	for i, word := range r.Mention {
		message, hint := "", ""
		switch {
		case len(kinds) == 0:
			message, hint = fmt.Sprintf("%s is never mentioned: %s has mentions: none", word, silent[0]), "remove it, or write mentions: route there"
		case word[0] == '@':
			message, hint = c.checkNamed(word, kinds, t.directory(r.Route))
		default:
			message, hint = c.checkWord(word, r, kinds, t.directory(r.Route))
		}
		if message != "" {
			c.report(configs.Error, r.MentionPos[i], utf8.RuneCountInString(word), message, hint)
		}
	}
}

// checkNamed finds "@name" that a chat of the route cannot call.
func (c *compiler) checkNamed(word string, kinds []string, d *directory) (message, hint string) {
	for _, kind := range kinds {
		if d.named(word[1:], kind) != "" {
			continue
		}
		if kind == configs.KindSlack {
			return fmt.Sprintf("%s cannot be mentioned in Slack, which calls people by their member ids", word), fmt.Sprintf("write users: {%s: {slack: U02ABCDEF}}, with the member id in that person's profile in Slack", word[1:])
		}
		return fmt.Sprintf("%s cannot be mentioned in Mattermost, which calls people by their usernames", word), "name the person in users, with both"
	}
	return "", ""
}

// checkWord finds words that no event of the route has anybody for, or that
// nobody is known by.
func (c *compiler) checkWord(word string, r checkedRoute, kinds []string, d *directory) (message, hint string) {
	if word == configs.MentionHere || word == configs.MentionChannel {
		return "", ""
	}
	var lacking []string
	for _, w := range r.when {
		for _, e := range w.events {
			names := e.names(c.vocabulary)
			if e.set != "" || len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return hasPeople(word, n) }) {
				lacking = nil
				return c.checkKnown(word, kinds, d)
			}
			lacking = append(lacking, e.Text)
		}
	}
	if len(lacking) == 0 {
		return "", ""
	}
	return fmt.Sprintf("%s is never anybody: GitLab tells none with %s", word, strings.Join(lacking, ", ")), "remove it, or name somebody: \"@name\""
}

// checkKnown finds words for people of whom none is known in the route's chats.
func (c *compiler) checkKnown(word string, kinds []string, d *directory) (message, hint string) {
	for _, kind := range kinds {
		if d.reaches(kind) {
			return "", ""
		}
	}
	if slices.Contains(kinds, configs.KindSlack) {
		return fmt.Sprintf("%s is never mentioned: users names nobody in Slack", word), "write users: {name: {slack: U02ABCDEF}}"
	}
	return fmt.Sprintf("%s is never mentioned: users names nobody in Mattermost", word), "write users: {name: name}, or defaults: {usernames: same} where all names are the same"
}

// hasPeople tells whether events of a name can have somebody whom the word
// means and who is not left out for having done it.
func hasPeople(word, name string) bool {
	kind, _, _ := strings.Cut(name, ".")
	assigned := kind == events.MergeRequest || kind == events.Issue || kind == events.Emoji || name == "note.merge_request" || name == "note.issue"
	switch word {
	case configs.MentionActor:
		return !slices.Contains(nobodys, kind)
	case configs.MentionReviewers:
		return kind == events.MergeRequest
	case configs.MentionAssignees:
		return assigned
	}
	return assigned || slices.Contains([]string{events.Push, events.TagPush, events.Pipeline, events.Job, events.Deployment}, kind)
}
