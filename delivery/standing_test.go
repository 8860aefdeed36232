package delivery

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// told collects what an operator is told of, by kind, and the all-clears.
type told struct {
	mu     sync.Mutex
	texts  map[string]string
	clears []string
	ended  []string // the kinds that they end
}

func (r *told) trouble(kind, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.texts == nil {
		r.texts = map[string]string{}
	}
	r.texts[kind] = text
}

func (r *told) relief(text string, kinds ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clears = append(r.clears, text)
	r.ended = append(r.ended, kinds...)
}

func (r *told) relieved() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.clears)
}

func (r *told) kinds() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.texts))
}

// listen has the lanes tell their troubles.
func (w *world) listen() *told {
	r := &told{}
	w.lanes.trouble, w.lanes.relief = r.trouble, r.relief
	return r
}

// statusOf is how the lane of an address stands; open when it is not listed.
func (w *world) statusOf(address string) LaneStatus {
	w.t.Helper()
	a, err := configs.ParseAddress(address)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range w.lanes.Status() {
		if s.Address == a {
			return s
		}
	}
	return LaneStatus{Address: a, State: LaneOpen}
}

// refusing has a hook answer so for these channels, and take all else.
func refusing(status int, id string, channels ...string) chat.Behaviour {
	return chat.Func(func(x *chat.Exchange) {
		if slices.Contains(channels, x.Entry.Channel) {
			x.Answer(status, http.Header{"Content-Type": {"application/json"}}, fmt.Sprintf(`{"id":%q,"message":"no","status_code":%d}`, id, status))
			return
		}
		x.OK()
	})
}

const unknownChannel = "web.incoming_webhook.channel.app_error"

// The end of a trouble is told once, of what was told: by address where one is
// refused, by destination where all of it fails, also when relay.yaml mends it.
func TestReliefIsTold(t *testing.T) {
	typo := refusing(404, unknownChannel, "typo")
	failing := chat.Status(500, nil, "")
	mended := func(w *world) { w.chat.Set("hooka", chat.OK()) }
	moved := func(w *world) {
		w.dests[0].URL = configs.NewSecret(w.chat.URL("elsewhere"))
		w.lanes.Update(w.prepared(w.dests))
	}
	for name, c := range map[string]struct {
		chat   chat.Behaviour
		kinds  []string
		mend   func(*world)
		clears []string
	}{
		"an address":           {typo, []string{"broken a#typo", "refused a#typo"}, mended, []string{"✅ `a#typo` takes messages again."}},
		"an address, moved":    {typo, []string{"broken a#typo", "refused a#typo"}, moved, []string{"✅ `a#typo` takes messages again."}},
		"a destination":        {failing, []string{"destination paused a"}, mended, []string{"✅ Destination `a` takes messages again."}},
		"a destination, moved": {failing, []string{"destination paused a"}, moved, []string{"✅ Destination `a` takes messages again."}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			tell := w.listen()
			w.chat.Set("hooka", c.chat)
			w.deliver("a#typo", "1")
			w.until("it is told", func() bool { return slices.Equal(tell.kinds(), c.kinds) })
			w.until("the lane is parked", func() bool { return w.statusOf("a#typo").State != LaneOpen })
			equal(t, "told before it is over", []string(nil), tell.relieved())
			c.mend(w)
			w.deliver("a#typo", "2", "3")
			w.last()
			equal(t, "told", c.clears, tell.relieved())
			for _, kind := range c.kinds {
				if !slices.Contains(tell.ended, kind) {
					t.Errorf("nobody says that %q is over", kind)
				}
			}
		})
	}
}

// gauges are the values of the lanes' own metrics, by name and destination.
func (w *world) gauges() map[string]float64 {
	w.t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(w.lanes)
	families, err := r.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			values[f.GetName()+" "+m.Label[0].GetValue()] = m.Gauge.GetValue()
		}
	}
	return values
}

