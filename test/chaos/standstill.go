package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// exitStuck is how the relay ends when an event does not come to an end.
const exitStuck = 3

// tried is what the log says of an event that is tried in a process of its own.
const tried = "it is tried in a process of its own"

// standsStill lets the relay stand still with one event: it has to end by itself,
// and the next start to try the event elsewhere, and to deliver it.
var standsStill = scenario{
	name: "standstill", ci: 1, full: 5,
	what: "Routing an event, or writing its message, never ends. The relay must exit with code 3. The next start must try the event in a separate process and deliver it. The start after that must not try it again.",
	run: func(ctx context.Context, b *bench) error {
		for _, point := range []string{"reading", "rendering"} {
			p := &plan{dests: []destination{{hook: b.secret("d0")}}, homes: []target{{0, "p0"}}}
			r, err := b.rig(p, "--pace", "0.01")
			if err != nil {
				return err
			}
			ends := 0
			for range b.count {
				if r.standStill(ctx, point) {
					ends++
				}
			}
			v := r.judge(rules{})
			b.add("exits with code 3", ends)
			b.add("lost", v.lost)
			b.printf("%-10s ended by itself %d · lost %d · repeats %d", point, ends, v.lost, v.repeats)
			r.close()
		}
		return nil
	},
}

// standStill is one such event. It tells whether the relay ended by itself.
func (r *rig) standStill(ctx context.Context, point string) bool {
	if r.mustStart(ctx, fmt.Sprintf("RELAY_FAILPOINT=%s:1:hang", point)) != nil {
		return false
	}
	r.send(0, kinds[0], 100)
	ended := r.died(ctx, time.Minute)
	if !ended {
		r.b.violate(untrue, "the relay stands still at %s and does not end", point)
		r.kill()
	} else if status, ok := r.process.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.ExitStatus() != exitStuck {
		r.b.violate(untrue, "standing still at %s the relay ended with %s, not with code %d", point, r.process.cmd.ProcessState, exitStuck)
	}
	for start, want := range []int{1, 0} {
		before := r.logged(tried)
		if r.mustStart(ctx) != nil {
			return false
		}
		r.drain(ctx, 30*time.Second)
		r.quiet(ctx)
		r.terminate(syscall.SIGTERM)
		if got := r.logged(tried) - before; got != want {
			r.b.violate(untrue, "start %d after the standstill at %s tried %d events in a process of its own, want %d", start+1, point, got, want)
		}
	}
	return ended
}
