package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/cobra"

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
	// otherwise, with the embedded server; the window of repeats comes on top. It
	// only makes the collector work harder; it refuses nothing.
	memoryLimit = 150 << 20
	// garbage is how much of it, in percent of what is in use, may gather before
	// it is collected, unless GOGC says otherwise. With little in use that is
	// little; near memoryLimit it is collected earlier anyway.
	garbage = 400
)

func (a *app) serve() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take webhooks and deliver messages until INT or TERM",
		Long: "Take webhooks and deliver messages until INT or TERM. The flags are fixed for\nthe process; what goes where is in relay.yaml.\n\n" +
			"Without a relay.yaml, RELAY_DESTINATION is the URL of an incoming webhook and\nRELAY_TOKEN the secret token of GitLab's webhook.",
		Example: "  relay serve --demo\n  RELAY_DESTINATION=https://chat.example/hooks/… RELAY_TOKEN=… relay serve\n  relay serve --config relay.yaml --data /var/lib/relay",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.demo {
				if !cmd.Flags().Changed("log-level") {
					f.logLevel.word = "error"
				}
				return a.runDemo(cmd.Context(), f)
			}
			if err := f.check(); err != nil {
				return err
			}
			l := loaded{hangups: hangups()} // from before the files are read
			if err := a.loadFor(cmd, &f, &l); err != nil {
				return err
			}
			return a.runServe(cmd.Context(), f, l, nil)
		},
	}
	f.add(cmd)
	return cmd
}

// relay is a running relay: everything that was opened, in order, so that it is
// closed in the reverse one.
type relay struct {
	f        serveFlags
	started  time.Time
	live     live
	reloader *reloader
	secrets  *redactor
	log      *slog.Logger
	stdout   io.Writer
	registry *prometheus.Registry
	term     atomic.Pointer[prometheus.Registry] // of the present term of dispatching, or the last one; the next one counts anew

	dispatching prometheus.Gauge
	queue       *queue.Queue
	door        *server.Door
	public      *server.Listener
	admin       *server.Listener
	failed      chan error // a part ended that should not have
	limited     bool       // the memory limit is the relay's own

	adminGuarded bool // the admin listener has a token, or it was said that it needs one

	sandbox  *sandbox                          // nil in the demo
	watchdog atomic.Pointer[dispatch.Watchdog] // of the present term, or the last one
	endNow   func()                            // ends the process without a word to anybody

	clients *delivery.Clients
	reports *reporter
	systemd *supervisor

	swap         sync.Mutex // held while the configuration or the term changes
	destinations []delivery.Destination
	lanes        *delivery.Lanes // of the present term; nil between two

	active atomic.Pointer[delivery.Lanes] // while this relay dispatches
}

