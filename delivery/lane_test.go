package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/tidwall/gjson"
	"go.uber.org/goleak"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plainly writes the payload's title as the message; a title "broken" cannot
// be written.
type plainly struct{}

func (plainly) Render(_ context.Context, r formatters.Request) (formatters.Post, error) {
	title := gjson.GetBytes(r.Event.Payload, "title").String()
	if title == "broken" {
		return formatters.Post{}, errors.New("template push.md.tmpl:1: broken")
	}
	body, err := json.Marshal(map[string]string{"text": title, "channel": r.Channel})
	return formatters.Post{Body: body, Markdown: title}, err
}

// quick keeps the order of things but not their length.
var quick = limits{
	inPlace:  []time.Duration{0, time.Millisecond, time.Millisecond},
	paused:   []time.Duration{20 * time.Millisecond},
	refused:  []time.Duration{time.Millisecond, time.Millisecond},
	rejected: 20 * time.Millisecond,
	age:      time.Hour,
	waiting:  50,
}

// world is a queue, a chat server and lanes between them.
type world struct {
	t       *testing.T
	dir     string
	chat    *chat.Server
	limits  limits
	clients *Clients
	dests   []configs.Destination
	queue   *queue.Queue
	journal *queue.Journal
	state   *queue.State
	lanes   *Lanes
	log     *syncBuffer
	seq     uint64
	undone  atomic.Int64

	sizes   queue.Options                // of the streams
	through func(*queue.Journal) Journal // what the lanes write to, if not the journal itself

	formatter Formatter // what writes the messages, if not [plainly]
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t *testing.T, change func(*world)) *world {
	t.Helper()
	server, err := chat.Start(chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	w := &world{t: t, dir: t.TempDir(), chat: server, limits: quick, log: &syncBuffer{}, clients: NewClients("test")}
	for _, name := range []string{"a", "b"} {
		w.dests = append(w.dests, configs.Destination{
			Name: name, Kind: configs.KindMattermost, URL: configs.NewSecret(server.URL("hook" + name)), Concurrency: 1, GiveUpAfter: 72 * time.Hour,
		})
	}
	if change != nil {
		change(w)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	w.open()
	if err := w.lanes.Resume(w.t.Context(), w.state.Lanes); err != nil {
		w.t.Fatal(err)
	}
}

// open does everything before Resume.
func (w *world) open() {
	w.t.Helper()
	var err error
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	opt := w.sizes
	opt.Dir, opt.Log = w.dir, log
	if w.queue, err = queue.Open(w.t.Context(), opt); err != nil {
		w.t.Fatal(err)
	}
	if w.journal, w.state, err = w.queue.Lead(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	var journal Journal = w.journal
	if w.through != nil {
		journal = w.through(w.journal)
	}
	formatter := w.formatter
	if formatter == nil {
		formatter = plainly{}
	}
	w.lanes = New(Options{
		Destinations: w.prepared(w.dests), Formatter: formatter, Journal: journal, Parking: w.queue, Stdout: w.log, Log: log,
		Registerer: prometheus.NewRegistry(), limits: &w.limits,
	})
}

func (w *world) prepared(ds []configs.Destination) []Destination {
	w.t.Helper()
	prepared, err := w.clients.Prepare(ds, configs.EgressPrivate)
	if err != nil {
		w.t.Fatal(err)
	}
	return prepared
}

// stop ends the lanes in good order.
func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	w.lanes.Close(ctx)
	w.journal.Close()
	w.queue.Close()
	w.clients.Close()
}

// deliver hands in deliveries with these titles.
func (w *world) deliver(address string, titles ...string) {
	w.t.Helper()
	for _, title := range titles {
		w.bulky(address, title, "")
	}
}

// bulky hands in a delivery that is as large as its ballast.
func (w *world) bulky(address, title, ballast string) {
	w.t.Helper()
	a, err := configs.ParseAddress(address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seq++
	body := fmt.Sprintf(`{"object_kind":"push","title":%q,"ballast":%q}`, title, ballast)
	w.undone.Add(1)
	err = w.lanes.Deliver(w.t.Context(), &Item{
		ID: queue.ID{Seq: w.seq}, Webhook: &queue.Webhook{Source: "gitlab", Received: time.Now(), Body: []byte(body)},
		Event: events.Decode(events.Input{Source: "gitlab", Body: []byte(body)}), Address: a, Route: "R", Done: func() { w.undone.Add(-1) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// forgotten waits until every delivery has let go of its event: it is settled
// or in RELAY_PARKED.
func (w *world) forgotten() {
	w.t.Helper()
	w.until("every event is let go", func() bool { return w.undone.Load() == 0 })
}

// until waits for something that comes of itself, and looks again whenever the
// journal has moved on: with the disk, not with the clock.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for ctx := w.context(); !is(); {
		if err := w.journal.Write(ctx); err != nil {
			w.t.Fatalf("until %s: %v; the log:\n%.3000s", what, err, w.log)
		}
	}
}

// recorded waits for a record in the journal.
func (w *world) recorded(what string, is func(queue.Record) bool) {
	w.t.Helper()
	read := uint64(0)
	w.until(what, func() bool {
		found := false
		err := w.queue.Entries(w.context(), read, func(e queue.Entry) bool {
			read, found = e.Seq, slices.ContainsFunc(e.Records, is)
			return !found
		})
		if err != nil {
			w.t.Fatal(err)
		}
		return found
	})
}

// opened waits until a lane says that it is open again.
func (w *world) opened(name queue.Lane) {
	w.t.Helper()
	w.recorded("the lane is open again", func(rec queue.Record) bool {
		s, ok := rec.(*queue.LaneState)
		return ok && s.Lane == name && s.State == queue.LaneOpen
	})
}

// last waits until the newest delivery is settled. In a lane that delivers one
// at a time, nothing that was to come before it is still to be posted then.
func (w *world) last() {
	w.t.Helper()
	w.recorded("the newest delivery is settled", func(rec queue.Record) bool {
		s, ok := rec.(*queue.Settled)
		return ok && s.ID.Seq == w.seq
	})
}

func (w *world) context() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	w.t.Cleanup(cancel)
	return ctx
}

// posts waits for n messages at a hook and returns their texts.
func (w *world) posts(hook string, n int) []string {
	w.t.Helper()
	entries, err := w.chat.WaitPosts(w.context(), hook, n)
	if err != nil {
		w.t.Fatalf("%v; the log:\n%.3000s", err, w.log)
	}
	return chat.Texts(entries)
}

// settled waits until the journal holds n settled deliveries, and returns their
// outcomes by event.
func (w *world) settled(n int) map[uint64]string {
	w.t.Helper()
	for ctx := w.context(); ; {
		got := map[uint64]string{}
		err := w.queue.Entries(ctx, 0, func(e queue.Entry) bool {
			for _, rec := range e.Records {
				if s, ok := rec.(*queue.Settled); ok {
					got[s.ID.Seq] = s.Outcome
				}
			}
			return true
		})
		if err != nil {
			w.t.Fatalf("%d of %d settled: %v; the log:\n%.3000s", len(got), n, err, w.log)
		}
		if len(got) >= n {
			return got
		}
		if err := w.journal.Write(ctx); err != nil { // moves on with the journal, not with the clock
			w.t.Fatal(err)
		}
	}
}

func numbered(from, to int) []string {
	var s []string
	for i := from; i <= to; i++ {
		s = append(s, fmt.Sprint(i))
	}
	return s
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestLaneKeepsTheOrder(t *testing.T) {
	w := newWorld(t, nil)
	want := numbered(1, 100)
	w.deliver("a#dev", want...)
	equal(t, "posts", want, w.posts("hooka", 100))
	w.settled(100)
}

// What an address never answers waits; others never notice.
func TestDeadDestinationHoldsUpNobodyElse(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Hang())
	w.deliver("a", numbered(1, 2000)...)
	want := numbered(2001, 2100)
	w.deliver("b", want...)
	equal(t, "posts to b", want, w.posts("hookb", 100))
	if n := w.lanes.bytes.Load(); n > 2<<20 {
		t.Errorf("%d bytes in memory", n)
	}
}

// An overfull lane goes on from RELAY_PARKED in the same order, and what was in
// flight meanwhile is not posted again.
func TestOverfullLaneParksInOrder(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Hang())
	want := numbered(1, 250)
	w.deliver("a#dev", want[:150]...)
	if _, err := w.chat.WaitN(w.context(), "hooka", 1); err != nil {
		t.Fatal(err)
	}
	w.chat.Set("hooka", chat.OK())
	w.chat.Release("hooka")
	w.deliver("a#dev", want[150:]...)
	equal(t, "posts", want, w.posts("hooka", 250))
	w.settled(250)
	if n := w.undone.Load(); n != 0 {
		t.Errorf("%d deliveries still hold their event", n)
	}
}

func TestFailingDestinationParksAndComesBack(t *testing.T) {
	for name, b := range map[string]chat.Behaviour{
		"down":       chat.Status(502, nil, "<html>bad gateway"),
		"reset":      chat.Reset(),
		"cut":        chat.Status(503, http.Header{"Retry-After": {"0"}}, ""),
		"login page": chat.HTML200(),
		"redirect":   chat.RedirectTo("http://127.0.0.1:1/hooks/elsewhere"),
		"no channel": chat.Status(404, nil, chat.ErrorBody("hooka")),
		"limited":    chat.Status(429, http.Header{"Retry-After": {"0"}}, "limit exceeded"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.chat.Set("hooka", b)
			want := numbered(1, 20)
			w.deliver("a#dev", want[:10]...)
			if _, err := w.chat.WaitN(w.context(), "hooka", 3); err != nil {
				t.Fatal(err)
			}
			w.deliver("a#dev", want[10:]...)
			w.chat.Set("hooka", chat.OK())
			equal(t, "posts", want, w.posts("hooka", 20))
			for id, outcome := range w.settled(20) {
				if outcome != queue.OutcomeDelivered {
					t.Errorf("%d: %s", id, outcome)
				}
			}
		})
	}
}

// What is parked survives a restart, in order, together with what comes after.
func TestParkedDeliveriesSurviveARestart(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	want := numbered(1, 50)
	w.deliver("a#dev", want[:30]...)
	w.forgotten()
	w.stop()
	w.chat.Set("hooka", chat.OK())
	w.limits.paused = []time.Duration{time.Millisecond}
	w.start()
	w.deliver("a#dev", want[30:]...)
	equal(t, "posts", want, w.posts("hooka", 50))
}

func TestRefusedMessageIsBuriedOnlyBesideSuccesses(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if strings.Contains(string(x.Entry.Raw), "poison") {
			x.Answer(400, nil, chat.ErrorBody("hooka"))
			return
		}
		x.OK()
	}))
	w.deliver("a#one", "poison", "after")
	if _, err := w.chat.WaitN(w.context(), "hooka", 1); err != nil {
		t.Fatal(err)
	}
	w.deliver("a#two", numbered(1, 3)...)
	got := w.settled(5)
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDead, 2: queue.OutcomeDelivered, 3: queue.OutcomeDelivered, 4: queue.OutcomeDelivered, 5: queue.OutcomeDelivered}, got)
	var dead []queue.Dead
	if err := w.queue.DeadLetters(w.context(), func(_ uint64, d queue.Dead) bool { dead = append(dead, d); return true }); err != nil {
		t.Fatal(err)
	}
	if len(dead) != 1 || !strings.Contains(string(dead[0].Webhook.Body), "poison") || dead[0].Attempts < 3 || dead[0].Lane.Channel != "one" {
		t.Errorf("dead letters: %+v", dead)
	}
}

func TestRefusalsAloneBuryNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", healingAtTheHead(30))
	w.deliver("a#one", numbered(1, 3)...)
	equal(t, "posts", numbered(1, 3), w.posts("hooka", 3))
}

func TestUnwritableMessageBecomesADeadLetter(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver("a", "1", "broken", "2")
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDelivered, 2: queue.OutcomeDead, 3: queue.OutcomeDelivered}, w.settled(3))
	equal(t, "posts", []string{"1", "2"}, w.posts("hooka", 2))
}

// withoutDestination is a world that is stopped, with three deliveries parked for
// a destination that is gone from its configuration since.
func withoutDestination(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	w.deliver("a#dev", numbered(1, 3)...)
	w.forgotten()
	w.stop()
	w.dests = w.dests[1:]
	return w
}

func TestDestinationThatIsGoneLeavesDeadLetters(t *testing.T) {
	w := withoutDestination(t)
	w.start()
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDead, 2: queue.OutcomeDead, 3: queue.OutcomeDead}, w.settled(3))
}

// A destination that moves is tried again at once; its lanes keep their order.
func TestReloadMovesADestination(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.limits.paused, w.limits.rejected = []time.Duration{time.Hour}, time.Hour
	})
	for _, hook := range []string{"hooka", "hookb"} {
		w.chat.Set(hook, chat.Status(500, nil, ""))
	}
	w.chat.Set("hookb", chat.Status(404, nil, ""))
	w.deliver("a#dev", numbered(1, 10)...)
	w.deliver("b#dev", numbered(11, 20)...)
	for _, hook := range []string{"hooka", "hookb"} {
		if _, err := w.chat.WaitN(w.context(), hook, 1); err != nil {
			t.Fatal(err)
		}
	}
	for i, to := range []string{"movea", "moveb"} {
		w.dests[i].URL = configs.NewSecret(w.chat.URL(to))
	}
	w.lanes.Update(w.prepared(w.dests))
	w.deliver("a#dev", "21")
	equal(t, "posts", append(numbered(1, 10), "21"), w.posts("movea", 11))
	equal(t, "posts", numbered(11, 20), w.posts("moveb", 10))
}

