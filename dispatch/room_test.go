package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

// lines is a log: what is written can be waited for.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default: // nobody reads so many
	}
	return len(line), nil
}

// held are hands that take the first delivery only when they are let go.
type held struct {
	*hands
	asked, letGo chan struct{}
}

func (h *held) Deliver(ctx context.Context, it *delivery.Item) error {
	select {
	case <-h.asked:
	default:
		close(h.asked)
		<-h.letGo
	}
	return h.hands.Deliver(ctx, it)
}

// The disk runs short just before a damaged event is met, which can be kept only
// when there is room again: the dispatcher waits for that.
func TestDamagedEventWaitsForRoom(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("relay-test", disk, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a disk that gets full takes the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	dir := filepath.Join(disk, "data")
	ids := storeAll(t, dir, "a", "b", "c")
	rot(t, dir, `namespace":"b`)

	q, j, state := lead(t, queue.Options{Dir: dir})
	defer q.Close()
	defer j.Close()
	hands := &held{&hands{items: make(chan *delivery.Item, 10)}, make(chan struct{}), make(chan struct{})}
	log := make(lines, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(options(q, j, state, hands, log)).Run(ctx) }()
	<-hands.asked
	ballast := filepath.Join(disk, "ballast")
	if err := fill(ballast); err != nil {
		t.Fatal(err)
	}
	close(hands.letGo)
	for waits := false; !waits; {
		select {
		case err := <-ended:
			t.Fatalf("the dispatcher has ended: %v", err)
		case line := <-log:
			waits = strings.Contains(line, "cannot be stored as a dead letter")
		case <-time.After(20 * time.Second):
			t.Fatal("no log line about a damaged event that cannot be stored")
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for _, want := range []queue.ID{ids[0], ids[2]} {
		select {
		case err := <-ended:
			t.Fatalf("the dispatcher has ended: %v", err)
		case it := <-hands.items:
			if it.ID != want {
				t.Errorf("%s is delivered, want %s", it.ID, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s is not delivered", want)
		}
	}
	if n := q.Damage(); n != 1 {
		t.Errorf("%d messages are counted as damaged", n)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// fill writes a file for which there is no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return f.Close()
}

// A failed write of a dead letter is tried again, unless that is of no use.
func TestInsist(t *testing.T) {
	down := fmt.Errorf("store: %w", queue.ErrDown)
	for name, c := range map[string]struct {
		errs []error
		ctx  time.Duration // how long it lasts
		want error
		took time.Duration
	}{
		"at once":                 {[]error{nil}, time.Hour, nil, 0},
		"when there is room":      {[]error{down, down, queue.ErrFull, nil}, time.Hour, nil, 3 * retryPause},
		"while the relay runs":    {[]error{down, down, down}, 2*retryPause + 1, context.DeadlineExceeded, 2*retryPause + 1},
		"not when the queue ends": {[]error{down, queue.ErrClosed}, time.Hour, queue.ErrClosed, retryPause},
		"not when overtaken":      {[]error{queue.ErrFenced}, time.Hour, queue.ErrFenced, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &Dispatcher{Options: Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}}
				ctx, cancel := context.WithTimeout(t.Context(), c.ctx)
				defer cancel()
				begin, tries := time.Now(), 0
				err := d.retry(ctx, func() error { tries++; return c.errs[tries-1] })
				if !errors.Is(err, c.want) || tries != len(c.errs) || time.Since(begin) != c.took {
					t.Errorf("after %d tries and %s: %v; want %d, %s, %v", tries, time.Since(begin), err, len(c.errs), c.took, c.want)
				}
			})
		})
	}
}
