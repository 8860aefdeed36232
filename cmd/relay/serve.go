package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/dispatch"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/server"
)

const (
	// flightGrace is how long deliveries in flight may take to end at shutdown.
	flightGrace = 8 * time.Second
	// doorGrace is how long requests under way may take then.
	doorGrace = time.Second
	// memoryLimit is what the Go runtime keeps to unless GOMEMLIMIT says
	// otherwise, with the embedded server. It only makes the collector work
	// harder; it refuses nothing.
	memoryLimit = 150 << 20
)

// serveFlags are fixed for the process; what may change is in relay.yaml.
type serveFlags struct {
	listen, admin  string
	cert, key      string
	data           string
	natsURL        string
	natsCreds      string
	replicas       int
	sync           string
	history        time.Duration
	maxBody        size
	events, parked size
	dead, journal  size
	logFormat      string
	logLevel       string
	demo           bool
}

func (a *app) serve() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take webhooks and deliver messages until INT or TERM",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.demo {
				return a.runDemo(cmd.Context(), f)
			}
			c, warnings, err := a.load(cmd)
			if err != nil {
				return err
			}
			_ = configs.WriteText(a.stderr, warnings)
			return a.runServe(cmd.Context(), f, c, nil)
		},
	}
	f.maxBody, f.events, f.parked, f.dead, f.journal = 25<<20, 1<<30, 1<<30, 256<<20, 256<<20
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", ":8080", "address that GitLab sends to")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:8081", "address of /metrics, /healthz and /readyz")
	flags.StringVar(&f.cert, "tls-cert", "", "certificate file for --listen (PEM, with the chain)")
	flags.StringVar(&f.key, "tls-key", "", "key file for --tls-cert")
	flags.StringVar(&f.data, "data", "./data", "directory of the embedded queue")
	flags.StringVar(&f.natsURL, "nats-url", "", "NATS server or cluster to use in place of the embedded queue")
	flags.StringVar(&f.natsCreds, "nats-creds", "", "credentials file for --nats-url")
	flags.IntVar(&f.replicas, "replicas", 1, "copies of each stream, with --nats-url")
	flags.StringVar(&f.sync, "sync", "always", "always: answered means on disk; interval: a power cut may lose the last second")
	flags.DurationVar(&f.history, "history", 72*time.Hour, "how long settled events are kept; 0: not at all")
	flags.Var(&f.maxBody, "max-body", "largest webhook")
	flags.Var(&f.events, "events-size", "room for accepted webhooks and their history")
	flags.Var(&f.parked, "parked-size", "room for deliveries that wait for their address")
	flags.Var(&f.dead, "dead-size", "room for dead letters")
	flags.Var(&f.journal, "journal-size", "room for the journal")
	flags.StringVar(&f.logFormat, "log-format", "auto", "auto, json or text")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.BoolVar(&f.demo, "demo", false, "show it all with sample webhooks: needs nothing, keeps nothing")
	return cmd
}

func (f *serveFlags) check() error {
	switch {
	case f.sync != "always" && f.sync != "interval":
		return usage("--sync takes always or interval", "%q is no way to sync", f.sync)
	case (f.cert == "") != (f.key == ""):
		return usage("give both, or neither", "--tls-cert and --tls-key belong together")
	case f.maxBody > queue.MaxBodyLimit:
		return usage("GitLab sends 25 MiB at most", "--max-body is larger than the queue can keep, %s", size(queue.MaxBodyLimit))
	case f.replicas < 1 || f.replicas > 5:
		return usage("1, 3 or 5 are usual", "--replicas %d is not between 1 and 5", f.replicas)
	case f.history < 0:
		return usage("0 drops settled events at once", "--history is negative")
	}
	return nil
}

// relay is a running relay: everything that was opened, in order, so that it is
// closed in the reverse one.
type relay struct {
	f        serveFlags
	c        *configuration
	log      *slog.Logger
	stdout   io.Writer
	registry *prometheus.Registry
	term     atomic.Pointer[prometheus.Registry] // of the present term of dispatching; the next one counts anew
	queue    *queue.Queue
	public   *server.Listener
	admin    *server.Listener
	failed   chan error // a part ended that should not have
}

