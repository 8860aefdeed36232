package queue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

const (
	// reservationFile holds the sequence of RELAY_EVENTS up to which ids may have been
	// given out, while writes are not synced one by one. It is synced before the
	// first of them is given out; an end in good order sets it to the last that
	// was.
	reservationFile = "SEQUENCE"

	// reservationStep is how many sequences are reserved at once. As many are passed
	// over, at most, by a start after an end that was not in good order.
	reservationStep = 2048

	// reservationSpare is how many are still reserved when the next ones are: more than
	// are stored at the same time.
	reservationSpare = 64
)

// idReservation is up to where ids may have been given out. After a power cut the
// stream may end before what it held in the last moment, and an id that is
// given a second time would name two events.
type idReservation struct {
	mu   sync.Mutex
	path string // empty where every write is synced
	top  uint64
}

// reserve makes sure that the sequences up to seq and a few more are reserved.
func (h *idReservation) reserve(seq uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.path == "" || seq+reservationSpare <= h.top {
		return nil
	}
	return h.set(seq + reservationStep)
}

// set writes the file. The lock is held.
func (h *idReservation) set(top uint64) error {
	if err := replaceFile(h.path, strconv.AppendUint(nil, top, 10)); err != nil {
		return fmt.Errorf("reserve ids: %w", err)
	}
	h.top = top
	return nil
}

// replaceFile writes a file, so that after a power cut it holds the old content
// or the new one.
func replaceFile(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// startAbove lets RELAY_EVENTS go on above every id that may have been given out,
// and prepares for giving out more. The last life of the relay may have been
// one that did not sync every write, also where this one does.
func (q *Queue) startAbove(ctx context.Context) error {
	if q.External() {
		return nil
	}
	path := filepath.Join(q.opt.Dir, reservationFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		top, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return fmt.Errorf("read %s: it holds no number: up to where ids were given out is not known; write a number there that is above that of every event", path)
		}
		if err := q.skipTo(ctx, top); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look which ids were given out: %w", err)
	}
	if q.opt.Interval {
		q.reserved.path = path
		return q.reserved.reserve(q.tail.load())
	}
	if err == nil {
		return q.dropReservation(path)
	}
	return nil
}

// dropReservation drops the file: from now on every write is synced.
func (q *Queue) dropReservation(path string) error {
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("reserve no more ids: %w", err)
	}
	return syncDir(q.opt.Dir)
}

// skipTo fills RELAY_EVENTS up to a sequence.
func (q *Queue) skipTo(ctx context.Context, top uint64) error {
	last := q.tail.load()
	if last >= top {
		return nil
	}
	if top-last > maxFill {
		return fmt.Errorf("%s ends at %d and ids up to %d were given out: the store was cut off or restored; %s", Events, last, top, restoreAdvice)
	}
	q.log.Warn("the relay did not end in good order and does not sync every write: if the power failed, webhooks of the last moment may be gone; their ids are not given again", "from", last+1, "to", top)
	return q.fill(ctx, Events, top)
}

// keepGivenIDs says, at an end in good order, how far ids were really given out.
func (q *Queue) keepGivenIDs() {
	h := &q.reserved
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.path == "" {
		return
	}
	if err := h.set(q.tail.load()); err != nil {
		q.log.Warn("the next start passes over some ids", "err", err)
	}
	h.path = "" // the directory is not this queue's any more
}
