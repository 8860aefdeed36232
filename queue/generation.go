package queue

import (
	"context"
	"errors"
	"fmt"
	neturl "net/url"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// generation is one life of the NATS server in this process, with the
// connection to it and the streams on it. With an external server there is only
// one: the client connects again by itself.
type generation struct {
	embedded *embedded // nil with an external server
	nc       *nats.Conn
	js       jetstream.JetStream
	streams  map[string]jetstream.Stream

	// critical is what the server has said when it gave up writing.
	critical atomic.Pointer[string]

	patience time.Duration // with the end of the server

	ctx    context.Context // ends when it is given up
	cancel context.CancelFunc
}

// begin starts a generation: server, connection, streams.
func (q *Queue) begin(ctx context.Context) (*generation, error) {
	g := &generation{streams: map[string]jetstream.Stream{}, patience: q.opt.patience}
	g.ctx, g.cancel = context.WithCancel(q.ctx)
	err := q.connect(g)
	if err == nil {
		err = q.prepare(ctx, g)
	}
	if err != nil {
		if stuck := g.end(); stuck != nil {
			q.fail(stuck)
		}
		return nil, err
	}
	return g, nil
}

// endPatience is how long the server in this process may take to end.
const endPatience = 8 * time.Second

// errStuck: the server in this process does not end. It may still write, and a
// second one beside it would damage what is stored: only the end of the process
// helps, which loses nothing.
var errStuck = errors.New("the embedded server does not end: nothing but a new start of the relay helps")

// end gives a generation up. Nothing of it is written any more afterwards,
// unless it returns errStuck.
func (g *generation) end() error {
	g.cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if g.nc != nil {
			g.nc.Close()
		}
		if g.embedded != nil {
			g.embedded.stop()
		}
	}()
	ctx, cancel := WithTimeout(context.Background(), g.patience)
	defer cancel()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errStuck
	}
}

func (q *Queue) connect(g *generation) error {
	var options []nats.Option
	if q.External() {
		options = q.externalOptions()
	} else {
		e, err := startEmbedded(q.opt, func(what string) {
			g.critical.CompareAndSwap(nil, &what)
			q.health.wedged(g, what)
		})
		if err != nil {
			return err
		}
		g.embedded = e
		options = []nats.Option{nats.Name("relay"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.InProcessServer(e.server)}
	}
	nc, err := nats.Connect(q.opt.URL, options...)
	if wrong := (*neturl.Error)(nil); errors.As(err, &wrong) {
		err = errors.New("its URL cannot be read") // the error itself quotes it, with the password
	}
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", explained(err))
	}
	g.nc = nc
	if g.js, err = jetstream.New(nc); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if q.External() {
		q.only, q.js = g, g.js
	}
	return nil
}

// prepare creates the streams, or brings their limits up to date.
func (q *Queue) prepare(ctx context.Context, g *generation) error {
	if g.nc.MaxPayload() < int64(q.opt.maxPayload()) && q.External() {
		return &setupError{fmt.Errorf("the NATS server takes messages of up to %d bytes, webhooks of up to %d need %d", g.nc.MaxPayload(), q.opt.MaxBody, q.opt.maxPayload()), "raise max_payload there, or lower --max-body here"}
	}
	for _, s := range []struct {
		name    string
		subject string
		size    int64
	}{
		{Events, subjectEvents, q.opt.EventsSize},
		{ParkedStream, subjectParked + ">", q.opt.ParkedSize},
		{DeadStream, subjectDead + ">", q.opt.DeadSize},
		{JournalStream, subjectJournal, q.opt.JournalSize},
	} {
		config := jetstream.StreamConfig{
			Name:        s.name,
			Subjects:    []string{s.subject},
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardNew,
			Storage:     jetstream.FileStorage,
			MaxBytes:    s.size,
			Replicas:    q.opt.Replicas,
			Duplicates:  duplicates,
			AllowDirect: q.opt.Replicas == 1, // of several, one that lags would answer
		}
		var err error
		if q.External() {
			g.streams[s.name], err = q.externalStream(ctx, config)
		} else if g.streams[s.name], err = g.js.CreateOrUpdateStream(ctx, config); err != nil {
			err = fmt.Errorf("open stream %s: %w", s.name, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stream is what the queue asks of a JetStream stream.
type stream interface {
	Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error)
	GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error)
	GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error)
	Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error
	DeleteMsg(ctx context.Context, seq uint64) error
	batch(ctx context.Context, subject string, after uint64) ([]*jetstream.RawStreamMsg, error)
}

// lasting is a stream that outlives the generations: what is asked while the
// server is restarted is asked of the next one.
type lasting struct {
	q    *Queue
	name string
}

// ask calls f with the stream of the present generation, again when that was
// given up meanwhile. A server of a cluster may not have heard yet of a stream that
// another one has made: it is asked again for a while.
func (s lasting) ask(ctx context.Context, f func(context.Context, jetstream.Stream) error) error {
	for begin := time.Now(); s.q.External(); {
		err := f(ctx, s.q.only.streams[s.name])
		if !errors.Is(err, jetstream.ErrStreamNotFound) || time.Since(begin) > s.q.opt.TakeoverWait || !sleep(ctx, heartbeat) {
			return err
		}
	}
	for {
		g, err := s.q.health.readable(ctx)
		if err != nil {
			return err
		}
		err = g.while(ctx, func(ctx context.Context) error { return f(ctx, g.streams[s.name]) })
		if err == nil || ctx.Err() != nil || s.q.ctx.Err() != nil || errors.Is(err, jetstream.ErrMsgNotFound) || !s.q.health.failing(g) {
			return err
		}
		if err := s.q.health.moved(ctx, g); err != nil {
			return err
		}
	}
}

// while calls f with a context that also ends with the generation.
func (g *generation) while(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)()
	return f(ctx)
}

