package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
)

const (
	// reportEvery is how often a trouble that goes on, and shows again, is reported.
	reportEvery = time.Hour
	// reportQuick is how many reports of one kind are made at once within reportEvery.
	// Those after them wait for reportCalm, so that what comes and goes makes few.
	reportQuick = 2
	reportCalm  = 10 * time.Minute
	// reportGather is how long a report waits for others that belong in the same post,
	// reportSpacing how long the next post waits after one.
	reportGather  = time.Second
	reportSpacing = 2 * time.Second
	// reportSize is how many bytes of reports go into one post, if there are several.
	reportSize = 8 << 10
)

// reportPauses are waited before a post that did not get through is tried again; the
// last one again and again. What it says is made anew each time.
var reportPauses = []time.Duration{2 * time.Second, 30 * time.Second, 5 * time.Minute}

// reporter posts the relay's own troubles to the address of `report`, outside the
// lanes, which may be what is in trouble. By kind it knows how things are and what
// people were told; it posts where the two differ. So the last word on each kind is
// true, also when posts fail or what is wrong comes and goes.
type reporter struct {
	address func() (d *delivery.Destination, channel string) // nil: nowhere
	clean   func(string) string                              // takes secrets out
	send    func(ctx context.Context, d *delivery.Destination, body []byte) (string, error)
	log     *slog.Logger
	changed chan struct{} // holds one when something may be to be posted

	mu    sync.Mutex
	kinds map[string]*trouble
}

// trouble is one kind of trouble.
type trouble struct {
	text  string    // what it is
	over  string    // what to say of its end, once it has ended
	began time.Time // when it first showed
	ended time.Time // zero while it goes on
	times int       // how often it showed since it began

	untold int         // how often it showed since people were told
	since  time.Time   // the first of these
	told   bool        // people think that it goes on
	tried  bool        // a post about it is under way or failed, so that its end is told in any case
	anew   bool        // its text is news, even though people know of the kind
	posts  []time.Time // of the last reportEvery
}

func newReporter(address func() (*delivery.Destination, string), clean func(string) string, log *slog.Logger) *reporter {
	return &reporter{address: address, clean: clean, send: delivery.Once, log: log, changed: make(chan struct{}, 1), kinds: map[string]*trouble{}}
}

// trouble notes that a kind of trouble shows. The text is Markdown for people. It
// never waits.
func (r *reporter) trouble(kind, text string) { r.note(kind, text, false) }

// mistake is trouble whose text is news whenever it differs.
func (r *reporter) mistake(kind, text string) { r.note(kind, text, true) }

func (r *reporter) note(kind, text string, differs bool) {
	text = r.clean(text)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.kinds[kind]
	if t == nil {
		t = &trouble{}
		r.kinds[kind] = t
	}
	if t.began.IsZero() || !t.ended.IsZero() && !t.told {
		t.began, t.times = now, 0
	}
	if t.untold == 0 {
		t.since = now
	}
	t.anew = t.anew || differs && text != t.text
	t.text, t.ended = text, time.Time{}
	t.times, t.untold = t.times+1, t.untold+1
	r.wake()
}

// relief notes that these kinds of trouble have ended. The text says so in Markdown. It
// is posted once, if people heard of one of them or could not be told. It never waits.
func (r *reporter) relief(text string, kinds ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range kinds {
		t := r.kinds[kind]
		switch {
		case t == nil || !t.ended.IsZero():
			continue
		case !t.told && !t.tried:
			t.began, t.untold, t.times, t.anew = time.Time{}, 0, 0, false
			continue
		}
		t.over, t.ended, t.anew = r.clean(text), time.Now(), false
		r.wake()
	}
}

