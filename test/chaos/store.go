package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// damagedStore changes single bytes of a store that is stopped, and cuts its
// files. The count is how often for each stream and each kind of damage.
var damagedStore = scenario{
	name: "store", ci: 2, full: 50,
	what: "While the relay is stopped, one byte of its store is changed or one file is cut short, in each stream, half of the times without the index, as after a crash. The restart is counted: refused with a reason, reported in log and metric, harmless, or not detected. Detection depends on nats-server.",
	run: func(ctx context.Context, b *bench) error {
		for _, stream := range []string{"RELAY_EVENTS", "RELAY_PARKED", "RELAY_DEAD", "RELAY_JOURNAL"} {
			w, err := b.newWreck(ctx, stream)
			if err != nil {
				return err
			}
			for i := range 2 * b.count {
				if ctx.Err() != nil {
					return nil
				}
				if err := w.damage(ctx, i); err != nil {
					return err
				}
			}
		}
		return nil
	},
}

// wreck is a stopped store that is damaged again and again, each time anew.
type wreck struct {
	*rig
	stream string
	dead   int // dead letters that it holds
}

// newWreck fills a store so that most of what a stream holds is still needed.
func (b *bench) newWreck(ctx context.Context, stream string) (*wreck, error) {
	p := b.apart(4)
	p.dests[3].yaml = "give_up_after: 1s"
	r, err := b.rig(p, "--pace", "0.01", "--max-body", "256KiB")
	if err != nil {
		return nil, err
	}
	if err := r.mustStart(ctx); err != nil {
		return nil, err
	}
	failing := chat.Status(http.StatusInternalServerError, nil, "")
	switch stream {
	case "RELAY_EVENTS", "RELAY_JOURNAL": // handed over, and not settled
		r.chat.Set(p.dests[0].hook, chat.Hang())
		r.chat.Set(p.dests[1].hook, chat.Hang())
	default:
		for _, d := range p.dests[1:] {
			r.chat.Set(d.hook, failing)
		}
	}
	l := r.load(ctx, 150, func(l *load) { l.limit = 400 })
	l.wait()
	if stream == "RELAY_DEAD" {
		r.until(ctx, time.Now(), func() bool { return r.ledger.deaths() > 50 })
	}
	w := &wreck{rig: r, stream: stream, dead: int(r.metric(ctx, "relay_dead_letters"))}
	r.terminate(syscall.SIGTERM)
	time.Sleep(120 * time.Millisecond) // the watcher reads every 50 ms
	w.dead = max(w.dead, r.ledger.deaths())
	return w, nil
}

// damage starts a relay on a copy of the store in which something is wrong.
func (w *wreck) damage(ctx context.Context, i int) error {
	b := w.b
	r, err := b.rigWith(w.ledger.fork(), w.plan, w.args[2:]...)
	if err != nil {
		return err
	}
	defer r.close()
	if out, err := exec.CommandContext(ctx, "cp", "-a", filepath.Join(w.dir, "data"), r.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("copy a store: %w: %s", err, out)
	}
	what, err := r.harm(w.stream, i%2 == 1, i/2%2 == 1)
	if err != nil {
		return err
	}
	outcome, v := w.outcome(ctx, r)
	b.add(fmt.Sprintf("%s: %s", strings.ToLower(strings.TrimPrefix(w.stream, "RELAY_")), outcome), 1)
	if outcome == undetected {
		b.add("lost undetected", v.lost)
		b.add("repeated undetected", v.forgotten)
	}
	b.printf("%s: %s: %s (lost %d, repeats %d)", w.stream, what, outcome, v.lost, v.forgotten)
	return nil
}

// Outcomes of a start on a damaged store.
const (
	refusedStart = "refused"
	told         = "reported"
	harmless     = "harmless"
	undetected   = "undetected"
)