// runServe runs a relay until ctx ends. started, if any, is called when it
// listens.
func (a *app) runServe(ctx context.Context, f serveFlags, c *configuration, started func(*relay)) error {
	if err := f.check(); err != nil {
		return err
	}
	secrets := &redactor{}
	secrets.set(c.secrets())
	log, err := newLog(a.stderr, f.logFormat, f.logLevel, secrets)
	if err != nil {
		return err
	}
	r := &relay{f: f, c: c, log: log, stdout: a.stdout, registry: newRegistry(), failed: make(chan error, 3)}
	if _, set := a.env("GOMEMLIMIT"); !set && f.natsURL == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.queue.Close()

	dispatching := make(chan struct{})
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(dispatching)
		if err := r.dispatch(stop); err != nil {
			r.failed <- err
		}
	}()
	r.serve()
	log.Info("listening", "public", r.public.Addr(), "admin", r.admin.Addr())
	r.announce()
	if started != nil {
		started(r)
	}
	select {
	case <-ctx.Done():
		log.Info("stopping; what is not delivered stays in the queue")
	case err = <-r.failed:
		log.Error("the relay ends", "err", err)
	}
	cancel()
	<-dispatching
	r.close()
	return err
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "relay_build_info", Help: "Always 1; the label tells the version."}, []string{"version"})
	build.WithLabelValues(versionString()).Set(1)
	r.MustRegister(build)
	return r
}

// open opens the queue, then the listeners: a webhook that comes in can be
// stored from the first moment.
func (r *relay) open(ctx context.Context) error {
	q, err := queue.Open(ctx, queue.Options{
		Dir: r.f.data, URL: r.f.natsURL, Creds: r.f.natsCreds, Replicas: r.f.replicas, Interval: r.f.sync == "interval",
		MaxBody: int64(r.f.maxBody), EventsSize: int64(r.f.events), ParkedSize: int64(r.f.parked), DeadSize: int64(r.f.dead), JournalSize: int64(r.f.journal),
		Log: r.log,
	})
	if err != nil {
		return err
	}
	r.queue = q
	r.registry.MustRegister(queueCollector{q})
	if r.f.sync == "interval" && r.f.natsURL == "" {
		r.log.Warn("--sync interval: a power cut may lose webhooks that were accepted in the last second")
	}
	if err := r.listen(); err != nil {
		q.Close()
		return err
	}
	return nil
}

func (r *relay) gather() ([]*dto.MetricFamily, error) {
	if term := r.term.Load(); term != nil {
		return prometheus.Gatherers{r.registry, term}.Gather()
	}
	return r.registry.Gather()
}

func (r *relay) listen() error {
	var sources []server.Source
	for _, s := range r.c.Sources {
		p, err := proof(s)
		if err != nil {
			return err
		}
		if s.Insecure {
			r.log.Warn("this source takes webhooks from anyone", "source", s.Name)
		}
		sources = append(sources, server.Source{Name: s.Name, Paths: s.Paths, Proof: p})
	}
	door := server.NewDoor(server.Options{Sources: sources, Store: r.queue, MaxBody: int64(r.f.maxBody), Log: r.log, Registerer: r.registry})
	admin := server.NewAdmin(server.AdminOptions{Ready: r.queue.Ready, Gatherer: prometheus.GathererFunc(r.gather), Log: r.log})
	var err error
	if r.public, err = server.Listen(r.f.listen, door, r.f.cert, r.f.key, r.log); err != nil {
		return &exitError{exitFail, "cannot listen for webhooks: " + err.Error(), "choose another address with --listen"}
	}
	if r.admin, err = server.Listen(r.f.admin, admin, "", "", r.log); err != nil {
		r.public.Shutdown(context.Background())
		return &exitError{exitFail, "cannot listen for the operator: " + err.Error(), "choose another address with --admin"}
	}
	return nil
}

