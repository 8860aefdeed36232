package queue

import (
	"testing"
	"time"
)

// The clock on the wall jumps: what is settled may go early or late, what is not
// settled never goes.
func TestClockThatJumpsExpiresNothingUnsettled(t *testing.T) {
	q := open(t, Options{})
	for range 5 {
		store(t, q, `{}`)
	}
	for _, jump := range []time.Duration{-365 * 24 * time.Hour, -time.Hour, time.Hour, 365 * 24 * time.Hour} {
		q.now = func() time.Time { return time.Now().Add(jump) }
		if err := q.Tidy(t.Context(), Checkpoint{Cursor: 3}, 72*time.Hour); err != nil {
			t.Fatal(err)
		}
		info, err := q.events.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		first := uint64(1)
		if jump > 72*time.Hour {
			first = 4
		}
		if info.State.FirstSeq != first || info.State.LastSeq != 5 {
			t.Errorf("after a jump of %s there are %d to %d, want %d to 5", jump, info.State.FirstSeq, info.State.LastSeq, first)
		}
	}
}
