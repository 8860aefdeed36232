package dispatch

import (
	"cmp"
	"slices"

	"github.com/gitlab-mattermost/relay/queue"
)

// past is what earlier runs of the relay have done about an event that is decided
// again. By now the routes may be others, and the journal may hold outcomes of
// deliveries whose decision was never written: whoever reads it forward finds the
// decision first, and all outcomes behind it.
type past struct {
	queue.Past
	held []queue.Lane // what waits in RELAY_PARKED
}

func (d *Dispatcher) past(id queue.ID) (p past) {
	if id.Seq > d.progress.known {
		return p
	}
	if was := d.State.Past[id]; was != nil {
		p.Past = *was
		delete(d.State.Past, id) // it is decided once in this run
	}
	for name, l := range d.State.Lanes {
		if l.Held[id] {
			p.held = append(p.held, name)
		}
	}
	slices.SortFunc(p.held, func(a, b queue.Lane) int {
		return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Channel, b.Channel))
	})
	return p
}

// known tells whether there is anything.
func (p *past) known() bool { return len(p.Settled)+len(p.held) > 0 }

// beside are the deliveries that were made, or wait, though the decision does not
// name them.
func (p *past) beside(d *queue.Decision) (added []queue.Planned) {
	add := func(lane queue.Lane) {
		at := func(q queue.Planned) bool { return q.Lane == lane }
		if lane == (queue.Lane{}) || slices.ContainsFunc(d.Deliveries, at) || slices.ContainsFunc(added, at) {
			return
		}
		one := queue.Planned{Lane: lane}
		if i := slices.IndexFunc(p.Deliveries, at); i >= 0 {
			one = p.Deliveries[i]
		}
		added = append(added, one)
	}
	for _, s := range p.Settled {
		add(s.Lane)
	}
	for _, lane := range p.held {
		add(lane)
	}
	return added
}

// records are the decision and the outcomes that are known.
func (p *past) records(d *queue.Decision) []queue.Record {
	all := []queue.Record{d}
	for _, s := range p.Settled {
		all = append(all, s)
	}
	return all
}
