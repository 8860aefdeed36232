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
	what: "The disk fills up under load, first as a whole and then under each stream alone, and becomes free again.",
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

// brim is an installation whose disk gets full, or that of one of its streams.
type brim struct {
	*rig
	stream string // RELAY_...; empty: all of them
	disk   *smallDisk
	mortal string // a hook; what goes there is given up when it is a second old
}

// newBrim makes one that is ready to be started.
func (b *bench) newBrim(ctx context.Context, stream string) (*brim, error) {
	p := b.ordinary(4)
	// With it something is buried all the time as long as that hook fails.
	mortal := destination{hook: b.secret("d2"), yaml: "give_up_after: 1s"}
	p.dests, p.homes[3] = append(p.dests, mortal), target{2, ""}
	r, err := b.rig(p, "--pace", "0.02", "--max-body", "1MiB", "--events-size", "24MiB", "--parked-size", "16MiB", "--dead-size", "4MiB", "--journal-size", "8MiB")
	if err != nil {
		return nil, err
	}
	f := &brim{rig: r, stream: stream, mortal: mortal.hook}
	if stream == "" {
		f.disk, err = r.smallDisk(96 << 20)
	} else {
		f.disk, err = r.streamDisk(ctx, stream)
	}
	return f, err
}

// provoke makes the chat fail in the way that the stream is written for.
func (f *brim) provoke() {
	failing := chat.Status(http.StatusInternalServerError, nil, "")
	switch f.stream {
	case "RELAY_PARKED":
		f.chat.Set(f.plan.dests[0].hook, failing)
	case "RELAY_DEAD":
		f.chat.Set(f.mortal, failing)
	}
}

// fillUp fills the disk under one stream, or under all of them.
func (b *bench) fillUp(ctx context.Context, stream string) error {
	begin := time.Now()
	r, err := b.newBrim(ctx, stream)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.mustStart(ctx); err != nil {
		return nil
	}
	r.provoke()
	l := r.load(ctx, 60)
	pause(ctx, 1500*time.Millisecond)
	if err := r.disk.fill(); err != nil {
		return err
	}
	b.add("fillings", 1)
	detected, told := r.untilRefused(ctx)
	pause(ctx, 3*time.Second)
	r.expectAlive()
	r.disk.empty()
	healed := r.untilAccepted(ctx)
	pause(ctx, time.Second)
	l.stop()
	r.soothe()
	v := r.finish(ctx, rules{mayDie: func(_ int, to address) bool { return stream == "RELAY_DEAD" && to.hook == r.mortal }}, 30*time.Second)
	b.add("unanswered", r.ledger.count().unanswered)
	b.add("given up as intended", v.dead)
	name := "whole disk"
	if stream != "" {
		name = strings.ToLower(strings.TrimPrefix(stream, "RELAY_"))
	}
	b.time(name+": answers 503 after", detected, detection)
	b.time(name+": not ready after", told, detection)
	b.time(name+": writes again after", healed, healing)
	b.printf("%s: %s", name, time.Since(begin).Round(100*time.Millisecond))
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

// soothe makes the chat well again.
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

// until is when something came true. After so long as it takes to be a violation
// in any case it counts as not at all.
func (r *rig) until(ctx context.Context, begin time.Time, f func() bool) time.Duration {
	const never = 30 * time.Second
	for ctx.Err() == nil && time.Since(begin) < never && r.process.alive() {
		if f() {
			return time.Since(begin)
		}
		pause(ctx, 20*time.Millisecond)
	}
	return never
}
