package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// An external server may take so long for the answer to a question, or to a
	// write, at first; later tries give it more, up to lastAnswer. Of a leader
	// that died no answer comes: who waits long for it waits longer than the
	// election of the next one takes.
	firstAnswer = 500 * time.Millisecond
	firstWrite  = time.Second
	lastAnswer  = 30 * time.Second
	// linkSpeed is what a connection carries at least, in bytes a second: a large
	// webhook is given the time it takes.
	linkSpeed = 8 << 20
	// externalPause is the longest pause between two tries on an external server.
	externalPause = 250 * time.Millisecond
	// elsewhere is how long a server may leave everything unanswered, or say that
	// it cannot, before another one is asked: it may be cut off from the others.
	elsewhere = 3 * time.Second
	// sayAgain is how often the log says that the queue still does not answer.
	sayAgain = 5 * time.Second
	// duplicates is how long the server knows the ids of what it stored, and
	// lookAgain when it is better to look whether something was stored than to
	// trust that it does.
	duplicates = 2 * time.Minute
	lookAgain  = duplicates / 2
)

// link is what is known of the connection to an external server.
type link struct {
	denied atomic.Pointer[denial] // the newest
	prod   sync.Mutex
	moved  time.Time // guarded by prod
}

// denial is something that the server does not let this relay do.
type denial struct {
	at   time.Time
	text string
}

// externalOptions are for a connection that may break and go to another server
// of the cluster.
func (q *Queue) externalOptions() []nats.Option {
	options := []nats.Option{
		nats.Name("relay"), nats.Timeout(2 * time.Second), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else this side closed it
				q.log.Warn("the connection to NATS broke; connecting again", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			q.log.Info("connected to NATS again", "url", nc.ConnectedUrlRedacted())
			if nc.MaxPayload() < int64(q.opt.maxPayload()) {
				q.log.Error("this NATS server takes smaller messages than the others: large webhooks cannot be stored; raise max_payload there", "url", nc.ConnectedUrlRedacted(), "max_payload", nc.MaxPayload(), "needed", q.opt.maxPayload())
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				q.link.denied.Store(&denial{time.Now(), err.Error()})
			}
			q.log.Error("NATS reports an error", "err", err)
		}),
	}
	if q.opt.Creds != "" {
		options = append(options, nats.UserCredentials(q.opt.Creds))
	}
	if q.opt.CA != "" {
		options = append(options, nats.RootCAs(q.opt.CA))
	}
	if q.opt.Cert != "" {
		options = append(options, nats.ClientCert(q.opt.Cert, q.opt.Key))
	}
	return options
}

// deniedSince is what the server has forbidden since then; nil if nothing.
func (l *link) deniedSince(t time.Time) error {
	if d := l.denied.Load(); d != nil && d.at.After(t) {
		return &deniedError{d.text}
	}
	return nil
}

// deniedError: the account lacks a permission.
type deniedError struct{ text string }

func (e *deniedError) Error() string { return e.text }

// longer is how long a try may take, by how many went before it.
func longer(first time.Duration, try int) time.Duration {
	const alike = 4 // as many tries take as long as the first
	return min(first<<min(try/alike, 10), lastAnswer)
}

// answerTime is how long a try to store so many bytes may take.
func (q *Queue) answerTime(try, size int) time.Duration {
	if !q.External() {
		return publishTimeout
	}
	return longer(firstWrite+carrying(size), try)
}

// carrying is how long so many bytes are under way.
func carrying(size int) time.Duration { return time.Duration(size) * time.Second / linkSpeed }

// hearing is a context for one question: it ends when nothing was heard for so
// long. An answer may be large, and asking again for one that is coming would
// make it come later.
func (q *Queue) hearing(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	const much = 1 << 20 // bytes, more than comes beside the answer
	ctx, cancel := context.WithTimeout(ctx, lastAnswer)
	go func() {
		t := time.NewTicker(most)
		defer t.Stop()
		for heard := q.only.nc.Stats().InBytes; ; {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			now := q.only.nc.Stats().InBytes
			if now-heard < much {
				cancel()
				return
			}
			heard = now
		}
	}()
	return silent{ctx}, cancel
}

// silent says of a context that was canceled because nothing was heard that its
// time is over.
type silent struct{ context.Context }

func (s silent) Err() error {
	if err := s.Context.Err(); err != nil {
		return context.DeadlineExceeded
	}
	return nil
}

// retryPause is the pause after a try that was not answered.
func (q *Queue) retryPause(try int) time.Duration {
	d := min(q.opt.FirstRetry<<min(try, 6), 2*time.Second)
	if q.External() {
		d = min(d, externalPause)
	}
	return d
}

