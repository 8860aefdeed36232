package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What was delivered is never listed as waiting, in whatever order the journal says
// it, and however much of the journal is read.
func TestOutcomesComeFromSettlements(t *testing.T) {
	t.Parallel()
	again := func(id ID, lanes ...Lane) *Decision {
		d := routed(id, lanes...)
		d.Again = true
		return d
	}
	delivered := func(id ID, lane Lane) *Settled { return &Settled{ID: id, Lane: lane, Outcome: OutcomeDelivered} }
	for name, records := range map[string]func(id ID) []Record{
		"in order":                    func(id ID) []Record { return []Record{routed(id, dev), delivered(id, dev)} },
		"settled before the decision": func(id ID) []Record { return []Record{delivered(id, dev), routed(id, dev)} },
		"decided again":               func(id ID) []Record { return []Record{routed(id, dev), delivered(id, dev), again(id, dev)} },
		"settled, and decided again":  func(id ID) []Record { return []Record{delivered(id, dev), again(id, dev)} },
		"not decided yet":             func(id ID) []Record { return []Record{delivered(id, dev)} },
		"decided again by routes that are others": func(id ID) []Record {
			return []Record{routed(id, dev, ops), delivered(id, dev), delivered(id, ops), again(id, dev)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for window := range uint64(8) {
				p := newPast(t)
				id := p.store(`{"n":1}`)
				for _, r := range records(id) {
					p.write(r)
				}
				query := EventQuery{window: window, Undecided: func(id ID, w *Webhook) *Decision { return &Decision{ID: id, Received: w.Received} }}
				query.Settled = func(t *Trace, _ func(Lane) bool) bool { return t.open() }
				if waiting := ids(p.page(query)); len(waiting) > 0 {
					t.Errorf("window %d: waiting are %v", window, waiting)
				}
				query.Settled = nil
				page := p.page(query)
				if diff := cmp.Diff([]string{id.String()}, ids(page)); diff != "" {
					t.Fatalf("window %d: (-want +got):\n%s", window, diff)
				}
				e := page.Events[0]
				for _, d := range e.Deliveries(e.Decision()) {
					if e.Settlement(d.Lane) == nil {
						t.Errorf("window %d: %s waits", window, d.Lane)
					}
				}
				if len(e.Deliveries(e.Decision())) == 0 {
					t.Errorf("window %d: no delivery is known", window)
				}
			}
		})
	}
}

// An event that turns out to be no answer to the query leaves its place on the page
// to the next one.
func TestPageIsFilledBehindWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	for n := range uint64(4) {
		p.write(routed(ID{n + 1, 0}, dev))
	}
	for _, n := range []uint64{2, 3} {
		p.write(&Settled{ID: ID{n, 0}, Lane: dev, Outcome: OutcomeDelivered})
	}
	for n := range uint64(4) {
		d := routed(ID{n + 1, 0}, dev)
		d.Again = true
		p.write(d)
	}
	page := p.page(EventQuery{Limit: 2, window: 4, Settled: func(t *Trace, _ func(Lane) bool) bool { return t.open() }})
	if diff := cmp.Diff([]string{"4-0", "1-0"}, ids(page)); diff != "" || page.More {
		t.Errorf("more %v (-want +got):\n%s", page.More, diff)
	}
}
