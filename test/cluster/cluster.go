// Package cluster runs a NATS cluster to test against: nats-server processes on
// loopback ports, set up as docs/scaling.md says, that can be killed, stopped
// for a while, cut off from each other and started again.
//
// It knows nothing of the relay.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options of a [Cluster].
type Options struct {
	// Binary is the nats-server to run; see [Build].
	Binary string
	// Dir is where the nodes keep their configuration, streams and logs.
	Dir string
	// Nodes is how many servers; 0 is three. One alone is no cluster.
	Nodes int
	// Cuttable leads what the nodes say to each other through proxies, so that
	// [Cluster.Cut] works. It costs time.
	Cuttable bool
	// Relaxed leaves nats-server's own interval between syncs, in place of a
	// sync of each write.
	Relaxed bool
	// Extra is added to each node's configuration.
	Extra string
}

// Cluster is a running cluster. Its methods may be called from any goroutine.
type Cluster struct {
	Nodes []*Node

	opts  Options
	links map[[2]int]*link // from, to
}

// Node is one server.
type Node struct {
	Name string
	URL  string

	cluster *Cluster
	index   int
	client  int // ports
	route   int
	config  string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// Build compiles the nats-server that the module at root requires, as
// dir/nats-server.
func Build(ctx context.Context, root, dir string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, "nats-server"))
	if err != nil {
		return "", fmt.Errorf("build nats-server: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/nats-io/nats-server/v2")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nats-server: %w\n%s", err, out)
	}
	return path, nil
}

// Start starts all nodes and returns when they form a cluster that can keep
// streams.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Nodes == 0 {
		opts.Nodes = 3
	}
	c := &Cluster{opts: opts, links: map[[2]int]*link{}}
	ports, err := freePorts(2 * opts.Nodes)
	if err != nil {
		return nil, fmt.Errorf("start cluster: %w", err)
	}
	for i := range opts.Nodes {
		n := &Node{Name: fmt.Sprintf("n%d", i+1), cluster: c, index: i, client: ports[2*i], route: ports[2*i+1]}
		n.URL = fmt.Sprintf("nats://127.0.0.1:%d", n.client)
		c.Nodes = append(c.Nodes, n)
	}
	for _, n := range c.Nodes {
		if err := n.configure(); err != nil {
			c.Close()
			return nil, fmt.Errorf("start cluster: %w", err)
		}
	}
	for _, n := range c.Nodes {
		if err := n.Start(); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.Settled(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// freePorts finds ports of 127.0.0.1 that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that none is given twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// configure writes the node's configuration file.
func (n *Node) configure() error {
	dir := filepath.Join(n.cluster.opts.Dir, n.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	sync := "always"
	if n.cluster.opts.Relaxed {
		sync = "2m"
	}
	text := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:%d\nmax_payload: 32MB\njetstream {\n  store_dir: %q\n  sync_interval: %s\n}\n%s\n",
		n.Name, n.client, filepath.Join(dir, "store"), sync, n.cluster.opts.Extra)
	if len(n.cluster.Nodes) > 1 {
		var routes []string
		for _, to := range n.cluster.Nodes {
			if to == n {
				continue
			}
			port := to.route
			if n.cluster.opts.Cuttable {
				l, err := newLink(to.route)
				if err != nil {
					return err
				}
				n.cluster.links[[2]int{n.index, to.index}] = l
				port = l.port()
			}
			routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
		}
		text += fmt.Sprintf("cluster {\n  name: relay\n  listen: 127.0.0.1:%d\n  no_advertise: true\n  routes: [%s]\n}\n", n.route, strings.Join(routes, ", "))
	}
	n.config = filepath.Join(dir, "nats.conf")
	return os.WriteFile(n.config, []byte(text), 0o600)
}

// Start starts the node, with what it kept. It does not wait until the node is
// up; see [Cluster.Settled].
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(filepath.Dir(n.config), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(n.cluster.opts.Binary, "--config", n.config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is the business of who ended it
		close(ended)
	}()
	n.cmd, n.ended = cmd, ended
	return nil
}

// Running tells whether the process is there.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// Kill is kill -9, and returns when the process is gone.
func (n *Node) Kill() { n.end(syscall.SIGKILL) }

// Stop ends the node in good order and returns when it is gone.
func (n *Node) Stop() { n.end(syscall.SIGTERM) }

func (n *Node) end(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(s) // fails only when it has ended already
	<-n.ended
}

// Signal sends SIGSTOP or SIGCONT, say.
func (n *Node) Signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, n.Name, err)
	}
	return nil
}

