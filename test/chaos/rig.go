package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// rig is one installation: a relay with its own directory and ports, a chat
// that stays up when the relay does not, and the ledger of both.
type rig struct {
	guarded
	b      *bench
	plan   *plan
	ledger *ledger
	chat   *chat.Server
	token  string

	dir, log      string
	public, admin string // host and port
	hook          string // where webhooks are posted
	args, env     []string
	command       []string // what starts a relay

	epochs  int
	crashed bool   // the last process did not end in good order
	stopped bool   // it is of no use to go on
	ignored string // a hook whose messages are not in the ledger
	closed  bool
	cleanup []func()

	unwatch context.CancelFunc
	watched chan struct{}
}

// rig makes an installation, of which nothing runs yet but the chat. It is
// closed at the end of the scenario.
func (b *bench) rig(p *plan, args ...string) (*rig, error) {
	return b.rigWith(newLedger(b.random.Uint64()), p, args...)
}

// rigWith makes an installation that goes on with a ledger.
func (b *bench) rigWith(l *ledger, p *plan, args ...string) (*rig, error) {
	r := &rig{
		b: b, plan: p, ledger: l, token: b.secret("token"), command: []string{b.binary},
		dir: filepath.Join(b.dir, fmt.Sprintf("rig%d", b.made.Add(1))), public: b.freePort(), admin: b.freePort(), watched: make(chan struct{}),
	}
	r.args = append([]string{"--data", filepath.Join(r.dir, "data")}, args...)
	server, err := chat.Start(chat.Options{Watch: r.arrived})
	if err != nil {
		return nil, fmt.Errorf("make a rig: %w", err)
	}
	r.chat = server
	for i, d := range p.dests {
		r.env = append(r.env, fmt.Sprintf("HOOK%d=%s", i, server.URL(d.hook)))
	}
	return r, r.prepare()
}

// prepare makes the directory, and watches what is printed there.
func (r *rig) prepare() error {
	r.log, r.hook = filepath.Join(r.dir, "stderr.log"), "http://"+r.public+"/hooks/gitlab"
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("make a rig: %w", err)
	}
	if err := r.configure(r.plan.yaml()); err != nil {
		return err
	}
	var watch context.Context
	watch, r.unwatch = context.WithCancel(context.Background())
	go func() {
		defer close(r.watched)
		r.watch(watch)
	}()
	r.b.mu.Lock()
	r.b.rigs = append(r.b.rigs, r)
	r.b.mu.Unlock()
	return nil
}

// configure writes relay.yaml.
func (r *rig) configure(yaml string) error {
	if err := os.WriteFile(filepath.Join(r.dir, "relay.yaml"), []byte(yaml), 0o600); err != nil {
		return fmt.Errorf("write relay.yaml: %w", err)
	}
	return nil
}

// arrived writes a request to the chat into the ledger.
func (r *rig) arrived(e chat.Entry) {
	if e.Posted() && e.Hook != r.ignored {
		r.ledger.arrive(e.Seq, address{e.Hook, e.Channel}, e.At, e.Answered, string(e.Raw))
	}
}

// close ends everything, and looks at what was printed last. A second call
// does nothing.
func (r *rig) close() {
	if r.closed {
		return
	}
	r.closed = true
	if r.process != nil && r.process.alive() {
		r.kill()
	}
	r.chat.Close()
	r.unwatch()
	<-r.watched
	for _, f := range slices.Backward(r.cleanup) {
		f()
	}
}

// quiet waits until the journal holds the outcome of everything that the chat
// has.
func (r *rig) quiet(ctx context.Context) {
	for ctx.Err() == nil && r.process.alive() {
		if r.metric(ctx, "relay_deliveries_total") >= float64(r.ledger.arrivals()) {
			return
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// expectAlive tells whether the relay runs. If it does not, it has ended by
// itself, which is a violation.
func (r *rig) expectAlive() bool {
	if r.process.alive() {
		return true
	}
	r.b.violate(crash, "the relay ended by itself: %s: %s", r.process.cmd.ProcessState, r.tail(3))
	r.crashed, r.stopped = true, true
	return false
}

// drain waits until everything that was accepted has arrived or was given up.
// What has not arrived when nothing has come for the time given is left to the
// checker.
func (r *rig) drain(ctx context.Context, patience time.Duration) {
	least, since := -1, time.Now()
	for ctx.Err() == nil && r.process.alive() {
		left := r.ledger.missing(r.plan.label)
		if left == 0 {
			return
		}
		if left != least {
			least, since = left, time.Now()
		}
		if time.Since(since) > patience {
			r.b.printf("nothing has arrived for %s, %d are missing", patience, left)
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-r.process.ended:
		case <-ctx.Done():
		}
	}
}

// finish drains, ends the relay in good order, judges the ledger, and adds to
// the figures what every scenario has.
func (r *rig) finish(ctx context.Context, rules rules, patience time.Duration) verdict {
	v := r.finishQuietly(ctx, rules, patience)
	r.b.add("lost", v.lost)
	r.b.add("repeats", v.repeats)
	if v.unanswered > 0 {
		r.b.add("repeats of unanswered posts", v.unanswered)
	}
	return v
}

// finishQuietly is finish without the figures of what was lost and repeated.
func (r *rig) finishQuietly(ctx context.Context, rules rules, patience time.Duration) verdict {
	if r.process.alive() {
		r.drain(ctx, patience)
		r.pages(ctx)
		r.terminate(syscall.SIGTERM)
	}
	return r.judge(rules)
}

// pages looks for secrets on the pages of the admin listener.
func (r *rig) pages(ctx context.Context) {
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/api/v1/config", "/api/v1/sources", "/api/v1/events", "/api/v1/deadletters", "/api/v1/parked"} {
		_, _, _ = r.get(ctx, path) // get looks at all that it is answered
	}
}

// judge reads the rest of the log and checks the ledger.
func (r *rig) judge(rules rules) verdict {
	time.Sleep(120 * time.Millisecond) // the watcher reads every 50 ms
	if rules.label == nil {
		rules.label = r.plan.label
	}
	v := r.ledger.check(rules)
	for _, broken := range v.violations {
		r.b.violate(broken.kind, "%s", broken.what)
	}
	r.b.add("accepted", r.ledger.count().accepted)
	return v
}
