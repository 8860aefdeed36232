package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
)

// reports is a reporter in a bubble of synctest, and what it posts: the time since
// the start and the text.
type reports struct {
	*reporter
	t      *testing.T
	began  time.Time
	down   atomic.Bool // the chat
	nobody atomic.Bool // there is no address for reports
	posts  []string
	bodies []map[string]string
}

// reporting runs a test of a reporter, whose clock begins at midnight, UTC.
func reporting(t *testing.T, test func(r *reports)) {
	synctest.Test(t, func(t *testing.T) {
		var secrets redactor
		secrets.add("the-secret")
		r := &reports{t: t, began: time.Now()}
		address := func() (*delivery.Destination, string) {
			if r.nobody.Load() {
				return nil, ""
			}
			return &delivery.Destination{}, "relay"
		}
		r.reporter = newReporter(address, secrets.clean, slog.New(slog.DiscardHandler))
		r.send = func(_ context.Context, _ *delivery.Destination, body []byte) (string, error) {
			if r.down.Load() {
				return "", errors.New("503 Service Unavailable")
			}
			var fields map[string]string
			if err := json.Unmarshal(body, &fields); err != nil {
				t.Error(err)
			}
			r.bodies = append(r.bodies, fields)
			r.posts = append(r.posts, time.Since(r.began).Round(time.Second).String()+" "+fields["text"])
			return "200 OK", nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		go r.run(ctx)
		test(r)
		cancel()
		synctest.Wait()
	})
}

// after lets time pass.
func (r *reports) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *reports) want(posts ...string) {
	r.t.Helper()
	if diff := cmp.Diff(posts, r.posts); diff != "" {
		r.t.Errorf("posts (-want +got):\n%s", diff)
	}
}

