package dispatch

import (
	"cmp"
	"slices"

	"github.com/gitlab-mattermost/relay/queue"
)

// past is what earlier runs of the relay have recorded about an event that is decided
// again. The routes may have changed since, and the journal may hold outcomes of
// deliveries whose decision was never written. Both are written again, so that
// readers of the journal find the decision first and all outcomes after it.
type past struct {
	queue.Past
	held []queue.Lane // where it waits in RELAY_PARKED
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

// any reports whether there is anything.
func (p *past) any() bool { return len(p.Settled)+len(p.held) > 0 }

// unnamed returns the deliveries that were made, or wait, although the decision does
// not name them.
func (p *past) unnamed(d *queue.Decision) (added []queue.Planned) {
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

// records returns the decision and the outcomes that are known.
func (p *past) records(d *queue.Decision) []queue.Record {
	all := []queue.Record{d}
	for _, s := range p.Settled {
		all = append(all, s)
	}
	return all
}
