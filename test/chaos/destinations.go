package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// destinations lets some addresses fail while others are well. The count is
// seconds of each state.
var destinations = scenario{
	name: "destinations", ci: 8, full: 60,
	what: "Of ten destinations one hangs (in the full run for ten minutes), then all hang, then one answers every second request with 500. Then one of forty channels of a webhook is misspelt. Two runs without faults are the comparison.",
	run: func(ctx context.Context, b *bench) error {
		if err := b.oneOfTen(ctx); err != nil {
			return err
		}
		return b.misspelt(ctx)
	},
}

// stateRate is how many webhooks a second come while destinations fail.
const stateRate = 40

// oneOfTen compares what the healthy ones get with a run without faults.
func (b *bench) oneOfTen(ctx context.Context) error {
	r, err := b.rig(b.apart(10), "--pace", "0.05")
	if err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	sick, length := r.plan.dests[0].hook, time.Duration(b.count)*time.Second
	others := func(a address) bool { return a.hook != sick }
	var quiet [2][2]time.Duration // accept, delivery
	for i := range quiet {
		quiet[i] = r.measured(ctx, length, others)
	}
	b.quiet(quiet)
	compare := func(name string, got [2]time.Duration, delivered bool) {
		b.time(name+": accept p99", got[0], limit(quiet[0][0], quiet[1][0]))
		if delivered {
			b.time(name+": delivery p99 of the others", got[1], limit(quiet[0][1], quiet[1][1]))
		}
	}
	heal := func() {
		r.soothe()
		r.drain(ctx, 4*time.Minute) // an hour's pause, at this pace
	}
	r.chat.Set(sick, chat.Hang())
	if b.settings.full {
		compare("one hangs for ten minutes", r.measured(ctx, 10*time.Minute, others), true)
	} else {
		compare("one hangs", r.measured(ctx, length, others), true)
	}
	heal()
	r.chat.Set(sick, r.flapping(roll(b.seed, 2)))
	compare("one flaps", r.measured(ctx, length, others), true)
	heal()
	for _, d := range r.plan.dests {
		r.chat.Set(d.hook, chat.Hang())
	}
	compare("all hang", r.measured(ctx, length, func(address) bool { return false }), false)
	heal()
	r.finish(ctx, rules{}, 60*time.Second)
	return nil
}

// allDead lets everything stand still while more and more is accepted. The count
// is webhooks.
var allDead = scenario{
	name: "all-dead", ci: 0, full: 100_000,
	what: "All of fifty destinations fail while webhooks arrive as fast as the relay accepts them. Then the relay restarts with this backlog, the destinations recover, and everything is delivered.",
	run: func(ctx context.Context, b *bench) error {
		if b.count == 0 {
			return fmt.Errorf("%w: -full or -count asks for it", errSkip)
		}
		r, err := b.rig(b.apart(50), "--pace", "0.05")
		if err != nil {
			return err
		}
		if r.mustStart(ctx) != nil {
			return nil
		}
		r.backlog(ctx, b.count)
		r.finish(ctx, rules{}, 4*time.Minute)
		t := r.ledger.count()
		b.add("answered 503", t.deferred)
		if t.deferred+t.unanswered > 0 {
			b.violate(untrue, "%d webhooks were refused and %d not answered, though there was room", t.deferred, t.unanswered)
		}
		return nil
	},
}

// quiet notes the runs without faults.
func (b *bench) quiet(runs [2][2]time.Duration) {
	for i, what := range []string{"accept", "delivery"} {
		b.measure("two runs without faults: "+what+" p99", "%s and %s", round(runs[0][i]), round(runs[1][i]))
	}
}

// limit is the target of a time that two runs without faults took: 1.2 times
// the slower one, where that is long enough to be told from a busy machine.
func limit(a, b time.Duration) time.Duration {
	return round(max(max(a, b)*6/5, 200*time.Millisecond))
}

// flapping answers every other request, as chance has it, with 500.
func (r *rig) flapping(d dice) chat.Behaviour {
	return chat.Func(func(x *chat.Exchange) {
		if d.IntN(2) == 0 {
			x.Answer(http.StatusInternalServerError, nil, "")
			return
		}
		x.OK()
	})
}

// measured sends webhooks for a while and returns the p99 of what the senders
// waited, and of how long the messages to some addresses took.
func (r *rig) measured(ctx context.Context, length time.Duration, keep func(address) bool) [2]time.Duration {
	begin := time.Now()
	l := r.load(ctx, stateRate)
	pause(ctx, length)
	l.stop()
	r.drainSome(ctx, keep, 30*time.Second)
	r.expectAlive()
	return [2]time.Duration{quantile(r.ledger.latencies(begin), 0.99), quantile(r.ledger.lags(begin, keep), 0.99)}
}

// drainSome waits until everything for some addresses has arrived.
func (r *rig) drainSome(ctx context.Context, keep func(address) bool, most time.Duration) {
	for begin := time.Now(); ctx.Err() == nil && time.Since(begin) < most && r.ledger.missingAt(keep) > 0; {
		pause(ctx, 20*time.Millisecond)
	}
}

// misspelt has forty channels on one hook, one of which the chat does not know.
func (b *bench) misspelt(ctx context.Context) error {
	const channels = 40
	p := &plan{dests: []destination{{hook: b.secret("d0")}}}
	for i := range channels {
		p.homes = append(p.homes, target{0, fmt.Sprintf("p%d", i)})
	}
	r, err := b.rig(p, "--pace", "0.05")
	if err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	others := func(a address) bool { return a.channel != "p7" }
	before := r.measured(ctx, time.Duration(b.count)*time.Second, others)
	r.chat.Set(p.dests[0].hook, chat.Func(func(x *chat.Exchange) {
		if x.Entry.Channel == "p7" {
			x.Answer(http.StatusNotFound, http.Header{"Content-Type": {"application/json"}},
				`{"id":"web.incoming_webhook.channel.app_error","message":"Couldn't find the channel.","status_code":404}`)
			return
		}
		x.OK()
	}))
	after := r.measured(ctx, time.Duration(b.count)*time.Second, others)
	if n := r.ledger.missingAt(others); n > 0 {
		b.violate(lost, "%d messages to channels that are well do not arrive while another one is misspelt", n)
	}
	b.time("one of forty misspelt: delivery p99 of the others", after[1], limit(before[1], before[1]))
	r.soothe()
	r.finish(ctx, rules{}, 60*time.Second)
	return nil
}
