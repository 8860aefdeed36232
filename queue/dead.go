package queue

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// DeadLetter is a delivery given up, where it is kept.
type DeadLetter struct {
	Dead
	Seq   uint64 // in RELAY_DEAD
	Nonce Nonce

	// Damaged says that the disk has changed it, or the message that was set
	// aside as this dead letter. What is left is its webhook's body, and no
	// payload; Reason says what to do. It cannot be replayed, and has an ID only
	// if it was a message of RELAY_EVENTS.
	Damaged bool
}

// DeadLetter returns the dead letter of that sequence, or ErrNotFound.
func (q *Queue) DeadLetter(ctx context.Context, seq uint64) (DeadLetter, error) {
	d, err := q.deadAt(ctx, seq)
	if !errors.Is(err, ErrNotFound) {
		return d, err
	}
	kept, err := q.keptDead(ctx)
	if err != nil {
		return DeadLetter{}, err
	}
	if !kept(seq) {
		return DeadLetter{}, ErrNotFound
	}
	return q.unreadableDead(seq), nil
}

// deadAt reads one; ErrNotFound also when the server cannot.
func (q *Queue) deadAt(ctx context.Context, seq uint64) (DeadLetter, error) {
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
	d, err := decodeDead(msg.Sequence, msg.Data, q.opt.maxContent())
	var damage *DamageError
	if errors.As(err, &damage) {
		lane, _ := parseLane(strings.TrimPrefix(msg.Subject, subjectDead)) // else none is shown
		return q.damagedDead(damage, lane, msg.Time), nil
	}
	if err != nil {
		return DeadLetter{}, err
	}
	letter := DeadLetter{Dead: d, Seq: msg.Sequence, Nonce: Nonce(msg.Data[1 : 1+len(Nonce{})])}
	if stream := d.Webhook.Get(fieldDamaged); stream != "" {
		letter.Damaged, letter.Reason = true, onlyPurged(d.Reason, letter.Seq)
		if stream != Events {
			letter.ID = ID{} // it is the message's place in another stream
		}
	}
	return letter, nil
}

// onlyPurged is the reason of a dead letter that is damaged.
func onlyPurged(reason string, seq uint64) string {
	return fmt.Sprintf("%s; it cannot be replayed: relay deadletters purge %d drops it", reason, seq)
}

// unreadableDead stands for one that the server cannot read.
func (q *Queue) unreadableDead(seq uint64) DeadLetter {
	return q.damagedDead(&DamageError{Stream: DeadStream, Seq: seq, Err: errUnreadable}, Lane{}, time.Time{})
}

// damagedDead stands for one that is damaged, and has it counted and said.
func (q *Queue) damagedDead(damage *DamageError, lane Lane, kept time.Time) DeadLetter {
	q.passOver(damage)
	reason := onlyPurged(fmt.Sprintf("message %d of %s is damaged on disk: %v", damage.Seq, DeadStream, damage.Err), damage.Seq)
	return DeadLetter{Seq: damage.Seq, Damaged: true, Dead: Dead{
		Parked: Parked{Webhook: Webhook{Received: kept, Header: []Field{{fieldDamaged, DeadStream}}, Body: damage.Raw}}, Lane: lane, Time: kept, Reason: reason,
	}}
}

// keptDead tells which sequences of RELAY_DEAD hold something, as the server knows.
func (q *Queue) keptDead(ctx context.Context) (func(seq uint64) bool, error) {
	info, err := q.dead.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", DeadStream, err)
	}
	dropped := map[uint64]bool{}
	for _, seq := range info.State.Deleted {
		dropped[seq] = true
	}
	return func(seq uint64) bool {
		return info.State.Msgs > 0 && seq >= info.State.FirstSeq && seq <= info.State.LastSeq && !dropped[seq]
	}, nil
}

