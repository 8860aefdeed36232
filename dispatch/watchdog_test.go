package dispatch

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

// marker is a journal that keeps marks, or fails.
type marker struct {
	err   error
	marks []queue.Mark
}

func (m *marker) Write(_ context.Context, recs ...queue.Record) error {
	for _, r := range recs {
		if m.err == nil {
			m.marks = append(m.marks, *r.(*queue.Mark))
		}
	}
	return m.err
}

type watched struct {
	*Watchdog
	journal marker
	log     strings.Builder
	ended   int
}

func newWatched() *watched {
	k := &watched{}
	k.Watchdog = NewWatchdog(&k.journal, slog.New(slog.NewTextHandler(&k.log, nil)), prometheus.NewRegistry(), func() { k.ended++ })
	return k
}

func (k *watched) metric() float64 {
	var m dto.Metric
	_ = k.seconds.Write(&m) // a gauge's never fails
	return m.GetGauge().GetValue()
}

// after lets seconds go by, in looks of one second.
func (k *watched) after(t *testing.T, seconds int) {
	t.Helper()
	for range seconds {
		k.tick(t.Context(), interval)
	}
}

func TestStandstillIsReported(t *testing.T) {
	k := newWatched()
	s := k.Begin()
	defer s.End()
	id := queue.ID{Seq: 7}
	s.Wait("the journal", id)
	k.after(t, 9)
	if err := k.Ready(); err != nil || k.log.Len() > 0 {
		t.Fatalf("after 9 s: %v\n%s", err, &k.log)
	}
	k.after(t, 3)
	var still *Standstill
	if err := k.Ready(); !errors.As(err, &still) || still.What != "the journal" {
		t.Errorf("ready: %v", err)
	}
	if got := k.metric(); got != 12 {
		t.Errorf("the metric is %v, want 12", got)
	}
	if log := k.log.String(); strings.Count(log, "dispatch is at a standstill") != 1 || !strings.Contains(log, `waits_for="the journal"`) || !strings.Contains(log, "event_id=7-0") {
		t.Errorf("log:\n%s", log)
	}
	k.after(t, 600)
	if k.ended != 0 || len(k.journal.marks) != 0 {
		t.Errorf("it ended %d times and named %v; waiting is no event's fault", k.ended, k.journal.marks)
	}
	s.Wait("its lane", id)
	k.after(t, 1)
	if err := k.Ready(); err != nil || k.metric() != 0 || !strings.Contains(k.log.String(), "dispatch continues") {
		t.Errorf("when it goes on: %v, %v\n%s", err, k.metric(), &k.log)
	}
}

func TestNothingToDoIsNoStandstill(t *testing.T) {
	k := newWatched()
	s, none := k.Begin(), true
	defer s.End()
	s.Idle("the next events", func() bool { return none })
	k.after(t, 3600)
	if err := k.Ready(); err != nil {
		t.Error(err)
	}
	none = false
	k.after(t, 10)
	if k.Ready() == nil {
		t.Error("there is something to read, and it is not read")
	}
}

func TestEventThatStandsStillIsNamed(t *testing.T) {
	k := newWatched()
	lane, place := queue.Lane{Destination: "mm"}, queue.Place{Seq: 3}
	done := k.Rendering(queue.ID{Seq: 7}, lane, place)
	k.journal.err = queue.ErrClosed
	k.after(t, 20)
	if k.ended != 0 {
		t.Fatal("it ended, and nothing names the event")
	}
	k.journal.err = nil
	k.after(t, 1)
	if k.ended != 1 || len(k.journal.marks) != 1 {
		t.Fatalf("it ended %d times, named %+v", k.ended, k.journal.marks)
	}
	if m := k.journal.marks[0]; !m.Begin || m.ID != (queue.ID{Seq: 7}) || m.Lane != lane || m.Place != place {
		t.Errorf("it named %+v", m)
	}
	done()
	k.after(t, 60)
	if k.ended != 1 {
		t.Error("it ended again")
	}
}

// What survived the sandbox may take its time here.
func TestHarmlessEventIsNotNamed(t *testing.T) {
	k := newWatched()
	id := queue.ID{Seq: 7}
	k.markHarmless(id)
	defer k.Rendering(id, queue.Lane{}, queue.Place{})()
	k.after(t, 60)
	if k.ended != 0 || k.Ready() == nil {
		t.Errorf("it ended %d times, ready: %v", k.ended, k.Ready())
	}
}

// A process that did not run does not count the time.
func TestPauseIsNoStandstill(t *testing.T) {
	k := newWatched()
	defer k.Rendering(queue.ID{Seq: 7}, queue.Lane{}, queue.Place{})()
	for range 8 {
		k.tick(t.Context(), time.Hour)
	}
	if err := k.Ready(); err != nil || k.ended != 0 {
		t.Errorf("%v, it ended %d times", err, k.ended)
	}
}

// endless are routes that never come to an end with one project's events.
type endless struct {
	byProject
	begun chan struct{}
	done  <-chan struct{}
}

func (r endless) MatchAt(e *events.Event, _ time.Time) routes.Decision {
	if e.Project.Path == "endless" {
		close(r.begun)
		<-r.done
	}
	return r.byProject.MatchAt(e, time.Time{})
}

// Dispatch stands still with an event. The next start finds its name, and the
// sandbox finds it harmless.
func TestWatchdogNamesTheEventForTheNextStart(t *testing.T) {
	dir := t.TempDir()
	ids := storeAll(t, dir, "a", "endless", "b")
	q, j, state := lead(t, queue.Options{Dir: dir})
	lanes := &hands{items: make(chan *delivery.Item, 100)}
	opt := options(q, j, state, lanes, io.Discard)
	r := endless{begun: make(chan struct{}), done: t.Context().Done()}
	opt.Routes = r
	ended := make(chan struct{})
	opt.Watchdog = NewWatchdog(j, opt.Log, prometheus.NewRegistry(), func() { close(ended) })
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- New(opt).Run(ctx) }()
	t.Cleanup(func() { <-over })
	<-r.begun
	for range 10 {
		opt.Watchdog.tick(t.Context(), interval)
	}
	select {
	case <-ended:
	default:
		cancel()
		t.Fatalf("the watchdog did not end the process: %v", opt.Watchdog.Ready())
	}
	q.Close() // without a word to the journal, as a process that ends
	cancel()

	q, j, state = lead(t, queue.Options{Dir: dir})
	defer q.Close()
	defer j.Close()
	if state.Suspect == nil || state.Suspect.ID != ids[1] {
		t.Fatalf("the next start suspects %+v, want %s", state.Suspect, ids[1])
	}
	opt = options(q, j, state, lanes, io.Discard)
	opt.Sandbox = trials{deadly: "nothing"}
	opt.Watchdog = NewWatchdog(j, opt.Log, prometheus.NewRegistry(), func() {})
	if err := New(opt).Vet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !opt.Watchdog.harmless[ids[1]] {
		t.Error("the event is still suspected")
	}
}
