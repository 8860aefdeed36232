package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	neturl "net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The streams.
const (
	Events        = "RELAY_EVENTS"
	ParkedStream  = "RELAY_PARKED"
	DeadStream    = "RELAY_DEAD"
	JournalStream = "RELAY_JOURNAL"
)

const (
	subjectEvents  = "relay.events"
	subjectParked  = "relay.parked."
	subjectDead    = "relay.dead."
	subjectJournal = "relay.journal"

	// subjectFence is in RELAY_PARKED: a relay that takes over writes there, so
	// that nothing the last one still appends is stored.
	subjectFence = "relay.parked.fence"

	// subjectWake carries the sequence a door just stored, so that the relay
	// that dispatches need not poll. It is in no stream.
	subjectWake = "relay-wake"
)

// Errors of the queue.
var (
	// ErrFull: the stream has no room; what was to be stored is not.
	ErrFull = errors.New("the queue is full")
	// ErrFenced: another relay writes the journal now.
	ErrFenced = errors.New("another relay has taken over")
	// ErrClosed: the queue is closed.
	ErrClosed = errors.New("the queue is closed")
)

// Options of a queue. Sizes are bytes.
type Options struct {
	// Dir is where the embedded server keeps its files. Unused with URL.
	Dir string
	// URL of an external NATS server or cluster; empty: embedded.
	URL      string
	Creds    string // credentials file for URL
	Replicas int    // of the streams, with URL
	// Interval gives up the sync of each write of the embedded server: a power
	// cut may lose what was accepted in the last seconds.
	Interval bool

	MaxBody      int64 // largest webhook body
	EventsSize   int64
	ParkedSize   int64
	DeadSize     int64
	JournalSize  int64
	Log          *slog.Logger
	FirstRetry   time.Duration // pause before an unanswered publish is repeated; default 250 ms
	TakeoverWait time.Duration // silence after which a standby takes over; default 5 s
}

