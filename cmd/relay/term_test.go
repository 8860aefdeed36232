package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/queue"
)

// A relay that another one has taken over from says nothing more of its lanes,
// which are not its any more; what it has counted it goes on to say.
func TestOvertakenRelayExportsNoLanes(t *testing.T) {
	url := sharedServer(t)
	first, second := sharing(t, url), sharing(t, url)
	r := relayOf(t, first)
	journal, state, err := first.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.lead(t.Context(), journal, state) }()
	id, err := first.Store(t.Context(), &queue.Webhook{Source: "gitlab", Received: time.Now(), Body: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for gathered(t, r)["relay_events_total"] == 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("%s is not dispatched", id)
		}
	}
	all := gathered(t, r)
	if _, lanes := all["relay_parked_lanes"]; !lanes || all["relay_dispatching"] != 1 {
		t.Errorf("while it dispatches it says %v", all)
	}
	// It gives a sign of life each second: dead, for one that waits 50 ms.
	won, _, err := second.Lead(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer won.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, queue.ErrFenced) {
			t.Errorf("it ended with %v", err)
		}
	case <-ctx.Done():
		t.Fatal("it does not hear that another relay has taken over")
	}
	all = gathered(t, r)
	if all["relay_dispatching"] != 0 || all["relay_events_total"] != 1 {
		t.Errorf("as a standby it says %v", all)
	}
	for name := range all {
		if slices.Contains([]string{"relay_waiting_deliveries", "relay_parked_deliveries", "relay_parked_lanes", "relay_broken_addresses", "relay_oldest_waiting_timestamp_seconds", "relay_events_undispatched", "relay_repeat_window_seconds"}, name) {
			t.Errorf("as a standby it exports %s", name)
		}
	}
	if r.lanes != nil {
		t.Error("it keeps the lanes of its last term, and all that they hold")
	}
}

// sharedServer is a NATS server that several relays share. It returns its URL.
func sharedServer(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: 8 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not come up")
	}
	return s.ClientURL()
}

// sharing is a queue there.
func sharing(t *testing.T, url string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Options{URL: url, MaxBody: 1 << 20, TakeoverWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// relayOf is a relay without listeners.
func relayOf(t *testing.T, q *queue.Queue) *relay {
	t.Helper()
	c, _ := loadText(t, "sources: {gitlab: {insecure: true}}\ndestinations: {screen: {kind: log}}\nroutes: [{to: screen}]\n", nil)
	r := &relay{queue: q, log: slog.New(slog.DiscardHandler), stdout: io.Discard, secrets: &redactor{}, registry: newRegistry(), dispatching: prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_dispatching"})}
	r.registry.MustRegister(r.dispatching)
	r.live.Store(c)
	r.clients = delivery.NewClients("test")
	t.Cleanup(r.clients.Close)
	var err error
	if r.destinations, err = r.clients.Prepare(c.Destinations, c.Egress); err != nil {
		t.Fatal(err)
	}
	r.reports = newReporter(r.reportAddress, func(s string) string { return s }, r.log)
	return r
}

// gathered are the sums of what is exported, by name.
func gathered(t *testing.T, r *relay) map[string]float64 {
	t.Helper()
	families, err := r.gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		all[f.GetName()] += 0
		for _, m := range f.GetMetric() {
			all[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}
