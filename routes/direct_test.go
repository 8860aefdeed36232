package routes

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// One address gets what the routes would send there as they want it to look,
// and else what its own gates let through.
func TestDirect(t *testing.T) {
	const yaml = `
sources: {gitlab: {token: "a-token-of-the-test", projects: acme/**}}
destinations:
  mm: {url: "https://chat.example/hooks/a", username: Fox, confidential: [security]}
  partner: {url: "https://chat.example/hooks/b", only: {visibility: public}}
routes:
  - {name: Reviews, when: {events: merge_request}, to: mm#reviews, layout: card}
`
	table := compile(t, yaml)
	event := func(change func(*events.Event)) *events.Event {
		e := &events.Event{Kind: "issue", Action: "open", Source: "gitlab", Project: events.Project{Path: "acme/api", Visibility: "private"}}
		change(e)
		return e
	}
	look := configs.Look{Username: "Fox"}
	card := look
	card.Layout = configs.LayoutCard
	for name, c := range map[string]struct {
		change func(*events.Event)
		to     configs.Address
		want   Decision
	}{
		"as a route wants it": {
			func(e *events.Event) { e.Kind = "merge_request" }, configs.Address{Destination: "mm", Channel: "reviews"},
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "mm", Channel: "reviews"}, Route: "Reviews", Look: card}}},
		},
		"where no route sends it": {
			func(*events.Event) {}, configs.Address{Destination: "mm", Channel: "dev"},
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "mm", Channel: "dev"}, Route: "replay", Look: look}}},
		},
		"confidential": {
			func(e *events.Event) { e.Confidential = true }, configs.Address{Destination: "mm", Channel: "dev"},
			Decision{Withheld: []Withheld{{Address: configs.Address{Destination: "mm", Channel: "dev"}, Route: "replay", Reason: ReasonConfidential}}},
		},
		"confidential, where it may go": {
			func(e *events.Event) { e.Confidential = true }, configs.Address{Destination: "mm", Channel: "security"},
			Decision{Deliveries: []Delivery{{Address: configs.Address{Destination: "mm", Channel: "security"}, Route: "replay", Look: look}}},
		},
		"only": {
			func(*events.Event) {}, configs.Address{Destination: "partner"},
			Decision{Withheld: []Withheld{{Address: configs.Address{Destination: "partner"}, Route: "replay", Reason: ReasonOnly}}},
		},
		"no destination": {
			func(*events.Event) {}, configs.Address{Destination: "gone"}, Decision{Because: `there is no destination "gone"`},
		},
		"foreign": {
			func(e *events.Event) { e.Project.Path = "other/api" }, configs.Address{Destination: "mm", Channel: "dev"},
			Decision{Foreign: true, Because: "projects of the source: want acme/**, got other/api"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, table.Direct(event(c.change), c.to)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
