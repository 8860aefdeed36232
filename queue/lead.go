package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

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
	recs := []Record{&takeover{j.writer, time.Now()}}
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
