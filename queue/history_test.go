package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// past is a queue with a journal in which things are written down.
type past struct {
	*Queue
	*Journal
	t *testing.T
}

func newPast(t *testing.T) *past {
	t.Helper()
	q := open(t, Options{Dir: t.TempDir()})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return &past{q, j, t}
}

func (p *past) store(body string) ID {
	p.t.Helper()
	id, err := p.Queue.Store(p.t.Context(), &Webhook{Source: "gitlab", Received: time.Now(), Body: []byte(body)})
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p *past) write(recs ...Record) {
	p.t.Helper()
	if err := p.Write(p.t.Context(), recs...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) page(query EventQuery) EventPage {
	p.t.Helper()
	page, err := p.EventPage(p.t.Context(), query)
	if err != nil {
		p.t.Fatal(err)
	}
	return page
}

func ids(page EventPage) []string {
	out := []string{}
	for _, t := range page.Events {
		out = append(out, t.ID.String())
	}
	return out
}

var dev, ops = Lane{"mm", "dev"}, Lane{"mm", "ops"}

func routed(id ID, lanes ...Lane) *Decision {
	d := &Decision{ID: id, Time: time.Now(), Received: time.Now(), Event: "push", Outcome: OutcomeRouted}
	for _, l := range lanes {
		d.Deliveries = append(d.Deliveries, Planned{Lane: l, Route: "R"})
	}
	return d
}

// A page holds the newest events, whatever came of them later in the journal,
// and its end is where the next one begins.
func TestEventPage(t *testing.T) {
	p := newPast(t)
	for i := range uint64(5) {
		p.write(routed(ID{Seq: i + 1}, dev))
	}
	p.write(&Decision{ID: ID{Seq: 6}, Received: time.Now(), Outcome: OutcomeUnrouted})
	for _, seq := range []uint64{1, 2, 4} {
		p.write(&Settled{ID: ID{Seq: seq}, Lane: dev, Outcome: OutcomeDelivered})
	}
	p.write(&Attempt{ID: ID{Seq: 3}, Lane: dev, Number: 1}, &Settled{ID: ID{Seq: 5}, Lane: dev, Outcome: OutcomeDead, DeadSeq: 1})

	first := p.page(EventQuery{Limit: 4})
	if diff := cmp.Diff([]string{"6-0", "5-0", "4-0", "3-0"}, ids(first)); diff != "" || !first.More {
		t.Errorf("the first page (-want +got), more %v:\n%s", first.More, diff)
	}
	second := p.page(EventQuery{Limit: 4, Before: ID{Seq: 3}})
	if diff := cmp.Diff([]string{"2-0", "1-0"}, ids(second)); diff != "" || second.More {
		t.Errorf("the second page (-want +got), more %v:\n%s", second.More, diff)
	}
	open := first.Events[3]
	if len(open.Attempts) != 1 || open.Settlement(dev) != nil {
		t.Errorf("3-0 was tried once and is open, got %+v", open)
	}
	if s := first.Events[1].Settlement(dev); s == nil || s.DeadSeq != 1 {
		t.Errorf("5-0 is a dead letter, got %+v", s)
	}
	dead := p.page(EventQuery{Settled: func(t *Trace, _ func(Lane) bool) bool {
		s := t.Settlement(dev)
		return s != nil && s.Outcome == OutcomeDead
	}})
	if diff := cmp.Diff([]string{"5-0"}, ids(dead)); diff != "" {
		t.Errorf("the dead (-want +got):\n%s", diff)
	}
	unrouted := p.page(EventQuery{Decided: func(d *Decision) bool { return d.Outcome == OutcomeUnrouted }})
	if diff := cmp.Diff([]string{"6-0"}, ids(unrouted)); diff != "" {
		t.Errorf("the unrouted (-want +got):\n%s", diff)
	}
}

// More of the journal is read when its end holds too few of what is asked for.
func TestEventPageReadsOn(t *testing.T) {
	p := newPast(t)
	p.write(routed(ID{Seq: 1}, dev))
	for i := range 20 {
		p.write(&Attempt{ID: ID{Seq: 1}, Lane: dev, Number: i + 1})
	}
	page := p.page(EventQuery{window: 2})
	if len(page.Events) != 1 || len(page.Events[0].Attempts) != 20 {
		t.Fatalf("got %v", ids(page))
	}
}

// Where the end of the journal tells of no decision, what was decided before is not
// taken for undecided.
func TestEventPageLongAfterTheLastDecision(t *testing.T) {
	p := newPast(t)
	for range 3 {
		p.write(routed(p.store(`{}`), dev))
	}
	for range 20 {
		p.write()
	}
	page := p.page(EventQuery{Limit: 2, window: 2, Undecided: func(id ID, _ *Webhook) *Decision { return &Decision{ID: id} }})
	for _, e := range page.Events {
		if e.Decision().Outcome != OutcomeRouted {
			t.Errorf("%s is shown as undecided", e.ID)
		}
	}
	if len(page.Events) != 2 || !page.More {
		t.Errorf("got %v, more %v", ids(page), page.More)
	}
}

// What is stored but not decided is listed above what is.
func TestEventPageShowsWhatIsNotDecided(t *testing.T) {
	p := newPast(t)
	first := p.store(`{"n":1}`)
	p.write(routed(first, dev))
	var want []string
	for i := range 3 {
		want = append([]string{p.store(fmt.Sprintf(`{"n":%d}`, i+2)).String()}, want...)
	}
	query := EventQuery{Undecided: func(id ID, w *Webhook) *Decision {
		return &Decision{ID: id, Event: string(w.Body), Received: w.Received}
	}}
	if diff := cmp.Diff(append(want, first.String()), ids(p.page(query))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	query.Limit, query.Before = 1, ID{Seq: first.Seq + 2}
	if page := p.page(query); !cmp.Equal(ids(page), []string{ID{Seq: first.Seq + 1}.String()}) || !page.More {
		t.Errorf("a page of one below the second: %v, more %v", ids(page), page.More)
	}
}

func TestEventPageByTime(t *testing.T) {
	p := newPast(t)
	begin := time.Now()
	for i, at := range []time.Time{begin.Add(-3 * time.Hour), begin.Add(-2 * time.Hour), begin.Add(-time.Hour)} {
		d := routed(ID{Seq: uint64(i + 1)})
		d.Received = at
		p.write(d)
	}
	// The journal's own times are of now: everything above is read.
	got := ids(p.page(EventQuery{Since: begin.Add(-150 * time.Minute), Until: begin.Add(-90 * time.Minute)}))
	if diff := cmp.Diff([]string{"2-0"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An event that is read again after a restart shows all that became of it, also
// what stands further back in the journal than was read for the page.
func TestTraceOfAnEventThatWasReadTwice(t *testing.T) {
	p := newPast(t)
	older := p.store(`{"n":0}`)
	id := p.store(`{"n":1}`)
	p.write(routed(id, dev, ops), &Settled{ID: id, Lane: dev, Outcome: OutcomeDelivered})
	for range 4 {
		p.write()
	}
	again := routed(id, dev, ops)
	again.Again = true
	p.write(routed(older, dev), again, &Settled{ID: id, Lane: ops, Outcome: OutcomeDelivered})
	p.write(routed(ID{Seq: id.Seq + 1}), routed(ID{Seq: id.Seq + 2}))
	page := p.page(EventQuery{Limit: 2, Before: ID{Seq: id.Seq + 2}, window: 3})
	if diff := cmp.Diff([]string{ID{Seq: id.Seq + 1}.String(), id.String()}, ids(page)); diff != "" || !page.More {
		t.Fatalf("(-want +got), more %v:\n%s", page.More, diff)
	}
	got := page.Events[1]
	if len(got.Decisions) != 2 || got.Settlement(dev) == nil || got.Settlement(ops) == nil {
		t.Errorf("the page tells of %d decisions, %d settled", len(got.Decisions), len(got.Settled))
	}
}

func TestTrace(t *testing.T) {
	p := newPast(t)
	id := p.store(`{"n":1}`)
	other := p.store(`{"n":2}`)
	p.write(routed(id, dev), routed(other, dev), &Attempt{ID: id, Lane: dev, Number: 1}, &Settled{ID: other, Lane: dev, Outcome: OutcomeDelivered})
	replay := routed(ID{Seq: 9}, dev)
	replay.Replay = Replay{Of: id}
	p.write(replay)
	got, err := p.Trace(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Webhook.Body) != `{"n":1}` || len(got.Decisions) != 1 || len(got.Attempts) != 1 || len(got.Settled) != 0 || !cmp.Equal(got.Replays, []ID{{Seq: 9}}) {
		t.Errorf("got %+v", got)
	}
	for _, none := range []ID{{Seq: 99}, {Seq: id.Seq, Index: 7}} {
		if _, err := p.Trace(t.Context(), none); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", none, err)
		}
	}
}

// What the journal says of an event that is far back is read up to a bound, and the
// answer says that there may be more.
func TestTraceIsBounded(t *testing.T) {
	p := newPast(t)
	id := p.store(`{"n":1}`)
	p.write(routed(id, dev))
	noise := make([]byte, 2<<20)
	for written := 0; written <= traceBytes; written += len(noise) {
		_, _ = rand.Read(noise)
		other := routed(ID{Seq: 9})
		other.Because = string(noise)
		p.write(other)
	}
	p.write(&Settled{ID: id, Lane: dev, Outcome: OutcomeDelivered})
	got, err := p.Trace(t.Context(), id)
	if err != nil || !got.Cut || len(got.Decisions) != 1 || len(got.Settled) != 0 {
		t.Errorf("cut %t, %d decisions, %d settled (%v)", got.Cut, len(got.Decisions), len(got.Settled), err)
	}
}

// A relay that is older has written decisions with fewer fields.
func TestDecisionOfAnOlderRelay(t *testing.T) {
	want := &Decision{ID: ID{3, 1}, Time: time.UnixMicro(17), Source: "gitlab", Event: "push", Outcome: OutcomeUnrouted, Because: "x"}
	var w buffer
	want.encode(&w)
	var appended buffer
	appended.time(time.Time{})
	appended.id(ID{})
	appended.str("")
	appended.planned(nil)
	appended.bool(false)
	for _, missing := range []int{len(appended.b) + 1, 1} { // all that was appended; the actor alone
		got, err := decodeRecord(kindDecision, &reader{b: w.b[:len(w.b)-missing]})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Record(want), got); diff != "" {
			t.Errorf("without %d bytes (-want +got):\n%s", missing, diff)
		}
	}
}

func TestOpenEventsAreBounded(t *testing.T) {
	s := scan{query: EventQuery{Limit: 2}, parked: func(Lane) bool { return true }, byID: map[ID]*Trace{}}
	for i := range uint64(maxOpen + 10) {
		s.entry(Entry{Records: []Record{routed(ID{Seq: i + 1}, dev)}})
	}
	if len(s.byID) != maxOpen || !s.cut {
		t.Errorf("%d are open, cut %v", len(s.byID), s.cut)
	}
	if page := s.page(); !cmp.Equal(ids(page), []string{fmt.Sprintf("%d-0", maxOpen+10), fmt.Sprintf("%d-0", maxOpen+9)}) || !page.Cut {
		t.Errorf("the page holds %v", ids(page))
	}
}

func BenchmarkEventPage(b *testing.B) {
	q, err := Open(context.Background(), Options{Dir: b.TempDir(), Interval: true})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	j, _, err := q.Lead(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	const n = 20_000
	for i := range uint64(n) {
		if err := j.Write(context.Background(), routed(ID{Seq: i + 1}, dev), &Settled{ID: ID{Seq: i + 1}, Lane: dev, Outcome: OutcomeDelivered}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("newest", func(b *testing.B) {
		for range b.N {
			if _, err := q.EventPage(context.Background(), EventQuery{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		for range b.N {
			if _, err := q.EventPage(context.Background(), EventQuery{Decided: func(*Decision) bool { return false }}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