// One misspelt channel of a hook: it is broken after three refusals, and that
// is told; the others go on meanwhile, in order; once it exists, it heals.
func TestMisspeltChannelBreaksAlone(t *testing.T) {
	for _, status := range []int{401, 403, 404, 410, 405, 307} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.limits.rejected = 5 * time.Millisecond })
			tell := w.listen()
			w.chat.Set("hooka", refusing(status, unknownChannel, "typo"))
			w.deliver("a#typo", "1", "2", "3")
			w.deliver("a#good", numbered(4, 20)...)
			w.until("the address is broken", func() bool { return w.statusOf("a#typo").State == LaneBroken })
			w.forgotten()
			w.until("the others are posted", func() bool { return len(w.chat.Posts("hooka")) == 17 })
			w.deliver("a#good", numbered(21, 30)...)
			w.until("the others go on", func() bool { return len(w.chat.Posts("hooka")) == 27 })
			equal(t, "posts", numbered(4, 30), chat.Texts(w.chat.Posts("hooka")))
			equal(t, "told", []string{"broken a#typo", "refused a#typo"}, tell.kinds())
			s := w.statusOf("a#typo")
			if s.Held != 3 || s.Whole || s.Since.IsZero() || !strings.Contains(s.Error, unknownChannel) || s.Reason == "" {
				t.Errorf("status %+v", s)
			}
			if !strings.Contains(w.log.String(), `"msg":"address broken"`) {
				t.Error("the log does not say so")
			}
			g := w.gauges()
			equal(t, "gauges", []float64{1, 0, 3, 0}, []float64{g["relay_broken_addresses a"], g["relay_broken_addresses b"], g["relay_parked_deliveries a"], g["relay_parked_deliveries b"]})

			w.chat.Set("hooka", chat.OK())
			w.opened(queue.Lane{Destination: "a", Channel: "typo"})
			equal(t, "posts to the channel", numbered(1, 3), ofChannel(w.chat.Posts("hooka"), "typo"))
			w.until("it is open", func() bool { return w.statusOf("a#typo").State == LaneOpen })
			if n := w.gauges()["relay_broken_addresses a"]; n != 0 {
				t.Errorf("relay_broken_addresses is %v", n)
			}
		})
	}
}

func ofChannel(entries []chat.Entry, channel string) []string {
	return chat.Texts(slices.DeleteFunc(entries, func(e chat.Entry) bool { return e.Channel != channel }))
}

// A broken address stays broken across a restart, and is not told of again.
func TestBrokenAddressIsRemembered(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected = 5 * time.Millisecond })
	w.chat.Set("hooka", refusing(404, unknownChannel, "typo"))
	w.deliver("a#typo", "1", "2")
	w.until("the address is broken", func() bool { return w.statusOf("a#typo").State == LaneBroken })
	w.forgotten()
	w.limits.rejected = time.Hour
	w.stop()
	before := w.chat.Count("hooka")
	w.start()
	tell := w.listen()
	w.until("it is tried again", func() bool { return w.chat.Count("hooka") > before })
	w.until("all of it is counted", func() bool { return w.statusOf("a#typo").Held == 2 })
	if s := w.statusOf("a#typo"); s.State != LaneBroken || s.Since.IsZero() {
		t.Errorf("after a restart: %+v", s)
	}
	equal(t, "told", []string(nil), tell.kinds())
}

// When two channels are refused and nothing gets through, it is the hook, and that
// is reported. Channels that are new are tried all the same.
func TestTwoBrokenChannelsBreakTheDestination(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected = 5 * time.Millisecond })
	tell := w.listen()
	w.chat.Set("hooka", chat.Status(403, nil, ""))
	for i := range 5 {
		w.deliver(fmt.Sprintf("a#c%d", i), numbered(10*i, 10*i+3)...)
	}
	w.until("the destination is broken", func() bool { return strings.Contains(w.log.String(), `"msg":"destination broken"`) })
	w.until("all are broken", func() bool { return w.gauges()["relay_broken_addresses a"] == 5 })
	if n := len(tell.kinds()); n > 5+2 || !slices.Contains(tell.kinds(), "destination broken a") {
		t.Errorf("told of %v", tell.kinds())
	}
	for _, s := range w.lanes.Status() {
		if !s.Whole || s.State != LaneBroken {
			t.Errorf("%+v", s)
		}
	}
	w.chat.Set("hooka", chat.OK())
	w.posts("hooka", 20)
	for i := range 5 {
		equal(t, "posts", numbered(10*i, 10*i+3), ofChannel(w.chat.Posts("hooka"), fmt.Sprintf("c%d", i)))
	}
}

