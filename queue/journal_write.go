package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

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
		j.batchDelay = batchDelay{len(waiters) + j.waiting(), time.Since(begin)}
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
			j.q.lines.unreported(kept.Lines)
		}
	}()
	data := encodeEntry(nonce, Entry{
		Writer: j.writer, Checkpoint: c, Records: recs, Kept: kept,
		Ends: streamEnds{j.q.tail.load(), j.q.lastPark.load(), j.base.Cursor, j.starts.Load()},
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
		return 0, fmt.Errorf("%s does not hold %d, which the refusal of the write names: %w", JournalStream, seq, errBehind)
	}
	return 0, ErrFenced
}
