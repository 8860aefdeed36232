package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// byProject sends every event to a destination named like its project; one
// without a project is taken by nobody.
type byProject struct{}

func (byProject) MatchAt(e *events.Event, _ time.Time) routes.Decision {
	if e.Project.Path == "" {
		return routes.Decision{Nearest: "Main", Because: "projects: want acme/**, got nothing"}
	}
	var d routes.Decision
	for _, name := range strings.Split(e.Project.Path, "/") {
		d.Deliveries = append(d.Deliveries, routes.Delivery{Address: configs.Address{Destination: name}, Route: "R"})
	}
	return d
}

// hands are lanes that only take.
type hands struct {
	items chan *delivery.Item
	floor uint64
}

func (h *hands) Deliver(_ context.Context, it *delivery.Item) error { h.items <- it; return nil }

func (h *hands) Floor(most uint64) uint64 {
	if h.floor > 0 {
		return min(most, h.floor)
	}
	return most
}

// stage is a dispatcher on a real queue.
type stage struct {
	*Dispatcher
	t     *testing.T
	hands *hands
	log   *strings.Builder
	stop  func()
}

// lead opens a queue and takes over its journal.
func lead(t *testing.T, opt queue.Options) (*queue.Queue, *queue.Journal, *queue.State) {
	t.Helper()
	q, err := queue.Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	j, state, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return q, j, state
}

func newStage(t *testing.T, dir string, change ...func(*Options)) *stage {
	t.Helper()
	return newStageOn(t, queue.Options{Dir: dir}, change...)
}

func newStageOn(t *testing.T, opt queue.Options, change ...func(*Options)) *stage {
	t.Helper()
	q, j, state := lead(t, opt)
	s := &stage{t: t, hands: &hands{items: make(chan *delivery.Item, 100)}, log: &strings.Builder{}}
	o := options(q, j, state, s.hands, s.log)
	for _, f := range change {
		f(&o)
	}
	s.Dispatcher = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		j.Close()
		q.Close()
	}
	t.Cleanup(s.stop)
	return s
}

func options(q *queue.Queue, j *queue.Journal, state *queue.State, lanes Lanes, log io.Writer) Options {
	return Options{
		Queue: q, Journal: j, State: state, Routes: byProject{}, Direct: anywhere, Lanes: lanes, Repeats: NewRepeats(RepeatsSize, nil), Title: strings.Clone, History: time.Hour,
		Log: slog.New(slog.NewTextHandler(log, nil)), Registerer: prometheus.NewRegistry(),
	}
}

func (s *stage) store(project string) queue.ID {
	s.t.Helper()
	body := fmt.Sprintf(`{"object_kind":"push","ref":"refs/heads/main","project":{"path_with_namespace":%q}}`, project)
	id, err := s.Queue.Store(s.t.Context(), &queue.Webhook{Source: "gitlab", Received: time.Now(), Body: []byte(body)})
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *stage) take() *delivery.Item {
	s.t.Helper()
	select {
	case it := <-s.hands.items:
		return it
	case <-time.After(20 * time.Second):
		s.t.Fatal("nothing was delivered")
		return nil
	}
}

func TestDeliveriesComeInTheOrderOfTheirEvents(t *testing.T) {
	s := newStage(t, t.TempDir())
	var want, got []string
	for i := range 20 {
		id := s.store(fmt.Sprintf("a/b%d", i))
		want = append(want, id.String()+" a", fmt.Sprintf("%s b%d", id, i))
	}
	for range want {
		it := s.take()
		got = append(got, it.ID.String()+" "+it.Address.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
}

// The cursor stands below the oldest event that is not settled, and what was
// settled above it is not delivered again after a restart.
func TestRestartGoesOnFromTheCursor(t *testing.T) {
	dir := t.TempDir()
	s := newStage(t, dir)
	first, second, third := s.store("a"), s.store("a"), s.store("a/b")
	for range 4 {
		it := s.take()
		if it.ID == first || it.ID == third && it.Address.Destination == "a" {
			s.settle(it)
		}
	}
	if c := s.checkpoint(); c.Cursor != first.Seq {
		t.Errorf("the cursor is %d, want %d", c.Cursor, first.Seq)
	}
	s.stop()

	s = newStage(t, dir)
	fourth := s.store("c")
	var got []string
	for range 3 {
		it := s.take()
		got = append(got, it.ID.String()+" "+it.Address.String())
		it.Done()
	}
	if diff := cmp.Diff([]string{second.String() + " a", third.String() + " b", fourth.String() + " c"}, got); diff != "" {
		t.Errorf("after the restart (-want +got):\n%s", diff)
	}
}

// settle records that a delivery has reached its chat, and lets go of its event.
func (s *stage) settle(it *delivery.Item) {
	s.t.Helper()
	err := s.Journal.Write(s.t.Context(), &queue.Settled{ID: it.ID, Lane: delivery.LaneOf(it.Address), Outcome: queue.OutcomeDelivered})
	if err != nil {
		s.t.Fatal(err)
	}
	it.Done()
}

// What nobody takes is settled at once and recorded with its reason.
func TestUnroutedEventIsRecorded(t *testing.T) {
	s := newStage(t, t.TempDir())
	lost := s.store("")
	last := s.store("a")
	s.take().Done()
	s.stop()
	if !strings.Contains(s.log.String(), `event_id=`+lost.String()+` event=push project="" outcome=unrouted nearest_route=Main because="projects: want acme/**, got nothing"`) {
		t.Errorf("the log says:\n%s", s.log)
	}
	if c := s.checkpoint(); c.Cursor != last.Seq {
		t.Errorf("the cursor is %d, want %d", c.Cursor, last.Seq)
	}
}

func TestCheckpointKeepsTheLanesFloor(t *testing.T) {
	s := newStage(t, t.TempDir())
	for range 3 {
		if err := s.Journal.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if c := s.checkpoint(); c.Journal != s.Journal.Last() {
		t.Errorf("with nothing open the floor is %d, want %d", c.Journal, s.Journal.Last())
	}
	s.hands.floor = 1
	if c := s.checkpoint(); c.Journal != 1 {
		t.Errorf("the floor is %d, want the lanes' 1", c.Journal)
	}
}

func TestProgress(t *testing.T) {
	var p progress
	a, b, c := p.begin(1, queue.Nonce{1}, 10, 20), p.begin(2, queue.Nonce{2}, 11, 21), p.begin(3, queue.Nonce{3}, 12, 22)
	p.add(a)
	p.done(a)
	p.done(b)
	p.done(c)
	if got, want := p.checkpoint(99, 98), (queue.Checkpoint{Journal: 10, Parked: 20}); got != want {
		t.Errorf("while the oldest is open: %+v, want %+v", got, want)
	}
	p.done(a)
	if got, want := p.checkpoint(99, 98), (queue.Checkpoint{Cursor: 3, Nonce: queue.Nonce{3}, Journal: 99, Parked: 98}); got != want {
		t.Errorf("when all is settled: %+v, want %+v", got, want)
	}
}
