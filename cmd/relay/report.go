package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
)

const (
	// reportEvery is how often one kind of trouble is told at most.
	reportEvery = time.Hour
	// reportWaiting is how many reports may wait to be posted.
	reportWaiting = 16
)

// reportPauses are waited before a report that did not get through is tried
// again; after the last one it is given up. The log holds it anyway.
var reportPauses = []time.Duration{2 * time.Second, 30 * time.Second, 5 * time.Minute}

// reporter posts the relay's own troubles to the address of `report`: one post
// per kind and hour, outside the lanes, which may be what is in trouble.
type reporter struct {
	address func() (*delivery.Destination, string, configs.Look) // nil destination: nowhere
	clean   func(string) string                                  // takes secrets out
	log     *slog.Logger
	now     func() time.Time
	waiting chan report
	pauses  []time.Duration

	mu    sync.Mutex
	told  map[string]time.Time // by kind: when what was delivered last was told
	going map[string]bool      // by kind: one waits, or is being posted
}

// report is one of them.
type report struct {
	kind, text string
	at         time.Time
}

func newReporter(address func() (*delivery.Destination, string, configs.Look), clean func(string) string, log *slog.Logger) *reporter {
	return &reporter{address: address, clean: clean, log: log, now: time.Now, waiting: make(chan report, reportWaiting), pauses: reportPauses, told: map[string]time.Time{}, going: map[string]bool{}}
}

// trouble tells of something, unless a report of its kind was made within the hour or
// is under way: then it returns false. A report is made when it is delivered. The text
// is Markdown for people. It never waits.
func (r *reporter) trouble(kind, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if last, told := r.told[kind]; r.going[kind] || told && now.Sub(last) < reportEvery {
		return false
	}
	r.going[kind] = r.tell(report{kind, r.clean(text), now})
	return r.going[kind]
}

// relief tells that what was told of is over. It never waits.
func (r *reporter) relief(text string) { r.tell(report{text: r.clean(text)}) }

func (r *reporter) tell(one report) bool {
	select {
	case r.waiting <- one:
		return true
	default: // too much trouble at once: the log has it all
		return false
	}
}

// run posts what is told, until ctx ends.
func (r *reporter) run(ctx context.Context) {
	for {
		select {
		case one := <-r.waiting:
			r.ended(one, r.post(ctx, one.text))
		case <-ctx.Done():
			return
		}
	}
}

// ended notes what came of a report. The next trouble of its kind is told at once if
// it was not delivered.
func (r *reporter) ended(one report, delivered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.going, one.kind)
	if delivered && one.kind != "" {
		r.told[one.kind] = one.at
	}
}

// post delivers a text; true when it has, or nobody wants to hear of trouble.
func (r *reporter) post(ctx context.Context, text string) bool {
	for i := 0; ; i++ {
		d, channel, look := r.address()
		if d == nil {
			return true
		}
		_, err := delivery.Once(ctx, d, reportBody(text, channel, look))
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		if i == len(r.pauses) {
			r.log.Warn("a report of the relay's own trouble was not delivered", "destination", d.Name, "err", err)
			return false
		}
		select {
		case <-time.After(r.pauses[i]):
		case <-ctx.Done():
			return false
		}
	}
}

// reportBody is a message that Mattermost and Slack both take.
func reportBody(text, channel string, look configs.Look) []byte {
	body := map[string]string{"text": text}
	if channel != "" {
		body["channel"] = channel
	}
	if look.Username != "" {
		body["username"] = look.Username
	}
	switch {
	case strings.HasPrefix(look.Icon, ":"):
		body["icon_emoji"] = look.Icon
	case look.Icon != "":
		body["icon_url"] = look.Icon
	}
	b, _ := json.Marshal(body) // strings always marshal
	return b
}

// reportAddress is where reports go now.
func (r *relay) reportAddress() (*delivery.Destination, string, configs.Look) {
	r.swap.Lock()
	defer r.swap.Unlock()
	c := r.live.Load()
	if c.Report == nil {
		return nil, "", configs.Look{}
	}
	for i := range r.destinations {
		if d := &r.destinations[i]; d.Name == c.Report.Address.Destination && d.Kind != configs.KindLog {
			channel := c.Report.Address.Channel
			if channel == "" {
				channel = d.Channel
			}
			return d, channel, c.table.Look(&d.Destination)
		}
	}
	return nil, "", configs.Look{}
}
