package queue

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// noteDelay is how long a record that nobody waits for may stay in memory.
	noteDelay = time.Second
	// maxEntry is how many records one journal message takes at most.
	maxEntry = 4096
	// maxEntryBytes is how many bytes of records; less than one entry may hold.
	maxEntryBytes = 512 << 10
	// closeGrace is how long Close may take to write what is pending.
	closeGrace = time.Second
	// journalSpare is how much larger a full journal may grow for the message
	// that lets its history go, in bytes.
	journalSpare = 1 << 20
	// restateAfter is how many messages the journal may grow by before it says again
	// what is settled in all lanes.
	restateAfter = 1000
	// takeoverSpare is how much a full journal grows for a relay that takes over.
	takeoverSpare = 4 << 10
	// heartbeat is how often the writer shows a standby that it lives.
	heartbeat = time.Second
	// unsure is when the writer, having written nothing for so long, makes sure
	// that it still is the one: less than a standby waits.
	unsure = 2500 * time.Millisecond
)

// Journal writes RELAY_JOURNAL. Records that are handed in while a write is
// under way go together into the next one: one sync of the disk serves every
// lane that waits. Only one relay at a time can write.
type Journal struct {
	q      *Queue
	writer Nonce
	ctx    context.Context // ends at the end of Close, or of the queue
	cancel context.CancelFunc

	mu         sync.Mutex
	pending    []Record
	waiters    []chan error
	last       uint64    // sequence of the last message
	written    time.Time // when the write of it began, which is surely before it was stored
	checkpoint func() Checkpoint
	base       Checkpoint // until checkpoint is set
	durable    Checkpoint // of the last message: what a start would recover from

	batchDelay batchDelay // of the goroutine that writes

	kick   chan struct{} // capacity 1: somebody waits
	note   chan struct{} // capacity 1: something is pending
	stop   chan struct{}
	done   chan struct{}
	lost   chan struct{} // closed when another relay has taken over
	closed sync.Once
	stuck  atomic.Bool // what is to be written is not, for now
	ending atomic.Bool // what is written now is the last
	told   uint64      // see [inventory]; set before anything is written
	// restated is the newest message that says of all lanes what is settled; of who
	// writes.
	restated uint64
	starts   atomic.Uint64
	heads    atomic.Uint64 // see [inventory]
}

func newJournal(q *Queue, writer Nonce, last uint64, base Checkpoint) *Journal {
	j := &Journal{
		q: q, writer: writer, last: last, base: base, durable: base,
		kick: make(chan struct{}, 1), note: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}), lost: make(chan struct{}),
	}
	j.ctx, j.cancel = context.WithCancel(q.ctx)
	j.checkpoint = func() Checkpoint { return j.base }
	return j
}

// Checkpoints says where to ask for the checkpoint that each message carries.
// Until then it is the one that was recovered.
func (j *Journal) Checkpoints(f func() Checkpoint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.checkpoint = f
}

// Last is the sequence of the newest message: what is written from now on
// stands above it.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

