package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What is left of a damaged message is no payload: it is told from other dead
// letters, and can only be dropped.
func TestWhatWasSetAsideIsNotReplayed(t *testing.T) {
	q := open(t, Options{})
	lane := Lane{"mm", "dev"}
	for i, stream := range []string{Events, ParkedStream} {
		if _, err := q.SetAside(t.Context(), &DamageError{stream, uint64(i + 5), []byte("\x01 what is left"), errTruncated}, lane); err != nil {
			t.Fatal(err)
		}
	}
	for seq, id := range map[uint64]ID{1: {5, 0}, 2: {}} { // a place in RELAY_PARKED is no event's
		d, err := q.DeadLetter(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if !d.Damaged || d.ID != id || d.Lane != lane || !strings.Contains(d.Reason, fmt.Sprintf("; it cannot be replayed: relay deadletters purge %d drops it", seq)) {
			t.Errorf("%d is read as %+v", seq, d)
		}
		if _, err := q.ReplayDead(t.Context(), d, "mm#dev"); err == nil || !strings.Contains(err.Error(), d.Reason) {
			t.Errorf("%d was replayed: %v", seq, err)
		}
		if err := q.DropDead(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
		if _, err := q.DeadLetter(t.Context(), seq); !errors.Is(err, ErrNotFound) {
			t.Errorf("%d is still there: %v", seq, err)
		}
	}
}
