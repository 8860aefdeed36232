package queue

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"
)

// benchmarked is a webhook of 6 KB that compresses as JSON does.
func benchmarked(n int) *Webhook {
	w := hook(fmt.Sprintf(`{"n":%d,"text":"%s"}`, n, bytes.Repeat([]byte(`word and another `), 360)))
	w.Header = append(w.Header, Field{"Idempotency-Key", "5f1ff0c2-0d32-4a2f-9c1b-000000000000"})
	return w
}

func openBench(b *testing.B) *Queue {
	b.Helper()
	q, err := Open(b.Context(), Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { q.Close() })
	return q
}

// What a webhook waits for at the door, 64 at a time: the disk above all.
func BenchmarkStore(b *testing.B) {
	q := openBench(b)
	w := benchmarked(0)
	b.SetParallelism(32) // of GOMAXPROCS, which is mostly 2 and more
	b.SetBytes(int64(len(w.Body)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := q.Store(context.Background(), w); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkEnvelope(b *testing.B) {
	for _, n := range []int{1, 64} {
		var hooks []*Webhook
		for i := range n {
			hooks = append(hooks, benchmarked(i))
		}
		var p packer
		b.Run(fmt.Sprintf("pack/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.envelope(Nonce{}, hooks)
			}
		})
		packed := encodeEnvelope(Nonce{}, hooks)
		b.Run(fmt.Sprintf("unpack/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decodeEnvelope(1, packed, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a lane waits for between two messages, 64 lanes at a time.
func BenchmarkJournal(b *testing.B) {
	q := openBench(b)
	j, _, err := q.Lead(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(j.Close)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s := &Settled{ID: ID{1, 0}, Lane: Lane{"mm", "reviews"}, Outcome: OutcomeDelivered, Attempts: 1, Status: 200}
			if err := j.Write(context.Background(), s); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Records are encoded once to see how many go into a message, and once more into
// it. What the first costs beside the second, which packs too, is seen here.
func BenchmarkEntry(b *testing.B) {
	lane := Lane{"mm", "reviews"}
	var recs []Record
	for i := range uint64(256) {
		recs = append(recs, &Decision{ID: ID{i, 0}, Time: time.Now(), Source: "gitlab", Event: "issue.open", Project: "acme/shop", Title: "Crash on empty input", Outcome: OutcomeRouted, Deliveries: []Planned{{Lane: lane, Route: "Reviews"}}},
			&Settled{ID: ID{i, 0}, Lane: lane, Outcome: OutcomeDelivered, Attempts: 1, Status: 200})
	}
	b.Run("size", func(b *testing.B) {
		for b.Loop() {
			entrySize(recs)
		}
	})
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			encodeEntry(Nonce{}, Entry{Records: recs})
		}
	})
}
