package routes

import (
	"slices"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// gatedDestination is a destination with its gate.
type gatedDestination struct {
	config *configs.Destination
	only   []conditions
}

// closed is why a channel of the destination may not get the event; "" if it may.
func (d *gatedDestination) closed(s *subject, channel string) (reason string) {
	switch {
	case s.event.Confidential && !d.config.Allows(channel):
		return ReasonConfidential
	case !opens(d.only, s):
		return ReasonOnly
	}
	return ""
}

// fence is what a file may route, and where to.
type fence struct {
	config   *configs.Fence // nil: there is no fence
	projects key
	limited  bool // to these projects
}

func (c *compiler) fence(f *configs.Fence) fence {
	projects, limited := c.fenceKey(f)
	return fence{f, projects, limited}
}

// permits tells whether the file may route the event to an address.
func (f *fence) permits(s *subject, a configs.Address, d *configs.Destination) bool {
	return f.config == nil || f.config.Permits(a, d) && (!f.limited || f.projects.match(s))
}

// Closed is why a delivery that was decided on before, perhaps by another
// configuration, may not be posted now; "" if it may. file is [Delivery.File].
// A destination that the table does not know has no gate.
//
// It asks the access rules alone. Whether a route still sends the event there
// counts only where the fence of the route's file does not permit it, or the file
// is included no more: then a route of today is enough.
func (t *Table) Closed(e *events.Event, a configs.Address, file string) (reason string) {
	to := t.destinations[a.Destination]
	if to == nil {
		return ""
	}
	s := t.subject(e)
	if t.foreign(s) {
		return ReasonForeign
	}
	if reason := to.closed(s, a.Channel); reason != "" {
		return reason
	}
	if t.namedByEvent(s, a) {
		if !to.config.AllowsNaming(a.Channel) {
			return ReasonChannels
		}
		if e.Confidential && !to.config.AllowsPlaced(a.Channel) {
			return ReasonConfidential
		}
	}
	fences, known := t.fences[file]
	forbids := func(f fence) bool { return !f.permits(s, a, to.config) }
	if file == "" || known && !slices.ContainsFunc(fences, forbids) {
		return ""
	}
	for _, d := range t.decide(s, nil).Deliveries {
		if d.Address == a {
			return ""
		}
	}
	return ReasonFence
}
