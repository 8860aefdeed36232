package routes

import (
	"fmt"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// directName is the Route of deliveries that no route asks for: a replay for
// one address.
const directName = "replay"

// Direct decides on an event for one address, whatever the routes say: if they
// send it there it looks as they want it, else as the destination does. What
// guards the address, its gates and the projects of the event's source, holds.
func (t *Table) Direct(e *events.Event, a configs.Address) Decision {
	s := t.subject(e)
	d := t.decide(s, nil)
	switch {
	case d.Foreign:
		return d
	case t.destinations[a.Destination] == nil:
		return Decision{Because: fmt.Sprintf("there is no destination %q", a.Destination)}
	}
	for _, to := range d.Deliveries {
		if to.Address == a {
			return Decision{Deliveries: []Delivery{to}}
		}
	}
	to := t.destinations[a.Destination]
	out := Delivery{Address: a, Route: directName, Look: t.Look(to.config)}
	if reason := to.closed(s, a.Channel); reason != "" {
		return Decision{Withheld: []Withheld{{Address: a, Route: directName, Reason: reason}}}
	}
	return Decision{Deliveries: []Delivery{out}}
}

// ByRoute is the delivery that the route of a name makes of an event for an
// address, whether or not it takes the event; not ok when no route of that name
// sends there.
func (t *Table) ByRoute(e *events.Event, name string, a configs.Address) (Delivery, bool) {
	for i := range t.routes {
		r := &t.routes[i]
		for j := range r.targets {
			to := &r.targets[j]
			out := to.delivery
			if to.naming != nil {
				out.Address, _ = to.naming.address(t.subject(e))
				out.Placed = &to.naming.written
			}
			if r.name != name || out.Address != a {
				continue
			}
			if to.mentions && len(r.mention) > 0 {
				out.Mention = r.chat.mention(nil, r.mention, to.kind, t.subject(e))
			}
			return out, true
		}
	}
	return Delivery{}, false
}
