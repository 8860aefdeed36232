package queue

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// large is the size in bytes from which a message is written or read alone with
// the server in this process: the server and its client hold up to four copies of
// it meanwhile.
const large = 2 << 20

// mover lets one message at a time be made, or moved.
type mover chan struct{}

func newMover() mover { return make(mover, 1) }

// begin waits for the turn. The function ends it.
func (m mover) begin(ctx context.Context) (end func(), err error) {
	select {
	case m <- struct{}{}:
		return func() { <-m }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// turn is a mover's, taken before the message was made. It holds for the first try
// to write it.
type turn struct {
	taken atomic.Bool
	ended atomic.Bool
	done  func()
}

func (t *turn) end() {
	if t.ended.CompareAndSwap(false, true) {
		t.done()
	}
}

// hasTurn reports whether ctx carries a turn that has not ended.
func hasTurn(ctx context.Context) bool {
	t, ok := ctx.Value(turnKey{}).(*turn)
	return ok && !t.ended.Load()
}

type turnKey struct{}

// turnToWrite takes the turn to make a message of about so many bytes for
// RELAY_PARKED or RELAY_DEAD, or a large one, and to write it, if it is large. The
// function ends it.
func (q *Queue) turnToWrite(ctx context.Context, size int) (_ context.Context, end func(), err error) {
	packed, err := q.packing.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	ctx, t, err := q.turnFor(ctx, size)
	if err != nil {
		packed()
		return nil, nil, err
	}
	return ctx, func() { t.end(); packed() }, nil
}

// turnFor takes the turn to move a message of about so many bytes. It waits for
// nobody if they are few, or if the server is another process.
func (q *Queue) turnFor(ctx context.Context, size int) (context.Context, *turn, error) {
	if size < large || q.External() {
		return ctx, &turn{done: func() {}}, nil
	}
	done, err := q.moving.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	t := &turn{done: func() { reclaim(); done() }}
	return context.WithValue(ctx, turnKey{}, t), t, nil
}

// takeTurn returns the turn that ctx carries, the first time, otherwise a new one.
// The function ends it.
func (q *Queue) takeTurn(ctx context.Context, size int) (end func(), err error) {
	if t, ok := ctx.Value(turnKey{}).(*turn); ok && t.taken.CompareAndSwap(false, true) {
		return t.end, nil
	}
	_, t, err := q.turnFor(ctx, size)
	if err != nil {
		return nil, err
	}
	return t.end, nil
}

// turnToRead takes the turn to read a message, and to unpack it. The function ends
// it, and frees the memory of a large one.
func (q *Queue) turnToRead(ctx context.Context) (_ context.Context, end func(*jetstream.RawStreamMsg), err error) {
	if q.External() {
		return ctx, func(*jetstream.RawStreamMsg) {}, nil
	}
	done, err := q.moving.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	t := &turn{done: done}
	return context.WithValue(ctx, turnKey{}, t), func(msg *jetstream.RawStreamMsg) {
		if msg != nil && len(msg.Data) >= large {
			reclaim()
		}
		t.end()
	}, nil
}

// reclaim frees what was needed to move a large message. The blocks that the server
// has released are freed by the second collection: the first only has them given
// back (server/filestore.go of v2.15: registerRecycle).
func reclaim() {
	runtime.GC()
	time.Sleep(time.Millisecond)
	runtime.GC()
}

// sendLarge is send over a connection that lives for one message: the client keeps
// the memory into which it copied the largest one, and lets no other message pass
// while it copies.
func (e *embedded) sendLarge(ctx context.Context, msg *nats.Msg, timeout time.Duration) (uint64, error) {
	nc, err := nats.Connect("", nats.InProcessServer(e.server), nats.NoReconnect())
	if err != nil {
		return 0, fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, fmt.Errorf("connect to NATS: %w", err)
	}
	return send(ctx, js, msg, timeout)
}
