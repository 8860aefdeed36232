package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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
	// heartbeat is how often the writer shows a standby that it lives.
	heartbeat = time.Second
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
	last       uint64 // sequence of the last message
	checkpoint func() Checkpoint
	base       Checkpoint // until checkpoint is set
	durable    Checkpoint // of the last message: what a start would recover from

	kick   chan struct{} // capacity 1: somebody waits
	note   chan struct{} // capacity 1: something is pending
	stop   chan struct{}
	done   chan struct{}
	lost   chan struct{} // closed when another relay has taken over
	closed sync.Once
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

// Note records without waiting: with the next write, or within a second.
func (j *Journal) Note(recs ...Record) {
	j.mu.Lock()
	j.pending = append(j.pending, recs...)
	j.mu.Unlock()
	signal(j.note)
}

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
			_ = j.flush(&Released{j.writer, time.Now()}) // without it a standby waits a little longer
			return
		case <-j.ctx.Done():
			return
		}
		if err := j.flush(); err != nil {
			if errors.Is(err, ErrFenced) {
				j.q.log.Error("another relay has taken over; this one stops dispatching")
			}
			close(j.lost)
			return
		}
	}
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

// flush writes everything pending, plus the given records last.
func (j *Journal) flush(last ...Record) error {
	for {
		j.mu.Lock()
		recs, waiters := j.pending, j.waiters
		j.pending, j.waiters = nil, nil
		if n := entrySize(recs); n < len(recs) {
			// Those that wait hear of it with the part that holds the rest.
			recs, j.pending = recs[:n:n], recs[n:]
			waiters, j.waiters = nil, waiters
		} else {
			recs = append(recs, last...)
		}
		more := len(j.pending) > 0
		expect, check := j.last, j.checkpoint
		j.mu.Unlock()

		err := j.write(expect, check(), recs)
		for _, w := range waiters {
			w <- err
		}
		if err != nil || !more {
			return err
		}
	}
}

// entrySize is how many of the records go into one message: at least one.
func entrySize(recs []Record) int {
	var w buffer
	size := 0
	for i, rec := range recs[:min(len(recs), maxEntry)] {
		w.b = w.b[:0]
		rec.encode(&w)
		if size += len(w.b) + 8; size > maxEntryBytes && i > 0 {
			return i
		}
	}
	return min(len(recs), maxEntry)
}

// write stores one message, for as long as it takes.
func (j *Journal) write(expect uint64, c Checkpoint, recs []Record) error {
	nonce := newNonce()
	data := encodeEntry(nonce, j.writer, c, recs)
	for room := j.Durable().Journal; ; room = min(c.Journal, expect-1) { // at first only what no start needs; never the last message
		seq, err := j.q.publish(j.ctx, subjectJournal, data, nonce, &expect)
		if errors.Is(err, ErrFenced) {
			seq, err = j.ours(expect+1, nonce)
		}
		switch {
		case err == nil:
			j.mu.Lock()
			j.last, j.durable = seq, c
			j.mu.Unlock()
			return nil
		case errors.Is(err, ErrFull):
			j.q.log.Error("the journal is full: dispatch waits until older history is dropped")
			j.q.purgeJournal(j.ctx, room)
		case errors.Is(err, ErrFenced):
			return err
		case j.ctx.Err() != nil:
			return ErrClosed
		default:
			j.q.log.Error("the journal cannot be written: dispatch waits", "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-j.ctx.Done():
			return ErrClosed
		}
	}
}

// ours tells whether the message at seq is the one we wrote: a publish whose
// answer was lost is refused when it is repeated, because it had been stored.
func (j *Journal) ours(seq uint64, nonce Nonce) (uint64, error) {
	msg, err := j.q.journalStream.GetMsg(j.ctx, seq)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, fmt.Errorf("read %s: %w", JournalStream, err) // not known: the write is repeated
	}
	if err != nil || len(msg.Data) < 1+len(nonce) || Nonce(msg.Data[1:1+len(nonce)]) != nonce {
		return 0, ErrFenced
	}
	return seq, nil
}

// Lead makes this relay the one that writes the journal, and returns what was
// unsettled. On a server that others share it waits as a standby until the
// present writer has ended or been silent.
func (q *Queue) Lead(ctx context.Context) (*Journal, *State, error) {
	for {
		last, err := q.standby(ctx)
		if err != nil {
			return nil, nil, err
		}
		if q.External() {
			if err := q.fence(ctx); err != nil {
				return nil, nil, fmt.Errorf("take over %s: %w", ParkedStream, err)
			}
		}
		state, err := q.recover(ctx, last)
		if err != nil {
			return nil, nil, err
		}
		j := newJournal(q, newNonce(), last, state.Checkpoint)
		stop := context.AfterFunc(ctx, j.cancel)
		err = j.write(last, state.Checkpoint, []Record{&Takeover{j.writer, time.Now()}})
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, ErrFenced) && q.External() {
			continue // another standby was quicker
		}
		if err != nil {
			return nil, nil, fmt.Errorf("take over the journal: %w", err)
		}
		q.leading.Store(j)
		go j.run()
		return j, state, nil
	}
}

// standby returns the journal's last sequence once nobody else writes it: at
// once where nobody else can, or when the writer has ended in good order, else
// after TakeoverWait without a word from it.
func (q *Queue) standby(ctx context.Context) (uint64, error) {
	look := min(q.opt.TakeoverWait/10, heartbeat)
	var seen uint64
	var since time.Time // when seen was first seen
	for {
		info, err := q.journalStream.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("look at %s: %w", JournalStream, err)
		}
		last := info.State.LastSeq
		if !q.External() || info.State.Msgs == 0 {
			return last, nil
		}
		if last != seen {
			released, err := q.released(ctx, last)
			if err != nil || released {
				return last, err
			}
			if since.IsZero() {
				q.log.Info("another relay may be dispatching; standing by", "takeover_after", q.opt.TakeoverWait.String())
			}
			seen, since = last, time.Now()
		}
		if time.Since(since) >= q.opt.TakeoverWait {
			return last, nil
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-q.ctx.Done():
			return 0, ErrClosed
		}
	}
}

func (q *Queue) released(ctx context.Context, seq uint64) (bool, error) {
	msg, err := q.journalStream.GetMsg(ctx, seq)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", JournalStream, err)
	}
	e, err := decodeEntry(seq, msg.Data, q.opt.maxContent())
	if err != nil || len(e.Records) == 0 {
		return false, err
	}
	_, ok := e.Records[len(e.Records)-1].(*Released)
	return ok, nil
}
