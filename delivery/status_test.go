package delivery

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// hanging starts a world in which the first message of a was refused in words, or
// is not answered, and hangs in its second or first attempt.
func hanging(t *testing.T, failed bool) *world {
	t.Helper()
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
		if failed && w.chat.Count("hooka") == 1 {
			x.Answer(503, nil, "")
		} else if x.Wait() {
			x.OK()
		}
	}))
	t.Cleanup(func() { w.chat.Release("hooka") })
	w.deliver("a", "1", "2")
	attempts := 1
	if failed {
		attempts = 2
	}
	if _, err := w.chat.WaitN(w.context(), "hooka", attempts); err != nil {
		t.Fatal(err)
	}
	return w
}

// ages makes the first message of a as if it had come, and had been sent, before
// this much.
func (w *world) ages(by time.Duration) {
	w.t.Helper()
	l := w.lanes.lane(queue.Lane{Destination: "a"})
	l.mu.Lock()
	defer l.mu.Unlock()
	j := l.flying[0]
	j.item.waiting, j.first, j.began = j.item.waiting.Add(-by), j.first.Add(-by), j.began.Add(-by)
}

// A message that is not answered yet: its lane is listed after a while; when it
// failed before, at once and with what came of that.
func TestHangingLaneIsListed(t *testing.T) {
	t.Run("first attempt", func(t *testing.T) {
		w := hanging(t, false)
		if s := w.statusOf("a"); s.State != LaneOpen && s.Error != "sent 2 s ago" { // on a machine that stands still for 2 s
			t.Errorf("at once: %+v", s)
		}
		w.ages(time.Hour)
		if s := w.statusOf("a"); s.State != LaneWaiting || s.Reason != ReasonNoAnswer || !strings.HasPrefix(s.Error, "sent 1h0m") || s.Held != 2 || time.Since(s.Since) < time.Hour || !s.Next.IsZero() {
			t.Errorf("after an hour: %+v", s)
		}
	})
	t.Run("second attempt", func(t *testing.T) {
		w := hanging(t, true)
		if s := w.statusOf("a"); s.State != LaneWaiting || s.Reason != ReasonServerError || s.Error != "503 Service Unavailable" || s.Held != 2 || s.Since.IsZero() {
			t.Errorf("%+v", s)
		}
		w.chat.Set("hooka", chat.OK())
		w.chat.Release("hooka")
		w.posts("hooka", 2)
		w.last()
		w.until("it is open", func() bool { return w.statusOf("a").State == LaneOpen })
	})
}

// A lane that parks because it is late or holds much has the reason of the attempt
// that failed, with its words; only one whose attempts succeed is too slow.
func TestLateLaneSaysWhatFailed(t *testing.T) {
	park := map[string]func(*world){
		"age": func(w *world) {
			w.ages(w.limits.age + time.Minute)
			w.lanes.lane(queue.Lane{Destination: "a"}).tooOld(time.Now())
		},
		"memory":  func(w *world) { w.lanes.parkLargest() },
		"backlog": func(w *world) { w.deliver("a", numbered(3, w.limits.waiting+1)...) },
	}
	for name, parks := range park {
		for _, c := range []struct {
			failed       bool
			reason, text string
		}{
			{true, ReasonServerError, "503 Service Unavailable"},
			{false, ReasonNoAnswer, ""},
		} {
			t.Run(name+" "+c.reason, func(t *testing.T) {
				w := hanging(t, c.failed)
				w.ages(time.Minute)
				parks(w)
				if s := w.statusOf("a"); s.State != LaneParked || s.Reason != c.reason || s.Error != c.text {
					t.Errorf("%+v", s)
				}
				if !strings.Contains(w.log.String(), `"lane parked","address":"a","reason":"`+c.reason+`"`) {
					t.Errorf("the log says:\n%s", w.log)
				}
				w.recorded("the lane is parked", func(rec queue.Record) bool {
					s, ok := rec.(*queue.LaneState)
					return ok && s.State == queue.LaneParked && s.Reason == c.reason
				})
			})
		}
	}
}

// A lane that is parked shows the last attempt: its reason and its words, not
// those of two.
func TestReasonAndErrorAreOfOneAttempt(t *testing.T) {
	w := newWorld(t, func(w *world) { w.limits.rejected, w.limits.refused = time.Hour, []time.Duration{time.Hour} })
	w.chat.Set("hooka", chat.Status(404, nil, ""))
	w.deliver("a#dev", "1")
	w.until("it is parked", func() bool { return w.statusOf("a#dev").State == LaneParked && !w.statusOf("a#dev").Next.IsZero() })
	if s := w.statusOf("a#dev"); s.Reason != ReasonNotFound || s.Error != "404 Not Found" {
		t.Errorf("after a 404: %+v", s)
	}
	w.chat.Set("hooka", chat.Status(400, http.Header{"Content-Type": {"text/plain"}}, ""))
	w.forgotten()
	w.lanes.hurry(w.lanes.dests["a"])
	if _, err := w.chat.WaitN(w.context(), "hooka", 2); err != nil {
		t.Fatal(err)
	}
	w.until("the second answer is known", func() bool { return w.statusOf("a#dev").Reason != ReasonNotFound })
	if s := w.statusOf("a#dev"); s.State != LaneParked || s.Reason != ReasonRefused || s.Error != "400 Bad Request" {
		t.Errorf("after a 400: %+v", s)
	}
}
