package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/cluster"
)

// clusterFaults breaks a NATS cluster of three servers, and the two relays on
// it, while webhooks keep coming.
var clusterFaults = scenario{
	name: "cluster", ci: 3, full: 20,
	what: "Two relays use a NATS cluster of three servers. Killed with `kill -9`: a server, the server that leads a stream, the relay that posts. That relay is also stopped for 12 s with SIGSTOP, and a server is cut off from the others.",
	run: func(ctx context.Context, b *bench) error {
		c, err := b.newCrew(ctx)
		if err != nil {
			return err
		}
		l := c.first.load(ctx, 60)
		pause(ctx, 2*time.Second)
		var spent [5]time.Duration // by fault
		crippled := false          // by nats-server, not by the relay
		for i := range b.count {
			faults := []fault{c.killNode, c.killLeader, c.killActive, c.stopActive, c.cutNode}
			if i > 0 && !b.settings.full {
				faults = faults[:4] // being cut off takes long
			}
			for k, f := range faults {
				if ctx.Err() != nil || c.first.stopped || crippled {
					break
				}
				begin := time.Now()
				err := f(ctx, i)
				switch crippled = errors.As(err, new(*cluster.BehindError)); {
				case crippled:
					b.printf("no more faults, because one more would stop the streams: %v", err)
					b.add("ended early: a copy was never up to date again", 1)
				case err != nil:
					b.violate(crash, "%v", err)
				}
				spent[k] += time.Since(begin)
				b.add("faults", 1)
			}
		}
		l.stop()
		for k, name := range []string{"killing servers", "killing leaders", "killing relays", "stopping relays", "cutting leaders off"} {
			b.printf("%s took %s", name, spent[k].Round(time.Second))
		}
		c.finish(ctx)
		return nil
	},
}

const (
	nodeStall  = 3 * time.Second  // how long webhooks may wait when a server dies
	relayStall = 10 * time.Second // how long messages may when the relay that posts does
	standstill = 12 * time.Second // how long a relay is stopped, or a server cut off
)

// fault breaks something and waits until all is well again.
type fault func(ctx context.Context, round int) error

// crew are relays on one cluster, with one ledger and one chat.
type crew struct {
	b      *bench
	nats   *cluster.Cluster
	first  *rig
	relays []*rig
	front  *front

	windows []span                   // of faults after which messages may repeat
	outages []span                   // of these, those of a server
	accept  map[string]time.Duration // the longest that a webhook waited, by fault
	deliver map[string]time.Duration // the longest time without a message, by fault
	over    []time.Duration          // from the end of a relay to the first message of the other
}

// span is the time from a fault to its end.
type span struct{ begin, end time.Time }

// newCrew starts a cluster and two relays on it, both at the same moment.
func (b *bench) newCrew(ctx context.Context) (*crew, error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a crew: %w", err)
	}
	binary, err := cluster.Build(ctx, ".", b.dir)
	if err != nil {
		return nil, err
	}
	c := &crew{b: b, accept: map[string]time.Duration{}, deliver: map[string]time.Duration{}}
	if c.nats, err = cluster.Start(ctx, cluster.Options{Binary: binary, Dir: filepath.Join(b.dir, "nats"), Cuttable: true}); err != nil {
		return nil, err
	}
	if c.first, err = b.rig(b.ordinary(12), "--nats-url", c.nats.URL(), "--replicas", "3"); err != nil {
		c.nats.Close()
		return nil, err
	}
	c.first.cleanup = append(c.first.cleanup, c.nats.Close)
	second, err := c.first.beside()
	if err != nil {
		return nil, err
	}
	c.relays = []*rig{c.first, second}
	var all sync.WaitGroup
	for _, r := range c.relays {
		all.Go(func() { _ = r.mustStart(ctx) }) // noted as a violation
	}
	all.Wait()
	if c.front, err = newFront(c.first.public, second.public); err != nil {
		return nil, err
	}
	c.first.hook = "http://" + c.front.listener.Addr().String() + "/hooks/gitlab"
	c.first.cleanup = append(c.first.cleanup, func() { c.front.listener.Close() })
	return c, nil
}

// beside is another relay with the same configuration, chat and ledger.
func (r *rig) beside() (*rig, error) {
	o := &rig{
		b: r.b, plan: r.plan, ledger: r.ledger, chat: r.chat, token: r.token, env: r.env, args: r.args, command: r.command,
		dir: filepath.Join(r.b.dir, fmt.Sprintf("rig%d", r.b.made.Add(1))), public: r.b.freePort(), admin: r.b.freePort(), watched: make(chan struct{}),
	}
	return o, o.prepare()
}