// ask asks an external server: again and again while it is away or elects a
// leader, until it has answered or ctx ends.
func (q *Queue) ask(ctx context.Context, what string, f func(context.Context) error) error {
	first := time.Now()
	var said time.Time
	for try := 0; ; try++ {
		begin := time.Now()
		once, cancel := q.hearing(ctx, longer(firstAnswer, try))
		err := f(once)
		cancel()
		if err == nil || !unanswered(err) {
			return err
		}
		if denied := q.link.deniedSince(begin); denied != nil {
			return denied
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
		if time.Since(said) > sayAgain {
			said = time.Now()
			q.log.Warn("the queue did not answer; asking again", "what", what, "err", err)
		}
		q.prod(ctx, err, first, try, 0)
		select {
		case <-time.After(q.retryPause(try)):
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", ctx.Err(), err)
		case <-q.ctx.Done():
			return ErrClosed
		}
	}
}

// unanswered tells whether a question may be answered when it is asked again:
// nobody has answered, or a server that cannot now.
func unanswered(err error) bool {
	if errors.Is(err, ErrSetup) {
		return false
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return !errors.Is(err, nats.ErrMaxPayload)
	}
	switch api.ErrorCode {
	case jetstream.JSErrCodeJetStreamNotEnabled, jetstream.JSErrCodeJetStreamNotEnabledForAccount, errCodeNotClustered, errCodeNoResources, errCodeNoStorage:
		return false
	case errCodeNoPeers, errCodeInProcess:
		return true
	}
	return api.Code >= 500
}

// prod leaves a server that is of no use, for another one of the cluster: it
// answers nothing any more and has not closed the connection, or it has answered
// for a while that it cannot.
func (q *Queue) prod(ctx context.Context, err error, first time.Time, try, size int) {
	if !q.External() || !q.only.nc.IsConnected() || !q.link.prod.TryLock() {
		return
	}
	defer q.link.prod.Unlock()
	if errors.Is(err, context.DeadlineExceeded) {
		ctx, cancel := context.WithTimeout(ctx, firstWrite)
		defer cancel()
		if err := q.only.nc.FlushWithContext(ctx); errors.Is(err, context.DeadlineExceeded) {
			q.move("this NATS server answers nothing any more; going to another")
			return
		}
	}
	if try > 1 && time.Since(first) > elsewhere+2*carrying(size) && time.Since(q.link.moved) > elsewhere && len(q.only.nc.Servers()) > 1 {
		q.move("this NATS server does not reach the streams; trying another")
	}
}

// move connects to another server. The link's lock is held.
func (q *Queue) move(why string) {
	q.log.Warn(why, "url", q.only.nc.ConnectedUrlRedacted())
	q.link.moved = time.Now()
	_ = q.only.nc.ForceReconnect() // fails only when the queue is closed
}

// patient is a stream of an external server: what is asked of it is asked until
// it is answered.
type patient struct {
	jetstream.Stream
	q    *Queue
	name string
}

func (p patient) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (info *jetstream.StreamInfo, err error) {
	err = p.q.ask(ctx, "state of "+p.name, func(ctx context.Context) (err error) {
		info, err = p.Stream.Info(ctx, opts...)
		return err
	})
	return info, err
}

func (p patient) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (msg *jetstream.RawStreamMsg, err error) {
	err = p.q.ask(ctx, "message of "+p.name, func(ctx context.Context) (err error) {
		msg, err = p.Stream.GetMsg(ctx, seq, opts...)
		if errors.Is(err, nats.ErrNoResponders) {
			// Another relay may have raised the number of copies: then nobody
			// answers direct gets, and the client learns that from this.
			_, _ = p.Stream.Info(ctx)
		}
		return err
	})
	return msg, err
}

func (p patient) GetLastMsgForSubject(ctx context.Context, subject string) (msg *jetstream.RawStreamMsg, err error) {
	err = p.q.ask(ctx, "message of "+p.name, func(ctx context.Context) (err error) {
		msg, err = p.Stream.GetLastMsgForSubject(ctx, subject)
		return err
	})
	return msg, err
}

func (p patient) DeleteMsg(ctx context.Context, seq uint64) error {
	return p.q.ask(ctx, "message of "+p.name, func(ctx context.Context) error { return p.Stream.DeleteMsg(ctx, seq) })
}

func (p patient) Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	return p.q.ask(ctx, "purge of "+p.name, func(ctx context.Context) error { return p.Stream.Purge(ctx, opts...) })
}

// recorded looks for a message that an earlier try may have stored: the server
// has forgotten its id by now. It stands above after in RELAY_EVENTS, and
// elsewhere among what was stored since the first try.
func (q *Queue) recorded(ctx context.Context, subject string, first time.Time, after uint64, nonce Nonce) (uint64, bool, error) {
	s := q.events
	if subject != subjectEvents {
		if s = q.dead; strings.HasPrefix(subject, subjectParked) {
			s = q.parked
		}
		var err error
		if after, err = storedSince(ctx, s, first.Add(-time.Minute)); err != nil { // clocks differ
			return 0, false, err
		}
	}
	var found uint64
	err := walk(ctx, s, subject, after, func(msg *jetstream.RawStreamMsg) (bool, error) {
		if holds(msg, nonce) {
			found = msg.Sequence
		}
		return found == 0, nil
	})
	return found, found != 0, err
}

// holds tells whether a stored message is the one with that nonce.
func holds(msg *jetstream.RawStreamMsg, nonce Nonce) bool {
	return len(msg.Data) >= 1+len(nonce) && Nonce(msg.Data[1:1+len(nonce)]) == nonce
}
