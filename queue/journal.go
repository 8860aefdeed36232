package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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

	crowd crowd // of the goroutine that writes

	kick   chan struct{} // capacity 1: somebody waits
	note   chan struct{} // capacity 1: something is pending
	stop   chan struct{}
	done   chan struct{}
	lost   chan struct{} // closed when another relay has taken over
	closed sync.Once
	stuck  atomic.Bool // what is to be written is not, for now
	ending atomic.Bool // what is written now is the last
	told   uint64      // see [Kept]; set before anything is written
	// restated is the newest message that says of all lanes what is settled; of who
	// writes.
	restated uint64
	starts   atomic.Uint64
	heads    atomic.Uint64 // see [Kept]
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
			if j.flush(&Released{j.writer, time.Now()}) == nil { // without it a standby waits a little longer
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

// gather lets those come along who are about to: see [crowd].
func (j *Journal) gather() {
	over := j.crowd.over()
	for over != nil && j.waiting() < j.crowd.size {
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

// flush writes everything pending, plus the given records last.
func (j *Journal) flush(last ...Record) error {
	for {
		j.mu.Lock()
		check := j.checkpoint
		j.mu.Unlock()
		// The checkpoint comes first: what it counts on is pending by then.
		c := check()
		recs, waiters, more := j.drain(&c)
		if !more {
			recs = append(recs, last...)
		}
		begin := time.Now()
		err := j.write(c, recs)
		j.crowd = crowd{len(waiters) + j.waiting(), time.Since(begin)}
		if errors.Is(err, ErrFull) {
			if !more {
				recs = recs[:len(recs)-len(last)]
			}
			j.putBack(recs, waiters)
			if err := j.relieve(c); err != nil {
				return err
			}
			continue
		}
		for _, w := range waiters {
			w <- err
		}
		if err != nil || !more {
			return err
		}
	}
}

// drain takes what fits into one message from what is pending. A message that
// does not take all of it carries the last checkpoint: the newer one may count
// on what is left.
func (j *Journal) drain(c *Checkpoint) (recs []Record, waiters []chan error, more bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	recs, j.pending = j.pending, nil
	if n := entrySize(recs); n < len(recs) {
		recs, j.pending = recs[:n:n], recs[n:]
		*c = j.durable
		return recs, nil, true // who waits hears of it with the part that holds the rest
	}
	waiters, j.waiters = j.waiters, nil
	return recs, waiters, false
}

// putBack makes pending again what was not written.
func (j *Journal) putBack(recs []Record, waiters []chan error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = append(recs[:len(recs):len(recs)], j.pending...)
	j.waiters = append(waiters[:len(waiters):len(waiters)], j.waiters...)
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

// restates tells whether the message behind last is to say of all lanes what is
// settled, so that older messages can go.
func (j *Journal) restates(last uint64) bool {
	return j.restated == 0 || last-j.restated >= restateAfter || j.stuck.Load() || j.q.lines.none()
}

// write stores one message, for as long as it takes, or returns ErrFull.
func (j *Journal) write(c Checkpoint, recs []Record) error {
	nonce := newNonce()
	expect := j.Last()
	all := j.restates(expect)
	kept, stored := j.kept(all), false
	if !all {
		c.Journal = min(c.Journal, j.restated-1) // a start reads what was said there
	}
	defer func() {
		if !stored {
			j.q.lines.unsaid(kept.Lines)
		}
	}()
	data := encodeEntry(nonce, Entry{
		Writer: j.writer, Checkpoint: c, Records: recs, Kept: kept,
		Ends: Ends{j.q.tail.load(), j.q.lastPark.load(), j.base.Cursor, j.starts.Load()},
	})
	Failpoint(FailJournaling)
	begun := time.Now()
	var behind patience
	for {
		seq, err := j.q.publish(j.ctx, subjectJournal, data, nonce, &expect)
		if errors.Is(err, ErrFenced) {
			seq, err = j.ours(expect+1, nonce)
		}
		switch {
		case err == nil:
			Failpoint(FailJournaled)
			stored = true
			if all {
				j.restated = seq
			}
			j.mu.Lock()
			j.last, j.durable, j.written = seq, c, begun
			j.mu.Unlock()
			j.stuck.Store(false)
			return nil
		case errors.Is(err, ErrFenced), errors.Is(err, ErrFull):
			return err
		case j.ctx.Err() != nil:
			return ErrClosed
		case behind.over(j.q, err):
			return ErrFenced // whoever leads next reads what there is
		}
		j.stuck.Store(true)
		j.q.log.Error("the journal cannot be written: dispatch waits", "err", err)
		if !sleep(j.ctx, time.Second) {
			return ErrClosed
		}
	}
}

// relieve makes room in a full journal: history that no start needs goes. What
// is still needed stays until what c counts on is in the journal too; for that
// message the journal may be larger than it should.
func (j *Journal) relieve(c Checkpoint) error {
	j.stuck.Store(true)
	j.q.log.Error("the journal is full: dispatch waits until older history is dropped")
	floor := j.Durable().Journal
	freed, err := j.q.purgeJournal(j.ctx, min(floor, max(j.Last(), 1)-1))
	switch {
	case err != nil:
		j.q.log.Error("the journal cannot be purged", "err", err)
	case freed:
		return nil
	case c.Journal > floor:
		if err = j.q.limit(j.ctx, JournalStream, j.q.opt.JournalSize+journalSpare); err == nil {
			return nil
		}
		j.q.log.Error("the journal cannot be given more room", "err", err)
	}
	if !sleep(j.ctx, time.Second) {
		return ErrClosed
	}
	return nil
}

// ours tells whether the message at seq is the one we wrote: a publish whose
// answer was lost is refused when it is repeated, because it had been stored.
func (j *Journal) ours(seq uint64, nonce Nonce) (uint64, error) {
	msg, err := j.q.journalStream.GetMsg(j.ctx, seq)
	switch {
	case err == nil && holds(msg, nonce):
		return seq, nil
	case err == nil:
		return 0, ErrFenced
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, fmt.Errorf("read %s: %w", JournalStream, err) // not known: the write is repeated
	}
	if j.q.External() {
		// Who said no knows of more than who was asked now: a leader that is
		// none any more, or one that has still to store it.
		return 0, fmt.Errorf("%s does not hold %d, which stands there for who refused the write: %w", JournalStream, seq, errBehind)
	}
	return 0, ErrFenced
}

// Lead makes this relay the one that writes the journal, and returns what was
// unsettled. On a server that others share it waits as a standby until the
// present writer has ended or been silent.
func (q *Queue) Lead(ctx context.Context) (*Journal, *State, error) {
	var behind patience
	q.resigned = false
	for {
		last, err := q.standby(ctx)
		if err != nil {
			return nil, nil, err
		}
		if q.External() {
			if err := q.fence(ctx); err != nil {
				return nil, nil, fmt.Errorf("take over %s: %w", ParkedStream, err)
			}
			q.shares.forget()
			q.bodies.stale.Store(true)
		}
		state, told := q.recovered.state, q.recovered.told
		q.recovered.state = nil // it holds for one time only
		if state == nil {
			state, told, err = q.recover(ctx, last)
			if behind.again(ctx, q, err) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
		}
		Failpoint(FailTakeover)
		j := newJournal(q, newNonce(), last, state.Checkpoint)
		j.told = told
		j.starts.Store(state.Starts)
		j.heads.Store(state.Heads)
		stop := context.AfterFunc(ctx, j.cancel)
		err = j.takeOver(ctx, state.Checkpoint)
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

// takeOver writes that this relay writes the journal now, also into one that is
// full.
func (j *Journal) takeOver(ctx context.Context, c Checkpoint) error {
	recs := []Record{&Takeover{j.writer, time.Now()}}
	err := j.write(c, recs)
	if !errors.Is(err, ErrFull) {
		return err
	}
	info, err := j.q.journalStream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", JournalStream, err)
	}
	if err := j.q.limit(ctx, JournalStream, max(j.q.opt.JournalSize, int64(info.State.Bytes))+takeoverSpare); err != nil {
		return err
	}
	return j.write(c, recs)
}

// standby returns the journal's last sequence once nobody else writes it: at
// once where nobody else can, or when the writer has ended in good order, else
// after TakeoverWait without a word from it.
func (q *Queue) standby(ctx context.Context) (uint64, error) {
	look := min(q.opt.TakeoverWait/10, heartbeat)
	var seen uint64
	var since time.Time // when seen was first seen
	for heard := time.Now(); ; {
		info, err := q.journalStream.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("look at %s: %w", JournalStream, err)
		}
		last := info.State.LastSeq
		if away := time.Since(heard) >= look+firstAnswer; away && !since.IsZero() {
			since = time.Now() // who could not ask, or stood still, could not hear either
		}
		heard = time.Now()
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

// released tells whether the journal's writer has ended in good order with this
// message.
func (q *Queue) released(ctx context.Context, seq uint64) (bool, error) {
	msg, err := q.journalStream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) && q.External() {
		return false, nil // who leads the stream now has still to store it
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", JournalStream, err)
	}
	e, err := decodeEntry(seq, msg.Data, q.opt.maxContent())
	if q.passOver(err) {
		return false, nil
	}
	return err == nil && e.released(), err
}