// active is the relay that posts, and the other one.
func (c *crew) active(ctx context.Context) (active, standby *rig, err error) {
	before := make([]float64, len(c.relays))
	for i, r := range c.relays {
		before[i] = r.metric(ctx, "relay_deliveries_total")
	}
	for tries := 0; tries < 200; tries++ {
		for i, r := range c.relays {
			if r.metric(ctx, "relay_deliveries_total") > before[i] {
				return r, c.relays[1-i], nil
			}
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil, nil, fmt.Errorf("no relay has posted anything for 10 s: %s", c.first.tail(3))
}

// killNode ends a server, and starts it again.
func (c *crew) killNode(ctx context.Context, _ int) error {
	n := c.nats.Nodes[c.b.random.IntN(len(c.nats.Nodes))]
	return c.without(ctx, "a server is killed", n, func() error {
		n.Kill()
		pause(ctx, c.b.random.between(0, 3*time.Second))
		return n.Start()
	})
}

// killLeader ends the server that leads a stream, each stream in turn, and
// starts it again when another one leads.
func (c *crew) killLeader(ctx context.Context, round int) error {
	stream := []string{"RELAY_EVENTS", "RELAY_JOURNAL", "RELAY_PARKED", "RELAY_DEAD"}[round%4]
	leader, err := c.nats.Leader(ctx, stream)
	if err != nil {
		return err
	}
	return c.without(ctx, "the leader of a stream is killed", leader, func() error {
		leader.Kill()
		until, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		for pause(until, 100*time.Millisecond) {
			if n, err := c.nats.Leader(until, stream); err == nil && n != leader {
				break
			}
		}
		return leader.Start()
	})
}

// cutNode cuts the server off that leads RELAY_EVENTS or RELAY_JOURNAL. Relays
// still reach it.
func (c *crew) cutNode(ctx context.Context, round int) error {
	leader, err := c.nats.Leader(ctx, []string{"RELAY_EVENTS", "RELAY_JOURNAL"}[round%2])
	if err != nil {
		return err
	}
	return c.without(ctx, "a leader is cut off", leader, func() error {
		c.nats.Cut(leader)
		pause(ctx, standstill)
		c.nats.Heal(leader)
		return nil
	})
}

// without breaks a server of the cluster and measures how long webhooks and
// messages wait for it.
func (c *crew) without(ctx context.Context, name string, broken *cluster.Node, f func() error) error {
	begin := time.Now()
	defer func() {
		out := span{begin, time.Now()}
		c.windows, c.outages = append(c.windows, out), append(c.outages, out)
	}()
	if err := f(); err != nil {
		return err
	}
	if err := c.caughtUp(ctx, broken); err != nil {
		return err
	}
	pause(ctx, time.Second)
	c.measure(name, begin)
	return nil
}

// caughtUp waits until all servers are up to date, and helps them if need be:
// nats-server 2.15.2 can log "Expected first catchup entry to be a snapshot and
// peerstate, will retry" for ever, about one stream or another, while its leader
// logs "snapshot can not be installed while catchups running". The one that was
// broken is started anew, then in turn who leads the stream and who is behind.
// When nothing helps the error is a [cluster.BehindError].
func (c *crew) caughtUp(ctx context.Context, broken *cluster.Node) error {
	const helps = 6
	for i := 0; ; i++ {
		err := c.settled(ctx, 20*time.Second)
		var b *cluster.BehindError
		if err == nil || ctx.Err() != nil || i == helps {
			return err
		}
		anew := broken
		if errors.As(err, &b) && i > 0 {
			name := b.Node
			if i%2 == 1 {
				name = b.Leader
			}
			anew = c.nats.Nodes[slices.IndexFunc(c.nats.Nodes, func(n *cluster.Node) bool { return n.Name == name })]
		}
		c.b.add("servers restarted because they did not catch up", 1)
		anew.Stop()
		if err := anew.Start(); err != nil {
			return err
		}
	}
}

// settled waits until all servers are up to date.
func (c *crew) settled(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return c.nats.Settled(ctx)
}

// measure notes how long webhooks and messages have waited since a fault.
func (c *crew) measure(name string, begin time.Time) {
	if all := c.first.ledger.latencies(begin); len(all) > 0 {
		c.accept[name] = max(c.accept[name], all[len(all)-1])
	}
	c.deliver[name] = max(c.deliver[name], c.first.ledger.silence(begin))
}

// killActive ends the relay that posts, and starts it again when the other one
// does.
func (c *crew) killActive(ctx context.Context, _ int) error {
	active, standby, err := c.active(ctx)
	if err != nil {
		return err
	}
	c.front.leave(active.public)
	begin := time.Now()
	active.kill()
	active.crashed = false // said here: the epoch ends now, not when it is started again
	c.first.ledger.next(true)
	err = c.takenOver(ctx, standby, begin)
	c.windows = append(c.windows, span{begin, time.Now()})
	if err == nil {
		err = active.mustStart(ctx)
	}
	c.front.enter(active.public)
	c.measure("the relay that posts is killed", begin)
	return err
}

// takenOver waits for the first message since then.
func (c *crew) takenOver(ctx context.Context, standby *rig, since time.Time) error {
	until, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for pause(until, 5*time.Millisecond) {
		if at := c.first.ledger.firstSince(since.Add(2 * starting)); !at.IsZero() {
			c.over = append(c.over, at.Sub(since))
			return nil
		}
	}
	return fmt.Errorf("nobody has taken over for a minute: %s", standby.tail(3))
}

// stopActive lets the relay that posts stand still until the other one has taken
// over, and then go on.
func (c *crew) stopActive(ctx context.Context, _ int) error {
	active, standby, err := c.active(ctx)
	if err != nil {
		return err
	}
	c.front.leave(active.public)
	pause(ctx, 100*time.Millisecond) // lets it answer
	if err := active.process.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the relay: %w", err)
	}
	begin := time.Now()
	c.first.ledger.next(true)
	err = c.takenOver(ctx, standby, begin)
	pause(ctx, time.Until(begin.Add(standstill)))
	c.first.ledger.next(true)
	pause(ctx, 2*starting)
	if err := active.process.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("let the relay go on: %w", err)
	}
	pause(ctx, 2*time.Second)
	c.windows = append(c.windows, span{begin, time.Now()})
	c.front.enter(active.public)
	c.measure("the relay that posts is stopped", begin)
	return err
}

