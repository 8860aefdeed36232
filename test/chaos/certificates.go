package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority makes one that nobody knows.
func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	return &authority{certificate, key}, nil
}

// sign makes a server's certificate for 127.0.0.1, but for what change does.
func (a *authority) sign(change func(*x509.Certificate)) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "chat"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, nil
}

// disguises are ways in which a server is not the one that is meant.
func disguises(ours, others, namesake *authority) (map[string]*tls.Config, *tls.Config, error) {
	var failed error
	signed := func(a *authority, change func(*x509.Certificate)) []tls.Certificate {
		c, err := a.sign(change)
		if err != nil {
			failed = err
		}
		return []tls.Certificate{c}
	}
	right := signed(ours, func(*x509.Certificate) {})
	all := map[string]*tls.Config{
		"expired":         {Certificates: signed(ours, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })},
		"not valid yet":   {Certificates: signed(ours, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) })},
		"another host's":  {Certificates: signed(ours, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"chat.example"} })},
		"no server's":     {Certificates: signed(ours, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
		"nobody's":        {Certificates: signed(others, func(*x509.Certificate) {})},
		"TLS 1.0":         {Certificates: right, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
		"TLS 1.1":         {Certificates: right, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"asks who it is":  {Certificates: right, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()},
		"asks in TLS 1.2": {Certificates: right, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12},
		"no TLS but HTTP": nil,
		"weak ciphers":    {Certificates: right, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}},
		"a namesake's":    {Certificates: signed(namesake, func(*x509.Certificate) {})},
	}
	return all, &tls.Config{Certificates: right}, failed
}

// mask is a server before the chat that can be in disguise.
type mask struct {
	listener net.Listener
	config   atomic.Pointer[tls.Config] // nil: none, plain HTTP
	asked    atomic.Int64               // requests that came through
	server   *http.Server
}

// newMask begins in disguise.
func newMask(chat string, config *tls.Config) (*mask, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen before the chat: %w", err)
	}
	m := &mask{listener: listener}
	m.config.Store(config)
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: chat})
	quiet := log.New(io.Discard, "", 0)
	forward.ErrorLog = quiet
	m.server = &http.Server{ErrorLog: quiet, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		forward.ServeHTTP(w, r)
	})}
	go func() { _ = m.server.Serve(m) }() // always ends with ErrServerClosed
	return m, nil
}

// Accept, Close and Addr make it a [net.Listener] that looks at each connection
// in the disguise of the moment.
func (m *mask) Accept() (net.Conn, error) {
	conn, err := m.listener.Accept()
	if config := m.config.Load(); err == nil && config != nil {
		return tls.Server(conn, config), nil
	}
	return conn, err
}

func (m *mask) Close() error   { return m.listener.Close() }
func (m *mask) Addr() net.Addr { return m.listener.Addr() }

// certificates puts each disguise before the chat, and takes it off again.
func (b *bench) certificates(ctx context.Context) error {
	var known [3]*authority
	for i, name := range []string{"ours", "others", "ours"} {
		a, err := newAuthority(name)
		if err != nil {
			return err
		}
		known[i] = a
	}
	ours := known[0]
	all, right, err := disguises(ours, known[1], known[2])
	if err != nil {
		return err
	}
	r, err := b.rig(b.apart(len(all)), "--pace", "0.002")
	if err != nil {
		return err
	}
	names := sortedNames(all)
	masks, err := r.masked(ours, names, all)
	if err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	r.rounds(ctx, 2)
	for i, name := range names {
		r.counted(ctx, i, name, "network")
		if n := masks[i].asked.Load(); n > 0 {
			b.violate(strange, "%s: %d requests came through", name, n)
		}
		masks[i].config.Store(right)
	}
	b.add("servers in disguise", len(names))
	r.rounds(ctx, 1)
	r.finish(ctx, rules{}, 60*time.Second)
	r.close()
	return nil
}

// masked puts a server in disguise before the chat for each destination, all of
// which trust the authority.
func (r *rig) masked(ours *authority, names []string, all map[string]*tls.Config) ([]*mask, error) {
	ca := filepath.Join(r.dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.certificate.Raw}), 0o600); err != nil {
		return nil, fmt.Errorf("write ca.pem: %w", err)
	}
	masks := make([]*mask, len(names))
	for i, name := range names {
		m, err := newMask(r.chat.Addr(), all[name])
		if err != nil {
			return nil, err
		}
		masks[i] = m
		r.cleanup = append(r.cleanup, func() { m.server.Close() })
		r.plan.dests[i].yaml = fmt.Sprintf("ca_file: %q", ca)
		r.env[i] = fmt.Sprintf("HOOK%d=https://%s/hooks/%s", i, m.Addr(), r.plan.dests[i].hook)
	}
	return masks, r.configure(r.plan.yaml())
}
