package delivery

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// The pauses of a destination that fails, each a fifth more or less; what somebody
// asks for in between neither lengthens nor skips one.
func TestLadder(t *testing.T) {
	want := []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}
	synctest.Test(t, func(t *testing.T) {
		d := newDestination(Destination{}, usual.paused)
		probe := func() { // as soon as it may be
			if err := d.admit(t.Context(), time.Time{}); err != nil {
				t.Fatal(err)
			}
			d.failedAgain(time.Now(), result{})
		}
		probe()
		for i, pause := range want {
			begin := time.Now()
			due := d.until
			for range 4 {
				time.Sleep(time.Second)
				d.hurry()
				d.hurry()
				probe()
				if !d.until.Equal(due) {
					t.Fatalf("pause %d: a try that somebody asked for moves the next one by %s", i, d.until.Sub(due))
				}
			}
			probe()
			if took := time.Since(begin); took < pause*4/5 || took > pause*6/5 {
				t.Errorf("pause %d lasts %s, want about %s", i, took, pause)
			}
		}
		d.hurry()
		d.failedAgain(time.Now(), result{retryAfter: time.Hour})
		if wait := time.Until(d.until); wait != time.Hour {
			t.Errorf("Retry-After of a try that somebody asked for: %s, want an hour", wait)
		}
	})
}

// The same for a lane that is left alone by itself.
func TestAskedTriesOfALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lane{standing: standing{until: time.Now().Add(5 * time.Minute)}}
		due := l.standing.until
		for range 4 {
			time.Sleep(time.Second)
			l.retrySoon()
			l.retrySoon()
			if !l.standing.early(time.Now()) || !l.standing.until.Equal(due) {
				t.Errorf("it is to be tried at %s, want %s", l.standing.until, due)
			}
		}
		time.Sleep(5 * time.Minute)
		if l.standing.early(time.Now()) {
			t.Error("the probe that was due counts as early")
		}
	})
}

// Who asks for a try hears what came of it, and the next probe is when it was.
func TestTryNow(t *testing.T) {
	everything := func(configs.Address) bool { return true }
	for name, status := range map[string]int{"all of it fails": http.StatusServiceUnavailable, "the address is refused": http.StatusNotFound} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(w *world) { w.limits.paused, w.limits.rejected = []time.Duration{time.Hour}, time.Hour })
			w.chat.Set("hooka", chat.Status(status, nil, ""))
			w.deliver("a#dev", "1")
			w.deliver("a#dev", "2")
			w.until("it waits", func() bool { return len(w.lanes.Status()) == 1 && time.Until(w.lanes.Status()[0].Next) > time.Minute })
			next := w.statusOf("a#dev").Next
			for range 5 {
				all := w.lanes.TryNow(w.context(), everything)
				if len(all) != 1 || all[0].Result != TriedFailed || !strings.Contains(all[0].Error, http.StatusText(status)) {
					t.Fatalf("tried: %+v", all)
				}
				if at := w.statusOf("a#dev"); !at.Next.Equal(next) {
					t.Errorf("the lane is %s and tried at %s, want at %s", at.State, at.Next, next)
				}
			}
			w.chat.Set("hooka", chat.OK())
			if all := w.lanes.TryNow(w.context(), everything); len(all) != 1 || all[0].Result != TriedOpen {
				t.Errorf("tried: %+v", all)
			}
			w.settled(2)
			w.chat.Set("hooka", chat.Hang())
			w.deliver("a#dev", "3")
			w.until("it waits", func() bool { return len(w.lanes.Status()) > 0 })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			w.lanes.TryNow(ctx, everything) // ends
			w.chat.Release("hooka")
		})
	}
}
