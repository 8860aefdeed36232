package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
	"github.com/gitlab-mattermost/relay/test/cluster"
)

// powerCut takes what is on the disk at one moment, without what the kernel
// still holds in memory: the relay writes to a file system in an image, it is
// stopped, the image is copied, and the relay goes on from the copy.
var powerCut = scenario{
	name: "power-cut", ci: 5, full: 100,
	what: "The relay restarts from what the disk had at one moment, without what was still in the kernel's memory. This is done with `--sync always`, with `--sync interval`, and, to show that the method can find a loss, with a NATS server that syncs every two minutes.",
	run: func(ctx context.Context, b *bench) error {
		if err := b.cutAlways(ctx); err != nil {
			return err
		}
		if err := b.cutInterval(ctx); err != nil {
			return err
		}
		return b.cutControl(ctx, max(1, b.count/5))
	},
}

// image is a file system in a file.
type image struct {
	file, dir string
	mounted   bool
}

// imageOptions keep the file system from writing by itself what nobody asked it
// to sync: what is lost then is what a relay did not sync.
const imageOptions = "loop,commit=300"

// newImage makes and mounts a file system of so many bytes.
func (r *rig) newImage(ctx context.Context, dir string, size int64) (*image, error) {
	d := &image{file: filepath.Join(r.dir, "disk.img"), dir: dir}
	f, err := os.Create(d.file)
	if err != nil {
		return nil, fmt.Errorf("make an image: %w", err)
	}
	if err := f.Truncate(size); err != nil {
		return nil, fmt.Errorf("make an image: %w", err)
	}
	f.Close()
	if out, err := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make an image: %w: %s", notMounted(err), out)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make an image: %w", err)
	}
	r.cleanup = append(r.cleanup, d.unmount)
	return d, d.mount(ctx)
}

func (d *image) mount(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "mount", "-o", imageOptions, d.file, d.dir).CombinedOutput()
	if err != nil && (os.Geteuid() != 0 || strings.Contains(string(out), "permi")) {
		return fmt.Errorf("%w: mounting is not permitted here", errSkip)
	} else if err != nil {
		return fmt.Errorf("mount an image: %w: %s", err, out)
	}
	d.mounted = true
	return nil
}

func (d *image) unmount() {
	if d.mounted {
		_ = exec.Command("umount", d.dir).Run() // it is mounted again, or removed
		d.mounted = false
	}
}

// cut copies the image as its device holds it, while nothing writes, and lets
// the copy take its place. The processes must be stopped; between copying and
// exchanging, end is called, which ends them.
func (d *image) cut(ctx context.Context, end func()) error {
	taken := d.file + ".cut"
	err := copyFile(taken, d.file)
	end()
	d.unmount() // what is synced now goes to the old image
	if err == nil {
		err = os.Rename(taken, d.file)
	}
	if err != nil {
		return fmt.Errorf("cut the power: %w", err)
	}
	return d.mount(ctx)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}

// freeze stops a relay between two instructions.
func (r *rig) freeze() { _ = r.process.cmd.Process.Signal(syscall.SIGSTOP) }

// cutOnce lets webhooks come for a while, cuts the power, and starts the relay
// again. Every other time the chat does not answer before the cut, so that all
// that was accepted has to come off the disk.
func (r *rig) cutOnce(ctx context.Context, d *image, n int) (at time.Time, err error) {
	behaviour := chat.OK()
	if n%2 == 0 {
		behaviour = chat.Hang()
	}
	for _, dest := range r.plan.dests {
		r.chat.Set(dest.hook, behaviour)
	}
	l := r.load(ctx, 150)
	pause(ctx, r.b.random.between(300*time.Millisecond, 2*time.Second))
	l.cancel()
	r.freeze()
	at = time.Now()
	err = d.cut(ctx, r.kill)
	l.stop()
	for _, dest := range r.plan.dests {
		r.chat.Set(dest.hook, chat.OK())
	}
	r.b.add("cuts", 1)
	if err != nil {
		return at, err
	}
	return at, r.mustStart(ctx)
}

const imageSize = 160 << 20

// imageArgs are limits that fit on an image.
var imageArgs = []string{"--pace", "0.05", "--max-body", "1MiB", "--events-size", "48MiB", "--parked-size", "32MiB", "--dead-size", "8MiB", "--journal-size", "16MiB"}

func (b *bench) cutRig(ctx context.Context, args ...string) (*rig, *image, error) {
	r, err := b.rig(b.ordinary(6), append(args, imageArgs...)...)
	if err != nil {
		return nil, nil, err
	}
	d, err := r.newImage(ctx, filepath.Join(r.dir, "data"), imageSize)
	if err != nil {
		return nil, nil, err
	}
	return r, d, r.mustStart(ctx)
}

