package queue

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// large is from how many bytes on a message is moved to or from the server in this
// process with nothing else of that size beside it: the server and its client hold
// it up to four times over meanwhile.
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

// turn is a mover's, taken before what is moved was made: it holds for the first
// try to move it.
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

// hasTurn tells whether ctx brings a turn that has not ended.
func hasTurn(ctx context.Context) bool {
	t, ok := ctx.Value(turnKey{}).(*turn)
	return ok && !t.ended.Load()
}

type turnKey struct{}

// turnToWrite takes the turn to make a message of about so many bytes for
// RELAY_PARKED or RELAY_DEAD, or a large one, and to move it, if it is large. The
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

// turnFor takes the turn to move a message of about so many bytes; with a few, or
// with a server elsewhere, that waits for nobody.
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

// takeTurn is the turn that ctx brings, the first time, else a new one. The
// function ends it.
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
// it, and frees what a large one has left behind.
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
// has let go of are freed by the second collection: the first only has them given
// back (server/filestore.go of v2.15: registerRecycle).
func reclaim() {
	runtime.GC()
	time.Sleep(time.Millisecond)
	runtime.GC()
}

// closeBlock has the server begin a new block of RELAY_PARKED, if a lane is about to
// read a large message that is the last there, by one that holds nothing and goes at
// once. A block that was read while it was the last one the server would keep in
// memory for ten seconds, and any number of them (server/filestore.go of v2.15:
// newMsgBlockForWrite, tryExpireWriteCache). What fails costs memory, and no more.
func (q *Queue) closeBlock(ctx context.Context, lane Lane) {
	if q.External() || !q.loads.has(lane, q.lastPark.load()) {
		return
	}
	nonce := newNonce()
	_, err := q.append(ctx, subjectFence, encodeParked(nonce, nil), nonce)
	if err == nil {
		err = q.parked.Purge(ctx, jetstream.WithPurgeSubject(subjectFence))
	}
	if err != nil && ctx.Err() == nil {
		q.log.Debug("a large message stays the last of "+ParkedStream, "err", err)
	}
}

// loads are the large messages of RELAY_PARKED that this process has come upon. The
// server reads a message once more to drop it, so that many would be in memory if
// they were dropped at once.
type loads struct {
	mu    sync.Mutex
	lanes map[Lane][]uint64 // sequences, lowest first
}

// seen is told of a message and its size.
func (l *loads) seen(lane Lane, seq uint64, size int) {
	if size < large {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes == nil {
		l.lanes = map[Lane][]uint64{}
	}
	if i, known := slices.BinarySearch(l.lanes[lane], seq); !known {
		l.lanes[lane] = slices.Insert(l.lanes[lane], i, seq)
	}
}

// has tells whether the message is one of them.
func (l *loads) has(lane Lane, seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := slices.BinarySearch(l.lanes[lane], seq)
	return known
}

// upTo are those of a lane up to a sequence.
func (l *loads) upTo(lane Lane, seq uint64) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.lanes[lane]
	i, _ := slices.BinarySearch(all, seq+1)
	return slices.Clone(all[:i])
}

// gone is told that one is dropped.
func (l *loads) gone(lane Lane, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes[lane] = slices.DeleteFunc(l.lanes[lane], func(s uint64) bool { return s == seq }); len(l.lanes[lane]) == 0 {
		delete(l.lanes, lane)
	}
}

// unload drops a message of RELAY_PARKED; a large one while no other is moved.
func (q *Queue) unload(ctx context.Context, lane Lane, seq uint64, drop func() error) error {
	if !q.loads.has(lane, seq) {
		return drop()
	}
	if !hasTurn(ctx) {
		_, t, err := q.turnFor(ctx, large)
		if err != nil {
			return err
		}
		defer t.end()
	}
	err := drop()
	if err == nil {
		q.loads.gone(lane, seq)
	}
	return err
}

// sendLarge is send over a connection of its own, in the text protocol of NATS
// (docs.nats.io/reference/reference-protocols/nats-protocol). The client of NATS
// copies what it sends into memory that it keeps for good.
func (e *embedded) sendLarge(ctx context.Context, msg *nats.Msg, data *message, timeout time.Duration) (uint64, error) {
	ctx, cancel := WithTimeout(ctx, timeout)
	defer cancel()
	c, err := e.server.InProcessConn()
	if err != nil {
		return 0, fmt.Errorf("connect to NATS: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	type answer struct {
		seq uint64
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		seq, err := readAck(bufio.NewReader(c))
		answered <- answer{seq, err}
	}()
	if err := writeMessage(c, msg, data); err != nil {
		return 0, fmt.Errorf("write to NATS: %w", err)
	}
	a := <-answered
	if a.err != nil && ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return a.seq, a.err
}

// ackInbox is where the answer is sent on a connection that asks one question.
const ackInbox = "_INBOX.large"

// writeMessage introduces the client and publishes the data, with the message's
// subject and header.
func writeMessage(c net.Conn, msg *nats.Msg, data *message) error {
	var head strings.Builder
	head.WriteString("NATS/1.0\r\n")
	for name, values := range msg.Header {
		for _, v := range values {
			head.WriteString(name + ": " + v + "\r\n")
		}
	}
	head.WriteString("\r\n")
	inbox := ackInbox + "." + newNonce().String()
	_, err := fmt.Fprintf(c, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,\"name\":\"relay\",\"lang\":\"go\",\"version\":\"1\"}\r\n"+
		"SUB %s 1\r\nHPUB %s %s %d %d\r\n%s", inbox, msg.Subject, inbox, head.Len(), head.Len()+data.len(), head.String())
	if err == nil {
		_, err = data.WriteTo(c)
	}
	if err == nil {
		_, err = io.WriteString(c, "\r\n")
	}
	return err
}

// readAck reads until JetStream's answer.
func readAck(r *bufio.Reader) (uint64, error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, fmt.Errorf("read from NATS: %w", err)
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch strings.ToUpper(words[0]) {
		case "-ERR":
			return 0, fmt.Errorf("NATS reports an error: %s", strings.Trim(strings.TrimSpace(line[len(words[0]):]), "'"))
		case "HMSG": // an answer of JetStream has no header, that nobody listens has
			return 0, nats.ErrNoResponders
		case "MSG":
			size, err := strconv.Atoi(words[len(words)-1])
			if err != nil || size < 0 || size > 64<<10 {
				return 0, errors.New("read from NATS: an answer without a length")
			}
			text := make([]byte, size)
			if _, err := io.ReadFull(r, text); err != nil {
				return 0, fmt.Errorf("read from NATS: %w", err)
			}
			return parseAck(text)
		}
	}
}

// parseAck reads a PubAck (server/stream.go, JSPubAckResponse).
func parseAck(text []byte) (uint64, error) {
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
	}
	if err := json.Unmarshal(text, &ack); err != nil {
		return 0, fmt.Errorf("read what JetStream answers: %w", err)
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Seq == 0 {
		return 0, errors.New("read what JetStream answers: it names no sequence")
	}
	return ack.Seq, nil
}
