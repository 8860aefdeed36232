package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/queue"
)

// memory is how many bytes of bodies all lanes keep in memory together, unless
// one alone is larger: one of the largest, and the usual ones beside it. The
// dispatcher holds the next.
const memory = 40 << 20

// Journal records what happened; see [queue.Journal].
type Journal interface {
	Write(ctx context.Context, recs ...queue.Record) error
	Note(recs ...queue.Record)
	Confirm(ctx context.Context) error
	Last() uint64
	Stuck() bool
}

// Parking keeps what has to wait; see [queue.Queue].
type Parking interface {
	Park(ctx context.Context, lane queue.Lane, batch []queue.Parked) (uint64, error)
	NextParked(ctx context.Context, lane queue.Lane, after uint64) (uint64, []queue.Parked, error)
	LineCount(lane queue.Lane) queue.LineCount
	PurgeParked(ctx context.Context, lane queue.Lane, upTo uint64) error
	Bury(ctx context.Context, d *queue.Dead) (uint64, error)
	Expendable(ctx context.Context, destination string, why error) (queue.Lane, uint64, error)
	DropParked(ctx context.Context, lane queue.Lane, seq uint64) error
}

// Formatter writes messages; see [formatters.Set].
type Formatter interface {
	Render(ctx context.Context, r formatters.Request) (formatters.Post, error)
}

// Options of a set of lanes.
type Options struct {
	Destinations []Destination // see [Clients.Prepare]
	Formatter    Formatter
	Journal      Journal
	Parking      Parking
	Stdout       io.Writer // where destinations of kind log print
	Log          *slog.Logger
	Registerer   prometheus.Registerer

	// People tells how a destination's chat mentions a GitLab user whom somebody
	// wrote to; a nil function where that pings nobody. file is [Item.File].
	People func(destination, file string) func(username string) (mention string, ok bool)

	// Calls tells how a destination's chat mentions a GitLab user, "" when that is not
	// known; a nil function where nobody is. file is [Item.File].
	Calls func(destination, file string) func(username string) (mention string)

	// Trouble, if set, is called with what an operator should hear of: the kind of
	// trouble with what it is about, and a sentence in Markdown. It is called each time
	// that the trouble shows again.
	Trouble func(kind, text string)

	// Relief, if set, is called when a destination or an address takes messages again,
	// with a sentence in Markdown and the kinds of trouble that have ended.
	Relief func(text string, kinds ...string)

	// Dead, if set, is called for every delivery that was given up or withheld.
	Dead func(lane queue.Lane, w *queue.Webhook)

	// Rendering, if set, is called before each message is written, and the function
	// that it returns after.
	Rendering func(id queue.ID, lane queue.Lane, place queue.Place) (done func())

	// Pace is how many times as long as usual the lanes pause, for tests that
	// see hours in seconds; 0 is 1. It leaves Retry-After, rate limits, the time
	// an attempt may take and GiveUpAfter as they are.
	Pace float64

	limits *limits // of tests; nil: as usual
}

// Lanes are the lanes of all addresses.
type Lanes struct {
	formatter Formatter
	journal   Journal
	parking   Parking
	stdout    io.Writer
	print     sync.Mutex // one message on stdout at a time
	log       *slog.Logger
	metrics   *metrics
	people    func(destination, file string) func(username string) (string, bool)
	calls     func(destination, file string) func(username string) string
	trouble   func(kind, text string)
	relief    func(text string, kinds ...string)
	dead      func(lane queue.Lane, w *queue.Webhook)
	rendering func(id queue.ID, lane queue.Lane, place queue.Place) (done func())
	limits    limits
	clock     clock
	dests     map[string]*destination

	mu    sync.Mutex
	lanes map[queue.Lane]*lane

	tried news // for those who asked for a try

	lagging atomic.Int32 // lanes that hold the journal's floor
	bytes   atomic.Int64 // in memory, of all lanes
	room    sync.Mutex   // room is made for one lane at a time
	rooms   atomic.Int64 // how often it was
	reading sync.Mutex   // one message of RELAY_PARKED is unpacked at a time
	eased   chan struct{}
	running sync.WaitGroup
	spare   chan func() // to a goroutine that waits for work
	spares  atomic.Int32
	doors   sync.RWMutex // held for writing when no more goroutines may start

	stop, kill     context.Context // stop: take no more; kill: give up what is in flight
	doStop, doKill context.CancelFunc
}