// Two misspelt channels beside one that works are two broken addresses, and
// no broken destination.
func TestTwoMisspeltChannelsAreNoBrokenDestination(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected = time.Hour })
	tell := w.listen()
	w.chat.Set("hooka", refusing(404, unknownChannel, "typo", "tpyo"))
	w.deliver("a#typo", "1")
	w.deliver("a#tpyo", "2")
	w.until("both are held", func() bool { return w.gauges()["relay_parked_lanes a"] == 2 })
	w.deliver("a#good", "3")
	w.last()
	for range brokenAfter - 1 {
		w.again("hooka", 2)
	}
	w.until("both are told", func() bool { return len(tell.kinds()) >= 4 }) // after they are held
	equal(t, "told", []string{"broken a#tpyo", "broken a#typo", "refused a#tpyo", "refused a#typo"}, tell.kinds())
}

// again has the lanes that are held tried once more, and waits until they have
// been refused again.
func (w *world) again(hook string, lanes int) {
	w.t.Helper()
	before := w.chat.Count(hook)
	if n := w.lanes.Retry(func(configs.Address) bool { return true }); n != lanes {
		w.t.Fatalf("%d lanes are tried, want %d", n, lanes)
	}
	w.until("all are tried", func() bool { return w.chat.Count(hook) == before+lanes })
	w.until("all are held again", func() bool {
		return !slices.ContainsFunc(w.lanes.Status(), func(s LaneStatus) bool { return s.Next.IsZero() })
	})
}

// One answer that names the hook is enough to know that it is not the channel.
func TestAnswerAboutTheHookBreaksTheDestination(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected = 5 * time.Millisecond })
	w.dests[0].Kind = configs.KindSlack
	w.lanes.Update(w.prepared(w.dests))
	tell := w.listen()
	w.chat.Set("hooka", chat.Status(404, nil, "no_service"))
	w.deliver("a", "1", "2")
	w.until("the destination is broken", func() bool { return slices.Contains(tell.kinds(), "destination broken a") })
	equal(t, "told", []string{"destination broken a", "refused a"}, tell.kinds())
	if s := w.statusOf("a"); !s.Whole || s.State != LaneBroken || s.Error != "404 Not Found (no_service)" {
		t.Errorf("%+v", s)
	}
}

// A destination that is broken as a whole heals as a whole: the first message
// that gets through has the lanes tried that would have waited for hours.
func TestBrokenDestinationHealsAsAWhole(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected = time.Hour })
	w.chat.Set("hooka", chat.Status(404, nil, "no_service"))
	for i := range 4 {
		w.deliver(fmt.Sprintf("a#c%d", i), fmt.Sprint(i))
	}
	w.until("all are held", func() bool { return w.gauges()["relay_parked_lanes a"] == 4 })
	for range brokenAfter - 1 {
		w.again("hooka", 4)
	}
	w.chat.Set("hooka", chat.OK())
	w.deliver("a#new", "new")
	equal(t, "posts", []string{"0", "1", "2", "3", "new"}, slices.Sorted(slices.Values(w.posts("hooka", 5))))
}

// A hook that answers 400 to everything, whatever the lane, for as long as it
// likes: nothing is buried, and everything comes in order once it stops.
func TestRefusalOfEverythingBuriesNothing(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected = 2 * time.Millisecond })
	var posts atomic.Int64
	posts.Store(10) // that are taken before it begins
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if posts.Add(-1) >= 0 {
			x.OK()
			return
		}
		x.Answer(400, http.Header{"Content-Type": {"application/json"}}, chat.ErrorBody("hooka"))
	}))
	for i := range 4 {
		w.deliver(fmt.Sprintf("a#c%d", i), numbered(100*i, 100*i+9)...)
	}
	if _, err := w.chat.WaitN(w.context(), "hooka", 150); err != nil {
		t.Fatal(err)
	}
	w.chat.Set("hooka", healingAtTheHead(100))
	for range 3 {
		w.deliver("a#c0", "more")
	}
	w.posts("hooka", 43)
	for id, outcome := range w.settled(43) {
		if outcome != queue.OutcomeDelivered {
			t.Errorf("%d: %s", id, outcome)
		}
	}
	for i := 1; i < 4; i++ {
		equal(t, "posts", numbered(100*i, 100*i+9), ofChannel(w.chat.Posts("hooka"), fmt.Sprintf("c%d", i)))
	}
}

