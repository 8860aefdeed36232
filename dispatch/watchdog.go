package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// standstill is how long one step may take before it is reported.
	standstill = 10 * time.Second
	// interval is the time between two checks.
	interval = time.Second
	// maxInterval is the longest time between two checks that counts in full. In a
	// longer one this process did not run: its virtual machine was moved, or the system
	// had no processor for it.
	maxInterval = 3 * interval
	// markWait is how long the journal may take to keep the name of a suspect.
	markWait = 5 * time.Second
)

// Watchdog notices a standstill of dispatch, or of the writing of a message. It logs
// what that waits for, and a metric and readiness show it. Only when decoding, routing
// or rendering one event takes the time does it end the process, after it has named
// the event in the journal, so that the next start tries it in the sandbox.
type Watchdog struct {
	journal Marker
	log     *slog.Logger
	end     func()
	seconds prometheus.Gauge

	mu       sync.Mutex
	steps    map[*Step]struct{}
	harmless map[queue.ID]bool // did not crash the sandbox, or could not be tried in it
}

// Marker keeps the name of a suspect; see [queue.Journal].
type Marker interface {
	Write(ctx context.Context, recs ...queue.Record) error
}

// NewWatchdog makes a watchdog that ends the process with end, which does not return.
func NewWatchdog(journal Marker, log *slog.Logger, registry prometheus.Registerer, end func()) *Watchdog {
	w := &Watchdog{
		journal: journal, log: log, end: end, steps: map[*Step]struct{}{}, harmless: map[queue.ID]bool{},
		seconds: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "relay_dispatch_standstill_seconds", Help: "How long dispatch, or the writing of a message, has been at one step; 0 below 10 s."}),
	}
	registry.MustRegister(w.seconds)
	return w
}

// Step is the current step of something that must not stop making progress.
type Step struct {
	dog      *Watchdog
	what     string // "the journal"
	mark     queue.Mark
	suspect  bool        // the event of mark takes the time
	idle     func() bool // reports, in the step that waits for work, that there is none
	waited   time.Duration
	reported bool
}

// Begin watches something from now on, until its End. A nil watchdog watches nothing.
func (w *Watchdog) Begin() *Step {
	if w == nil {
		return nil
	}
	s := &Step{dog: w, idle: func() bool { return true }}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps[s] = struct{}{}
	return s
}

// Rendering watches the writing of one message until the function that it returns is
// called.
func (w *Watchdog) Rendering(id queue.ID, lane queue.Lane, place queue.Place) (done func()) {
	if w == nil {
		return func() {}
	}
	s := w.Begin()
	s.set("the message of this event to be written", queue.Mark{ID: id, Lane: lane, Place: place}, true, nil)
	queue.Failpoint(queue.FailRendering)
	return s.End
}

// Idle starts waiting for work; that is no standstill while there is none.
func (s *Step) Idle(what string, none func() bool) { s.set(what, queue.Mark{}, false, none) }

// Wait starts waiting for something, perhaps with an event.
func (s *Step) Wait(what string, id queue.ID) { s.set(what, queue.Mark{ID: id}, false, nil) }

// Read starts decoding and routing an event.
func (s *Step) Read(id queue.ID) {
	s.set("this event to be decoded and routed", queue.Mark{ID: id}, true, nil)
}

func (s *Step) set(what string, mark queue.Mark, suspect bool, idle func() bool) {
	if s == nil {
		return
	}
	s.dog.mu.Lock()
	defer s.dog.mu.Unlock()
	if s.reported {
		s.dog.log.Info("dispatch continues", "after", s.waited.String())
	}
	s.what, s.mark, s.suspect, s.idle, s.waited, s.reported = what, mark, suspect, idle, 0, false
}

// End ends the step, and the watching.
func (s *Step) End() {
	if s == nil {
		return
	}
	s.dog.mu.Lock()
	defer s.dog.mu.Unlock()
	delete(s.dog.steps, s)
}

// markHarmless records that an event is no longer suspected.
func (w *Watchdog) markHarmless(id queue.ID) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.harmless[id] = true
}

// Run checks every second until ctx ends.
func (w *Watchdog) Run(ctx context.Context) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for last := time.Now(); ; {
		select {
		case now := <-t.C:
			w.tick(ctx, now.Sub(last))
			last = now
		case <-ctx.Done():
			return
		}
	}
}

// tick counts the time since the last check, and handles standstills.
func (w *Watchdog) tick(ctx context.Context, since time.Duration) {
	if since > maxInterval {
		since = interval
	}
	for _, mark := range w.count(since) {
		bounded, cancel := context.WithTimeout(ctx, markWait)
		err := w.journal.Write(bounded, &mark)
		cancel()
		if err != nil {
			w.log.Error("the journal cannot name the event that dispatch waits for: the relay continues to wait", "event_id", mark.ID.String(), "err", err)
			continue
		}
		w.log.Error("processing this event does not end: the relay ends, and tries the event in a process of its own at the next start", "event_id", mark.ID.String())
		w.end()
		return
	}
}

// count adds the time to all steps, reports standstills, and returns the suspects.
func (w *Watchdog) count(since time.Duration) (suspects []queue.Mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest time.Duration
	for s := range w.steps {
		if s.idle != nil && s.idle() {
			s.waited = 0
			continue
		}
		if s.waited += since; s.waited < standstill {
			continue
		}
		longest = max(longest, s.waited)
		if !s.reported {
			s.reported = true
			w.log.Error("dispatch is at a standstill: webhooks are stored and not delivered", s.about()...)
		}
		if s.suspect && !w.harmless[s.mark.ID] {
			mark := s.mark
			mark.Begin, mark.Time = true, time.Now()
			suspects = append(suspects, mark)
		}
	}
	w.seconds.Set(longest.Seconds())
	return suspects
}

func (s *Step) about() []any {
	attrs := []any{"waits_for", s.what, "for", s.waited.String()}
	if s.mark.ID != (queue.ID{}) {
		attrs = append(attrs, "event_id", s.mark.ID.String())
	}
	if s.mark.Lane != (queue.Lane{}) {
		attrs = append(attrs, "address", delivery.AddressOf(s.mark.Lane).String())
	}
	return attrs
}

// Standstill is the error while dispatch is at a standstill.
type Standstill struct {
	For  time.Duration
	What string // it waits for
}

func (s *Standstill) Error() string {
	return fmt.Sprintf("dispatch has been at a standstill for %s and waits for %s", s.For, s.What)
}

// NotReady is what readiness says.
func (s *Standstill) NotReady() string { return "dispatch is at a standstill: " + s.What }

// Ready returns an error while something is at a standstill.
func (w *Watchdog) Ready() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.steps {
		if s.waited >= standstill {
			return &Standstill{s.waited, s.what}
		}
	}
	return nil
}
