package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// soak mixes faults, as the seed has it, for a long time under load. A quarter
// of the time nothing is wrong. The count is minutes.
var soak = scenario{
	name: "soak", ci: 0, full: 60,
	what: "One relay runs for an hour under load without a restart, with faults chosen by the seed: chat servers that hang, fail, fail at times, cut their answers or refuse; reloads, large webhooks, bursts, and moments in which the relay itself is stopped.",
	run: func(ctx context.Context, b *bench) error {
		length := time.Duration(b.count) * time.Minute
		if b.minutes > 0 {
			length = time.Duration(b.minutes * float64(time.Minute))
		}
		if length == 0 {
			return fmt.Errorf("%w: -full or -minutes asks for it", errSkip)
		}
		r, err := b.rig(b.ordinary(10), "--pace", "0.05", "--history", "1m")
		if err != nil {
			return err
		}
		if r.mustStart(ctx) != nil {
			return nil
		}
		l := r.load(ctx, 40)
		pause(ctx, 10*time.Second)
		first := r.rest(ctx)
		var all series
		end := time.Now().Add(length)
		for time.Now().Before(end) && ctx.Err() == nil && r.expectAlive() {
			fault := faults[b.random.IntN(len(faults))]
			if b.random.IntN(4) > 0 {
				fault(r, ctx)
				b.add("faults", 1)
			} else {
				pause(ctx, b.random.between(2*time.Second, 8*time.Second))
			}
			all = append(all, r.look(ctx))
			r.soothe()
		}
		l.stop()
		r.drain(ctx, 60*time.Second)
		last := r.rest(ctx)
		r.flat(first, last)
		all.flat(b)
		r.finish(ctx, rules{}, 60*time.Second)
		return nil
	},
}

// faults each last some seconds.
var faults = []func(r *rig, ctx context.Context){
	fail(chat.Hang()),
	fail(chat.Reset()),
	fail(chat.CutMidAnswer()),
	fail(chat.HTML200()),
	fail(chat.Blackhole()),
	fail(chat.Delay(300 * time.Millisecond)),
	fail(chat.Status(http.StatusInternalServerError, nil, "")),
	fail(chat.Status(http.StatusBadRequest, nil, "")),
	fail(chat.Status(http.StatusNotFound, nil, "")),
	fail(chat.Status(http.StatusTooManyRequests, http.Header{"Retry-After": {"1"}}, "")),
	func(r *rig, ctx context.Context) {
		r.chat.Set(r.plan.dests[0].hook, r.flapping(roll(r.b.random.Uint64(), 3)))
		pause(ctx, 5*time.Second)
	},
	func(r *rig, ctx context.Context) { // a burst, as a large group's mirror brings it
		r.load(ctx, 400, func(l *load) { l.limit = 800 }).wait()
	},
	func(r *rig, ctx context.Context) {
		_ = r.process.cmd.Process.Signal(syscall.SIGSTOP)
		pause(ctx, 2*time.Second)
		_ = r.process.cmd.Process.Signal(syscall.SIGCONT)
	},
	func(r *rig, ctx context.Context) {
		for n := range 4 {
			r.reload(ctx, changes[r.b.random.IntN(len(changes))], n)
		}
		r.reload(ctx, changes[0], 0)
	},
	func(r *rig, ctx context.Context) { r.heavy(ctx, 8) },
}

// fail lets one of the hooks behave in a way for some seconds.
func fail(how chat.Behaviour) func(r *rig, ctx context.Context) {
	return func(r *rig, ctx context.Context) {
		r.chat.Set(r.plan.dests[r.b.random.IntN(len(r.plan.dests))].hook, how)
		pause(ctx, r.b.random.between(time.Second, 15*time.Second))
	}
}

// taken is what a relay takes at a moment.
type taken struct {
	gauges
	memory int64
}

func (r *rig) look(ctx context.Context) taken {
	return taken{r.gauges(ctx), r.process.status("VmRSS")}
}

// rest waits until nothing is under way and looks.
func (r *rig) rest(ctx context.Context) taken {
	r.drain(ctx, 60*time.Second)
	pause(ctx, 3*time.Second)
	return r.look(ctx)
}

// flat checks that what was opened and begun has ended.
func (r *rig) flat(first, last taken) {
	const few = 40
	r.b.add("goroutines at the beginning", int(first.goroutines))
	r.b.add("goroutines at the end", int(last.goroutines))
	r.b.add("open files at the beginning", int(first.files))
	r.b.add("open files at the end", int(last.files))
	if last.goroutines > first.goroutines+few || last.files > first.files+few {
		r.b.violate(growth, "from %v goroutines and %v files to %v and %v", first.goroutines, first.files, last.goroutines, last.files)
	}
}

// series is what a relay takes in the course of a soak, looked at after every
// fault.
type series []taken

// flat checks that nothing grows with time: the median of the last quarter is
// not far above that of the second. In the first the heap still grows to where
// the memory limit of the Go runtime lets it float.
func (s series) flat(b *bench) {
	if len(s) < 40 {
		return // too short to tell
	}
	for _, what := range []struct {
		name string
		of   func(taken) float64
		few  float64
	}{
		{"MiB", func(t taken) float64 { return float64(t.memory >> 20) }, 16},
		{"goroutines", func(t taken) float64 { return t.goroutines }, 20},
		{"open files", func(t taken) float64 { return t.files }, 20},
	} {
		var medians [4]float64
		for i := range medians {
			var quarter []float64
			for _, t := range s[len(s)*i/4 : len(s)*(i+1)/4] {
				quarter = append(quarter, what.of(t))
			}
			slices.Sort(quarter)
			medians[i] = quarter[len(quarter)/2]
		}
		b.measure(what.name+" in each quarter of the time, medians", "%.0f, %.0f, %.0f, %.0f", medians[0], medians[1], medians[2], medians[3])
		if medians[3] > medians[1]*1.1+what.few {
			b.violate(growth, "%s grow: %.0f in the second quarter, %.0f in the last", what.name, medians[1], medians[3])
		}
	}
}
