package queue

import (
	"context"
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

	lastStored atomic.Int64 // Unix ns of the last commit, for Ready
}

type pending struct {
	hook atomic.Pointer[Webhook] // nil once it was taken, or nobody waits for it
	done chan stored             // buffered: the committer never waits for a caller
}

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
// first it returns ctx's error, and the webhook may or may not be kept. The
// webhook must not be changed afterwards.
func (q *Queue) Store(ctx context.Context, w *Webhook) (ID, error) {
	p := &pending{done: make(chan stored, 1)}
	p.hook.Store(w)
	select {
	case q.committer.waiting <- p:
	case <-ctx.Done():
		return ID{}, fmt.Errorf("store webhook: %w", context.Cause(ctx))
	case <-q.ctx.Done():
		return ID{}, ErrClosed
	}
	select {
	case s := <-p.done:
		return s.id, s.err
	case <-ctx.Done():
		p.hook.Store(nil) // while the queue stands, its memory is not held
		return ID{}, fmt.Errorf("store webhook: %w", context.Cause(ctx))
	case <-q.committer.done:
		return ID{}, ErrClosed
	}
}

func (c *committer) run() {
	defer close(c.done)
	var next *pending // did not fit into the last envelope
	for {
		if next == nil {
			select {
			case next = <-c.waiting:
			case <-c.q.ctx.Done():
				return
			}
		}
		first := next.hook.Swap(nil)
		batch, hooks := []*pending{next}, []*Webhook{first}
		next = nil
		if first == nil {
			continue
		}
		size := first.size()
	gather:
		for size < maxEnvelope {
			select {
			case p := <-c.waiting:
				w := p.hook.Load()
				if w == nil {
					continue
				}
				if size += w.size(); size > maxEnvelope {
					next = p
					break gather
				}
				if w = p.hook.Swap(nil); w != nil {
					batch, hooks = append(batch, p), append(hooks, w)
				}
			default:
				break gather
			}
		}
		c.commit(batch, hooks)
		if c.q.ctx.Err() != nil {
			return
		}
	}
}

// commit stores one envelope and wakes everyone who waits for it.
func (c *committer) commit(batch []*pending, hooks []*Webhook) {
	nonce := newNonce()
	seq, err := c.q.publish(c.q.ctx, subjectEvents, encodeEnvelope(nonce, hooks), nonce, nil)
	if err == nil {
		c.lastStored.Store(time.Now().UnixNano())
		c.q.tail.advance(seq)
		if c.q.embedded == nil {
			_ = c.q.nc.Publish(subjectWake, strconv.AppendUint(nil, seq, 10)) // a hint; readers also look by themselves
		}
	}
	for i, p := range batch {
		p.done <- stored{ID{seq, i}, err}
	}
}

// Ready tells whether the queue can store: by a write of the last second, or
// by writing an envelope that holds nothing.
func (q *Queue) Ready(ctx context.Context) error {
	if time.Since(time.Unix(0, q.committer.lastStored.Load())) < time.Second {
		return nil
	}
	nonce := newNonce()
	seq, err := q.publish(ctx, subjectEvents, encodeEnvelope(nonce, nil), nonce, nil)
	if err != nil {
		return err
	}
	q.committer.lastStored.Store(time.Now().UnixNano())
	q.tail.advance(seq)
	return nil
}
