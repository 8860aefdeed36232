package queue

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The server is gone for good while the relay ends.
func TestCloseEndsThoughTheJournalCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := external(t)
	q := open(t, Options{URL: s.ClientURL(), MaxBody: 1 << 20})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	written := make(chan error, 1)
	go func() { written <- j.Write(t.Context(), &Settled{ID: ID{1, 0}}) }()
	closed := make(chan struct{})
	go func() { j.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("Close hangs")
	}
	if err := <-written; !errors.Is(err, ErrClosed) {
		t.Errorf("a write that waited: %v, want ErrClosed", err)
	}
}

// Everything is settled in memory, but a start would not know yet: history may
// go only as far as the last message on disk says.
func TestDurableCheckpointIsTheWrittenOne(t *testing.T) {
	q := open(t, Options{})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var durable []Checkpoint
	for i := range uint64(3) {
		j.Checkpoints(func() Checkpoint { return Checkpoint{Journal: i, Parked: 10 + i} })
		durable = append(durable, j.Durable())
		if err := j.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]Checkpoint{{}, {Parked: 10}, {Journal: 1, Parked: 11}}, durable); diff != "" {
		t.Errorf("durable before each write (-want +got):\n%s", diff)
	}
}

// Nothing takes the notes off, as while the journal cannot be written.
func TestRoomHoldsUpWhoNotesWithoutEnd(t *testing.T) {
	q := &Queue{ctx: t.Context()}
	j := newJournal(q, newNonce(), 0, Checkpoint{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range maxEntry - 1 {
		j.Note(&Decision{})
	}
	if err := j.Room(ended); err != nil {
		t.Errorf("with room left: %v", err)
	}
	j.Note(&Decision{})
	if err := j.Room(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("with a full message waiting: %v, want to be held up until the end", err)
	}
	j.cancel()
}
