package routes

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// checkAddresses warns of addresses that get nothing of what the route takes, or
// not where it says.
func (c *compiler) checkAddresses(r checkedRoute) {
	confidential := !slices.ContainsFunc(r.when, func(w checkedConditions) bool { return !c.alwaysConfidential(w) })
	for _, to := range r.To {
		d := c.cfg.Destination(to.Address.Destination)
		if d == nil {
			continue
		}
		width := utf8.RuneCountInString(to.Address.String())
		c.checkPlaces(r, to)
		if confidential && !to.Placed() && !d.Allows(to.Address.Channel) {
			hint := "set confidential: true on destination " + d.Name
			if channel := to.Address.Channel; channel != "" {
				hint = fmt.Sprintf("add %s to confidential of destination %s", channel, d.Name)
			}
			c.report(configs.Warning, to.Pos, width, fmt.Sprintf("%s gets nothing of %s, which takes confidential events alone", to.Address, r.named()), "if they may go there, "+hint)
		}
		if channel := to.Address.Channel; channel != "" && !strings.HasPrefix(channel, "@") && d.OfSlack() {
			c.report(configs.Warning, to.Pos, width, fmt.Sprintf("the webhook of destination %q posts to the channel that it was made for, and not to #%s", d.Name, channel), configs.SlackHint)
		}
	}
}

// alwaysConfidential tells whether all that the conditions take is.
func (c *compiler) alwaysConfidential(w checkedConditions) bool {
	if w.Confidential != nil && w.Confidential.Value {
		return true
	}
	return len(w.events) > 0 && !slices.ContainsFunc(w.events, func(e writtenEvent) bool { return e.kind != events.Vulnerability })
}

// checkPlaces finds a place that no event of a pattern has anything for.
func (c *compiler) checkPlaces(r checkedRoute, to configs.To) {
	for _, part := range to.Parts {
		for _, w := range r.when {
			for _, e := range w.events {
				names := e.names(c.vocabulary)
				if part.Place == "" || e.set != "" || len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return neverFills(part.Place, n) == "" }) {
					continue
				}
				c.report(configs.Error, to.Pos, utf8.RuneCountInString(to.Address.String()),
					fmt.Sprintf("%s never gets %s, %s", to.Address, e.Text, neverFills(part.Place, names[0])),
					fmt.Sprintf("give %s a route of its own, with another address", e.Text))
			}
		}
	}
}

// neverFills tells why events of a name never fill a place; empty when they may.
func neverFills(place, name string) string {
	kind, _, _ := strings.Cut(name, ".")
	switch place {
	case configs.PlaceBranch:
		return never(keyBranches, name)
	case configs.PlaceEnvironment:
		return never(keyEnvironments, name)
	case configs.PlaceProjectName, configs.PlaceProjectPath:
		if kind == events.Member || kind == events.Subgroup {
			return "which is about a group"
		}
	}
	return ""
}
