package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// ErrDown: the disk takes nothing, or is to be left what room it has. What
	// was to be stored may be stored later.
	ErrDown = errors.New("the queue cannot write to its disk")
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
	CA       string // certificates, in PEM, that URL's is checked against; empty: the system's
	Cert     string // certificate for URL, in PEM,
	Key      string // and its key
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

	statfs   func(dir string) (free, reserve int64, err error) // of tests; nil: as the system says
	patience time.Duration                                     // with the server's end; of tests, else endPatience
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
	if o.patience == 0 {
		o.patience = endPatience
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
	opt    Options
	lock   *dirLock // nil with an external server
	health health
	disk   disk
	nc     conn
	link   link                // of an external server, with what follows
	only   *generation         // the connection to it
	js     jetstream.JetStream // on it
	log    *slog.Logger

	events, parked, dead, journalStream stream

	committer *committer
	recent    recent
	tail      tail // of RELAY_EVENTS
	lastPark  tail // of RELAY_PARKED
	reserved  idReservation

	moving  mover      // of what is large
	packing mover      // one message is made at a time of those for RELAY_PARKED and RELAY_DEAD, and of large ones
	parking sync.Mutex // one append to RELAY_PARKED at a time
	parkEnd uint64     // the sequence that the next append expects to be the last
	// resigned: what a stream lacks at the takeover is taken for damage; see
	// [Queue.behind]. For Lead alone.
	resigned bool
	leading  atomic.Pointer[Journal] // nil before Lead, and when another relay has taken over
	shares   shares                  // of RELAY_PARKED
	bodies   bodies                  // in it
	lines    lines                   // in it
	kept     kept                    // in RELAY_DEAD

	// What Recover has found; nil before, and when Lead has gone on from it.
	recovered struct {
		state *State
		told  uint64
	}

	born time.Time        // has a monotonic clock, which nothing makes jump
	now  func() time.Time // the clock on the wall

	deadDropped atomic.Uint64
	damage      atomic.Uint64 // messages
	known       sync.Map      // of these, those that were met while something was listed or recovered, by [place]

	stuck  atomic.Bool // a server in this process does not end
	failed chan error  // capacity 1

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
}

// Open opens or creates the queue. The caller owns it until Close.
func Open(ctx context.Context, opt Options) (*Queue, error) {
	opt.defaults()
	if opt.MaxBody > MaxBodyLimit {
		return nil, fmt.Errorf("open queue: bodies of %d bytes cannot be kept; at most %d", opt.MaxBody, MaxBodyLimit)
	}
	q := &Queue{opt: opt, log: opt.Log, born: time.Now(), now: time.Now, failed: make(chan error, 1)}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.moving, q.packing, q.bodies.turn = newMover(), newMover(), newMover()
	q.nc, q.health.log, q.health.restart = conn{q}, opt.Log, q.restartServer
	q.health.changed = make(chan struct{})
	q.events, q.parked, q.dead, q.journalStream = lasting{q, Events}, lasting{q, ParkedStream}, lasting{q, DeadStream}, lasting{q, JournalStream}
	if err := q.open(ctx); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

func (q *Queue) open(ctx context.Context) error {
	q.disk.free = statfs
	if q.opt.statfs != nil {
		q.disk.free = q.opt.statfs
	}
	if !q.External() {
		lock, err := lockDir(q.opt.Dir)
		if err != nil {
			return err
		}
		q.lock, q.disk.dir = lock, q.opt.Dir
	}
	g, err := q.begin(ctx)
	if err != nil {
		return err
	}
	q.health.markUp(g)
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
	if err := q.startAbove(ctx); err != nil {
		return err
	}
	q.committer = newCommitter(q)
	if !q.External() {
		var files blocks
		_ = files.check(q.opt.Dir, g) // it is the first look
		q.health.running.Go(func() { q.watchDisk(files) })
		return nil
	}
	q.log.Warn("the NATS server must sync every write (sync_interval: always), or a power cut there loses accepted webhooks; this relay cannot see that setting", "url", g.nc.ConnectedUrlRedacted())
	if _, err := q.nc.Subscribe(subjectWake, func(m *nats.Msg) { q.tail.advance(parseSeq(m.Data)) }); err != nil {
		return fmt.Errorf("listen for other doors: %w", err)
	}
	return nil
}

// Failed returns a channel with the reason why the queue cannot go on: the process
// has to be restarted. The channel carries one error at most.
func (q *Queue) Failed() <-chan error { return q.failed }

// fail gives up: the server in this process does not end.
func (q *Queue) fail(err error) {
	if q.stuck.CompareAndSwap(false, true) {
		q.failed <- err
	}
}

// Close ends the queue: nothing is stored any more, and the embedded server
// stops. What waits for Store gets ErrClosed. A server that does not stop keeps
// the data directory locked until the process ends; Close then says so.
func (q *Queue) Close() error {
	q.cancel()
	if q.committer != nil {
		q.committer.wait()
	}
	if g := q.health.end(); g != nil {
		if err := g.end(); err != nil {
			q.fail(err)
		}
	}
	if q.stuck.Load() {
		return errStuck
	}
	if q.committer != nil {
		q.keepGivenIDs()
	}
	q.lock.release()
	return nil
}

// age is how long ago the queue was opened, whatever the clock on the wall says.
func (q *Queue) age() time.Duration { return time.Since(q.born) }

// External tells whether the server is another process, shared with other
// relays.
func (q *Queue) External() bool { return q.opt.URL != "" }

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
	for _, s := range []stream{q.events, q.parked, q.dead, q.journalStream} {
		info, err := s.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("look at stream: %w", err)
		}
		states = append(states, StreamState{info.Config.Name, info.State.Msgs, info.State.Bytes, info.Config.MaxBytes, info.State.FirstSeq, info.State.LastSeq})
	}
	return states, nil
}
