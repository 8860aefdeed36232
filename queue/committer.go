package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// committer packs the webhooks that wait at the same moment into one envelope,
// so that one sync of the disk serves all of them. A webhook that comes alone
// waits for nobody.
type committer struct {
	q       *Queue
	waiting chan *pending
	done    chan struct{}

	packer     packer
	batchDelay batchDelay

	lastStored atomic.Int64 // when the last commit was, as [Queue.age]; for Ready
}

type pending struct {
	hook  atomic.Pointer[Webhook] // nil once it was taken, or nobody waits for it
	nonce Nonce                   // of its envelope, which it has for itself; zero: it shares one
	done  chan stored             // buffered: the committer never waits for a caller
}

func (p *pending) alone() bool { return p.nonce != Nonce{} }

type stored struct {
	id  ID
	err error
}

func newCommitter(q *Queue) *committer {
	c := &committer{q: q, waiting: make(chan *pending, 1024), done: make(chan struct{})}
	go c.run()
	return c
}

func (c *committer) wait() { <-c.done }

// Store keeps a webhook and returns its id once it is on disk. When ctx ends
// first it returns ctx's error, and while the queue cannot write ErrDown, at
// once; in both cases the webhook may or may not be kept. It must not be changed
// afterwards.
func (q *Queue) Store(ctx context.Context, w *Webhook) (ID, error) {
	return q.storeAs(ctx, w, Nonce{})
}

// storeAs is Store, with an envelope of that nonce for the webhook alone, unless it
// is zero. One that was stored under it within two minutes is not stored again.
func (q *Queue) storeAs(ctx context.Context, w *Webhook, nonce Nonce) (ID, error) {
	p := &pending{nonce: nonce, done: make(chan stored, 1)}
	p.hook.Store(w)
	waiting := q.committer.waiting
	for {
		changed, no := q.refuses()
		if no != nil {
			p.hook.Store(nil) // while the queue stands still, its memory is not held
			return ID{}, no
		}
		select {
		case waiting <- p:
			waiting = nil // it is there
		case s := <-p.done:
			return s.id, s.err
		case <-changed:
		case <-ctx.Done():
			p.hook.Store(nil)
			return ID{}, fmt.Errorf("store webhook: %w", context.Cause(ctx))
		case <-q.committer.done:
			return ID{}, ErrClosed
		}
	}
}

// refuses returns an error while webhooks are refused at once, and a channel
// that is closed when that may have changed.
func (q *Queue) refuses() (<-chan struct{}, error) {
	changed, no := q.health.refuses()
	if no == nil && q.disk.short.Load() {
		no = q.disk.room(0, true)
	}
	return changed, no
}

func (c *committer) run() {
	defer close(c.done)
	var next *pending // did not belong into the last envelope
	for {
		if next == nil {
			select {
			case next = <-c.waiting:
			case <-c.q.ctx.Done():
				return
			}
		}
		first, alone := next.hook.Swap(nil), next.alone()
		batch, hooks := []*pending{next}, []*Webhook{first}
		next = nil
		if first == nil {
			continue
		}
		over := c.batchDelay.over()
		for size := first.size(); size < maxEnvelope && !alone; {
			p := c.more(len(batch), over)
			if p == nil {
				break
			}
			w := p.hook.Load()
			if w == nil {
				continue
			}
			if size += w.size(); size > maxEnvelope || p.alone() {
				next = p
				break
			}
			if w = p.hook.Swap(nil); w != nil {
				batch, hooks = append(batch, p), append(hooks, w)
			}
		}
		begin := time.Now()
		c.commit(batch, hooks)
		c.batchDelay = batchDelay{len(batch) + len(c.waiting), time.Since(begin)}
		if c.q.ctx.Err() != nil {
			return
		}
	}
}

// more returns the next webhook for an envelope that holds so many, or nil when
// it is to be closed.
func (c *committer) more(held int, over <-chan time.Time) *pending {
	select {
	case p := <-c.waiting:
		return p
	default:
	}
	if over == nil || held >= c.batchDelay.size {
		return nil
	}
	select {
	case p := <-c.waiting:
		return p
	case <-over:
		return nil
	case <-c.q.ctx.Done():
		return nil
	}
}

// commit stores one envelope and wakes everyone who waits for it.
func (c *committer) commit(batch []*pending, hooks []*Webhook) {
	nonce, alone := batch[0].nonce, batch[0].alone()
	if !alone {
		nonce = newNonce()
	}
	seq, err := c.store(nonce, hooks)
	if err == nil {
		Failpoint(FailPublished)
		if !alone { // else it may have been stored long ago
			c.q.recent.add(envelopeOf(seq, nonce, hooks))
		}
		c.q.stored(seq)
	}
	for i, p := range batch {
		p.done <- stored{ID{seq, i}, err}
	}
}

// store packs an envelope and stores it; a large one with no other beside it.
func (c *committer) store(nonce Nonce, hooks []*Webhook) (uint64, error) {
	ctx := c.q.ctx
	if size := hooks[0].size(); size >= large && !c.q.External() { // alone
		var end func()
		var err error
		if ctx, end, err = c.q.turnToWrite(ctx, size); err != nil {
			return 0, err
		}
		defer end()
	}
	data := c.packer.envelope(nonce, hooks)
	Failpoint(FailPacked)
	return c.q.publishEvent(ctx, data, nonce)
}

// publishEvent stores an envelope under a sequence that is reserved. What cannot
// be reserved is not stored.
func (q *Queue) publishEvent(ctx context.Context, data []byte, nonce Nonce) (uint64, error) {
	if err := q.reserved.reserve(q.tail.load() + 1); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDown, err)
	}
	seq, err := q.publish(ctx, subjectEvents, data, nonce, nil)
	if err != nil {
		return 0, err
	}
	if err := q.reserved.reserve(seq); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDown, err)
	}
	return seq, nil
}

// envelopeOf is what a reader of the stream would get.
func envelopeOf(seq uint64, nonce Nonce, hooks []*Webhook) Envelope {
	e := Envelope{Seq: seq, Nonce: nonce, Webhooks: make([]Webhook, len(hooks))}
	for i, h := range hooks {
		e.Webhooks[i] = *h
		e.Webhooks[i].Received = time.UnixMicro(h.Received.UnixMicro()) // as it is kept
	}
	return e
}

// stored makes known that something stands in RELAY_EVENTS up to there.
func (q *Queue) stored(seq uint64) {
	q.committer.lastStored.Store(int64(q.age()))
	q.tail.advance(seq)
	if q.External() {
		_ = q.only.nc.Publish(subjectWake, strconv.AppendUint(nil, seq, 10)) // a hint; readers also look by themselves
	}
}

// Ready tells whether the queue can store and the journal takes what is
// recorded.
func (q *Queue) Ready(ctx context.Context) error {
	if j := q.leading.Load(); j != nil && j.stuck.Load() {
		return errors.New("the journal cannot be written: nothing is delivered")
	}
	return q.Storing(ctx)
}

// Storing tells whether a webhook could be stored now: by a write of the last
// second, or by writing an envelope that holds nothing.
func (q *Queue) Storing(ctx context.Context) error {
	if _, no := q.refuses(); no != nil {
		return no
	}
	if last := q.committer.lastStored.Load(); last > 0 && q.age()-time.Duration(last) < time.Second {
		return nil
	}
	nonce := newNonce()
	seq, err := q.publishEvent(ctx, encodeEnvelope(nonce, nil), nonce)
	if err != nil {
		return err
	}
	q.committer.lastStored.Store(int64(q.age()))
	q.tail.advance(seq)
	return nil
}