// Log is what the node has printed.
func (n *Node) Log() string {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(n.config), "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Close ends all nodes.
func (c *Cluster) Close() {
	for _, n := range c.Nodes {
		n.Kill()
	}
	for _, l := range c.links {
		l.close()
	}
}

// URL names all nodes, as --nats-url takes it.
func (c *Cluster) URL() string {
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, n.URL)
	}
	return strings.Join(urls, ",")
}

// Cut separates a node from the others; clients still reach it.
func (c *Cluster) Cut(n *Node) { c.each(n, (*link).cut) }

// Heal ends [Cluster.Cut].
func (c *Cluster) Heal(n *Node) { c.each(n, (*link).heal) }

func (c *Cluster) each(n *Node, f func(*link)) {
	for ends, l := range c.links {
		if ends[0] == n.index || ends[1] == n.index {
			f(l)
		}
	}
}

// ask connects to the cluster for one question.
func (c *Cluster) ask(ctx context.Context, f func(context.Context, jetstream.JetStream) error) error {
	nc, err := nats.Connect(c.URL(), nats.Timeout(time.Second), nats.IgnoreDiscoveredServers())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return f(ctx, js)
}

// Settled waits until every node runs and every stream has a leader and all its
// copies up to date, or ctx ends.
func (c *Cluster) Settled(ctx context.Context) error {
	var why error
	for {
		err := c.settled(ctx)
		if err == nil {
			return nil
		}
		if why == nil || ctx.Err() == nil { // else it says no more than that ctx has ended
			why = err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for the cluster: %w (%w)", ctx.Err(), why)
		}
	}
}

func (c *Cluster) settled(ctx context.Context) error {
	for _, n := range c.Nodes {
		if !n.Running() {
			return fmt.Errorf("%s is down", n.Name)
		}
		conn, err := nats.Connect(n.URL, nats.Timeout(time.Second), nats.NoReconnect(), nats.IgnoreDiscoveredServers())
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		conn.Close()
	}
	return c.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		if _, err := js.AccountInfo(ctx); err != nil {
			return err
		}
		streams := js.ListStreams(ctx)
		for info := range streams.Info() {
			if problem := behind(info); problem != nil {
				return problem
			}
		}
		return streams.Err()
	})
}

// BehindError says that a copy of a stream is not up to date.
type BehindError struct{ Stream, Node, Leader string }

func (e *BehindError) Error() string {
	return fmt.Sprintf("%s: the copy on %s is not up to date", e.Stream, e.Node)
}

func behind(info *jetstream.StreamInfo) error {
	if info.Cluster == nil || info.Config.Replicas == 1 {
		return nil
	}
	if info.Cluster.Leader == "" {
		return fmt.Errorf("%s has no leader", info.Config.Name)
	}
	if len(info.Cluster.Replicas) != info.Config.Replicas-1 {
		return fmt.Errorf("%s lacks copies", info.Config.Name)
	}
	for _, r := range info.Cluster.Replicas {
		if r.Offline || !r.Current || r.Lag > 0 {
			return &BehindError{Stream: info.Config.Name, Node: r.Name, Leader: info.Cluster.Leader}
		}
	}
	return nil
}

// Leader is the node that leads a stream.
func (c *Cluster) Leader(ctx context.Context, stream string) (*Node, error) {
	var name string
	err := c.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		if info := s.CachedInfo(); info.Cluster != nil {
			name = info.Cluster.Leader
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask who leads %s: %w", stream, err)
	}
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, errors.New(stream + " has no leader")
}