func (o *Options) defaults() {
	set := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	set(&o.MaxBody, 25<<20)
	set(&o.EventsSize, 1<<30)
	set(&o.ParkedSize, 1<<30)
	set(&o.DeadSize, 256<<20)
	set(&o.JournalSize, 256<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FirstRetry == 0 {
		o.FirstRetry = 250 * time.Millisecond
	}
	if o.TakeoverWait == 0 {
		o.TakeoverWait = 5 * time.Second
	}
	o.Replicas = max(o.Replicas, 1)
}

// MaxBodyLimit is the largest MaxBody that can be kept: nats-server takes
// records over 32 MiB for damage.
const MaxBodyLimit = 28 << 20

// maxPayload leaves room for the headers of a webhook and for a body that does
// not compress.
func (o *Options) maxPayload() int { return int(o.MaxBody) + int(o.MaxBody)/32 + 1<<20 }

// maxContent bounds what a stored message may unpack to.
func (o *Options) maxContent() int { return int(o.MaxBody) + 2<<20 }

// Queue is an open queue. Its methods may be called from any goroutine.
type Queue struct {
	opt      Options
	embedded *embedded // nil with an external server
	nc       *nats.Conn
	js       jetstream.JetStream
	log      *slog.Logger

	events, parked, dead, journalStream jetstream.Stream

	committer *committer
	tail      tail // of RELAY_EVENTS
	lastPark  tail // of RELAY_PARKED

	parking sync.Mutex              // one append to RELAY_PARKED at a time
	parkEnd uint64                  // the sequence that the next append expects to be the last
	leading atomic.Pointer[Journal] // nil before Lead

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
}

// Open opens or creates the queue. The caller owns it until Close.
func Open(ctx context.Context, opt Options) (*Queue, error) {
	opt.defaults()
	if opt.MaxBody > MaxBodyLimit {
		return nil, fmt.Errorf("open queue: bodies of %d bytes cannot be kept; at most %d", opt.MaxBody, MaxBodyLimit)
	}
	q := &Queue{opt: opt, log: opt.Log}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	if err := q.connect(); err != nil {
		q.Close()
		return nil, err
	}
	if err := q.prepare(ctx); err != nil {
		q.Close()
		return nil, err
	}
	q.committer = newCommitter(q)
	return q, nil
}

func (q *Queue) connect() error {
	options := []nats.Option{nats.Name("relay"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(false), nats.ReconnectWait(250 * time.Millisecond)}
	url := q.opt.URL
	if url == "" {
		e, err := startEmbedded(q.opt)
		if err != nil {
			return err
		}
		q.embedded = e
		options = append(options, nats.InProcessServer(e.server))
	} else if q.opt.Creds != "" {
		options = append(options, nats.UserCredentials(q.opt.Creds))
	}
	nc, err := nats.Connect(url, options...)
	if wrong := (*neturl.Error)(nil); errors.As(err, &wrong) {
		err = errors.New("its URL cannot be read") // the error itself quotes it, with the password
	}
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	q.nc = nc
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	q.js = js
	return nil
}

// prepare creates the streams, or brings their limits up to date.
func (q *Queue) prepare(ctx context.Context) error {
	if nc := q.nc; nc.MaxPayload() < int64(q.opt.maxPayload()) && q.embedded == nil {
		return fmt.Errorf("the NATS server takes messages up to %d bytes, webhooks of up to %d need %d: raise max_payload there, or lower --max-body here", nc.MaxPayload(), q.opt.MaxBody, q.opt.maxPayload())
	}
	for _, s := range []struct {
		into    *jetstream.Stream
		name    string
		subject string
		size    int64
	}{
		{&q.events, Events, subjectEvents, q.opt.EventsSize},
		{&q.parked, ParkedStream, subjectParked + ">", q.opt.ParkedSize},
		{&q.dead, DeadStream, subjectDead + ">", q.opt.DeadSize},
		{&q.journalStream, JournalStream, subjectJournal, q.opt.JournalSize},
	} {
		stream, err := q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name:        s.name,
			Subjects:    []string{s.subject},
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardNew,
			Storage:     jetstream.FileStorage,
			MaxBytes:    s.size,
			Replicas:    q.opt.Replicas,
			Duplicates:  2 * time.Minute,
			AllowDirect: q.opt.Replicas == 1, // of several, one that lags would answer
		})
		if err != nil {
			return fmt.Errorf("open stream %s: %w", s.name, err)
		}
		*s.into = stream
	}
	info, err := q.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at %s: %w", Events, err)
	}
	q.tail.advance(info.State.LastSeq)
	if info, err = q.parked.Info(ctx); err != nil {
		return fmt.Errorf("look at %s: %w", ParkedStream, err)
	}
	q.lastPark.advance(info.State.LastSeq)
	q.parkEnd = info.State.LastSeq
	if q.embedded == nil {
		q.log.Warn("the NATS server must sync every write (sync_interval: always), or a power cut there loses accepted webhooks; this relay cannot see that setting", "url", q.nc.ConnectedUrlRedacted())
		_, err = q.nc.Subscribe(subjectWake, func(m *nats.Msg) { q.tail.advance(parseSeq(m.Data)) })
	}
	if err != nil {
		return fmt.Errorf("listen for other doors: %w", err)
	}
	return nil
}

// Close ends the queue: nothing is stored any more, and the embedded server
// stops. What waits for Store gets ErrClosed.
func (q *Queue) Close() error {
	q.cancel()
	if q.committer != nil {
		q.committer.wait()
	}
	if q.nc != nil {
		q.nc.Close()
	}
	if q.embedded != nil {
		q.embedded.stop()
	}
	return nil
}

// External tells whether the server is another process, shared with other
// relays.
func (q *Queue) External() bool { return q.embedded == nil }

// StreamState is how full a stream is.
type StreamState struct {
	Name     string
	Messages uint64
	Bytes    uint64
	Limit    int64
	FirstSeq uint64
	LastSeq  uint64
}

// States reports on all four streams.
func (q *Queue) States(ctx context.Context) ([]StreamState, error) {
	var states []StreamState
	for _, s := range []jetstream.Stream{q.events, q.parked, q.dead, q.journalStream} {
		info, err := s.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("look at stream: %w", err)
		}
		states = append(states, StreamState{info.Config.Name, info.State.Msgs, info.State.Bytes, info.Config.MaxBytes, info.State.FirstSeq, info.State.LastSeq})
	}
	return states, nil
}
