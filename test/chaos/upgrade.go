package main

import (
	"bytes"
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
	what: "A store is moved from an older relay (the last release, or a version at least ten commits old) to this one and back, after normal stops and after `kill -9`. The older relay may refuse it with a reason.",
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

// older builds the last release, or else the newest tree that builds of those ten,
// twenty and so on commits ago. Where there is none, as in a checkout without its
// history, the error is errSkip.
func (b *bench) older(ctx context.Context) (binary, revision string, err error) {
	revisions := []string{"HEAD~10", "HEAD~20", "HEAD~30", "HEAD~40"}
	if tag, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--abbrev=0", "HEAD^").Output(); err == nil {
		revisions = []string{strings.TrimSpace(string(tag))}
	}
	for _, revision = range revisions {
		if binary, err = b.build(ctx, revision); err == nil {
			return binary, revision, nil
		}
	}
	return "", "", fmt.Errorf("%w: no older relay can be had here: %w", errSkip, err)
}

// build builds the relay of a revision.
func (b *bench) build(ctx context.Context, revision string) (binary string, err error) {
	dir := filepath.Join(b.dir, revision)
	tree, binary := filepath.Join(dir, "tree"), filepath.Join(dir, "relay")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		return "", err
	}
	defer os.RemoveAll(tree)
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, name, args...)
		c.Env = append(os.Environ(), "GIT_INDEX_FILE="+filepath.Join(dir, "index"), "CGO_ENABLED=0")
		return c
	}
	compile := command("go", "build", "-trimpath", "-tags", "failpoints,nomsgpack", "-ldflags", "-s -w", "-o", binary, "./cmd/relay")
	compile.Dir = tree
	for _, c := range []*exec.Cmd{
		command("git", "read-tree", revision),
		command("git", "checkout-index", "--all", "--prefix="+tree+"/"),
		compile,
	} {
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s %s: %w: %s", c.Args[0], c.Args[1], err, bytes.TrimSpace(out))
		}
	}
	return binary, nil
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
	b.add("given up as intended", v.dead)
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
