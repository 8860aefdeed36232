package server

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/queue"
)

// EventCount is how many events have something in common.
type EventCount struct {
	Name      string `json:"name"` // "" for events without one
	Events    int    `json:"events"`
	Delivered int    `json:"delivered"` // messages
	Undone    int    `json:"undone"`    // messages that wait, were given up or were withheld
}

// EventCounts is events counted by what they have in common, the most first.
type EventCounts struct {
	By     string       `json:"by"`
	Counts []EventCount `json:"counts"`
	Events int          `json:"events"` // in all

	// Incomplete: older events than the newest ones are not counted.
	Incomplete bool `json:"incomplete,omitempty"`
}

// countedBy is what events are counted by.
var countedBy = map[string]func(*queue.Decision) string{
	"project": func(d *queue.Decision) string { return d.Project },
	"actor":   func(d *queue.Decision) string { return d.Actor },
	"address": nil, // of each message
}

// maxCounted is how many events are counted, the newest ones.
const maxCounted = 1 << 17

// countEvents counts the events that a query chooses: GET /api/v1/events?by=.
func (a *api) countEvents(ctx context.Context, query queue.EventQuery, by string) (any, error) {
	name, ok := countedBy[by]
	if !ok {
		return nil, wrong("by %q is none; there is project, actor, address", by)
	}
	query.Limit = maxCounted
	page, err := a.queue.EventPage(ctx, query)
	if err != nil {
		return nil, err
	}
	out := EventCounts{By: by, Counts: []EventCount{}, Events: len(page.Events), Incomplete: page.More || page.Cut}
	counts := map[string]*EventCount{}
	for _, t := range page.Events {
		seen := map[string]bool{}
		add := func(name, state string) {
			c := counts[name]
			if c == nil {
				c = &EventCount{Name: name}
				counts[name] = c
			}
			if !seen[name] {
				seen[name] = true
				c.Events++
			}
			switch state {
			case "":
			case queue.OutcomeDelivered:
				c.Delivered++
			default:
				c.Undone++
			}
		}
		d := t.Decision()
		if name != nil {
			add(name(d), "")
		}
		for _, p := range t.Deliveries(d) {
			group := addressOf(p.Lane)
			if name != nil {
				group = name(d)
			}
			add(group, stateOf(t, p.Lane, page.Parked))
		}
	}
	for _, c := range counts {
		out.Counts = append(out.Counts, *c)
	}
	slices.SortFunc(out.Counts, func(a, b EventCount) int {
		return cmp.Or(cmp.Compare(b.Delivered+b.Undone, a.Delivered+a.Undone), cmp.Compare(b.Events, a.Events), strings.Compare(a.Name, b.Name))
	})
	return out, nil
}