func (b *bench) cutAlways(ctx context.Context) error {
	r, d, err := b.cutRig(ctx)
	if err != nil {
		return err
	}
	for n := range b.count {
		if ctx.Err() != nil || !r.expectAlive() {
			break
		}
		if _, err := r.cutOnce(ctx, d, n); err != nil {
			break
		}
		r.drain(ctx, 30*time.Second)
	}
	r.finish(ctx, rules{}, 60*time.Second)
	r.close()
	return nil
}

// window is what --sync interval says may be lost by a cut.
const window = time.Second

func (b *bench) cutInterval(ctx context.Context) error {
	r, d, err := b.cutRig(ctx, "--sync", "interval")
	if err != nil {
		return err
	}
	var cuts []time.Time
	for n := range b.count {
		if ctx.Err() != nil || !r.expectAlive() {
			break
		}
		at, err := r.cutOnce(ctx, d, n)
		if cuts = append(cuts, at); err != nil {
			break
		}
		r.drain(ctx, 5*time.Second)
	}
	// How long before the next cut something was accepted. An answer that was on
	// its way then is read a little later.
	const late = 500 * time.Millisecond
	before := func(at time.Time) time.Duration {
		for _, cut := range cuts {
			if !cut.Add(late).Before(at) {
				return max(0, cut.Sub(at))
			}
		}
		return 1 << 62
	}
	var oldest time.Duration
	b.add("interval: lost", 0)
	v := r.finishQuietly(ctx, rules{
		mayLose: func(s *sent) bool {
			age := before(s.answered)
			if age <= slack*window {
				oldest = max(oldest, age)
			}
			return age <= slack*window
		},
		mayRepeat: func(p post) bool { return before(p.at) <= slack*window },
		mayReuse:  true,
		// A webhook with an id that was given before stands behind the first one.
		unordered: func(address) bool { return true },
	}, 30*time.Second)
	if v.reused > 0 {
		b.violate(disorder, "with --sync interval %d ids of lost webhooks were given to others", v.reused)
	}
	b.add("interval: lost", v.permitted)
	b.add("interval: repeats", v.forgotten)
	b.time("interval: oldest webhook lost, before the cut", oldest, window)
	r.close()
	return nil
}

// cutControl cuts the power under a NATS server that syncs as rarely as
// nats-server does by itself. If nothing is lost there, the cuts prove nothing.
func (b *bench) cutControl(ctx context.Context, count int) error {
	binary, err := cluster.Build(ctx, ".", b.dir)
	if err != nil {
		return err
	}
	losing := 0
	for range count {
		lost, err := b.cutUnsynced(ctx, binary)
		if err != nil {
			return err
		}
		if lost > 0 {
			losing++
		}
		b.add("control: cuts", 1)
		b.add("control: lost", lost)
	}
	b.add("control: cuts that lost", losing)
	if losing*10 < count*9 {
		b.violate(untrue, "of %d cuts of a server that does not sync, %d lost something: the cuts prove nothing", count, losing)
	}
	return nil
}

// cutUnsynced counts what one cut loses.
func (b *bench) cutUnsynced(ctx context.Context, binary string) (lost int, err error) {
	r, err := b.rig(b.ordinary(6))
	if err != nil {
		return 0, err
	}
	defer r.close()
	dir := filepath.Join(r.dir, "nats")
	d, err := r.newImage(ctx, dir, imageSize)
	if err != nil {
		return 0, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Binary: binary, Dir: dir, Nodes: 1, Relaxed: true})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r.args = []string{"--nats-url", c.URL(), "--max-body", "1MiB", "--events-size", "24MiB", "--parked-size", "16MiB", "--dead-size", "8MiB", "--journal-size", "8MiB"}
	if err := r.mustStart(ctx); err != nil {
		return 0, err
	}
	for _, dest := range r.plan.dests {
		r.chat.Set(dest.hook, chat.Hang())
	}
	l := r.load(ctx, 150)
	pause(ctx, b.random.between(500*time.Millisecond, 2*time.Second))
	l.cancel()
	r.freeze()
	if err := c.Nodes[0].Signal(syscall.SIGSTOP); err != nil {
		return 0, err
	}
	err = d.cut(ctx, func() {
		r.kill()
		c.Nodes[0].Kill()
	})
	l.stop()
	if err != nil {
		return 0, err
	}
	for _, dest := range r.plan.dests {
		r.chat.Set(dest.hook, chat.OK())
	}
	if c.Nodes[0].Start() == nil {
		// It may refuse what it finds, and then all is lost.
		if start, cancel := context.WithTimeout(ctx, 20*time.Second); r.start(start) == nil {
			r.drain(ctx, 3*time.Second)
			cancel()
		} else {
			cancel()
		}
	}
	lost = r.ledger.missing(r.plan.label)
	if r.process.alive() {
		r.kill()
	}
	return lost, nil
}