// New makes the lanes. Nothing is delivered before the first Deliver or
// Resume.
func New(opt Options) *Lanes {
	s := &Lanes{
		formatter: opt.Formatter, journal: opt.Journal, parking: opt.Parking, stdout: opt.Stdout, log: opt.Log,
		metrics: newMetrics(opt.Registerer), limits: usual, clock: newClock(), people: opt.People, calls: opt.Calls, trouble: opt.Trouble, relief: opt.Relief, dead: opt.Dead, rendering: opt.Rendering,
		dests: map[string]*destination{}, lanes: map[queue.Lane]*lane{}, eased: make(chan struct{}, 1), spare: make(chan func()),
	}
	if s.people == nil {
		s.people = func(string, string) func(string) (string, bool) { return nil }
	}
	if s.calls == nil {
		s.calls = func(string, string) func(string) string { return nil }
	}
	if s.trouble == nil {
		s.trouble = func(string, string) {}
	}
	if s.relief == nil {
		s.relief = func(string, ...string) {}
	}
	if s.dead == nil {
		s.dead = func(queue.Lane, *queue.Webhook) {}
	}
	if s.rendering == nil {
		s.rendering = func(queue.ID, queue.Lane, queue.Place) func() { return func() {} }
	}
	if opt.limits != nil {
		s.limits = *opt.limits
	}
	if opt.Pace > 0 {
		s.limits = s.limits.scaled(opt.Pace)
	}
	for _, d := range opt.Destinations {
		s.dests[d.Name] = newDestination(d, s.limits.paused)
		s.metrics.begin(d.Name)
	}
	s.stop, s.doStop = context.WithCancel(context.Background())
	s.kill, s.doKill = context.WithCancel(context.Background())
	opt.Registerer.MustRegister(s)
	s.do(s.watchAge)
	return s
}

// Deliver hands a delivery to its lane. It waits only when the memory of all
// lanes together is used up, until some of it is on disk or delivered.
func (s *Lanes) Deliver(ctx context.Context, it *Item) error {
	l := s.lane(LaneOf(it.Address))
	if l == nil {
		return fmt.Errorf("deliver to %s: no such destination", it.Address)
	}
	for held := s.bytes.Load(); held > 0 && held+int64(it.size()) > memory; held = s.bytes.Load() {
		s.parkLargest()
		select {
		case <-s.eased:
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stop.Done():
			return context.Canceled
		}
	}
	l.push(it)
	return nil
}

// Resume goes on with what was parked when the last relay on this queue ended.
// It must be called before the first Deliver. What is parked for a destination
// that is gone becomes dead letters.
func (s *Lanes) Resume(ctx context.Context, parked map[queue.Lane]*queue.LaneAtStart) error {
	var gone []*queue.LaneAtStart
	for name, at := range parked {
		if l := s.lane(name); l != nil {
			l.resume(at)
		} else {
			gone = append(gone, at)
		}
	}
	s.do(func() {
		for name := range parked {
			if l := s.lane(name); l != nil {
				l.count()
			}
		}
	})
	for _, at := range gone { // what this writes may carry the others' floor
		if err := s.buryLane(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) resume(at *queue.LaneAtStart) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parked = true
	l.tally()
	l.standing.reason, l.standing.since = at.Reason, at.Time
	if at.State == queue.LaneBroken {
		l.standing.refusals, l.standing.refused, l.standing.broken = brokenAfter, at.Time, at.Time
	}
	l.line.tail, l.line.done = at.Last, at.Done
	l.line.seq = max(at.Done.Seq, 1) - 1 // the message that Done names may hold more
	l.line.counted, l.line.resumed = l.line.seq, at.Last
	l.line.total, l.line.fresh = l.set.parking.LineCount(l.name).Total, true
	for _, id := range at.Early {
		l.line.early[id] = queue.Place{}
	}
	l.line.passed = len(at.Early) // they are counted with the rest of the line
	l.record()
	l.start()
}

// Update takes new destinations. Lanes whose destination is unchanged go on
// undisturbed; one that has moved is tried again at once, and what waits for
// one that is gone becomes dead letters.
func (s *Lanes) Update(destinations []Destination) {
	s.mu.Lock()
	present := map[string]bool{}
	moved := map[*destination]bool{}
	for _, c := range destinations {
		present[c.Name] = true
		s.metrics.begin(c.Name)
		if d := s.dests[c.Name]; d == nil {
			s.dests[c.Name] = newDestination(c, s.limits.paused)
		} else if d.update(&c) {
			moved[d] = true
		}
	}
	for name, d := range s.dests {
		if !present[name] && d.update(nil) {
			moved[d] = true // its lanes stay, and give up what they hold
		}
	}
	s.mu.Unlock()
	for _, l := range s.all() {
		if moved[l.dest] {
			l.anew()
		}
	}
}

// lane returns the lane of that name, making it when it is new, or nil when it
// names no destination.
func (s *Lanes) lane(name queue.Lane) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[name]
	if l == nil {
		dest := s.dests[name.Destination]
		if dest == nil {
			return nil
		}
		l = &lane{set: s, name: name, address: AddressOf(name), dest: dest, line: line{early: map[queue.ID]queue.Place{}}, carried: map[queue.ID]past{}}
		s.lanes[name] = l
	}
	return l
}

func (s *Lanes) all() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.lanes))
}

// Floor is the journal sequence that recovery must read from because of lanes
// that are parked; max when none is.
func (s *Lanes) Floor(max uint64) uint64 {
	if s.lagging.Load() == 0 {
		return max // each journal message asks
	}
	for _, l := range s.all() {
		l.mu.Lock()
		if l.holds() {
			max = min(max, l.recorded)
		}
		l.mu.Unlock()
	}
	return max
}