// eachDead calls f for the dead letters between two sequences, oldest or newest
// first, until it returns false.
func (q *Queue) eachDead(ctx context.Context, above, below uint64, newestFirst bool, f func(DeadLetter) bool) error {
	info, err := q.dead.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", DeadStream, err)
	}
	first, last := max(info.State.FirstSeq, above+1), info.State.LastSeq
	if below > 0 {
		last = min(last, below-1)
	}
	kept, err := q.keptDead(ctx)
	if err != nil {
		return err
	}
	for n := uint64(0); first+n <= last; n++ {
		seq := first + n
		if newestFirst {
			seq = last - n
		}
		if !kept(seq) {
			continue
		}
		d, err := q.DeadLetter(ctx, seq)
		if errors.Is(err, ErrNotFound) {
			continue // dropped meanwhile
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

// NewestDead calls f for the dead letters below a sequence (0: for all), newest
// first, until it returns false. Those that are damaged are among them.
func (q *Queue) NewestDead(ctx context.Context, below uint64, f func(DeadLetter) bool) error {
	return q.eachDead(ctx, 0, below, true, f)
}

// OldestDead calls f for the dead letters above a sequence (0: for all), oldest
// first, until it returns false. Those that are damaged are among them.
func (q *Queue) OldestDead(ctx context.Context, above uint64, f func(DeadLetter) bool) error {
	return q.eachDead(ctx, above, 0, false, f)
}

// DropDead drops a dead letter. One that is not kept any more is no error. One
// that the server cannot read it drops only when no older one is kept.
func (q *Queue) DropDead(ctx context.Context, seq uint64) error {
	q.lines.dropped(deadLetters, seq)
	dropped, err := q.dropsDead(ctx)
	if err != nil {
		return err
	}
	defer dropped()
	err = q.dead.DeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	if !notThere(err) {
		return fmt.Errorf("drop a dead letter: %w", err)
	}
	kept, err := q.keptDead(ctx)
	if err != nil || !kept(seq) {
		return err
	}
	info, err := q.dead.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", DeadStream, err)
	}
	if info.State.FirstSeq < seq {
		return fmt.Errorf("dead letter %d cannot be read by the server, which drops it only when no older one is kept: replay or purge those first; the oldest is %d", seq, info.State.FirstSeq)
	}
	if err := q.dead.Purge(ctx, jetstream.WithPurgeSequence(seq+1)); err != nil {
		return fmt.Errorf("drop a dead letter: %w", err)
	}
	return nil
}

// ReplayDead stores a dead letter's webhook again, for one address, and only
// then drops the dead letter. However often it is asked for, the dead letter is
// stored once. If the relay dies in between, whoever reads the new event drops it;
// see [Queue.DropReplayed].
func (q *Queue) ReplayDead(ctx context.Context, d DeadLetter, to string) (ID, error) {
	if d.Damaged {
		return ID{}, fmt.Errorf("replay dead letter %d: %s", d.Seq, d.Reason)
	}
	id, err := q.storeReplay(ctx, &d.Webhook, Replay{d.ID, to}, "dead letter "+d.Nonce.String(), Field{fieldReplayDead, fmt.Sprintf("%d %s", d.Seq, d.Nonce)})
	if err != nil {
		return ID{}, err
	}
	return id, q.DropDead(ctx, d.Seq)
}

// DropReplayed drops the dead letter that a webhook was before it was stored again,
// if it was one and is still kept.
func (q *Queue) DropReplayed(ctx context.Context, w *Webhook) error {
	word, nonce, ok := strings.Cut(w.Get(fieldReplayDead), " ")
	seq, err := strconv.ParseUint(word, 10, 64)
	if !ok || err != nil {
		return nil
	}
	d, err := q.DeadLetter(ctx, seq)
	if errors.Is(err, ErrNotFound) || err == nil && d.Nonce.String() != nonce {
		return nil
	}
	if err != nil {
		return err
	}
	return q.DropDead(ctx, seq)
}

// Bury keeps a delivery that was given up and returns its sequence in
// RELAY_DEAD. When that stream is full the oldest dead letters go, which is
// logged: they are the only thing the relay ever drops.
func (q *Queue) Bury(ctx context.Context, d *Dead) (uint64, error) {
	ctx, end, err := q.turnToWrite(ctx, d.Webhook.size())
	if err != nil {
		return 0, err
	}
	defer end()
	nonce := deadNonce(d)
	data := encodeDead(nonce, d)
	Failpoint(FailBurying)
	for {
		seq, err := q.publish(ctx, subjectDead+laneToken(d.Lane), data, nonce, nil)
		if err == nil {
			q.kept.added(seq)
			Failpoint(FailBuried)
		}
		if !errors.Is(err, ErrFull) {
			return seq, err
		}
		info, err := q.dead.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("look at %s: %w", DeadStream, err)
		}
		if info.State.Msgs == 0 {
			return 0, fmt.Errorf("store a dead letter: %w: one dead letter is larger than %s may be", ErrFull, DeadStream)
		}
		if err := q.dropOldestDead(ctx, info.State.Msgs); err != nil {
			return 0, err
		}
	}
}

// dropOldestDead drops a tenth of so many dead letters.
func (q *Queue) dropOldestDead(ctx context.Context, kept uint64) error {
	dropped, err := q.dropsDead(ctx)
	if err != nil {
		return err
	}
	defer dropped()
	drop := max(kept/10, 1)
	if keep := kept - drop; keep > 0 {
		err = q.dead.Purge(ctx, jetstream.WithPurgeKeep(keep))
	} else {
		err = q.dead.Purge(ctx) // 0 to keep would be no limit
	}
	if err != nil {
		return fmt.Errorf("purge %s: %w", DeadStream, err)
	}
	info, err := q.dead.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", DeadStream, err)
	}
	q.lines.purged(deadLetters, max(info.State.FirstSeq, 1)-1)
	q.deadDropped.Add(drop)
	q.log.Error("the dead letters are full: the oldest were dropped for good", "count", drop)
	return nil
}

// deadNonce makes one nonce of a delivery, so that one that is buried again
// because the relay died before it was recorded stands there once.
func deadNonce(d *Dead) Nonce {
	sum := sha256.Sum256(fmt.Appendf(nil, "dead %s %s %q %q", d.Parked.Nonce, d.ID, d.Lane.Destination, d.Lane.Channel))
	return Nonce(sum[:len(Nonce{})])
}

// DeadDropped is how many dead letters were dropped for want of room since Open.
func (q *Queue) DeadDropped() uint64 { return q.deadDropped.Load() }

// DeadLetters calls f for every dead letter, oldest first, until it returns
// false.
func (q *Queue) DeadLetters(ctx context.Context, f func(seq uint64, d Dead) bool) error {
	return walk(ctx, q.dead, subjectDead+">", 0, func(msg *jetstream.RawStreamMsg) (bool, error) {
		d, err := decodeDead(msg.Sequence, msg.Data, q.opt.maxContent())
		return err == nil && f(msg.Sequence, d), err
	})
}
