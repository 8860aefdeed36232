package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// DeadLetter is a delivery given up, where it is kept.
type DeadLetter struct {
	Dead
	Seq   uint64 // in RELAY_DEAD
	Nonce Nonce
}

// DeadLetter returns the dead letter of that sequence, or ErrNotFound.
func (q *Queue) DeadLetter(ctx context.Context, seq uint64) (DeadLetter, error) {
	if seq == 0 {
		return DeadLetter{}, ErrNotFound
	}
	msg, err := q.dead.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return DeadLetter{}, ErrNotFound
	}
	if err != nil {
		return DeadLetter{}, fmt.Errorf("read %s: %w", DeadStream, err)
	}
	return q.deadLetter(msg)
}

func (q *Queue) deadLetter(msg *jetstream.RawStreamMsg) (DeadLetter, error) {
	d, err := decodeDead(msg.Sequence, msg.Data, q.opt.maxContent())
	if err != nil {
		return DeadLetter{}, err
	}
	return DeadLetter{d, msg.Sequence, Nonce(msg.Data[1 : 1+len(Nonce{})])}, nil
}

// NewestDead calls f for the dead letters below a sequence (0: for all), newest
// first, until it returns false.
func (q *Queue) NewestDead(ctx context.Context, below uint64, f func(DeadLetter) bool) error {
	info, err := q.dead.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", DeadStream, err)
	}
	seq := info.State.LastSeq
	if below > 0 {
		seq = min(seq, below-1)
	}
	for ; seq > 0 && seq >= info.State.FirstSeq; seq-- {
		d, err := q.DeadLetter(ctx, seq)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if !f(d) {
			return nil
		}
	}
	return nil
}

// OldestDead calls f for all dead letters, oldest first, until it returns false.
func (q *Queue) OldestDead(ctx context.Context, f func(DeadLetter) bool) error {
	return walk(ctx, q.dead, subjectDead+">", 0, func(msg *jetstream.RawStreamMsg) (bool, error) {
		d, err := q.deadLetter(msg)
		return err == nil && f(d), err
	})
}

// DropDead drops a dead letter. One that is not kept any more is no error.
func (q *Queue) DropDead(ctx context.Context, seq uint64) error {
	err := q.dead.DeleteMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("drop a dead letter: %w", err)
	}
	return nil
}

// ReplayDead stores a dead letter's webhook again, for one address, and only
// then drops the dead letter. However often it is asked for, the dead letter is
// stored once.
func (q *Queue) ReplayDead(ctx context.Context, d DeadLetter, to string) (ID, error) {
	id, err := q.StoreReplay(ctx, &d.Webhook, Replay{d.ID, to}, "dead letter "+d.Nonce.String())
	if err != nil {
		return ID{}, err
	}
	return id, q.DropDead(ctx, d.Seq)
}
