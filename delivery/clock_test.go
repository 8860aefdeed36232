package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
)

const year = 365 * 24 * time.Hour

// set is a clock of a relay that was started an hour ago, the machine's clock
// having been set by so much since.
func set(by time.Duration) clock {
	now := time.Now()
	return clock{wall: now.Add(-time.Hour - by).Round(0), steady: now.Add(-time.Hour)}
}

// What came in before or after the machine's clock was set is given up when it
// is old by both, and not before.
func TestClockThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const giveUp = 72 * time.Hour
		now := time.Now()
		for name, c := range map[string]struct {
			set      time.Duration
			received time.Time // as the clock was then
			expired  bool
		}{
			"not set, new":          {0, now.Add(-time.Minute), false},
			"not set, old":          {0, now.Add(-giveUp), true},
			"ahead, new before":     {year, now.Add(-year - time.Minute), false},
			"ahead, old before":     {year, now.Add(-year - giveUp), true},
			"ahead, new after":      {year, now.Add(-time.Minute), false},
			"back, new before":      {-year, now.Add(year - time.Minute), false},
			"back, new after":       {-year, now.Add(-time.Minute), false},
			"an hour ahead, new":    {time.Hour, now.Add(-2 * time.Hour), false},
			"an hour back, new":     {-time.Hour, now.Add(time.Hour), false},
			"an hour ahead, by one": {time.Hour, now.Add(-giveUp), false},
		} {
			lanes := &Lanes{clock: set(c.set)}
			l := &lane{set: lanes}
			j := &job{item: &Item{Webhook: &queue.Webhook{Received: c.received}}}
			at := l.expires(j, target{Destination: &Destination{Destination: configs.Destination{GiveUpAfter: giveUp}}})
			if expired := !time.Now().Before(at); expired != c.expired {
				t.Errorf("%s: given up is %t, want %t", name, expired, c.expired)
			}
		}
	})
}

// Pauses are waited for by what passes, whatever the machine's clock says: in
// ten hours of a dead destination there are as many probes as the pauses allow.
func TestProbesNeitherStormNorStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDestination(Destination{}, usual.paused)
		d.failedAgain(time.Now(), result{})
		probes, begin := 0, time.Now()
		for time.Since(begin) < 10*time.Hour {
			if err := d.admit(t.Context(), time.Time{}); err != nil {
				t.Fatal(err)
			}
			probes++
			d.failedAgain(time.Now(), result{})
		}
		if probes < 105 || probes > 145 { // 4 within 4 minutes, then one in 5 minutes, a fifth more or less
			t.Errorf("%d probes in ten hours", probes)
		}
	})
}
