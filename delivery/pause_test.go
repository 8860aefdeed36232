package delivery

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// asking is an answer that asks to be left alone for so many seconds.
func asking(x *chat.Exchange, status int, seconds string) {
	x.Answer(status, http.Header{"Retry-After": {seconds}}, "")
}

// What was under way when the receiver asked to be left alone, and gets through
// after that, does not end the pause.
func TestPauseOutlastsWhatWasUnderWay(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		switch {
		case x.Entry.Text != "slow":
			asking(x, http.StatusTooManyRequests, "1800")
		case x.Wait():
			x.OK()
		}
	}))
	w.deliver("a#one", "slow")
	if _, err := w.chat.WaitN(w.context(), "hooka", 1); err != nil {
		t.Fatal(err)
	}
	w.deliver("a#two", "limited")
	w.until("it is paused", w.lanes.dests["a"].paused)
	w.chat.Release("hooka")
	w.settled(1)
	if !w.lanes.dests["a"].paused() {
		t.Error("an older message has ended the pause")
	}
	w.chat.Set("hooka", chat.OK())
	w.lanes.Retry(func(configs.Address) bool { return true })
	w.posts("hooka", 2)
	w.until("a newer one ends it", func() bool { return !w.lanes.dests["a"].paused() })
}

// A pause begins while a message waits for the rate limit: it is not posted when
// that lets it, but when the pause is over.
func TestPauseBeginsBeforeTheRateAllows(t *testing.T) {
	w := newWorld(t, func(w *world) { w.dests[0].RateLimit = configs.Rate{Count: 1, Per: time.Hour, Burst: 1} })
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if x.Entry.Text != "1" || x.Wait() {
			asking(x, http.StatusTooManyRequests, "1800")
		}
	}))
	w.deliver("a#one", "1")
	if _, err := w.chat.WaitN(w.context(), "hooka", 1); err != nil {
		t.Fatal(err)
	}
	w.deliver("a#two", "2")
	w.until("the second waits", func() bool { return len(w.lanes.dests["a"].front) == 1 })
	w.chat.Release("hooka")
	w.until("it is paused", w.lanes.dests["a"].paused)
	w.dests[0].RateLimit = configs.Rate{}
	w.lanes.Update(w.prepared(w.dests))
	w.until("nobody waits for the rate", func() bool { return len(w.lanes.dests["a"].front) == 0 })
	w.forgotten()
	w.chat.Set("hooka", chat.OK())
	w.lanes.Retry(func(configs.Address) bool { return true })
	w.settled(2)
	if n := w.chat.Count("hooka"); n != 3 {
		t.Errorf("%d requests, want the one that was limited, and two that got through", n)
	}
}

// poisonedThenAsking answers 500 to a poison until what stands behind it has got
// through, then asks once to be left alone for so many seconds, and then takes it.
type poisonedThenAsking struct {
	seconds string

	mu   sync.Mutex
	good bool
	at   []time.Time // when it was posted since
}

func (p *poisonedThenAsking) answer(x *chat.Exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case x.Entry.Text != "poison":
		p.good = true
		x.OK()
	case !p.good:
		x.Answer(http.StatusInternalServerError, nil, "")
	case len(p.at) == 0:
		asking(x, http.StatusServiceUnavailable, p.seconds)
		p.at = append(p.at, time.Now())
	default:
		p.at = append(p.at, time.Now())
		x.OK()
	}
}

// The receiver says when to come back as it answers a last try.
func TestLastTryWaitsAsLongAsIsAsked(t *testing.T) {
	t.Run("in place", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil)
		p := &poisonedThenAsking{seconds: "1"}
		w.chat.Set("hooka", chat.Func(p.answer))
		w.deliver("a", "poison", "2")
		equal(t, "posts", []string{"2", "poison"}, w.posts("hooka", 2))
		if waited := p.at[1].Sub(p.at[0]); waited < time.Second {
			t.Errorf("it came back after %s", waited)
		}
	})
	t.Run("back in the line", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil)
		p := &poisonedThenAsking{seconds: "1800"}
		w.chat.Set("hooka", chat.Func(p.answer))
		w.deliver("a", "poison", "2")
		w.until("it is left alone for long", func() bool {
			_, _, until := w.lanes.dests["a"].status()
			return time.Until(until) > 20*time.Minute
		})
		w.lanes.Retry(func(configs.Address) bool { return true })
		equal(t, "posts", []string{"2", "poison"}, w.posts("hooka", 2))
		equal(t, "dead letters", 0, len(w.deaths()))
	})
}