func (r *relay) serve() {
	for _, l := range []*server.Listener{r.public, r.admin} {
		go func() {
			if err := l.Serve(); err != nil {
				r.failed <- fmt.Errorf("listen: %w", err)
			}
		}()
	}
}

// close closes the listeners; the queue is closed after them.
func (r *relay) close() {
	ctx, cancel := context.WithTimeout(context.Background(), doorGrace)
	defer cancel()
	r.public.Shutdown(ctx)
	r.admin.Shutdown(ctx)
}

// dispatch delivers whenever this relay is the one that may: always, or with a
// queue that others share, after having taken over.
func (r *relay) dispatch(ctx context.Context) error {
	for {
		journal, state, err := r.queue.Lead(ctx)
		if err != nil {
			return unlessDone(ctx, err)
		}
		err = r.lead(ctx, journal, state)
		if !errors.Is(err, queue.ErrFenced) || !r.queue.External() {
			return unlessDone(ctx, err)
		}
	}
}

func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// lead dispatches until ctx ends or another relay has taken over.
func (r *relay) lead(ctx context.Context, journal *queue.Journal, state *queue.State) error {
	registry := prometheus.NewRegistry()
	r.term.Store(registry)
	repeats := dispatch.NewRepeats()
	lanes := delivery.New(delivery.Options{
		Destinations: r.c.Destinations, Formatter: r.c.formatter, Journal: journal, Parking: r.queue, Dead: repeats.Forget,
		Stdout: r.stdout, Log: r.log, Registerer: registry, Version: versionString(),
	})
	d := dispatch.New(dispatch.Options{
		Queue: r.queue, Journal: journal, State: state, Routes: r.c.table, Lanes: lanes, Repeats: repeats,
		History: r.f.history, Log: r.log, Registerer: registry,
	})
	term, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-journal.Lost():
			cancel()
		case <-term.Done():
		}
	}()
	err := lanes.Resume(term, state.Lanes)
	if err == nil {
		err = d.Run(term)
	}
	select {
	case <-journal.Lost():
		lanes.Halt()
		return queue.ErrFenced
	default:
	}
	grace, done := context.WithTimeout(context.Background(), flightGrace)
	defer done()
	lanes.Close(grace)
	journal.Close()
	return err
}

// announce prints what to paste into GitLab.
func (r *relay) announce() {
	scheme := "http"
	if r.f.cert != "" {
		scheme = "https"
	}
	for _, s := range r.c.Sources {
		fmt.Fprintf(r.stdout, "paste into GitLab > Settings > Webhooks: URL %s://%s%s · %s · Trigger: push, tag push, comments, issues, merge requests, jobs, pipelines, deployments, releases\n",
			scheme, publicHost(r.public.Addr()), s.Paths[0], secretPlace(s))
	}
}

// publicHost is the address as GitLab may reach it: an address that listens
// everywhere is named by the machine's own name.
func publicHost(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

// secretPlace says which field takes which secret, never the secret.
func secretPlace(s configs.Source) string {
	switch {
	case s.Insecure:
		return "no secret (insecure: true)"
	case len(s.SigningKeys) > 0 && len(s.Tokens) == 0:
		return "Signing token: the one that signing_key of source " + s.Name + " holds"
	case len(s.Tokens) > 0:
		return "Secret token: the one that token of source " + s.Name + " holds"
	default:
		return "put basic's user name and password of source " + s.Name + " into the URL"
	}
}

// size is a number of bytes as a flag: 25MiB, 700KiB, 1GiB, or plain bytes.
type size int64

var units = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

func (s size) String() string {
	for _, u := range units {
		if int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func (s *size) Type() string { return "size" }

func (s *size) Set(v string) error {
	number, factor := v, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(v, u.suffix); ok {
			number, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)/factor {
		return fmt.Errorf("%q is no size: want something like 25MiB or 1GiB", v)
	}
	*s = size(n * factor)
	return nil
}
