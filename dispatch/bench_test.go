package dispatch

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// What is asked of every webhook of 6 KB before it is handed on; the window is
// ten minutes of 200 a second.
func BenchmarkRepeats(b *testing.B) {
	r := NewRepeats()
	body := bytes.Repeat([]byte("x"), 6<<10)
	lane := queue.Lane{Destination: "mm", Channel: "reviews"}
	received := time.UnixMicro(1700000000000000)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		seq++
		received = received.Add(5 * time.Millisecond)
		copy(body, fmt.Sprintf("%016d", seq))
		w := &queue.Webhook{Source: "gitlab", Received: received, Body: body, Header: []queue.Field{{Name: "Idempotency-Key", Value: string(body[:16])}}}
		id := queue.ID{Seq: seq}
		if _, same := r.sameEvent(id, w); same {
			b.Fatal("a new event is a repeat")
		}
		if _, same := r.sameDelivery(id, w, lane); same {
			b.Fatal("a new delivery is a repeat")
		}
	}
}