// outcome starts a relay and looks what it says, and what is gone.
func (w *wreck) outcome(ctx context.Context, r *rig) (string, verdict) {
	r.ledger.next(true)
	if err := r.start(ctx); err != nil {
		r.refusedWell(err)
		return refusedStart, verdict{}
	}
	r.drain(ctx, 1500*time.Millisecond)
	said := r.metric(ctx, "relay_queue_damaged_total") > 0
	dead := int(r.metric(ctx, "relay_dead_letters"))
	for _, path := range []string{"/api/v1/deadletters?limit=1000", "/api/v1/events?limit=1000", "/api/v1/parked"} {
		if status, _, _ := r.get(ctx, path); status >= 500 {
			r.b.add("pages that fail", 1)
		}
	}
	if r.expectAlive() {
		r.terminate(syscall.SIGTERM)
	}
	time.Sleep(120 * time.Millisecond) // the watcher reads every 50 ms
	said = said || r.logged("damaged") > 0 || r.logged("are gone") > 0 || r.logged("is gone") > 0
	anything := func(int, address) bool { return true }
	v := r.ledger.check(rules{
		label: r.plan.label, mayDie: anything, late: true,
		mayRepeat: func(post) bool { return true },
		unordered: func(address) bool { return true },
	})
	for _, broken := range v.violations {
		if broken.kind != lost { // what is lost is said below
			r.b.violate(broken.kind, "%s", broken.what)
		}
	}
	gone := v.lost > 0 || dead < w.dead || v.forgotten > len(r.plan.homes) // a lane may repeat one
	switch {
	case said:
		return told, v
	case gone:
		return undetected, v
	default:
		return harmless, v
	}
}

// refusedWell checks that a relay that did not start has ended, and said why.
func (r *rig) refusedWell(err error) {
	switch {
	case !errors.Is(err, errEnded):
		r.b.violate(untrue, "a relay on a damaged store neither starts nor ends: %v", err)
		r.kill()
	case r.tail(1) == "" || r.process.cmd.ProcessState.ExitCode() <= 0:
		r.b.violate(untrue, "a relay ended on a damaged store and did not say why: %s", r.process.cmd.ProcessState)
	}
}

// harm flips a byte of a stream's blocks, or cuts one of them. As after a crash
// there is no index of the stream.
func (r *rig) harm(stream string, cut, crashed bool) (what string, err error) {
	blocks, err := filepath.Glob(filepath.Join(r.dir, "data", "*", "*", "streams", stream, "msgs", "*.blk"))
	blocks = slices.DeleteFunc(blocks, func(name string) bool {
		info, err := os.Stat(name)
		return err != nil || info.Size() == 0
	})
	if err != nil || len(blocks) == 0 {
		return "", fmt.Errorf("find the blocks of %s: there are none", stream)
	}
	name := blocks[r.b.random.IntN(len(blocks))]
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("damage a store: %w", err)
	}
	at := r.b.random.IntN(len(text))
	if cut {
		text, what = text[:at], fmt.Sprintf("cut at %d of %d", at, len(text))
	} else {
		text[at] ^= 1 << r.b.random.IntN(8)
		what = fmt.Sprintf("a bit flipped at %d of %d", at, len(text))
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return "", fmt.Errorf("damage a store: %w", err)
	}
	if crashed {
		index := filepath.Join(filepath.Dir(name), "index.db")
		if err := os.Remove(index); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("damage a store: %w", err)
		}
		what += ", as after a crash"
	}
	return what, nil
}

// fork is a ledger that goes on by itself from where this one stands.
func (l *ledger) fork() *ledger {
	f := l.snapshot()
	f.open, f.got = map[int]map[address]bool{}, map[int]map[address]bool{}
	here := map[delivery]bool{}
	for _, p := range f.posts {
		here[delivery{p.event, p.to}] = true
	}
	for n, s := range f.events {
		for _, to := range s.to {
			switch {
			case s.outcome == accepted && !here[delivery{n, to}]:
				if f.open[n] == nil {
					f.open[n] = map[address]bool{}
				}
				f.open[n][to] = true
			case s.outcome != accepted && here[delivery{n, to}]:
				if f.got[n] == nil {
					f.got[n] = map[address]bool{}
				}
				f.got[n][to] = true
			}
		}
	}
	return f
}
