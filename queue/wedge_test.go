package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a disk of that many MiB for the test.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("relay-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("a disk that gets full takes the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// ballast fills what is left of a disk; the function frees it again.
func ballast(t *testing.T, disk string) (free func()) {
	t.Helper()
	path := filepath.Join(disk, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// eventually waits until f returns nil, and returns how long that took.
func eventually(t *testing.T, within time.Duration, f func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		err := f()
		took := time.Since(begin)
		if err == nil {
			return took
		}
		if took > within {
			t.Fatalf("after %s: %v", took, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// eyes look at the disk; closed, they take it for one with room, so that the
// queue writes into its end.
type eyes struct{ closed atomic.Bool }

func (e *eyes) free(dir string) (int64, int64, error) {
	if e.closed.Load() {
		return 1 << 40, 0, nil
	}
	return statfs(dir)
}

// incompressible is a body that takes the room it is long.
func incompressible(n int) string {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		x := newNonce()
		b = append(b, x.String()[:8]...)
	}
	return string(b[:n])
}

// Each stream in turn runs into the end of the disk.
func TestFullDiskHealsByItself(t *testing.T) {
	t.Parallel()
	lane := Lane{"mm", "dev"}
	for name, write := range map[string]func(q *Queue, j *Journal, text string) error{
		Events: func(q *Queue, _ *Journal, text string) error {
			_, err := q.publish(q.ctx, subjectEvents, encodeEnvelope(Nonce{1}, []*Webhook{hook(text)}), Nonce{1}, nil)
			return err
		},
		ParkedStream: func(q *Queue, _ *Journal, text string) error {
			_, err := q.Park(q.ctx, lane, []Parked{{ID: ID{1, 0}, Webhook: *hook(text)}})
			return err
		},
		DeadStream: func(q *Queue, _ *Journal, text string) error {
			_, err := q.Bury(q.ctx, &Dead{Parked: Parked{ID: ID{1, 0}, Webhook: *hook(text)}, Lane: lane})
			return err
		},
		JournalStream: func(q *Queue, j *Journal, text string) error {
			return j.Write(q.ctx, &Decision{ID: ID{1, 0}, Title: text})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sight eyes
			q := open(t, Options{Dir: filepath.Join(smallDisk(t, 24), "data"), statfs: sight.free})
			j, _, err := q.Lead(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			before := store(t, q, `{"before":true}`)
			sight.closed.Store(true)
			free := ballast(t, filepath.Dir(q.opt.Dir))

			written := make(chan error, 1)
			go func() { written <- write(q, j, incompressible(300<<10)) }()
			detected := eventually(t, 4*time.Second, func() error {
				if _, no := q.health.refuses(); no == nil {
					return errors.New("nobody has noticed")
				}
				return nil
			})
			begin := time.Now()
			if _, err := q.Store(t.Context(), hook(`{"refused":true}`)); !errors.Is(err, ErrDown) {
				t.Errorf("stored on a full disk: %v", err)
			}
			if took := time.Since(begin); took > time.Second {
				t.Errorf("refused after %s", took)
			}
			if err := q.Ready(t.Context()); !errors.Is(err, ErrDown) {
				t.Errorf("ready: %v", err)
			}
			if e, err := q.envelope(t.Context(), before.Seq); err != nil || len(e.Webhooks) != 1 {
				t.Errorf("what was stored cannot be read meanwhile: %v", err)
			}

			sight.closed.Store(false)
			free()
			healed := eventually(t, 5*time.Second, func() error {
				_, err := q.Store(t.Context(), hook(`{"after":true}`))
				return err
			})
			t.Logf("noticed after %s, available again after %s", detected, healed)
			select {
			case err := <-written:
				if err != nil {
					t.Errorf("what was being written: %v", err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("what was being written is still not")
			}
			if e := next(t, q, 0); e.Seq != before.Seq {
				t.Errorf("the first event is %d", e.Seq)
			}
			q.onlyOnce(t, name)
			if err := j.Write(t.Context()); err != nil {
				t.Errorf("the journal goes on: %v", err)
			}
			if _, n := q.Outage(); n == 0 {
				t.Error("no outage was counted")
			}
		})
	}
}

// onlyOnce makes sure that no message of a stream stands there twice.
func (q *Queue) onlyOnce(t *testing.T, name string) {
	t.Helper()
	streams := map[string]stream{Events: q.events, ParkedStream: q.parked, DeadStream: q.dead, JournalStream: q.journalStream}
	info, err := streams[name].Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Nonce]uint64{}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		msg, err := streams[name].GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		nonce := Nonce(msg.Data[1:])
		if first, ok := seen[nonce]; ok {
			t.Errorf("%d in %s is %d again", seq, name, first)
		}
		seen[nonce] = seq
	}
	if len(seen) == 0 {
		t.Errorf("%s is empty", name)
	}
}

// While little is left, webhooks are refused and nothing runs into the end of
// the disk; what the relay writes to get rid of what it has goes on.
func TestLastBytesOfTheDiskAreLeft(t *testing.T) {
	q := open(t, Options{Dir: filepath.Join(smallDisk(t, 24), "data")})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var refused error
	for range 1000 {
		if _, refused = q.Store(t.Context(), hook(incompressible(100<<10))); refused != nil {
			break
		}
	}
	if !errors.Is(refused, ErrDown) {
		t.Fatalf("on a disk with little room: %v", refused)
	}
	free, reserve, err := statfs(q.opt.Dir)
	if err != nil || free < reserve-1<<20 {
		t.Errorf("%d bytes are left of %d (%v)", free, reserve, err)
	}
	if err := j.Write(t.Context(), &Settled{ID: ID{1, 0}, Outcome: OutcomeDelivered}); err != nil {
		t.Errorf("the journal: %v", err)
	}
	if _, n := q.Outage(); n != 0 {
		t.Error("the server has given up")
	}
	if err := q.Tidy(t.Context(), Checkpoint{Cursor: q.tail.load()}, time.Hour); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, func() error {
		_, err := q.Store(t.Context(), hook(incompressible(100<<10)))
		return err
	})
}

// A write that hangs: nothing is said in any log.
func TestWriteThatIsNotAnsweredIsRepeated(t *testing.T) {
	t.Parallel()
	q := open(t, Options{})
	store(t, q, `{}`)
	_, g, _ := q.health.look()
	if err := g.js.DeleteStream(t.Context(), DeadStream); err != nil { // nobody answers for it any more
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := q.Bury(ctx, &Dead{Lane: Lane{"mm", ""}}); err != nil {
		t.Fatalf("after the server was restarted: %v", err)
	}
	if _, n := q.Outage(); n != 1 {
		t.Errorf("%d outages", n)
	}
	store(t, q, `{}`)
}
