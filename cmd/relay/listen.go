package main

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/server"
)

func (r *relay) listen() error {
	sources, err := r.sources(r.live.Load())
	if err != nil {
		return err
	}
	token, err := r.f.adminToken()
	if err != nil {
		return err
	}
	r.secrets.add(token)
	r.adminGuarded = token != ""
	r.recommendToken(r.live.Load())
	r.door = server.NewDoor(server.Options{
		Sources: sources, Store: r.queue, Storing: r.queue.Storing, MaxBody: int64(r.f.maxBody), Log: r.log, Registerer: r.registry, StoreTimeout: r.f.storeTimeout(), Arrived: newDoorReports(r.reports).arrived,
	})
	admin := server.NewAdmin(server.AdminOptions{
		Relay: adminView{r}, Queue: r.queue, Gatherer: prometheus.GathererFunc(r.gather), Log: r.log, Loopback: loopback(r.f.admin), Token: token,
	})
	most, mostAdmin := connections(r.log)
	if r.public, err = server.Listen(r.f.listen, r.door, r.f.cert, r.f.key, most, r.log); err != nil {
		return notListening("--listen", r.f.listen, err)
	}
	r.registry.MustRegister(prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: "relay_connections_dropped_total", Help: "Connections at the public listener that were closed because too many were open: those that had said nothing for longest."},
		func() float64 { return float64(r.public.Dropped()) }))
	if r.admin, err = server.Listen(r.f.admin, admin, "", "", mostAdmin, r.log); err != nil {
		r.public.Shutdown(context.Background())
		return notListening("--admin", r.f.admin, err)
	}
	return nil
}

// connections is how many connections the listeners may hold open. The Go runtime
// has raised the limit of open files as far as it may be.
func connections(log *slog.Logger) (public, admin int) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		files.Cur = math.MaxUint64
	}
	public, admin, few := server.Connections(uint64(files.Cur))
	if few {
		log.Warn("this process may open few files, and therefore takes few connections at once: raise the limit (ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker)",
			"files", files.Cur, "connections", public)
	}
	return public, admin
}

// recommendToken warns once if confidential events can be read by whoever uses
// this machine.
func (r *relay) recommendToken(c *configuration) {
	confidential := slices.ContainsFunc(c.Destinations, func(d configs.Destination) bool { return d.Confidential.All || len(d.Confidential.Channels) > 0 })
	if !confidential || r.adminGuarded || !loopback(r.f.admin) {
		return
	}
	r.adminGuarded = true // it is said
	r.log.Warn("every user of this machine can read confidential events over the admin listener: set --admin-token-file")
}

// sources makes what the door needs of the configuration's sources.
func (r *relay) sources(c *configuration) ([]server.Source, error) {
	var sources []server.Source
	for _, s := range c.Sources {
		p, err := proof(s)
		if err != nil {
			return nil, err
		}
		if s.Insecure {
			r.log.Warn("this source takes webhooks from anyone", "source", s.Name)
		}
		sources = append(sources, server.Source{Name: s.Name, Paths: s.Paths, Proof: p})
	}
	return sources, nil
}
