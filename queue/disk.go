package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// diskReserve is how many bytes of the disk webhooks leave free. On a disk of
	// less than ten times as much it is a tenth of it. A quarter of it is kept
	// even by what the relay writes to get rid of what it has: a stream that runs
	// into the end of the disk is lost to this server for good.
	diskReserve = 64 << 20

	// diskLook is how often the disk is looked at.
	diskLook = 250 * time.Millisecond
)

// disk is the one under the data directory of the embedded server.
type disk struct {
	dir   string
	short atomic.Bool // webhooks are refused for want of room

	free func(dir string) (free, reserve int64, err error) // see statfs
}

// statfs returns how many bytes are free, and how many of them are to stay so.
func statfs(dir string) (free, reserve int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("look at the disk under %s: %w", dir, err)
	}
	block := int64(s.Bsize)
	return int64(s.Bavail) * block, min(diskReserve, int64(s.Blocks)*block/10), nil
}

// DiskRoom is how many bytes are free on the disk of the embedded server, and
// below how many webhooks are refused; ok is false with a server elsewhere.
func (q *Queue) DiskRoom() (free, reserve int64, ok bool) {
	if q.disk.dir == "" {
		return 0, 0, false
	}
	free, reserve, err := q.disk.free(q.disk.dir)
	return free, reserve, err == nil
}

// tryWrite writes a little to the directory, with a sync.
func tryWrite(dir string) error {
	path := filepath.Join(dir, "PROBE")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 16<<10))
	err = errors.Join(err, f.Sync(), f.Close())
	return errors.Join(err, os.Remove(path))
}

// room tells whether so many bytes may be written: for a webhook, or for what
// the relay writes about those that it has.
func (d *disk) room(size int, webhook bool) error {
	if d.dir == "" {
		return nil // not this relay's disk
	}
	free, reserve, err := d.free(d.dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDown, err)
	}
	if !webhook {
		reserve /= 4
	}
	if free-int64(size) < reserve {
		return fmt.Errorf("%w: the disk of %s has %d MiB free, and %d MiB are kept in reserve: free some, or make it larger", ErrDown, d.dir, free>>20, reserve>>20)
	}
	return nil
}

// low tells whether less is free than twice what stays free.
func (d *disk) low() bool {
	if d.dir == "" {
		return false
	}
	free, reserve, err := d.free(d.dir)
	return err == nil && free < 2*reserve
}

// purgeable tells whether there is room for what the server writes while it
// drops messages: an eighth of the reserve, half of what the relay itself leaves
// free. It writes one mark for each that it drops of a block, and in the end
// what is left of the block; when the marks cannot be written, it waits for its
// own lock for ever (nats-server 2.15.2, server/filestore.go: compactLocked,
// flushPendingMsgs, rebuildState), and does not even end.
func (d *disk) purgeable() bool {
	if d.dir == "" {
		return true
	}
	free, reserve, err := d.free(d.dir)
	return err == nil && free >= reserve/8
}

// mayPurge waits until there is room for dropping messages.
func (q *Queue) mayPurge(ctx context.Context) error {
	for !q.disk.purgeable() {
		select {
		case <-time.After(diskLook):
		case <-ctx.Done():
			return fmt.Errorf("drop messages: %w", context.Cause(ctx))
		case <-q.ctx.Done():
			return ErrClosed
		}
	}
	return nil
}

// watchDisk keeps short up to date, and says when it changes. It also looks whether
// the files are still there.
func (q *Queue) watchDisk(files blocks) {
	t := time.NewTicker(diskLook)
	defer t.Stop()
	for n := 1; ; n++ {
		err := q.disk.room(0, true)
		if was := q.disk.short.Swap(err != nil); err != nil && !was {
			q.log.Error("webhooks are refused until there is room again", "err", err)
		} else if err == nil && was {
			q.log.Info("there is room on the disk again")
		}
		if err := q.lock.here(); err != nil {
			if _, g, _ := q.health.look(); g != nil {
				q.health.wedged(g, err.Error())
			}
		} else if n%blockLook == 0 && !q.filesHere(&files) {
			return
		}
		select {
		case <-t.C:
		case <-q.ctx.Done():
			return
		}
	}
}

// blockLook is how many looks at the disk go by until one at the block files.
const blockLook = 4

// filesHere tells whether the newest block files are there. If one is not, the relay
// is to end: the next start counts what is lost, and goes on.
func (q *Queue) filesHere(files *blocks) bool {
	state, g, _ := q.health.look()
	if state != available {
		g = nil
	}
	err := files.check(q.opt.Dir, g)
	if now, _, _ := q.health.look(); err != nil && now == available {
		select {
		case q.failed <- err:
		default: // it is to end already
		}
		return false
	}
	return true
}

// restartServer waits until the disk can be written, then restarts the server, until
// that succeeds.
func (q *Queue) restartServer(old *generation) {
	said := time.Now()
	for pause := q.health.restartDelay(); sleep(q.ctx, pause); {
		pause = diskLook
		if err := q.usable(); err != nil {
			if time.Since(said) > time.Minute {
				said = time.Now()
				q.log.Error("the queue still cannot write", "err", err)
			}
			continue
		}
		err := q.rebuild(old)
		if err == nil || q.ctx.Err() != nil || q.stuck.Load() {
			return
		}
		old, pause = nil, time.Second
		q.log.Error("the embedded server cannot be restarted; trying again", "err", err)
	}
}

// usable tells whether the disk takes writes again.
func (q *Queue) usable() error {
	if err := q.lock.here(); err != nil {
		return err
	}
	if err := q.disk.room(0, true); err != nil {
		return err
	}
	return tryWrite(q.disk.dir)
}

// rebuild ends a generation and begins the next. Of what was being written
// nobody knows whether it is stored: it is written again under the same id.
func (q *Queue) rebuild(old *generation) error {
	began := q.health.markRecovering()
	if old != nil {
		if err := old.end(); err != nil {
			q.fail(err)
			q.health.markDown()
			return err
		}
	}
	Failpoint(FailRebuilding)
	ctx, cancel := context.WithTimeout(q.ctx, 30*time.Second)
	defer cancel()
	g, err := q.begin(ctx)
	if err == nil {
		if err = q.continues(ctx, g); err != nil {
			if stuck := g.end(); stuck != nil {
				q.fail(stuck)
			}
		}
	}
	if err != nil {
		q.health.markDown()
		return err
	}
	q.log.Info("the queue can write again", "after", time.Since(began).Round(time.Millisecond).String())
	q.bodies.stale.Store(true)
	q.health.markUp(g)
	if err := q.dropReturned(ctx, q.lines.settled()); err != nil {
		q.log.Warn("what was dropped may still be listed until the next start", "err", err)
	}
	return nil
}

// continues makes sure that the streams go on where they ended: a sequence that
// is given a second time would be taken for the first one.
func (q *Queue) continues(ctx context.Context, g *generation) error {
	for _, s := range []struct {
		name string
		last uint64
	}{{Events, q.tail.load()}, {ParkedStream, q.lastPark.load()}, {JournalStream, q.lastEntry()}} {
		info, err := g.streams[s.name].Info(ctx)
		if err != nil {
			return fmt.Errorf("look at %s: %w", s.name, err)
		}
		if info.State.LastSeq < s.last {
			return fmt.Errorf("%s ends at %d, and %d was stored: the disk has lost it", s.name, info.State.LastSeq, s.last)
		}
	}
	return nil
}

func (q *Queue) lastEntry() uint64 {
	if j := q.leading.Load(); j != nil {
		return j.Last()
	}
	return 0
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