// runServe runs a relay until ctx ends. When it listens, started is called, or
// without one, what to paste into GitLab is printed.
func (a *app) runServe(ctx context.Context, f serveFlags, l loaded, started func(*relay)) error {
	c := l.configuration
	a.secrets.add(f.secrets()...)
	format := f.logFormat.word
	if format == "auto" && terminal(uncleaned(a.stderr)) {
		format = "text"
	}
	lines := newLineWriter(uncleaned(a.stderr))
	defer lines.close()
	log, err := newLog(lines, format, f.logLevel.word, &a.secrets)
	if err != nil {
		return err
	}
	r := &relay{f: f, started: time.Now(), secrets: &a.secrets, log: log, stdout: a.stdout, registry: newRegistry(), failed: make(chan error, 5)}
	r.endNow = func() { endNow(exitStuck, lines) }
	r.dispatching = prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_dispatching", Help: "1 if this relay delivers; of several on one NATS server one does."})
	r.registry.MustRegister(r.dispatching)
	r.live.Store(c)
	if l.load != nil {
		r.sandbox = newSandbox(l.keep)
	}
	r.clients = delivery.NewClients(versionString())
	if r.destinations, err = r.prepare(c); err != nil {
		return &exitError{code: exitUsage, message: err.Error()}
	}
	defer r.clients.Close()
	r.reports = newReporter(r.reportAddress, a.secrets.clean, log)
	r.reloader = newReloader(l, r.apply, log, r.reports, r.registry)
	r.reloader.secrets = r.secrets
	r.systemd = newSupervisor(log, a.secrets.clean)
	r.reloader.systemd = r.systemd
	for _, note := range l.notes {
		log.Warn(note)
	}
	if _, set := a.env("GOMEMLIMIT"); !set && f.natsURL == "" {
		debug.SetMemoryLimit(memoryLimit)
		r.limited = true
		if _, set := a.env("GOGC"); !set {
			debug.SetGCPercent(garbage)
		}
	}
	opened := r.systemd.opening()
	err = r.open(ctx)
	opened()
	if err != nil {
		return unlessDone(ctx, err)
	}

	dispatching := make(chan struct{})
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(dispatching)
		if err := r.dispatch(stop); err != nil {
			r.failed <- err
		}
	}()
	r.reloader.kept(c)
	reloading := r.reloading(stop, l.hangups)
	go r.reports.run(stop)
	go newTokenWatch(log, r.reports.trouble).run(stop, r.live.Load)
	r.serve()
	go r.systemd.run(stop, r.ready)
	log.Info("listening", "public", r.public.Addr(), "admin", r.admin.Addr(), "version", versionString(), "config", strings.Join(c.Files[:min(len(c.Files), 1)], ""), "routes", len(c.Routes))
	if started != nil {
		started(r)
	} else {
		r.announce()
	}
	debug.FreeOSMemory() // of what the start needed, and a relay at rest does not
	var failure error
	select {
	case <-ctx.Done():
		log.Info("stopping; what is not delivered stays in the queue")
	case err := <-r.failed:
		log.Error("the relay ends", "err", err)
		failure = &exitError{code: exitFail} // all is said
	case err := <-r.queue.Failed():
		log.Error("the relay ends", "err", err)
		failure = &exitError{code: exitFail}
	}
	r.systemd.stopping()
	defer endWithin(endGrace, log, lines).Stop()
	defer r.closeQueue()
	cancel()
	<-reloading
	<-dispatching
	r.close()
	return failure
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(goCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "relay_build_info", Help: "Always 1; the labels tell the version."}, []string{"version", "revision", "goversion", "goos", "goarch"})
	build.WithLabelValues(versionString(), revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH).Set(1)
	r.MustRegister(build)
	return r
}

