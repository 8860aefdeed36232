package dispatch

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// What is asked of every webhook of 6 KB before it is handed on to two addresses:
// with a window that holds ten minutes of 200 a second, and with a full one.
func BenchmarkRepeats(b *testing.B) {
	for _, c := range []struct {
		name  string
		every time.Duration
	}{{"200 a second", 5 * time.Millisecond}, {"full", 100 * time.Microsecond}} {
		b.Run(c.name, func(b *testing.B) {
			r := NewRepeats(RepeatsSize, nil)
			body := bytes.Repeat([]byte("x"), 6<<10)
			lanes := []queue.Lane{{Destination: "mm", Channel: "reviews"}, {Destination: "mm"}}
			received := time.UnixMicro(1700000000000000)
			seq := uint64(0)
			decide := func(body []byte) {
				seq++
				received = received.Add(c.every)
				copy(body, fmt.Sprintf("%016d", seq))
				w := &queue.Webhook{Source: "gitlab", Received: received, Body: body, Header: []queue.Field{{Name: "Idempotency-Key", Value: string(body[:16])}}}
				id := queue.ID{Seq: seq}
				if _, same := r.sameEvent(id, w); same {
					b.Fatal("a new event is a repeat")
				}
				for _, lane := range lanes {
					if _, same := r.sameDelivery(id, w, lane); same {
						b.Fatal("a new delivery is a repeat")
					}
				}
			}
			for range min(int(keyWindow/c.every), r.capacity()) {
				decide(body[:16])
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var longest time.Duration
			for b.Loop() {
				begin := time.Now()
				decide(body)
				longest = max(longest, time.Since(begin))
			}
			b.ReportMetric(float64(longest.Microseconds()), "longest-µs")
			b.ReportMetric(float64(r.bytes)/(1<<20), "MiB")
		})
	}
}

// What a start reads of ten minutes with as many deliveries as the window holds: the
// decisions of a second, then its outcomes.
func BenchmarkReceivers(b *testing.B) {
	lanes := make([]queue.Lane, 512)
	for i := range lanes {
		lanes[i] = queue.Lane{Destination: "mm", Channel: fmt.Sprint(i)}
	}
	const perSecond, seconds = 2400, 600
	for b.Loop() {
		r := newReceivers(perSecond * seconds)
		for second := range seconds {
			for _, known := range []uint32{planned, got} {
				for i := range perSecond {
					n := second*perSecond + i
					r.add(queue.ID{Seq: uint64(1 + n/20), Index: n / 2 % 10}, lanes[n%len(lanes)], known)
				}
			}
		}
		if n := len(r.of(queue.ID{Seq: 1})); n != 2 {
			b.Fatalf("the first event has %d receivers", n)
		}
		b.ReportMetric(float64(cap(r.all))*16/(1<<20), "MiB")
	}
}