// Each kind is reported by itself; what shows at the same time shares a post. The
// relay posts under its own name, and without secrets.
func TestReportsByKind(t *testing.T) {
	reporting(t, func(r *reports) {
		r.trouble("refused mm#a", "a is refused")
		r.trouble("refused mm#b", "b is refused: the-secret")
		r.after(time.Minute)
		r.want("1s a is refused\nb is refused: [redacted]")
		want := map[string]string{"text": "a is refused\nb is refused: [redacted]", "channel": "relay", "username": "relay", "icon_emoji": ":satellite:"}
		if diff := cmp.Diff(want, r.bodies[0]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A trouble that goes on is reported again after an hour, if it shows again, with how
// often it did.
func TestReportCounts(t *testing.T) {
	reporting(t, func(r *reports) {
		r.trouble("dead mm", "one is given up")
		for range 12 {
			r.after(time.Minute)
			r.trouble("dead mm", "another is given up")
		}
		r.after(10 * time.Hour)
		r.want("1s one is given up", "1h0m2s another is given up (12 times since 00:01 UTC)")
	})
}

// The silence of an hour ends with the trouble: the last word is true.
func TestReportOfTroubleThatComesBack(t *testing.T) {
	reporting(t, func(r *reports) {
		r.trouble("paused mm", "mm is down")
		r.after(5 * time.Minute)
		r.relief("mm is up.", "paused mm", "broken mm")
		r.after(5 * time.Minute)
		r.trouble("paused mm", "mm is down again")
		r.after(24 * time.Hour)
		r.want("1s mm is down",
			"5m1s mm is up. The trouble lasted from 00:00 UTC to 00:05 UTC.",
			"15m2s mm is down again")
	})
}

// What comes and goes all the time makes few reports, of which the last one is true.
func TestReportOfTroubleThatComesAndGoes(t *testing.T) {
	reporting(t, func(r *reports) {
		for range 600 {
			r.trouble("paused mm", "mm is down")
			r.after(3 * time.Second)
			r.relief("mm is up.", "paused mm")
			r.after(3 * time.Second)
		}
		r.after(time.Hour)
		if n := len(r.posts); n < 3 || n > 10 {
			t.Errorf("%d posts in an hour", n)
		}
		if last := r.bodies[len(r.bodies)-1]["text"]; last[:5] != "mm is" || r.kinds["paused mm"] != nil && r.kinds["paused mm"].told {
			t.Errorf("the last word is %q", last)
		}
	})
}

// A report is made when it is delivered. A trouble that ended before it could be
// reported is told with its times.
func TestReportsWhileTheChatIsDown(t *testing.T) {
	reporting(t, func(r *reports) {
		r.down.Store(true)
		r.trouble("paused mm", "mm is down")
		r.trouble("reload", "relay.yaml is wrong")
		r.after(2 * time.Hour)
		r.relief("mm is up.", "paused mm")
		r.down.Store(false)
		r.after(10 * time.Minute)
		if len(r.posts) != 1 || r.bodies[0]["text"] != "relay.yaml is wrong\nmm is up. The trouble lasted from 00:00 UTC to 02:00 UTC." {
			t.Errorf("posts %q", r.posts)
		}
	})
}

// While one post waits for the chat, the others are not lost, whatever their number.
func TestReportsHoldAllKinds(t *testing.T) {
	reporting(t, func(r *reports) {
		r.down.Store(true)
		for i := range 500 {
			r.trouble("refused mm#"+string(rune('A'+i)), "refused")
		}
		r.after(time.Hour)
		r.down.Store(false)
		r.after(time.Hour)
		for kind, one := range r.kinds {
			if !one.told {
				t.Errorf("%s was not told", kind)
			}
		}
	})
}

// A trouble that ends before anybody could hear of it is nobody's concern; another
// mistake in a file is news.
func TestReportOfMistakes(t *testing.T) {
	reporting(t, func(r *reports) {
		r.trouble("paused mm", "mm is down")
		r.relief("mm is up.", "paused mm")
		r.mistake("reload", "one mistake")
		r.after(time.Minute)
		r.mistake("reload", "one mistake")
		r.after(time.Minute)
		r.mistake("reload", "another mistake")
		r.after(time.Minute)
		r.relief("It is right.", "reload")
		r.after(time.Hour)
		r.want("1s one mistake",
			"2m0s another mistake",
			"12m1s It is right. The trouble lasted from 00:00 UTC to 00:03 UTC and showed 3 times.")
	})
}

// Reports wait for an address of theirs.
func TestReportsWithoutAddress(t *testing.T) {
	reporting(t, func(r *reports) {
		r.nobody.Store(true)
		r.trouble("paused mm", "mm is down")
		r.after(time.Hour)
		r.want()
		r.nobody.Store(false)
		r.wake()
		r.after(time.Minute)
		r.want("1h0m0s mm is down")
	})
}

// TestReportOfHostileFile: neither the name of a team's file nor a mistake in it
// calls anybody or shows a secret, whatever characters are replaced.
func TestReportOfHostileFile(t *testing.T) {
	secrets := &redactor{}
	secrets.add("kanarie<1>kanarie")
	r := newReporter(nil, secrets.clean, slog.New(slog.DiscardHandler))
	b := newBrokenFiles(slog.New(slog.DiscardHandler), r, prometheus.NewRegistry())
	const name = "teams/`@here <!channel>\n@all.yaml"
	finding := configs.Finding{Pos: configs.Pos{File: name}, Message: "``` kanarie<1>kanarie @all"}
	b.told(&configuration{broken: []brokenFile{{Path: name}}}, []configs.Finding{finding})
	one := r.kinds["file "+name]
	one.told = true
	b.told(&configuration{}, nil)
	want := []string{
		"⚠️ `teams/'@here ‹!channel› @all.yaml` has mistakes; nothing of it is in force, and the rest is loaded:\n" +
			"```\nteams/`@here ‹!channel›\n@all.yaml: ''' [redacted] @all\n```",
		"✅ `teams/'@here ‹!channel› @all.yaml` has no mistakes any more.",
	}
	if diff := cmp.Diff(want, []string{one.text, one.over}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