func TestReloadRemovesADestination(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.paused = []time.Duration{time.Hour} })
	w.chat.Set("hooka", chat.Status(500, nil, ""))
	w.deliver("a#dev", numbered(1, 3)...)
	w.forgotten()
	w.lanes.Update(w.prepared(w.dests[1:]))
	w.deliver("a#dev", "4") // decided before the reload
	for id, outcome := range w.settled(4) {
		if outcome != queue.OutcomeDead {
			t.Errorf("%d: %s", id, outcome)
		}
	}
	w.lanes.Update(w.prepared(w.dests))
	w.chat.Set("hooka", chat.OK())
	w.deliver("a#dev", "5")
	equal(t, "posts", []string{"5"}, w.posts("hooka", 1))
}

// The rate is the destination's, whatever channels its messages go to; its
// burst passes at once.
func TestRateLimitIsTheDestinations(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.dests[0].RateLimit = configs.Rate{Count: 1, Per: time.Hour, Burst: 3}
	})
	w.deliver("a#one", "1", "2")
	w.deliver("a#two", "3", "4")
	w.deliver("b", "5")
	w.posts("hooka", 3)
	w.posts("hookb", 1)
	w.dests[0].RateLimit = configs.Rate{}
	if n := w.chat.Count("hooka"); n != 3 {
		t.Errorf("%d posts, want the burst of 3", n)
	}
	w.lanes.Update(w.prepared(w.dests))
	w.posts("hooka", 4)
}