// Whatever is sent to @nobody is refused with 400, and another channel works:
// that is no message's fault. Three in a row park the lane, none is buried.
func TestThreeRefusedInARowAreNotBuried(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected = 5 * time.Millisecond })
	w.chat.Set("hooka", refusing(400, "web.incoming_webhook.user.app_error", "@nobody"))
	w.deliver("a@nobody", numbered(1, 3)...)
	for n := 4; w.statusOf("a@nobody").State != LaneBroken; n++ {
		w.deliver("a#good", fmt.Sprint(n))
		w.last()
	}
	for id, outcome := range w.settled(1) {
		if outcome != queue.OutcomeDelivered {
			t.Errorf("%d: %s", id, outcome)
		}
	}
	w.chat.Set("hooka", healingAtTheHead(6))
	w.until("all are posted", func() bool { return len(ofChannel(w.chat.Posts("hooka"), "@nobody")) == 3 })
	equal(t, "posts", numbered(1, 3), ofChannel(w.chat.Posts("hooka"), "@nobody"))
}

// A single message that is refused while other lanes go on is given up; a
// second one after it is not, on their word alone.
func TestOnlyOneIsBuriedOnTheWordOfOthers(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected = 5 * time.Millisecond })
	w.chat.Set("hooka", refusing(400, "web.incoming_webhook.user.app_error", "@nobody"))
	good := func(is func() bool) {
		for w.deliver("a#good", "x"); !is(); w.deliver("a#good", "x") {
			w.last()
		}
	}
	dead := func() (n int) {
		for _, outcome := range w.settled(1) {
			if outcome == queue.OutcomeDead {
				n++
			}
		}
		return n
	}
	w.deliver("a@nobody", "1")
	good(func() bool { return dead() == 1 })
	w.deliver("a@nobody", "2")
	good(func() bool { return w.statusOf("a@nobody").State == LaneBroken })
	if n := dead(); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
	if s := w.statusOf("a@nobody"); s.Held != 1 {
		t.Errorf("%+v", s)
	}
}

// The lane stands still while a refused message is tried again.
func TestRefusedMessageIsWaitedFor(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.refused = []time.Duration{time.Hour} })
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if x.Entry.Text == "poison" {
			x.Answer(422, nil, "")
			return
		}
		x.OK()
	}))
	w.deliver("a", "poison", "after")
	w.until("it waits", func() bool { return !w.statusOf("a").Next.IsZero() })
	if s := w.statusOf("a"); s.State != LaneWaiting || s.Held != 2 || s.Reason != ReasonRefused || s.Next.Before(time.Now().Add(50*time.Minute)) || s.Since.IsZero() {
		t.Errorf("%+v", s)
	}
	w.chat.Set("hooka", chat.OK())
	if n := w.lanes.Retry(func(configs.Address) bool { return true }); n != 1 {
		t.Errorf("%d lanes are tried", n)
	}
	equal(t, "posts", []string{"poison", "after"}, w.posts("hooka", 2))
}

// poisoned answers 500 to what is poison.
func poisoned(x *chat.Exchange) {
	if strings.HasPrefix(x.Entry.Text, "poison") {
		x.Answer(500, http.Header{"Content-Type": {"application/json"}}, `{"id":"api.post.create_webhook_post.creating.app_error","message":"Error creating post.","status_code":500}`)
		return
	}
	x.OK()
}