// wake has the reporter look again.
func (r *reporter) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// run posts what is to be told, until ctx ends.
func (r *reporter) run(ctx context.Context) {
	failures := 0
	earliest := time.Now().Add(reportGather)
	for {
		wait := time.Hour
		d, channel := r.address()
		if due, ok := r.due(time.Now()); ok && d != nil {
			wait = time.Until(later(due.Add(reportGather), earliest))
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.changed:
			timer.Stop()
			continue
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		batch := r.batch(time.Now())
		if d == nil || len(batch) == 0 {
			continue
		}
		_, err := r.send(ctx, d, reportBody(batch.text(), channel))
		if err == nil {
			r.posted(batch)
			earliest, failures = time.Now().Add(reportSpacing), 0
			continue
		}
		if failures == 0 && ctx.Err() == nil {
			r.log.Warn("a report of the relay's own trouble was not delivered; it is tried again", "destination", d.Name, "err", err)
		}
		earliest = time.Now().Add(reportPauses[min(failures, len(reportPauses)-1)])
		failures++
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// due is when the next report is to be made; false when there is none.
func (r *reporter) due(now time.Time) (next time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.kinds {
		if at, is := t.due(now); is && (!ok || at.Before(next)) {
			next, ok = at, true
		}
	}
	return next, ok
}

// due is when something is to be told of this kind; false if nothing is.
func (t *trouble) due(now time.Time) (time.Time, bool) {
	t.posts = slices.DeleteFunc(t.posts, func(at time.Time) bool { return now.Sub(at) >= reportEvery })
	over := !t.ended.IsZero()
	switch {
	case over && !t.told && !t.tried, !over && t.untold == 0:
		return time.Time{}, false
	case !over && t.told && !t.anew: // people know; how often it showed can wait
		if n := len(t.posts); n > 0 {
			return t.posts[n-1].Add(reportEvery), true
		}
	}
	at := t.since
	if over {
		at = t.ended
	}
	if n := len(t.posts); n >= reportQuick {
		at = later(at, t.posts[n-1].Add(reportCalm))
	}
	return at, true
}

// told is a report in a post.
type told struct {
	kind   string
	text   string // as posted
	order  time.Time
	over   bool
	is     string // the trouble's text
	untold int
}

// batch is what one post says.
type batch []told

func (b batch) text() string {
	var lines []string
	for _, one := range b {
		if !slices.Contains(lines, one.text) { // one end of several kinds
			lines = append(lines, one.text)
		}
	}
	return strings.Join(lines, "\n")
}

// batch is what is to be told now, in the order in which it happened.
func (r *reporter) batch(now time.Time) (all batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for kind, t := range r.kinds {
		if at, is := t.due(now); is && !at.After(now) {
			one := told{kind: kind, text: t.report(now), order: t.since, over: !t.ended.IsZero(), is: t.text, untold: t.untold}
			if one.over {
				one.order = t.ended
			}
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b told) int {
		if n := a.order.Compare(b.order); n != 0 {
			return n
		}
		return strings.Compare(a.kind, b.kind)
	})
	size := 0
	for i, one := range all {
		if size += len(one.text); size > reportSize && i > 0 {
			return all[:i]
		}
		r.kinds[one.kind].tried = true
	}
	return all
}

// report says how it is. A trouble that showed several times says so.
func (t *trouble) report(now time.Time) string {
	switch {
	case t.ended.IsZero() && t.untold > 1 && !t.anew:
		return fmt.Sprintf("%s (%d times since %s)", t.text, t.untold, shortTime(t.since, now))
	case t.ended.IsZero():
		return t.text
	}
	text := fmt.Sprintf("%s The trouble lasted from %s to %s", t.over, shortTime(t.began, now), shortTime(t.ended, now))
	if t.ended.Sub(t.began) < time.Minute {
		text = t.over + " The trouble lasted less than a minute"
	}
	if t.times > 1 {
		text += fmt.Sprintf(" and showed %d times", t.times)
	}
	return text + "."
}

// shortTime is a time of the last days, in UTC: readers of a channel are in many zones.
func shortTime(at, now time.Time) string {
	at, now = at.UTC(), now.UTC()
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04 UTC")
	}
	return at.Format("2 Jan 15:04 UTC")
}

// posted notes that a post was delivered. What changed meanwhile is due again.
func (r *reporter) posted(b batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, one := range b {
		t := r.kinds[one.kind]
		t.told, t.tried = !one.over, false
		t.posts = append(t.posts, now)
		t.untold, t.since = t.untold-one.untold, now
		t.anew = t.anew && t.text != one.is
	}
	maps.DeleteFunc(r.kinds, func(_ string, t *trouble) bool {
		return !t.told && !t.tried && t.untold == 0 && len(t.posts) == 0
	})
}

// reportBody is a message that Mattermost and Slack both take. It looks like the
// relay's own, not like messages from GitLab, which the destination shows under a name
// of its own.
func reportBody(text, channel string) []byte {
	body := map[string]string{"text": text, "username": "relay", "icon_emoji": ":satellite:"}
	if channel != "" {
		body["channel"] = channel
	}
	b, _ := json.Marshal(body) // strings always marshal
	return b
}

// reportAddress is where reports go now.
func (r *relay) reportAddress() (*delivery.Destination, string) {
	r.swap.Lock()
	defer r.swap.Unlock()
	c := r.live.Load()
	if c.Report == nil {
		return nil, ""
	}
	for i := range r.destinations {
		if d := &r.destinations[i]; d.Name == c.Report.Address.Destination && d.Kind != configs.KindLog {
			channel := c.Report.Address.Channel
			if channel == "" {
				channel = d.Channel
			}
			return d, channel
		}
	}
	return nil, ""
}