func (s lasting) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (info *jetstream.StreamInfo, err error) {
	err = s.ask(ctx, func(ctx context.Context, js jetstream.Stream) (err error) {
		info, err = js.Info(ctx, opts...)
		return err
	})
	return info, err
}

func (s lasting) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (msg *jetstream.RawStreamMsg, err error) {
	if s.name != JournalStream && !hasTurn(ctx) { // there everything is small
		var end func(*jetstream.RawStreamMsg)
		if ctx, end, err = s.q.turnToRead(ctx); err != nil {
			return nil, err
		}
		defer func() { end(msg) }()
	}
	err = s.ask(ctx, func(ctx context.Context, js jetstream.Stream) (err error) {
		msg, err = js.GetMsg(ctx, seq, opts...)
		return err
	})
	return msg, err
}

func (s lasting) GetLastMsgForSubject(ctx context.Context, subject string) (msg *jetstream.RawStreamMsg, err error) {
	err = s.ask(ctx, func(ctx context.Context, js jetstream.Stream) (err error) {
		msg, err = js.GetLastMsgForSubject(ctx, subject)
		return err
	})
	return msg, err
}

func (s lasting) Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	if err := s.q.mayPurge(ctx); err != nil {
		return err
	}
	return s.ask(ctx, func(ctx context.Context, js jetstream.Stream) error { return js.Purge(ctx, opts...) })
}

func (s lasting) DeleteMsg(ctx context.Context, seq uint64) error {
	if err := s.q.mayPurge(ctx); err != nil {
		return err
	}
	return s.ask(ctx, func(ctx context.Context, js jetstream.Stream) error { return js.DeleteMsg(ctx, seq) })
}

// conn is the connection of the present generation. What is subscribed to it is
// subscribed to those that follow.
type conn struct{ q *Queue }

// now is the present one.
func (c conn) now(ctx context.Context) (*nats.Conn, error) {
	if g := c.q.only; g != nil {
		return g.nc, nil
	}
	g, err := c.q.health.readable(ctx)
	if err != nil {
		return nil, err
	}
	return g.nc, nil
}

func (c conn) RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	nc, err := c.now(ctx)
	if err != nil {
		return nil, err
	}
	return nc.RequestWithContext(ctx, subject, data)
}

// subscription is one that lasts over the generations.
type subscription struct {
	q       *Queue
	subject string
	call    nats.MsgHandler
	now     *nats.Subscription // guarded by the queue's health
}

// Subscribe calls f for every message on the subject until Unsubscribe.
func (c conn) Subscribe(subject string, f nats.MsgHandler) (*subscription, error) {
	nc, err := c.now(c.q.ctx)
	if err != nil {
		return nil, err
	}
	s := &subscription{q: c.q, subject: subject, call: f}
	h := &c.q.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.now, err = nc.Subscribe(subject, f); err != nil {
		return nil, err
	}
	h.subscriptions = append(h.subscriptions, s)
	return s, nil
}

// Unsubscribe ends it.
func (s *subscription) Unsubscribe() error {
	h := &s.q.health
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, other := range h.subscriptions {
		if other == s {
			h.subscriptions = append(h.subscriptions[:i:i], h.subscriptions[i+1:]...)
			return s.now.Unsubscribe()
		}
	}
	return nil
}