// Durable is the checkpoint that a start would recover from now: history may be
// dropped up to there and no further.
func (j *Journal) Durable() Checkpoint {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// Lost is closed when another relay writes the journal now. Nothing more may
// be posted then.
func (j *Journal) Lost() <-chan struct{} { return j.lost }

// Write records and returns when the records are on disk. It waits for as long
// as the journal cannot be written; it fails only when another relay has taken
// over (ErrFenced), the journal was closed (ErrClosed), or ctx ended.
func (j *Journal) Write(ctx context.Context, recs ...Record) error {
	w := make(chan error, 1)
	j.complete(recs)
	j.mu.Lock()
	j.pending = append(j.pending, recs...)
	j.waiters = append(j.waiters, w)
	j.mu.Unlock()
	signal(j.kick)
	select {
	case err := <-w:
		return err
	case <-j.done:
		select {
		case err := <-w:
			return err
		default:
			return ErrClosed
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Confirm returns when this relay may post: at once when it has written lately.
// A process that stood still for a while does not know whether another relay has
// taken over; it writes first, and finds out. It fails as Write does.
func (j *Journal) Confirm(ctx context.Context) error {
	if !j.q.External() {
		return nil // nobody else can write
	}
	j.mu.Lock()
	sure := time.Since(j.written) < unsure
	j.mu.Unlock()
	if sure {
		return nil
	}
	return j.Write(ctx)
}

// Note records without waiting: with the next write, or within a second.
func (j *Journal) Note(recs ...Record) {
	j.complete(recs)
	j.mu.Lock()
	j.pending = append(j.pending, recs...)
	j.mu.Unlock()
	signal(j.note)
}

// complete adds to states of lanes what is known of their lines, and looks whether
// something that was parked has come to its end.
func (j *Journal) complete(recs []Record) {
	for _, rec := range recs {
		switch r := rec.(type) {
		case *LaneState:
			j.q.lines.stated(r)
		case *Settled:
			if r.From != (Place{}) {
				j.HeadsHarmless()
			}
		}
	}
}

// HeadsHarmless says that what stands first in parked lanes does not end the relay.
func (j *Journal) HeadsHarmless() { j.heads.Store(0) }

// Harmless says that what is unsettled at this start does not end the relay
// when it is read: the starts that count against it are counted anew.
func (j *Journal) Harmless() { j.starts.Store(0) }

// Stuck tells whether what is to be recorded is not, for now: whoever keeps the
// journal's history from being dropped should let it go.
func (j *Journal) Stuck() bool { return j.stuck.Load() }

// Room waits until the journal has taken most of what was noted: what cannot be
// recorded must not be decided without end.
func (j *Journal) Room(ctx context.Context) error {
	for {
		j.mu.Lock()
		n := len(j.pending)
		j.mu.Unlock()
		if n < maxEntry {
			return nil
		}
		signal(j.kick)
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		case <-j.done:
			return ErrClosed
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close writes what is pending and that the writer ended in good order.
func (j *Journal) Close() {
	j.closed.Do(func() { close(j.stop) })
	select {
	case <-j.done:
	case <-time.After(closeGrace): // it cannot be written: what it lacks will be done again
	}
	j.cancel()
	<-j.done
}

func (j *Journal) run() {
	defer close(j.done)
	delay := time.NewTimer(heartbeat)
	defer delay.Stop()
	for {
		select {
		case <-j.kick:
		case <-j.note:
			// Somebody may still come along; a second later it is written anyway.
			select {
			case <-j.kick:
			case <-after(delay, noteDelay):
			case <-j.stop:
			case <-j.ctx.Done():
				return
			}
		case <-j.beat(delay):
		case <-j.stop:
			j.ending.Store(true)
			if j.flush(&released{j.writer, time.Now()}) == nil { // without it a standby waits a little longer
				j.q.settleEnd(j.Last())
			}
			return
		case <-j.ctx.Done():
			return
		}
		j.gather()
		if err := j.flush(); err != nil {
			if errors.Is(err, ErrFenced) {
				j.q.log.Error("another relay has taken over; this one stops dispatching")
				j.q.leading.CompareAndSwap(j, nil) // it is a standby: this journal is not its own any more
			}
			close(j.lost)
			return
		}
	}
}

// gather lets those come along who are about to: see [batchDelay].
func (j *Journal) gather() {
	over := j.batchDelay.over()
	for over != nil && j.waiting() < j.batchDelay.size {
		select {
		case <-j.kick:
		case <-over:
			return
		case <-j.ctx.Done():
			return
		}
	}
}

func (j *Journal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.waiters)
}

func after(t *time.Timer, d time.Duration) <-chan time.Time {
	t.Reset(d)
	return t.C
}

// beat is when a sign of life is due: only with a server that others share.
func (j *Journal) beat(t *time.Timer) <-chan time.Time {
	if !j.q.External() {
		return nil
	}
	return after(t, heartbeat)
}
