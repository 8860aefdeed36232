package queue

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = template, nil
	a.sign("ca", template)
	return a
}

// sign writes NAME.crt and NAME.key, and returns their paths.
func (a *authority) sign(name string, template *x509.Certificate) (cert, key string) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.key == nil {
		a.key = own
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(a.dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return path
	}
	return write(name+".crt", "CERTIFICATE", der), write(name+".key", "PRIVATE KEY", secret)
}

// leaf signs a certificate for one that listens on the loopback address, or
// connects.
func (a *authority) leaf(name string) (cert, key string) {
	return a.sign(name, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) ca() string { return filepath.Join(a.dir, "ca.crt") }

// tlsServer starts a NATS server that speaks TLS alone, and wants a certificate of
// the same authority from who connects.
func tlsServer(t *testing.T, a *authority) *server.Server {
	t.Helper()
	cert, key := a.leaf("server")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(a.ca())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return startServer(t, server.Options{JetStream: true, TLS: true, TLSTimeout: 5, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}})
}

func TestServerWithTLS(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	cert, key := a.leaf("relay")
	strange, strangeKey := other.leaf("relay")
	s := tlsServer(t, a)
	url := strings.Replace(s.ClientURL(), "nats://", "tls://", 1)
	q := open(t, Options{URL: url, CA: a.ca(), Cert: cert, Key: key, MaxBody: 1 << 10})
	store(t, q, `{}`)
	for name, tt := range map[string]struct {
		opt  Options
		want []string
	}{
		"an authority that nobody knows": {Options{Cert: cert, Key: key}, []string{"x509", "--nats-ca"}},
		"another authority":              {Options{CA: other.ca(), Cert: cert, Key: key}, []string{"x509", "--nats-ca"}},
		"no certificate":                 {Options{CA: a.ca()}, []string{"--nats-cert", "--nats-key"}},
		"one of another authority":       {Options{CA: a.ca(), Cert: strange, Key: strangeKey}, []string{"--nats-cert", "--nats-key"}},
		"another name":                   {Options{URL: strings.Replace(url, "127.0.0.1", "localhost", 1), CA: a.ca(), Cert: cert, Key: key}, []string{"localhost", "--nats-url"}},
	} {
		t.Run(name, func(t *testing.T) {
			opt := tt.opt
			if opt.URL == "" {
				opt.URL = url
			}
			opt.MaxBody = 1 << 10
			q, err := Open(t.Context(), opt)
			if err == nil {
				q.Close()
				t.Fatal("it was opened")
			}
			if !errors.Is(err, ErrSetup) {
				t.Errorf("%v; want ErrSetup", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; it does not speak of %s", err, want)
				}
			}
		})
	}
}