// Close takes no more deliveries, waits for those in flight until ctx ends,
// then gives them up: they are still in the queue.
func (s *Lanes) Close(ctx context.Context) {
	s.doors.Lock()
	s.doStop()
	s.doors.Unlock()
	ended := make(chan struct{})
	go func() { s.running.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		s.doKill()
		<-ended
	}
	s.doKill()
}

// Halt stops at once, for a relay that may no longer post: another one has
// taken over.
func (s *Lanes) Halt() {
	s.doKill()
	s.Close(s.kill)
}

// overtaken stops everything at once: not one more post may be made.
func (s *Lanes) overtaken() {
	s.doors.Lock()
	defer s.doors.Unlock()
	s.doStop()
	s.doKill()
}

func (s *Lanes) stopping() error { return s.stop.Err() }

// do runs f in a goroutine that Close waits for; false when it is too late.
// Goroutines are used again: the stack of one that has written a message is
// large enough for the next.
func (s *Lanes) do(f func()) bool {
	s.doors.RLock()
	defer s.doors.RUnlock()
	if s.stop.Err() != nil {
		return false
	}
	select {
	case s.spare <- f:
	default:
		s.running.Go(func() { s.workOn(f) })
	}
	return true
}

// maxSpare is how many goroutines wait for work when there is none.
const maxSpare = 64

// workOn runs f and what do hands over afterwards.
func (s *Lanes) workOn(f func()) {
	for {
		f()
		if s.spares.Add(1) > maxSpare {
			s.spares.Add(-1)
			return
		}
		select {
		case f = <-s.spare:
			s.spares.Add(-1)
		case <-s.stop.Done():
			return
		}
	}
}

func (s *Lanes) addBytes(n int) {
	if s.bytes.Add(int64(n)); n < 0 {
		select {
		case s.eased <- struct{}{}:
		default:
		}
	}
}

// share is how many bytes one lane may keep in memory.
func (s *Lanes) share() int { return memory / 5 }

// parkLargest makes room in memory.
func (s *Lanes) parkLargest() {
	var largest *lane
	most := 0
	for _, l := range s.all() {
		l.mu.Lock()
		if !l.parked && l.bytes > most {
			largest, most = l, l.bytes
		}
		l.mu.Unlock()
	}
	if largest != nil {
		largest.mu.Lock()
		largest.park(largest.lateness("memory"))
		largest.mu.Unlock()
	}
}

// parkDestination parks all lanes of a destination that fails.
func (s *Lanes) parkDestination(d *destination, reason string) {
	for _, l := range s.all() {
		if l.dest != d {
			continue
		}
		l.mu.Lock()
		if len(l.waiting)+len(l.flying) > 0 {
			l.park(cause{reason: reason})
		}
		l.mu.Unlock()
	}
}

// watchAge parks lanes whose oldest delivery waits too long.
func (s *Lanes) watchAge() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			for _, l := range s.all() {
				l.tooOld(now)
			}
		case <-s.stop.Done():
			return
		}
	}
}

// parkBatch appends to RELAY_PARKED for as long as it takes; false when the
// relay stops.
func (s *Lanes) parkBatch(name queue.Lane, batch []queue.Parked) (uint64, bool) {
	for {
		seq, err := s.parking.Park(s.kill, name, batch)
		if err == nil {
			return seq, true
		}
		if s.kill.Err() != nil || s.stop.Err() != nil {
			return 0, false
		}
		if s.makeRoom(name.Destination, err) {
			continue
		}
		s.log.Error("deliveries cannot be parked; trying again", "address", AddressOf(name).String(), "err", err)
		if !sleep(s.stop, time.Second) {
			return 0, false
		}
	}
}

// nextParked reads the first batch above the sequence; false when the relay
// stops.
func (s *Lanes) nextParked(name queue.Lane, after, tail uint64) (uint64, []queue.Parked, bool) {
	for tries := 1; ; tries++ {
		s.reading.Lock()
		seq, batch, err := s.parking.NextParked(s.stop, name, after)
		s.reading.Unlock()
		switch {
		case err == nil && seq != 0:
			return seq, batch, true
		case s.stop.Err() != nil:
			return 0, nil, false
		case err == nil && tries > 10:
			s.log.Error("parked deliveries are missing from the queue", "address", AddressOf(name).String(), "after", after, "until", tail)
			return tail, nil, true
		case err != nil:
			s.log.Error("parked deliveries cannot be read; trying again", "address", AddressOf(name).String(), "err", err)
		}
		if !sleep(s.stop, 250*time.Millisecond) {
			return 0, nil, false
		}
	}
}

func (s *Lanes) purge(name queue.Lane, upTo uint64) bool {
	err := s.parking.PurgeParked(s.kill, name, upTo)
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("settled deliveries stay in the queue for now", "address", AddressOf(name).String(), "err", err)
	}
	return err == nil
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
