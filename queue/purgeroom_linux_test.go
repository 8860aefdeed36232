package queue

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// On a disk without room the server must not be told to drop anything.
func TestNothingIsDroppedOnAFullDisk(t *testing.T) {
	var full atomic.Bool
	q := open(t, Options{statfs: func(string) (int64, int64, error) {
		if full.Load() {
			return 1 << 20, 64 << 20, nil
		}
		return 1 << 40, 64 << 20, nil
	}})
	store(t, q, `{"settled":true}`)
	last := store(t, q, `{"settled":true}`).Seq
	first := func() uint64 {
		info, err := q.events.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.FirstSeq
	}
	full.Store(true)
	if err := q.Tidy(t.Context(), Checkpoint{Cursor: last}, 0); err != nil || first() != 1 {
		t.Errorf("history begins at %d (%v), though dropping it takes room", first(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.PurgeParked(ctx, Lane{"mm", ""}, 1) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a lane that was given up: %v", err)
	}
	full.Store(false)
	if err := q.Tidy(t.Context(), Checkpoint{Cursor: last}, 0); err != nil || first() != last+1 {
		t.Errorf("history begins at %d (%v), want %d", first(), err, last+1)
	}
}

// A server that does not end keeps its directory, and nobody waits for it for
// ever.
func TestServerThatDoesNotEnd(t *testing.T) {
	disk := image(t)
	opt := Options{Dir: filepath.Join(disk, "data"), patience: 200 * time.Millisecond}
	q := open(t, opt)
	id := store(t, q, `{}`)
	_, g, _ := q.health.look()
	thaw := freeze(t, disk)
	if err := q.Close(); !errors.Is(err, errStuck) {
		t.Errorf("closed: %v", err)
	}
	select {
	case err := <-q.Failed():
		if !errors.Is(err, errStuck) {
			t.Errorf("failed: %v", err)
		}
	default:
		t.Error("nobody is told")
	}
	thaw()
	if _, err := lockDir(opt.Dir); err == nil {
		t.Error("the directory is free for another relay while the server may still write")
	}
	g.embedded.server.WaitForShutdown()
	q.lock.release()
	q = open(t, opt)
	if e := next(t, q, 0); e.Seq != id.Seq {
		t.Errorf("event %d stands first, want %d", e.Seq, id.Seq)
	}
}
