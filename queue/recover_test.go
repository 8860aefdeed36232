package queue

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// After idle hours everything is settled and old, the journal's last message
// too; then the relay is killed.
func TestTidyKeepsWhatAStartReads(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	store(t, q, `{}`)
	e := next(t, q, 0)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	settled := func() Checkpoint { return Checkpoint{Cursor: e.Seq, Nonce: e.Nonce, Journal: j.Last()} }
	j.Checkpoints(settled)
	if err := j.Write(t.Context(), &Settled{ID: ID{e.Seq, 0}, Outcome: OutcomeDelivered}); err != nil {
		t.Fatal(err)
	}
	if err := q.Tidy(t.Context(), settled(), 0); err != nil {
		t.Fatal(err)
	}
	q.Close() // and not the journal

	q = open(t, Options{Dir: dir})
	_, state, err := q.Lead(t.Context())
	if err != nil {
		t.Fatalf("the relay does not start any more: %v", err)
	}
	if state.Checkpoint.Cursor != e.Seq {
		t.Errorf("it begins anew after %d, want %d", state.Checkpoint.Cursor, e.Seq)
	}
}

// What one write has gathered is larger than the largest message that a start
// reads.
func TestEveryJournalEntryCanBeReadAgain(t *testing.T) {
	dir := t.TempDir()
	opt := Options{Dir: dir, MaxBody: 256 << 10}
	q := open(t, opt)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decisions := make([]Record, maxEntry)
	for i := range decisions {
		decisions[i] = &Decision{ID: ID{uint64(i + 1), 0}, Title: fmt.Sprint(i) + strings.Repeat("日本語", 80), Outcome: OutcomeUnrouted}
	}
	if err := j.Write(t.Context(), decisions...); err != nil {
		t.Fatal(err)
	}
	j.Close()
	q.Close()

	q = open(t, opt)
	if _, _, err := q.Lead(t.Context()); err != nil {
		t.Fatalf("the relay does not start any more: %v", err)
	}
	read := 0
	err = q.Entries(t.Context(), 0, func(e Entry) bool {
		for _, rec := range e.Records {
			if _, ok := rec.(*Decision); ok {
				read++
			}
		}
		return true
	})
	if err != nil || read != len(decisions) {
		t.Errorf("%d of %d records are read again: %v", read, len(decisions), err)
	}
}

// A lane's progress may stand before the first delivery of a message: read back
// as its last one, it would pass over all of them.
func TestPlaceBeforeTheFirstComesBackAsThat(t *testing.T) {
	for _, first := range []Place{{8, 0}, {1, 0}, {8, 3}} {
		var w buffer
		w.place(first.Before())
		r := reader{b: w.b}
		if got := r.place(); !got.Less(first) || r.err() != nil {
			t.Errorf("before %+v is read back as %+v (%v)", first, got, r.err())
		}
	}
}

func TestHelperPurgeUntilKilled(t *testing.T) {
	dir := os.Getenv("QUEUE_PURGE_DIR")
	if dir == "" {
		t.Skip("helper of TestPurgedStreamKeepsItsSequenceThroughAKill")
	}
	q, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := q.Store(context.Background(), hook(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Tidy(context.Background(), Checkpoint{Cursor: 10}, 0); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("purged %d\n", q.tail.load())
	select {}
}

// A kill right after a purge that has emptied RELAY_EVENTS: counting anew, the
// next events would stand below the cursor.
func TestPurgedStreamKeepsItsSequenceThroughAKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperPurgeUntilKilled$")
	cmd.Env = append(os.Environ(), "QUEUE_PURGE_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last uint64
	_, scanErr := fmt.Fscanf(out, "purged %d\n", &last)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if scanErr != nil {
		t.Fatal(scanErr)
	}
	q := open(t, Options{Dir: dir})
	if id := store(t, q, `{}`); id.Seq != last+1 {
		t.Errorf("stored as %d, want %d", id.Seq, last+1)
	}
}