// goCollector also tells how much of the processor time the garbage collector takes.
func goCollector() prometheus.Collector {
	collector := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/cpu/classes/gc/total:cpu-seconds$`)}
	return collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collector))
}

// open opens the queue, then the listeners: a webhook that comes in can be
// stored from the first moment.
func (r *relay) open(ctx context.Context) error {
	q, err := queue.Open(ctx, queue.Options{
		Dir: r.f.data, URL: r.f.natsURL, Creds: r.f.natsCreds, CA: r.f.natsCA, Cert: r.f.natsCert, Key: r.f.natsKey, Replicas: r.f.replicas, Interval: r.f.sync.word == "interval",
		MaxBody: int64(r.f.maxBody), EventsSize: int64(r.f.events), ParkedSize: int64(r.f.parked), DeadSize: int64(r.f.dead), JournalSize: int64(r.f.journal),
		Log: r.log,
	})
	if err != nil {
		return r.f.notOpened(err)
	}
	r.queue = q
	r.registry.MustRegister(queueCollector{q})
	if r.f.sync.word == "interval" && r.f.natsURL == "" {
		r.log.Warn("--sync interval: a power cut may lose webhooks that were accepted in the last second")
	}
	if err = q.Recover(ctx); err == nil {
		r.warnOfSmallDisk(ctx)
		err = r.listen()
	}
	if err != nil {
		q.Close()
	}
	return err
}

// ready tells whether a webhook could be stored now and what is stored goes out.
func (r *relay) ready(ctx context.Context) error {
	if err := r.queue.Ready(ctx); err != nil {
		return err
	}
	return r.watchdog.Load().Ready()
}

func (r *relay) gather() ([]*dto.MetricFamily, error) {
	if term := r.term.Load(); term != nil {
		return prometheus.Gatherers{r.registry, term}.Gather()
	}
	return r.registry.Gather()
}

// apply puts a new configuration in force. What can fail comes first. While
// both are about, the lanes know the destinations of both.
func (r *relay) apply(c *configuration) error {
	sources, err := r.sources(c)
	if err != nil {
		return err
	}
	destinations, err := r.prepare(c)
	if err != nil {
		return err
	}
	r.swap.Lock()
	defer r.swap.Unlock()
	r.secrets.add(c.secrets()...) // the old ones stay: they can still be in what is under way
	if r.lanes != nil {
		r.lanes.Update(both(destinations, r.destinations))
	}
	r.live.Store(c)
	r.recommendToken(c)
	r.door.Update(sources)
	if r.lanes != nil {
		r.lanes.Update(destinations)
	}
	r.destinations = destinations
	r.reports.wake() // they may go elsewhere now
	return nil
}

// prepare makes what reaches a configuration's destinations, with its access
// rules.
func (r *relay) prepare(c *configuration) ([]delivery.Destination, error) {
	all, err := r.clients.Prepare(c.Destinations, c.Egress)
	for i := range all {
		all[i].Closed = c.table.Closed
	}
	return all, err
}

// both are the new destinations and those that only the old configuration has.
func both(destinations, old []delivery.Destination) []delivery.Destination {
	all := slices.Clone(destinations)
	for _, d := range old {
		if !slices.ContainsFunc(destinations, func(n delivery.Destination) bool { return n.Name == d.Name }) {
			all = append(all, d)
		}
	}
	return all
}

// reloading reloads when a file changes, and on SIGHUP, until ctx ends.
func (r *relay) reloading(ctx context.Context, hangups <-chan os.Signal) <-chan struct{} {
	var running sync.WaitGroup
	if r.reloader.load != nil {
		running.Go(func() {
			for {
				select {
				case <-hangups:
					_ = r.reloader.reload("SIGHUP") // it has been logged
				case <-ctx.Done():
					return
				}
			}
		})
		running.Go(func() {
			if err := r.reloader.watch(ctx); err != nil {
				r.log.Warn("changes of relay.yaml will not be seen; reload with SIGHUP", "err", err)
			}
		})
	}
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	return ended
}

// electionPatience is how long a webhook waits for an external server: just less
// than GitLab does. A cluster takes 4 to 9 s to elect a leader in the place of
// one that died (nats-server's server/raft.go), and a webhook that is refused
// meanwhile is lost.
const electionPatience = 9 * time.Second

// storeTimeout is how long a webhook may wait for the queue; 0: as usual.
func (f *serveFlags) storeTimeout() time.Duration {
	if f.natsURL == "" {
		return 0
	}
	return electionPatience
}

// notOpened says what to do about a queue that cannot be opened.
func (f *serveFlags) notOpened(err error) error {
	e := &exitError{code: exitFail, message: err.Error()}
	var file *fs.PathError
	switch {
	case errors.Is(err, queue.ErrSetup): // says what to do
		e.message += " (--nats-url " + f.natsHosts() + ")"
	case f.natsURL != "":
		e.message += " (--nats-url " + f.natsHosts() + ")"
		e.hint = "is a NATS server with JetStream running there? without --nats-url the relay brings its own"
	case errors.As(err, &file):
		e.hint = fmt.Sprintf("--data must name a directory that user %d, who runs this, may write to", os.Getuid())
	}
	return e
}

// notListening says what to do about an address that cannot be listened on.
func notListening(flag, address string, err error) error {
	e := &exitError{exitFail, fmt.Sprintf("cannot listen on %s (%s): %s", address, flag, netReason(err)), "choose another address with " + flag}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.hint = "another program, or another relay, listens there; stop it or choose another address with " + flag
	case errors.Is(err, syscall.EACCES):
		e.hint = "ports below 1024 take a privilege; choose another address with " + flag
	}
	return e
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
	var both sync.WaitGroup
	both.Go(func() { r.public.Shutdown(ctx) })
	both.Go(func() { r.admin.Shutdown(ctx) })
	both.Wait()
}
