package queue

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// What is read in batches is what is read one by one: in order, without what was
// purged, and with messages that are larger than a batch.
func TestBatchesLeaveNothingOut(t *testing.T) {
	for name, opt := range map[string]Options{
		"embedded": {MaxBody: 12 << 20},
		"external": {MaxBody: 4 << 20, URL: external(t).ClientURL()},
	} {
		t.Run(name, func(t *testing.T) {
			q := open(t, opt)
			var want []uint64
			for i := range 300 {
				body := fmt.Sprintf(`{"n":%d}`, i)
				if i == 70 || i == 71 || i == 200 {
					body = fmt.Sprintf(`{"n":%d,"x":%q}`, i, noise(int(opt.MaxBody)-100))
				}
				id, err := q.Store(t.Context(), hook(body))
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, id.Seq)
			}
			if err := q.events.Purge(t.Context(), jetstream.WithPurgeSequence(want[20])); err != nil {
				t.Fatal(err)
			}
			if err := q.events.DeleteMsg(t.Context(), want[100]); err != nil {
				t.Fatal(err)
			}
			want = append(want[20:100:100], want[101:]...)
			var got []uint64
			err := q.Envelopes(t.Context(), 0, want[len(want)-1], func(e Envelope) bool {
				got = append(got, e.Seq)
				return true
			})
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v; read\n%v, want\n%v", err, got, want)
			}
			first, err := q.events.batch(t.Context(), subjectEvents, 0)
			if err != nil || len(first) < worthBatch {
				t.Errorf("the first batch holds %d messages (%v)", len(first), err)
			}
		})
	}
}

// noise does not compress.
func noise(n int) []byte {
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString(newNonce().String())
	}
	return b.Bytes()[:n]
}

func BenchmarkWalk(b *testing.B) {
	q, err := Open(b.Context(), Options{Dir: b.TempDir(), Interval: true})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	for range 10_000 {
		nonce := newNonce()
		if _, err := q.publish(b.Context(), subjectEvents, encodeEnvelope(nonce, []*Webhook{hook(`{"a":1}`)}), nonce, nil); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		if err := q.Envelopes(b.Context(), 0, 10_000, func(Envelope) bool { n++; return true }); err != nil || n != 10_000 {
			b.Fatal(n, err)
		}
	}
}