// One message that always gets 500, among good ones in its lane: only it is
// buried, and the others keep their order.
func TestPoisonIsBuriedAlone(t *testing.T) {
	for name, titles := range map[string][]string{
		"at the head":        {"poison", "1", "2", "3"},
		"in the middle":      {"1", "2", "poison", "3"},
		"two, one by one":    {"1", "poison 1", "2", "3", "poison 2", "4"},
		"two, side by side":  {"1", "poison 1", "poison 2", "2", "3"},
		"four, side by side": {"poison 1", "poison 2", "poison 3", "poison 4", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(w *world) {
				w.limits.paused, w.limits.rejected = []time.Duration{time.Millisecond}, time.Millisecond
			})
			w.chat.Set("hooka", chat.Func(poisoned))
			w.deliver("a", titles...)
			want, good := map[uint64]string{}, []string{}
			for i, title := range titles {
				want[uint64(i+1)] = queue.OutcomeDelivered
				if strings.HasPrefix(title, "poison") {
					want[uint64(i+1)] = queue.OutcomeDead
				} else {
					good = append(good, title)
				}
			}
			equal(t, "outcomes", want, w.settled(len(titles)))
			equal(t, "posts", good, chat.Texts(w.chat.Posts("hooka")))
			if err := w.queue.DeadLetters(w.context(), func(_ uint64, d queue.Dead) bool {
				if !strings.HasPrefix(d.Reason, "refused by the receiver: 500") {
					t.Errorf("given up because %q", d.Reason)
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// With nothing behind it, a message that gets 500 waits: nothing shows that it
// is the message.
func TestPoisonAloneWaits(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.limits.paused, w.limits.rejected = []time.Duration{time.Millisecond}, time.Millisecond
	})
	w.chat.Set("hooka", chat.Func(poisoned))
	w.deliver("a", "poison")
	if _, err := w.chat.WaitN(w.context(), "hooka", 40); err != nil {
		t.Fatal(err)
	}
	if s := w.statusOf("a"); s.Held != 1 || s.State != LaneParked {
		t.Errorf("%+v", s)
	}
	w.deliver("a", "1")
	equal(t, "outcomes", map[uint64]string{1: queue.OutcomeDead, 2: queue.OutcomeDelivered}, w.settled(2))
}

// While one lane has a message that gets 500 again and again, the others of
// its destination are not paused.
func TestPoisonDoesNotPauseTheOthers(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.paused, w.limits.rejected = []time.Duration{time.Hour}, time.Hour })
	var tries atomic.Int64
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if x.Entry.Text == "poison" && tries.Add(1) == 2 && !x.Wait() {
			return
		}
		poisoned(x)
	}))
	w.deliver("a#one", "poison", "after")
	w.until("the poison has failed", func() bool { return tries.Load() == 2 })
	n := 0
	w.deliver("a#two", fmt.Sprint(n))
	w.last()
	w.chat.Release("hooka")
	w.until("its lane is parked", func() bool { return w.statusOf("a#one").State == LaneParked })
	for range 20 {
		n++
		w.deliver("a#two", fmt.Sprint(n))
	}
	w.last()
	if s := w.statusOf("a#one"); s.State != LaneParked || s.Whole || s.Held != 2 || s.Reason != ReasonServerError {
		t.Errorf("%+v", s)
	}
	if s := w.statusOf("a#two"); s.State != LaneOpen {
		t.Errorf("the other lane: %+v", s)
	}
}

// A destination that is down for long, and answers 502 all the while, has the
// head of its lanes fail more often than a poison would: nothing is buried when
// it comes back.
func TestLongOutageBuriesNothing(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.paused = []time.Duration{time.Millisecond} })
	w.chat.Set("hooka", chat.Status(502, nil, "<html>bad gateway"))
	for i := range 3 {
		w.deliver(fmt.Sprintf("a#c%d", i), numbered(10*i, 10*i+3)...)
	}
	if _, err := w.chat.WaitN(w.context(), "hooka", 150); err != nil {
		t.Fatal(err)
	}
	w.chat.Set("hooka", chat.OK())
	w.posts("hooka", 12)
	for i := range 3 { // in order, unless the chat came back between a head and what was sent past it
		posts := ofChannel(w.chat.Posts("hooka"), fmt.Sprintf("c%d", i))
		slices.SortFunc(posts, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
		equal(t, "posts", numbered(10*i, 10*i+3), posts)
	}
	for id, outcome := range w.settled(12) {
		if outcome != queue.OutcomeDelivered {
			t.Errorf("%d: %s", id, outcome)
		}
	}
}

// A chat that comes back just before it takes what is sent past the head gets
// the head once more, late; it is given up only when it is refused again.
func TestHeadIsTriedOnceMoreBeforeItIsGivenUp(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.paused = []time.Duration{time.Millisecond} })
	var back atomic.Bool
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if x.Entry.Text == "1" && !back.Load() {
			x.Answer(502, nil, "<html>bad gateway")
			return
		}
		back.Store(true)
		x.OK()
	}))
	w.deliver("a#one", "1", "2", "3")
	w.posts("hooka", 3)
	equal(t, "posts", []string{"2", "1", "3"}, chat.Texts(w.chat.Posts("hooka")))
	for id, outcome := range w.settled(3) {
		if outcome != queue.OutcomeDelivered {
			t.Errorf("%d: %s", id, outcome)
		}
	}
}