// A reload that raises the rate is also for those who wait already, in memory or
// in RELAY_PARKED, and one that removes the destination lets nobody wait.
func TestReloadChangesTheRateOfThoseWhoWait(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.dests[0].RateLimit = configs.Rate{Count: 1, Per: time.Hour, Burst: 1}
	})
	w.deliver("a", "1")
	w.posts("hooka", 1)
	w.deliver("a", "2", "3")
	w.deliver("a#dev", "4")
	front := w.lanes.dests["a"].front
	w.until("somebody waits", func() bool { return len(front) == 1 })
	w.lanes.lane(laneA).tooOld(time.Now().Add(time.Hour))
	w.dests[0].RateLimit = configs.Rate{Count: 1000, Per: time.Second, Burst: 1}
	w.lanes.Update(w.prepared(w.dests))
	w.posts("hooka", 4)
	w.dests[0].RateLimit = configs.Rate{Count: 1, Per: time.Hour, Burst: 1}
	w.lanes.Update(w.prepared(w.dests))
	w.deliver("a", "5", "6", "7")
	w.until("somebody waits", func() bool { return len(front) == 1 })
	w.lanes.Update(w.prepared(w.dests[1:]))
	w.settled(7)
}

// A lane that its destination's rate limit holds up says so.
func TestRateLimitIsTheReason(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.dests[0].RateLimit = configs.Rate{Count: 1, Per: time.Hour, Burst: 1}
	})
	w.deliver("a", "1", "2", "3")
	w.posts("hooka", 1)
	w.lanes.lane(laneA).tooOld(time.Now().Add(time.Hour))
	if all := w.lanes.Status(); len(all) != 1 || all[0].State != LaneParked || all[0].Reason != ReasonPaced {
		t.Errorf("status %+v", all)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	var now, most atomic.Int64
	w := newWorld(t, func(w *world) { w.dests[0].Concurrency = 4 })
	full := make(chan struct{})
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		if n == 4 {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		<-full // everyone waits until four are here
		x.OK()
	}))
	w.deliver("a", numbered(1, 40)...)
	got := w.posts("hooka", 40)
	if n := most.Load(); n != 4 {
		t.Errorf("%d at once, want 4", n)
	}
	slices.SortFunc(got, func(a, b string) int { return len(a)*100 - len(b)*100 + strings.Compare(a, b) })
	equal(t, "posts", numbered(1, 40), got)
}

