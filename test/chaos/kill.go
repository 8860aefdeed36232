package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// killRandom ends the relay at any moment, again and again, while webhooks keep
// coming. One in ten is large, so that what is parked fills many block files of
// the store and is dropped from them again.
var killRandom = scenario{
	name: "kill-random", ci: 60, full: 1000,
	what: "`kill -9` at random times under load, then a restart on the same directory. There are 20 addresses; one webhook in ten has 0.7 to 5 MB; some destinations fail at times; relay.yaml is reloaded and events are replayed.",
	run: func(ctx context.Context, b *bench) error {
		p := b.ordinary(18)
		p.dests = append(p.dests, destination{hook: b.secret("replays")})
		copies := target{len(p.dests) - 1, ""}
		r, err := b.rig(p, "--pace", "0.05", "--events-size", "8GiB")
		if err != nil {
			return err
		}
		if err := r.mustStart(ctx); err != nil {
			return err
		}
		l := r.load(ctx, 20, func(l *load) { l.size = oneInTenLarge })
		disturb, stop := context.WithCancel(ctx)
		var disturbing sync.WaitGroup
		disturbing.Go(func() { r.keepReloading(disturb) })
		disturbing.Go(func() { r.keepReplaying(disturb, copies) })
		disturbing.Go(func() { r.keepFailing(disturb) })
		var ready []time.Duration
		for range b.count {
			if !pause(ctx, b.random.between(0, 1500*time.Millisecond)) || !r.expectAlive() {
				break
			}
			r.kill()
			b.add("kills", 1)
			r.heardOut(ctx)
			if err := r.mustStart(ctx); err != nil {
				break
			}
			ready = append(ready, r.process.ready)
		}
		stop()
		disturbing.Wait()
		l.stop()
		b.add("times that a lane parked", r.logged(`"lane parked"`))
		at := p.address(copies)
		r.finish(ctx, rules{unordered: func(to address) bool { return to == at }}, 60*time.Second)
		if n := r.logged("the store is damaged"); n > 0 {
			b.violate(untrue, "the relay reports damage %d times, and nothing was damaged: %s", n, r.tail(3))
		}
		b.spread("ready again", ready, 2*time.Second)
		return nil
	},
}

// oneInTenLarge is a length of prose: of ten one makes a body of 0.7 to 5 MB,
// which hardly compresses. Some kinds of webhooks hold it twice.
func oneInTenLarge(d dicer) int {
	if d.IntN(10) > 0 {
		return ordinarySize(d)
	}
	return -(700<<10 + d.IntN(1700<<10))
}

// heardOut waits until the chat has read what the last process had sent: what comes
// then is from the next one.
func (r *rig) heardOut(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := r.chat.Drain(ctx); err != nil && ctx.Err() == nil {
		r.b.violate(crash, "%v", err)
	}
}

// keepFailing makes one hook of the chat fail now and then, so that its lanes park.
func (r *rig) keepFailing(ctx context.Context) {
	for pause(ctx, r.b.random.between(100*time.Millisecond, time.Second)) {
		hook := r.plan.dests[r.b.random.IntN(len(r.plan.dests))].hook
		r.chat.Set(hook, chat.Status(500, nil, ""))
		pause(ctx, r.b.random.between(200*time.Millisecond, 2*time.Second))
		r.chat.Set(hook, chat.OK())
	}
}

// keepReloading puts another relay.yaml in place now and then, and asks for it. The
// relay may be dead at that moment, or start.
func (r *rig) keepReloading(ctx context.Context) {
	path := filepath.Join(r.dir, "relay.yaml")
	for n := 0; pause(ctx, r.b.random.between(200*time.Millisecond, 2*time.Second)); n++ {
		err := os.WriteFile(path+".new", fmt.Appendf(nil, "# %d\n%s", n, r.plan.yaml()), 0o600)
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			r.b.violate(crash, "change relay.yaml: %v", err)
			return
		}
		if r.askReload(ctx) == http.StatusOK {
			r.b.add("reloads", 1)
		}
	}
}

// keepReplaying sends events once more, each at most once, to an address that gets
// nothing else.
func (r *rig) keepReplaying(ctx context.Context, to target) {
	done := map[int]bool{}
	for pause(ctx, r.b.random.between(50*time.Millisecond, 500*time.Millisecond)) {
		n, id, ok := r.ledger.anyAccepted(r.b.random)
		if !ok || done[n] {
			continue
		}
		done[n] = true
		if r.replay(ctx, n, id, to) {
			r.b.add("replays", 1)
		}
	}
}

// replay asks for an event once more at one address; true when that was accepted.
func (r *rig) replay(ctx context.Context, n int, id place, to target) bool {
	at := r.plan.address(to)
	r.ledger.mayGo(n, at)
	question := strings.NewReader(fmt.Sprintf(`{"to": %q}`, to))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/api/v1/events/%s/replay", r.admin, id), question)
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := admin.Do(req)
	if err != nil {
		return false // it may have been accepted
	}
	defer resp.Body.Close()
	var stored struct{ ID string }
	if resp.StatusCode != http.StatusAccepted || json.NewDecoder(resp.Body).Decode(&stored) != nil {
		return false
	}
	r.ledger.mustGo(n, at)
	return true
}