// Every second request to a channel gets 500: nothing is posted twice, and the
// order holds.
func TestFlapping(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.limits.paused, w.limits.rejected = []time.Duration{time.Millisecond}, time.Millisecond
	})
	var one, two atomic.Int64
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		n := &one
		if x.Entry.Channel == "two" {
			n = &two
		}
		if n.Add(1)%2 == 1 {
			x.Answer(500, nil, "")
			return
		}
		x.OK()
	}))
	w.deliver("a#one", numbered(1, 100)...)
	w.deliver("a#two", numbered(101, 200)...)
	w.posts("hooka", 200)
	equal(t, "posts", numbered(1, 100), ofChannel(w.chat.Posts("hooka"), "one"))
	equal(t, "posts", numbered(101, 200), ofChannel(w.chat.Posts("hooka"), "two"))
}

// What is too old is given up when its destination fails, its lane is refused,
// or the receiver does not accept it, but not before it was tried.
func TestTooOldIsGivenUp(t *testing.T) {
	for name, b := range map[string]chat.Behaviour{
		"down":         chat.Status(502, nil, ""),
		"refused":      chat.Status(404, nil, ""),
		"not accepted": chat.HTML200(),
		"400":          chat.Status(400, nil, ""),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				w.dests[0].GiveUpAfter = 50 * time.Millisecond
				w.limits.paused, w.limits.rejected = []time.Duration{time.Hour}, time.Hour
			})
			w.chat.Set("hooka", b)
			w.deliver("a#one", numbered(1, 5)...)
			w.deliver("a#two", numbered(6, 10)...)
			want := map[uint64]string{}
			for id := range uint64(10) {
				want[id+1] = queue.OutcomeDead
			}
			equal(t, "outcomes", want, w.settled(10))
			if err := w.queue.DeadLetters(w.context(), func(_ uint64, d queue.Dead) bool {
				if !strings.HasPrefix(d.Reason, "undelivered for 50ms") {
					t.Errorf("given up because %q", d.Reason)
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The clock jumps a year ahead, or the relay was away for as long: what can be
// delivered is delivered.
func TestNothingExpiresUntried(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.paused = []time.Duration{time.Hour} })
	w.chat.Set("hooka", chat.Status(502, nil, ""))
	w.deliver("a", numbered(1, 3)...)
	w.forgotten()
	w.stop()
	w.dests[0].GiveUpAfter = time.Nanosecond // they are older now
	w.chat.Set("hooka", chat.OK())
	w.start()
	w.deliver("a", "4")
	equal(t, "posts", numbered(1, 4), w.posts("hooka", 4))
}

// A reload that changes nothing about a destination changes nothing: neither
// its pause, nor its pace, nor what is under way.
func TestReloadLeavesTheUnchangedAlone(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.limits.paused, w.limits.rejected = []time.Duration{time.Hour}, time.Hour
		w.limits.inPlace = nil
		w.dests[1].RateLimit = configs.Rate{Count: 1, Per: time.Hour, Burst: 2}
	})
	w.chat.Set("hooka", refusing(404, unknownChannel, "typo"))
	w.deliver("a#typo", "1")
	w.until("the lane is held", func() bool { return w.statusOf("a#typo").State == LaneParked })
	w.deliver("b", "2", "3", "4")
	w.posts("hookb", 2)
	before := w.statusOf("a#typo")
	transport := w.lanes.dests["a"].config.Load().transport
	for range 5 {
		w.lanes.Update(w.prepared(w.dests))
	}
	w.deliver("a#good", "5")
	w.last()
	equal(t, "status", fmt.Sprint(before), fmt.Sprint(w.statusOf("a#typo")))
	if got := w.lanes.dests["a"].config.Load().transport; got != transport {
		t.Error("the transport is another one")
	}
	if n := w.chat.Count("hooka"); n != 2 {
		t.Errorf("%d requests to a, want the refused one and a good one", n)
	}
	if n := w.chat.Count("hookb"); n != 2 {
		t.Errorf("%d requests to b, want its burst of 2", n)
	}

	w.chat.Set("hookb", chat.Status(500, nil, ""))
	w.dests[1].RateLimit = configs.Rate{}
	w.lanes.Update(w.prepared(w.dests))
}