// With several in flight a lane that parks loses nothing and repeats nothing.
func TestParkingWithSeveralInFlight(t *testing.T) {
	w := newWorld(t, func(w *world) { w.dests[0].Concurrency = 8 })
	w.chat.Set("hooka", chat.Hang())
	w.deliver("a", numbered(1, 150)...)
	if _, err := w.chat.WaitN(w.context(), "hooka", 8); err != nil {
		t.Fatal(err)
	}
	w.chat.Set("hooka", chat.OK())
	w.chat.Release("hooka")
	got := w.posts("hooka", 150)
	w.settled(150)
	seen := map[string]int{}
	for _, text := range got {
		seen[text]++
	}
	for text, n := range seen {
		if n != 1 {
			t.Errorf("%s was posted %d times", text, n)
		}
	}
}

// The lane posts its next message only when the journal holds the last one's
// outcome.
func TestNextPostWaitsForTheJournal(t *testing.T) {
	w := newWorld(t, nil)
	held := &heldJournal{Journal: w.journal, open: make(chan struct{})}
	w.lanes.journal = held
	w.deliver("a", "1", "2")
	w.posts("hooka", 1)
	<-held.reached()
	if n := w.chat.Count("hooka"); n != 1 {
		t.Errorf("%d posts while the first is not recorded", n)
	}
	close(held.open)
	w.posts("hooka", 2)
}

type heldJournal struct {
	*queue.Journal
	open chan struct{}
	once sync.Once
	at   chan struct{}
	mu   sync.Mutex
}

func (h *heldJournal) reached() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil {
		h.at = make(chan struct{})
	}
	return h.at
}

func (h *heldJournal) Write(ctx context.Context, recs ...queue.Record) error {
	h.once.Do(func() { close(h.reached()) })
	<-h.open
	return h.Journal.Write(ctx, recs...)
}

func TestLogNamesNoSecret(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Status(404, nil, chat.ErrorBody("hooka")))
	w.deliver("a#dev", "1")
	if _, err := w.chat.WaitN(w.context(), "hooka", 2); err != nil {
		t.Fatal(err)
	}
	w.chat.Set("hooka", chat.Reset())
	if _, err := w.chat.WaitN(w.context(), "hooka", 4); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.start()
	for _, secret := range []string{"hooka", w.chat.Addr()} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, w.log)
		}
	}
	if !strings.Contains(w.log.String(), `"address":"a#dev"`) {
		t.Errorf("the log does not name the address:\n%s", w.log)
	}
}
