package queue

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publishTimeout is how long one publish may stay unanswered by the embedded
// server before it is repeated under the same id.
const publishTimeout = 3 * time.Second

// Error codes of nats-server (server/errors.json) that the client has no names
// for: the store refused a message (beyond the stream's limits, for one), and
// no storage left.
const errCodeStoreFailed, errCodeNoStorage = 10077, 10047

// publish stores one message and returns its sequence. An unanswered publish
// is repeated with the same id until ctx ends, over the life of the server; the
// server drops the repeat if the first one was stored. expect is the stream's
// last sequence that must hold, or nil.
func (q *Queue) publish(ctx context.Context, subject string, data []byte, nonce Nonce, expect *uint64, header ...Field) (uint64, error) {
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	msg.Header.Set(nats.MsgIdHdr, hex.EncodeToString(nonce[:]))
	if expect != nil {
		msg.Header.Set(nats.ExpectedLastSeqHdr, strconv.FormatUint(*expect, 10))
	}
	for _, f := range header {
		msg.Header.Set(f.Name, f.Value)
	}
	if j := q.leading.Load(); j != nil && subject != subjectJournal && !q.External() {
		msg.Header.Set(fieldJournal, strconv.FormatUint(j.Last(), 10))
	}
	first, after := time.Now(), q.tail.load()
	var said time.Time
	for try := 0; ; try++ {
		begin := time.Now()
		seq, err := q.publishOnce(ctx, msg, try)
		if err == nil || definite(err) || errors.Is(err, ErrDown) && try == 0 {
			return seq, err // later it may be stored already
		}
		if denied := q.link.deniedSince(begin); denied != nil {
			err = denied
		}
		if !q.External() || time.Since(said) > sayAgain {
			said = time.Now()
			q.log.Warn("the queue did not answer a write; repeating it", "subject", streamWord(subject), "err", err)
		}
		q.prod(ctx, err, first, try, len(data))
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("store in %s: %w", streamWord(subject), context.Cause(ctx))
		case <-time.After(q.retryPause(try)):
		}
		if expect == nil && time.Since(first) > lookAgain {
			if seq, ok, err := q.recorded(ctx, subject, first, after, nonce); err != nil || ok {
				return seq, err
			}
		}
	}
}

// publishOnce sends a message and waits for the answer. A server in this process
// that gives none is given up.
func (q *Queue) publishOnce(ctx context.Context, msg *nats.Msg, try int) (uint64, error) {
	if q.External() {
		return send(ctx, q.js, msg, q.answerTime(try, len(msg.Data)))
	}
	g, err := q.health.writable(ctx)
	if err != nil {
		return 0, err
	}
	if err := q.disk.room(len(msg.Data), msg.Subject == subjectEvents); err != nil {
		return 0, err
	}
	end, err := q.takeTurn(ctx, len(msg.Data))
	if err != nil {
		return 0, err
	}
	defer end()
	var seq uint64
	err = g.while(ctx, func(ctx context.Context) (err error) {
		if timeout := q.answerTime(try, len(msg.Data)); len(msg.Data) >= large {
			seq, err = g.embedded.sendLarge(ctx, msg, timeout)
		} else {
			seq, err = send(ctx, g.js, msg, timeout)
		}
		return err
	})
	if err != nil && !definite(err) && ctx.Err() == nil && g.ctx.Err() == nil {
		q.health.wedged(g, "it does not answer a write: "+err.Error())
	}
	return seq, err
}

func send(ctx context.Context, js jetstream.JetStream, msg *nats.Msg, timeout time.Duration) (uint64, error) {
	ctx, cancel := WithTimeout(ctx, timeout)
	defer cancel()
	ack, err := js.PublishMsg(ctx, msg)
	if err != nil && errors.Is(err, ctx.Err()) {
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, refusal(err)
	}
	return ack.Sequence, nil
}

// refusal gives what JetStream refuses a message with its name.
func refusal(err error) error {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch {
	case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence, api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return ErrFenced
	case api.ErrorCode == errCodeNoStorage, api.ErrorCode == errCodeStoreFailed && strings.Contains(api.Description, "maximum"):
		return ErrFull
	}
	return err
}

// definite tells whether the server has said no, as against not answering.
func definite(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, ErrFenced) || errors.Is(err, ErrFull) ||
		errors.As(err, &api) && api.Code < 500 && api.ErrorCode != errCodeInProcess ||
		errors.Is(err, nats.ErrMaxPayload)
}

// streamWord is the subject without the address that a part of it may name.
func streamWord(subject string) string {
	for _, p := range []string{subjectParked, subjectDead} {
		if strings.HasPrefix(subject, p) {
			return strings.TrimSuffix(p, ".")
		}
	}
	return subject
}

// mine tells whether the message at seq is the one with that nonce: a publish
// whose answer was lost is refused when it is repeated, because it was stored.
func (q *Queue) mine(ctx context.Context, s stream, seq uint64, nonce Nonce) (bool, error) {
	msg, err := s.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read what was stored: %w", err)
	}
	return holds(msg, nonce), nil
}

// get returns the first message of a stream at or above seq, of that subject
// (wildcards allowed), or jetstream.ErrMsgNotFound.
func get(ctx context.Context, s stream, seq uint64, subject string) (*jetstream.RawStreamMsg, error) {
	return s.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(subject))
}

// laneToken is an address as subject tokens: letters, digits, - and _ stand
// for themselves, everything else as =XX, and an empty part is a lone "=".
func laneToken(l Lane) string { return token(l.Destination) + "." + token(l.Channel) }

func token(s string) string {
	if s == "" {
		return "="
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// parseLane reads the tokens that laneToken wrote.
func parseLane(tokens string) (Lane, error) {
	dest, channel, ok := strings.Cut(tokens, ".")
	d, err := untoken(dest)
	c, err2 := untoken(channel)
	if !ok || err != nil || err2 != nil {
		return Lane{}, fmt.Errorf("%q names no address", tokens)
	}
	return Lane{d, c}, nil
}

func untoken(s string) (string, error) {
	if s == "=" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", errTruncated
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), nil
}

func parseSeq(data []byte) uint64 {
	n, _ := strconv.ParseUint(string(data), 10, 64)
	return n
}

// tail is the last known sequence of a stream; waiting on it costs nothing
// while nothing happens.
type tail struct {
	mu   sync.Mutex
	last uint64
	more chan struct{} // closed when last grows; nil while nobody waits
}

func (t *tail) advance(seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seq <= t.last {
		return
	}
	t.last = seq
	if t.more != nil {
		close(t.more)
		t.more = nil
	}
}

func (t *tail) load() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// above returns nil if something above seq is known, else a channel that is
// closed when the tail moves.
func (t *tail) above(seq uint64) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last > seq {
		return nil
	}
	if t.more == nil {
		t.more = make(chan struct{})
	}
	return t.more
}
