package queue

import (
	"fmt"
	"testing"
)

func envelopes(r *recent, size int, seqs ...uint64) {
	for _, seq := range seqs {
		r.add(Envelope{Seq: seq, Webhooks: []Webhook{{Body: make([]byte, size)}}})
	}
}

func TestRecentGivesWhatComesNext(t *testing.T) {
	var r recent
	envelopes(&r, 10, 1, 2, 3, 5)
	for _, c := range []struct {
		seq  uint64
		held bool
	}{{1, true}, {1, false}, {3, true}, {2, false}, {4, false}, {5, true}, {6, false}} {
		e, held := r.take(c.seq)
		if held != c.held || held && e.Seq != c.seq {
			t.Errorf("of %d it has %d, %t; want %t", c.seq, e.Seq, held, c.held)
		}
	}
	if r.bytes != 0 {
		t.Errorf("it counts %d bytes of nothing", r.bytes)
	}
}

func TestRecentIsBounded(t *testing.T) {
	var r recent
	envelopes(&r, maxRecent/4, 1, 2, 3, 4, 5, 6)
	if _, held := r.take(2); held || r.bytes > maxRecent {
		t.Errorf("it holds %d bytes and the oldest", r.bytes)
	}
	if _, held := r.take(3); !held {
		t.Error("it let go of more than it had to")
	}
	envelopes(&r, maxRecent+1, 7)
	if len(r.all) != 1 || r.bytes != maxRecent+1 {
		t.Errorf("of one that is larger alone it holds %d envelopes and counts %d bytes", len(r.all), r.bytes)
	}
	envelopes(&r, maxRecent+1, 8)
	if len(r.all) != 1 || r.all[0].Seq != 8 {
		t.Errorf("of two that are larger alone it holds %d", len(r.all))
	}
}

// A stream that was cut back gives the same sequences again.
func TestRecentForgetsWhatWasCutOff(t *testing.T) {
	var r recent
	envelopes(&r, 10, 7, 8, 9)
	envelopes(&r, 20, 8)
	if e, held := r.take(8); !held || len(e.Webhooks[0].Body) != 20 {
		t.Error("it gives what is no longer there")
	}
	if len(r.all) != 0 {
		t.Errorf("it still holds %d", r.all[0].Seq)
	}
}

// What the dispatcher gets from memory is what it would read.
func TestRecentIsWhatTheStreamHolds(t *testing.T) {
	q := open(t, Options{})
	store(t, q, `{"n":1}`)
	fresh := next(t, q, 0)
	read, err := q.envelope(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%+v", fresh), fmt.Sprintf("%+v", read); got != want {
		t.Errorf("from memory\n%s\nfrom the stream\n%s", got, want)
	}
}