// finish drains, ends the relays and judges.
func (c *crew) finish(ctx context.Context) {
	if c.first.process.alive() {
		c.first.drain(ctx, time.Minute)
	}
	for _, r := range c.relays {
		if r.expectAlive() {
			r.pages(ctx)
			r.terminate(syscall.SIGTERM)
		}
	}
	// While a server is away the other relay may take over: that is promised to
	// bring one message of a lane again at most, as any takeover.
	away := func(before post) bool {
		return slices.ContainsFunc(c.outages, func(w span) bool { return !before.at.Before(w.begin.Add(-time.Second)) && before.at.Before(w.end) })
	}
	v := c.first.judge(rules{late: true, mayRepeat: away})
	c.b.add("repeats after a takeover while a server was away", v.forgotten)
	c.once()
	t := c.first.ledger.count()
	c.b.add("answered 503", t.deferred)
	for _, name := range sortedNames(c.accept) {
		target := nodeStall
		if name == "the relay that posts is killed" || name == "the relay that posts is stopped" {
			target = relayStall
			c.b.time(name+": no message for", c.deliver[name], target)
		} else {
			c.b.time(name+": no message for", c.deliver[name], 0)
		}
		c.b.time(name+": longest wait of a webhook", c.accept[name], target)
	}
	c.b.spread("the other relay posts after", c.over, relayStall)
}

// once checks that no fault of a relay brought more than one message of a lane
// twice.
func (c *crew) once() {
	for _, w := range c.windows {
		for to, n := range c.first.ledger.repeatsIn(w) {
			if n > 1 {
				c.b.violate(duplicate, "%d messages came again to %s after the fault of %s", n, to.channel, w.begin.Format(time.StampMilli))
			}
		}
	}
}

// front is what stands before several relays, or before a chat: it counts the
// connections and carries each to one of those that are up.
type front struct {
	listener net.Listener

	mu sync.Mutex
	up []string
	n  int // connections that came
}

func newFront(addresses ...string) (*front, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen before the relays: %w", err)
	}
	f := &front{listener: listener, up: addresses}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.carry(conn)
		}
	}()
	return f, nil
}

// carried is how many connections have come.
func (f *front) carried() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *front) pick() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	return f.up[rand.IntN(len(f.up))]
}

func (f *front) carry(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", f.pick())
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, to) // ends with the answer
}

// leave sends nothing more to a relay.
func (f *front) leave(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rest []string
	for _, a := range f.up {
		if a != address {
			rest = append(rest, a)
		}
	}
	f.up = rest
}

// enter sends to it again.
func (f *front) enter(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = append(f.up[:len(f.up):len(f.up)], address)
}
