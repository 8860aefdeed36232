package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// badRequests has a chat that refuses everything for a while, as a Mattermost
// does whose database is away, and then one that refuses single messages, also in
// the only lane of a hook. The count is seconds. Pauses are a hundred times as
// short as usual, so that a second stands for a hundred.
var badRequests = scenario{
	name: "bad-requests", ci: 15, full: 600,
	what: "A chat server answers 400 to everything for a while, and no message may be given up. Then it answers 400 or 500 to certain messages only, and exactly these must be given up. The relay's clock for retries runs a hundred times faster (`--pace 0.01`).",
	run: func(ctx context.Context, b *bench) error {
		r, err := b.rig(b.ordinary(6), "--pace", "0.01")
		if err != nil {
			return err
		}
		if r.mustStart(ctx) != nil {
			return nil
		}
		l := r.load(ctx, 20)
		pause(ctx, time.Second)
		no := refusal{r: r, heads: map[string]int{}, well: map[string]bool{}}
		for _, d := range r.plan.dests {
			r.chat.Set(d.hook, chat.Func(no.answer))
		}
		pause(ctx, time.Duration(b.count)*time.Second)
		if n := r.ledger.deaths(); n > 0 {
			b.violate(buried, "%d messages were given up while the chat refused everything", n)
		}
		no.heal()
		pause(ctx, time.Second)
		l.stop()
		r.drain(ctx, 60*time.Second)
		// From here on every twentieth message is poison, of one kind or the other.
		first := r.ledger.count().sent
		// The lane that hears of everything is the only one of its hook: there each
		// 400 takes some probes, one after the other.
		bad := func(n int) bool { return n >= first && n%20 == 3 && (n < first+100 || r.ledger.expected(n, 1)) }
		worse := func(n int) bool { return n >= first && n%20 == 13 }
		for _, d := range r.plan.dests {
			r.chat.Set(d.hook, r.poisoned(bad, worse))
		}
		l = r.load(ctx, 20)
		pause(ctx, time.Duration(b.count)*time.Second/2)
		l.stop()
		// Something has to get through after the last poison.
		for range 3 {
			for i := range r.plan.homes {
				for n, _ := r.send(i, kinds[1], 100); bad(n) || worse(n); n, _ = r.send(i, kinds[1], 100) {
				}
			}
			pause(ctx, time.Second)
		}
		v := r.finish(ctx, rules{mayDie: func(n int, _ address) bool { return bad(n) || worse(n) }}, 60*time.Second)
		b.add("refused messages given up", v.dead)
		return nil
	},
}

// refusal refuses everything until it heals, each channel when it is asked about
// the oldest message there. One that is well again between that one and the next
// is told late of those that were passed by, which is promised: it is some
// milliseconds of a minute, but not where minutes are a hundred times as short.
type refusal struct {
	r *rig

	mu      sync.Mutex
	healing bool
	heads   map[string]int // by hook and channel, the oldest that was refused
	well    map[string]bool
}

func (f *refusal) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.healing = true
}

func (f *refusal) answer(x *chat.Exchange) {
	if f.takes(x) {
		x.OK()
		return
	}
	x.Answer(http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, chat.ErrorBody(x.Entry.Hook))
}

func (f *refusal) takes(x *chat.Exchange) bool {
	n, _ := f.r.ledger.number(x.Entry.Raw)
	f.mu.Lock()
	defer f.mu.Unlock()
	channel := x.Entry.Hook + "#" + x.Entry.Channel
	head, refused := f.heads[channel]
	if f.healing && (!refused || n == head) {
		f.well[channel] = true
	}
	if !f.well[channel] && (!refused || f.r.ledger.older(n, head)) {
		f.heads[channel] = n
	}
	return f.well[channel]
}

// poisoned refuses some messages with 400 and some with 500, for good.
func (r *rig) poisoned(bad, worse func(n int) bool) chat.Behaviour {
	return chat.Func(func(x *chat.Exchange) {
		n, ok := r.ledger.number(x.Entry.Raw)
		switch {
		case ok && bad(n):
			x.Answer(http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, chat.ErrorBody(x.Entry.Hook))
		case ok && worse(n):
			x.Answer(http.StatusInternalServerError, nil, "")
		default:
			x.OK()
		}
	})
}
