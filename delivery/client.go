package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// Destination is a destination with what reaches it.
type Destination struct {
	configs.Destination

	// Closed is why the access rules of the configuration that the destination is
	// from forbid to post an event to one of its addresses; "" if they do not. file
	// is [Item.File]. nil: there are no rules.
	Closed func(e *events.Event, to configs.Address, file string) (reason string)

	transport *transport
	request   *http.Request // what every post to it is made from; nil if its URL cannot be used
}

func newReachable(d configs.Destination, transport *transport, agent string) Destination {
	r, err := http.NewRequest(http.MethodPost, d.URL.Reveal(), http.NoBody)
	if err != nil {
		return Destination{Destination: d, transport: transport} // err would tell the URL
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "text/plain, application/json")
	if user := r.URL.User; user != nil {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	return Destination{Destination: d, transport: transport, request: r}
}

// with makes the request that posts body. Its URL and header are those of all
// requests to the destination: transports read them only.
func (d *Destination) with(ctx context.Context, body []byte) *http.Request {
	r := d.request.WithContext(ctx)
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(body))
	return r
}

// Clients are the HTTP transports of all destinations. Those at the same host that
// trust the same certificates share one, so that a reload leaves their connections
// alone.
type Clients struct {
	agent string

	mu    sync.Mutex
	byKey map[string]*transport
}

// NewClients makes an empty set; version goes into User-Agent.
func NewClients(version string) *Clients {
	return &Clients{agent: "relay/" + version, byKey: map[string]*transport{}}
}

// Prepare gives each destination its transport. It fails when a ca_file cannot be
// read or holds no certificate. egress is configs.EgressPrivate or
// EgressPublic.
func (c *Clients) Prepare(destinations []configs.Destination, egress string) ([]Destination, error) {
	var all []Destination
	for _, d := range destinations {
		t, err := c.transport(d, egress)
		if err != nil {
			return nil, fmt.Errorf("destination %q: %w", d.Name, err)
		}
		all = append(all, newReachable(d, t, c.agent))
	}
	return all, nil
}

// Close closes the connections that are not in use.
func (c *Clients) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.byKey {
		t.CloseIdleConnections()
	}
}

func (c *Clients) transport(d configs.Destination, egress string) (*transport, error) {
	var pool *x509.CertPool // nil: the system's
	var pem []byte
	if d.CAFile != "" {
		var err error
		if pem, err = os.ReadFile(d.CAFile); err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		pool = x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate in PEM form", d.CAFile)
		}
	}
	host := ""
	if u, err := url.Parse(d.URL.Reveal()); err == nil {
		host = u.Scheme + "://" + u.Host
	}
	key := fmt.Sprintf("%s %s %x", host, egress, sha256.Sum256(pem))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] == nil {
		c.byKey[key] = newTransport(pool, egress)
	}
	return c.byKey[key], nil
}

func newTransport(pool *x509.CertPool, egress string) *transport {
	t := &transport{dial: func() *connections {
		return &connections{
			proxy:  http.ProxyFromEnvironment,
			guard:  newGuard(egress),
			direct: newRoute(pool, newGuard(egress), nil),
			// The proxy is the operator's own, and stands in a private network
			// where the policy allows public addresses only.
			proxied: newRoute(pool, newGuard(configs.EgressPrivate), http.ProxyFromEnvironment),
		}
	}}
	t.now.Store(t.dial())
	return t
}

func newRoute(pool *x509.CertPool, g guard, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, Control: g.control}
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: pool},
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    5 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		OnProxyConnectResponse: onConnect,
		// One connection carries all messages to a host. One that is silent is asked
		// whether it is alive, also while nothing is sent over it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second, WriteByteTimeout: 10 * time.Second},
	}
}

// transport is the connections to one host.
type transport struct {
	dial func() *connections
	now  atomic.Pointer[connections]
}

// connections are those that are used now.
func (t *transport) connections() *connections { return t.now.Load() }

// replace uses none of these connections any more: an attempt got no answer over
// one. The others may be as dead, their host's name may have another address by now,
// and one HTTP/2 connection is used for all. What is under way over them goes on.
func (t *transport) replace(old *connections) {
	if t.now.CompareAndSwap(old, t.dial()) {
		old.CloseIdleConnections()
	}
}

// CloseIdleConnections closes the connections that are not in use.
func (t *transport) CloseIdleConnections() { t.connections().CloseIdleConnections() }

// connections follow no redirects (a redirected POST would carry the message
// elsewhere), unpack nothing, and connect only where egress allows it. Requests go
// through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name, if
// any. A proxy resolves names itself and connects in the relay's place, so that
// the guard must be asked before.
type connections struct {
	proxy           func(*http.Request) (*url.URL, error)
	guard           guard
	direct, proxied *http.Transport
}

// RoundTrip makes one request.
func (t *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	proxy, err := t.proxy(r)
	switch {
	case err != nil:
		return nil, &proxyError{variable: proxyVariable(r.URL.Scheme)}
	case proxy == nil:
		return t.direct.RoundTrip(r)
	}
	if err := t.guard.host(r.Context(), r.URL.Hostname()); err != nil {
		return nil, err
	}
	res, err := t.proxied.RoundTrip(r)
	if err == nil && res.StatusCode == http.StatusProxyAuthRequired {
		res.Body.Close()
		err = refusedByProxy(res.StatusCode)
	}
	if err != nil {
		return nil, &proxyError{proxyVariable(r.URL.Scheme), proxy, err}
	}
	return res, nil
}

// CloseIdleConnections closes the connections that are not in use.
func (t *connections) CloseIdleConnections() {
	t.direct.CloseIdleConnections()
	t.proxied.CloseIdleConnections()
}
