package delivery

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
)

// freezer is a listener whose connections can freeze: they stay open, but nothing of
// what the server writes arrives any more.
type freezer struct {
	net.Listener
	mu  sync.Mutex
	all []*freezing
}

type freezing struct {
	net.Conn
	frozen atomic.Bool
}

func (f *freezer) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	one := &freezing{Conn: c}
	f.all = append(f.all, one)
	return one, nil
}

// freeze freezes all connections that there are, and returns how many.
func (f *freezer) freeze() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.all {
		c.frozen.Store(true)
	}
	return len(f.all)
}

func (c *freezing) Write(p []byte) (int, error) {
	if c.frozen.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// After an attempt without an answer none of the connections that there were is used
// again: neither the one of HTTP/2 nor any of those of HTTP/1.1.
func TestFrozenConnectionIsNotUsedAgain(t *testing.T) {
	for name, c := range map[string]struct{ tls, http2 bool }{"HTTP/1.1": {}, "HTTP/1.1 over TLS": {tls: true}, "HTTP/2": {tls: true, http2: true}} {
		t.Run(name, func(t *testing.T) {
			const atOnce = 2
			var requests atomic.Int64
			together := make(chan struct{}) // closed when as many requests are there at once
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if (r.ProtoMajor == 2) != c.http2 {
					t.Errorf("it came over %s", r.Proto)
				}
				if requests.Add(1) == atOnce {
					close(together)
				}
				<-together
				_, _ = io.WriteString(w, "ok")
			}))
			connections := &freezer{Listener: server.Listener}
			server.Listener, server.EnableHTTP2 = connections, c.http2
			caFile := ""
			if c.tls {
				server.StartTLS()
				caFile = filepath.Join(t.TempDir(), "ca.pem")
				if err := os.WriteFile(caFile, pemOf(server.Certificate()), 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				server.Start()
			}
			defer server.CloseClientConnections()
			defer server.Close()
			d := destinationAt(t, server.URL+"/hooks/x", caFile, configs.EgressPrivate)
			var all sync.WaitGroup
			for range atOnce {
				all.Go(func() {
					if r := post(t.Context(), d, []byte("{}")); r.verdict != Delivered {
						t.Errorf("at first: %+v", r)
					}
				})
			}
			all.Wait()
			before := connections.freeze()
			d.Timeout = 200 * time.Millisecond
			if r := post(t.Context(), d, []byte("{}")); r.verdict != Retry || r.reason != ReasonTimeout || r.text != "no answer within 0.2 s; the message may have been delivered" {
				t.Errorf("over a frozen connection: %+v", r)
			}
			d.Timeout = 0
			if r := post(t.Context(), d, []byte("{}")); r.verdict != Delivered {
				t.Errorf("the next attempt: %+v", r)
			}
			if n := connections.freeze(); n != before+1 {
				t.Errorf("%d connections were made after %d had frozen, want one", n-before, before)
			}
		})
	}
}

// Silent HTTP/2 connections are asked whether they are alive.
func TestHTTP2IsAsked(t *testing.T) {
	for _, route := range []*http.Transport{newTransport(nil, configs.EgressPrivate).connections().direct, newTransport(nil, configs.EgressPrivate).connections().proxied} {
		if h := route.HTTP2; h == nil || h.SendPingTimeout <= 0 || h.PingTimeout <= 0 || h.WriteByteTimeout <= 0 {
			t.Errorf("no health check: %+v", h)
		}
	}
}
