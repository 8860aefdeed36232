package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// upgrade carries a store from an older relay to this one, and back.
var upgrade = scenario{
	name: "upgrade", ci: 2, full: 20,
	what: "a store is carried from an older relay (the last release, or else one of ten commits ago) to this one and back, after orderly ends and after kill -9; an older relay may refuse it, with a word",
	run: func(ctx context.Context, b *bench) error {
		old, revision, err := b.older(ctx)
		if err != nil {
			return err
		}
		b.printf("the older relay is %s", revision)
		for i := range b.count {
			if err := b.upgradeOnce(ctx, old, i%2 == 1); err != nil || ctx.Err() != nil {
				return err
			}
		}
		return nil
	},
}

// older builds the last release, or else the tree of ten commits ago.
func (b *bench) older(ctx context.Context) (binary, revision string, err error) {
	ask := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", args...).Output()
		return strings.TrimSpace(string(out)), err
	}
	revision, err = ask("describe", "--tags", "--abbrev=0", "HEAD^")
	if err != nil {
		if revision, err = ask("rev-parse", "--short", "HEAD~10"); err != nil {
			return "", "", fmt.Errorf("%w: there is no history of an older relay here", errSkip)
		}
	}
	tree := filepath.Join(b.dir, "older")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		return "", "", fmt.Errorf("build an older relay: %w", err)
	}
	binary = filepath.Join(b.dir, "older-relay")
	pack := exec.CommandContext(ctx, "sh", "-c", `git archive "$0" | tar -x -C "$1"`, revision, tree)
	if out, err := pack.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("build an older relay: %w: %s", err, out)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "failpoints,nomsgpack", "-ldflags", "-s -w", "-o", binary, "./cmd/relay")
	build.Dir, build.Env = tree, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("build an older relay: %w: %s", err, out)
	}
	return binary, revision, os.RemoveAll(tree)
}

// upgradeOnce has the older relay fill a store with all that can wait in it,
// this one go on, and the older one again.
func (b *bench) upgradeOnce(ctx context.Context, old string, killed bool) error {
	p := b.apart(4)
	p.dests[3].yaml = "give_up_after: 1s"
	r, err := b.rig(p, "--pace", "0.01")
	if err != nil {
		return err
	}
	defer r.close()
	now := r.command
	mayDie := func(_ int, to address) bool { return to.hook == p.dests[3].hook }
	for turn, command := range [][]string{{old}, now, {old}} {
		r.command = command
		r.troubled()
		err := r.start(ctx)
		switch {
		case err != nil && turn == 2 && !r.process.alive() && r.tail(1) != "":
			b.add("refused by the older relay, with a word", 1)
			continue
		case err != nil && ctx.Err() == nil:
			r.stopped = true
			b.violate(crash, "the relay does not start on a store that was carried to it: %v: %s", err, r.tail(3))
			return nil
		}
		b.add([]string{"stores of the older relay", "carried to this one", "carried back"}[turn], 1)
		l := r.load(ctx, 60)
		pause(ctx, 2500*time.Millisecond)
		l.stop()
		r.expectAlive()
		if killed {
			r.kill()
		} else {
			r.terminate(syscall.SIGTERM)
		}
	}
	r.command = now
	r.soothe()
	if r.mustStart(ctx) != nil {
		return nil
	}
	v := r.finish(ctx, rules{mayDie: mayDie}, 30*time.Second)
	b.add("given up where that is asked for", v.dead)
	return nil
}

// troubled lets one hook take everything, one hang, one fail, and one fail for
// so long that what goes there is given up.
func (r *rig) troubled() {
	r.soothe()
	failing := chat.Status(http.StatusInternalServerError, nil, "")
	for i, how := range []chat.Behaviour{chat.OK(), chat.Hang(), failing, failing} {
		r.chat.Set(r.plan.dests[i].hook, how)
	}
}
