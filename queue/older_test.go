package queue

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What an older relay wrote names no line, and no end: nothing is missed of it, and
// what is parked behind it is.
func TestStoreOfAnOlderRelay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, j, _ := lead(t, dir)
	lane := Lane{"mm", "a"}
	older := func(body string) {
		t.Helper()
		n := newNonce()
		data := encodeParked(n, []Parked{{ID: ID{1, 0}, Webhook: *hook(body)}})
		if _, err := q.append(t.Context(), subjectParked+laneToken(lane), data, n); err != nil {
			t.Fatal(err)
		}
	}
	older(`{"a":"first"}`)
	older(`{"a":"second"}`)
	older(`{"a":"third"}`)
	bury(t, q, 1, `{}`)
	j.Close()
	last := j.Last()
	n := newNonce()
	data := encodeEntry(n, Entry{Writer: n, Records: []Record{&LaneState{Lane: lane, State: LaneParked}, &released{Writer: n}}, Ends: streamEnds{Parked: 3}})
	if _, err := q.publish(t.Context(), subjectJournal, data, n, &last); err != nil {
		t.Fatal(err)
	}
	q.Close()
	rot(t, dir, ParkedStream, "second", true)
	q, j, log := lead(t, dir)
	if n := readAll(t, q, lane); n != 2 || q.Damage() != 0 {
		t.Errorf("%d are read, %d damaged:\n%s", n, q.Damage(), log)
	}
	park(t, q, lane, 4, `{"a":"fourth"}`)
	park(t, q, lane, 5, `{"a":"fifth"}`)
	park(t, q, lane, 6, `{"a":"sixth"}`)
	j.Close()
	q.Close()
	rot(t, dir, ParkedStream, "fifth", true)
	q, _, log = lead(t, dir)
	if n := readAll(t, q, lane); n != 4 || q.Damage() != 1 {
		t.Errorf("%d are read, %d damaged:\n%s", n, q.Damage(), log)
	}
}

// What is written now can be told from what was, and the other way round.
func TestRankOfAMessage(t *testing.T) {
	want := rank{Place{7, 2}, 19, 3}
	got, ok := rankOf(&jetstream.RawStreamMsg{Header: nats.Header{fieldLine: []string{want.String()}}})
	if !ok || got != want {
		t.Errorf("read back is %+v, %t", got, ok)
	}
	for _, text := range []string{"", "1 2 3", "a b c d"} {
		if got, ok := rankOf(&jetstream.RawStreamMsg{Header: nats.Header{fieldLine: []string{text}}}); ok {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