// An attempt fails while a reload changes nothing about its destination: it is
// repeated in place, and its lane is not parked.
func TestReloadDoesNotParkAFailingLane(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if !x.Wait() {
			return
		}
		x.Answer(500, nil, "")
	}))
	w.deliver("a", "1")
	if _, err := w.chat.WaitN(w.context(), "hooka", 1); err != nil {
		t.Fatal(err)
	}
	w.dests[0].GiveUpAfter = time.Hour // something that says nothing about where it is
	w.lanes.Update(w.prepared(w.dests))
	w.chat.Set("hooka", chat.OK())
	w.chat.Release("hooka")
	w.posts("hooka", 1)
	w.last()
	if strings.Contains(w.log.String(), "lane parked") {
		t.Errorf("the lane was parked:\n%s", w.log)
	}
}

// A parked destination's depth is counted: in memory, on disk, and after a
// restart.
func TestParkedIsCounted(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.paused = []time.Duration{time.Hour} })
	w.chat.Set("hooka", chat.Status(502, nil, ""))
	w.deliver("a#one", numbered(1, 300)...)
	w.deliver("a#two", numbered(301, 310)...)
	w.forgotten()
	check := func(when string, want float64) {
		t.Helper()
		w.until(when, func() bool { return w.gauges()["relay_parked_deliveries a"] == want })
		if held := w.statusOf("a#one").Held + w.statusOf("a#two").Held; float64(held) != want {
			t.Errorf("%s: %d are held, want %v", when, held, want)
		}
	}
	check("all are counted", 310)
	w.stop()
	w.start()
	check("all are counted again", 310)
	w.deliver("a#two", numbered(311, 315)...)
	w.forgotten()
	check("new ones are counted", 315)
	w.chat.Set("hooka", chat.OK())
	w.until("nothing is left", func() bool {
		w.lanes.Retry(func(configs.Address) bool { return true }) // again: what was under way may still have failed
		return len(w.lanes.Status()) == 0
	})
	w.posts("hooka", 315)
	g := w.gauges()
	equal(t, "gauges", []float64{0, 0, 0}, []float64{g["relay_parked_deliveries a"], g["relay_waiting_deliveries a"], g["relay_parked_lanes a"]})
}

// reads counts what is read of the lines.
type reads struct {
	Parking
	count atomic.Int32
}

func (r *reads) NextParked(ctx context.Context, lane queue.Lane, after uint64) (uint64, []queue.Parked, error) {
	r.count.Add(1)
	return r.Parking.NextParked(ctx, lane, after)
}

// After a restart a line is counted by what its first message says, not by reading
// all of it, also when the line was begun and something in it is settled.
func TestLongLineIsCountedAtOnce(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.paused = []time.Duration{time.Hour} })
	w.chat.Set("hooka", chat.Status(502, nil, ""))
	for i := range 8 {
		w.deliver("a#one", numbered(100*i+1, 100*i+100)...)
		w.until("they are parked", func() bool { return w.statusOf("a#one").Held == 100*i+100 })
	}
	var taken atomic.Int32
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if taken.Add(1) > 30 {
			x.Answer(http.StatusBadGateway, nil, "")
			return
		}
		x.OK()
	}))
	w.until("some are settled", func() bool {
		if taken.Load() == 0 {
			w.lanes.Retry(func(configs.Address) bool { return true })
		}
		return w.statusOf("a#one").Held == 770 && w.lanes.dests["a"].paused()
	})
	w.stop()
	w.open()
	r := &reads{Parking: w.queue}
	w.lanes.parking = r
	if err := w.lanes.Resume(w.context(), w.state.Lanes); err != nil {
		t.Fatal(err)
	}
	w.until("all are counted", func() bool { return w.statusOf("a#one").Held == 770 })
	if n := r.count.Load(); n > 2 {
		t.Errorf("the line was read %d times, want its head alone", n)
	}
	w.chat.Set("hooka", chat.OK())
	w.until("nothing is left", func() bool {
		w.lanes.Retry(func(configs.Address) bool { return true })
		return len(w.lanes.Status()) == 0
	})
}
