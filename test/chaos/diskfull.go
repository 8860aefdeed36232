package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// diskFull takes the room away under load: of the whole disk, and of each
// stream alone, and gives it back.
var diskFull = scenario{
	name: "disk-full", ci: 1, full: 10,
	what: "a disk that gets full under load, as a whole and under each stream alone, and gets its room back",
	run: func(ctx context.Context, b *bench) error {
		for range b.count {
			for _, where := range []string{"", "RELAY_EVENTS", "RELAY_PARKED", "RELAY_DEAD", "RELAY_JOURNAL"} {
				if ctx.Err() != nil {
					return nil
				}
				if err := b.fillUp(ctx, where); err != nil {
					return err
				}
			}
		}
		return nil
	},
}

// Targets of a full disk.
const (
	detection = 4 * time.Second
	healing   = 5 * time.Second
)

// fillUp fills the disk under one stream, or under all of them.
func (b *bench) fillUp(ctx context.Context, stream string) error {
	p := b.ordinary(4)
	r, err := b.rig(p, "--pace", "0.05", "--max-body", "1MiB", "--events-size", "24MiB", "--parked-size", "16MiB", "--dead-size", "4MiB", "--journal-size", "8MiB")
	if err != nil {
		return err
	}
	defer r.close()
	name, disk := "whole disk", (*smallDisk)(nil)
	if stream == "" {
		disk, err = r.smallDisk(96 << 20)
	} else {
		name = strings.ToLower(strings.TrimPrefix(stream, "RELAY_"))
		disk, err = r.streamDisk(ctx, stream)
	}
	if err != nil {
		return err
	}
	if err := r.mustStart(ctx); err != nil {
		return nil
	}
	poison := r.provoke(stream)
	l := r.load(ctx, 60)
	pause(ctx, 1500*time.Millisecond)
	if err := disk.fill(); err != nil {
		return err
	}
	b.add("fillings", 1)
	detected, told := r.untilRefused(ctx)
	pause(ctx, 3*time.Second)
	r.expectAlive()
	disk.empty()
	healed := r.untilAccepted(ctx)
	pause(ctx, time.Second)
	l.stop()
	r.soothe()
	r.finish(ctx, rules{mayDie: func(n int, _ address) bool { return poison(n) }}, 30*time.Second)
	b.add("unanswered", r.ledger.count().unanswered)
	b.time(name+": 503 after", detected, detection)
	b.time("not ready after", told, detection)
	b.time("healed after", healed, healing)
	return nil
}

// streamDisk puts one stream on a disk of its own.
func (r *rig) streamDisk(ctx context.Context, stream string) (*smallDisk, error) {
	if err := r.mustStart(ctx); err != nil {
		return nil, err
	}
	r.terminate(syscall.SIGTERM)
	dirs, err := filepath.Glob(filepath.Join(r.dir, "data", "*", "*", "streams", stream))
	if err != nil || len(dirs) != 1 {
		return nil, fmt.Errorf("find the stream %s: %d places", stream, len(dirs))
	}
	aside := filepath.Join(r.dir, "aside")
	if err := os.Rename(dirs[0], aside); err != nil {
		return nil, fmt.Errorf("put a stream on a disk of its own: %w", err)
	}
	disk, err := r.mountSmall(dirs[0], 12<<20)
	if err != nil {
		return nil, err
	}
	disk.ballast = filepath.Join(disk.dir, "ballast")
	if out, err := exec.CommandContext(ctx, "cp", "-a", aside+"/.", dirs[0]).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("put a stream on a disk of its own: %w: %s", err, out)
	}
	return disk, nil
}

// provoke makes the chat fail in the way that a stream is written for. It tells
// which webhooks the chat refuses.
func (r *rig) provoke(stream string) (poison func(n int) bool) {
	poison = func(int) bool { return false }
	hook := r.plan.dests[0].hook
	switch stream {
	case "RELAY_PARKED":
		r.chat.Set(hook, chat.Status(http.StatusInternalServerError, nil, ""))
	case "RELAY_DEAD":
		poison = func(n int) bool { return n%10 == 3 }
		r.chat.Set(hook, r.refusing(poison))
	}
	return poison
}

// refusing takes every message but the poison.
func (r *rig) refusing(poison func(n int) bool) chat.Behaviour {
	return chat.Func(func(x *chat.Exchange) {
		if n, ok := r.ledger.number(x.Entry.Raw); ok && poison(n) {
			x.Answer(http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, chat.ErrorBody(x.Entry.Hook))
			return
		}
		x.OK()
	})
}

// soothe makes the chat well again, but for what it refuses for good.
func (r *rig) soothe() {
	for _, d := range r.plan.dests {
		r.chat.Set(d.hook, chat.OK())
		r.chat.Release(d.hook)
	}
}

// untilRefused returns how long it took until a webhook was answered 503 and
// until /readyz said so.
func (r *rig) untilRefused(ctx context.Context) (refusal, unready time.Duration) {
	begin := time.Now()
	var both sync.WaitGroup
	both.Go(func() {
		refusal = r.until(ctx, begin, func() bool {
			_, status := r.send(0, kinds[0], 100)
			return status >= 500
		})
	})
	both.Go(func() {
		unready = r.until(ctx, begin, func() bool {
			status, _, err := r.get(ctx, "/readyz")
			return err == nil && status != http.StatusOK
		})
	})
	both.Wait()
	return refusal, unready
}

// untilAccepted returns how long it took until a webhook was answered 2xx and
// /readyz said 200.
func (r *rig) untilAccepted(ctx context.Context) time.Duration {
	begin := time.Now()
	return r.until(ctx, begin, func() bool {
		_, status := r.send(0, kinds[0], 100)
		pause(ctx, 100*time.Millisecond)
		ready, _, _ := r.get(ctx, "/readyz")
		return status/100 == 2 && ready == http.StatusOK
	})
}

// until is when something came true. After a minute it counts as not at all.
func (r *rig) until(ctx context.Context, begin time.Time, f func() bool) time.Duration {
	for ctx.Err() == nil && time.Since(begin) < time.Minute && r.process.alive() {
		if f() {
			return time.Since(begin)
		}
		pause(ctx, 20*time.Millisecond)
	}
	return time.Minute
}
