package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const scalingPage = "docs/scaling.md"

// natsConfigs are the configurations of NATS servers on the page.
func natsConfigs(t *testing.T) (page string, configs []block) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, scalingPage))
	if err != nil {
		t.Fatal(err)
	}
	if configs = fences(string(data), "conf"); len(configs) != 2 {
		t.Fatalf("%s holds %d configurations, want one server's and a cluster's", scalingPage, len(configs))
	}
	return string(data), configs
}

// parseNATS lets nats-server read a configuration of the page, with files and
// passwords of the test in place of those it names.
func parseNATS(t *testing.T, text, dir string) *server.Options {
	t.Helper()
	text = strings.NewReplacer("/etc/nats/", dir+"/", "/var/lib/nats", filepath.Join(dir, "store")).Replace(text)
	path := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatalf("nats-server refuses it: %v", err)
	}
	return o
}

// certificates writes the files that the configurations name, for 127.0.0.1.
func certificates(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{
		"server.pem": {Type: "CERTIFICATE", Bytes: der}, "ca.pem": {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// scalingVariables are in the environment of all tests: [TestMain] sets them.
var scalingVariables = map[string]string{"NODE": "n1", "RELAY_PASSWORD": "secret-one", "ADMIN_PASSWORD": "secret-two"}

// TestScalingConfigurations: nats-server reads the configurations of the page,
// and they say what the text around them promises.
func TestScalingConfigurations(t *testing.T) {
	_, configs := natsConfigs(t)
	for i, c := range configs {
		dir := t.TempDir()
		certificates(t, dir)
		o := parseNATS(t, c.text, dir)
		const largest = 25<<20 + 25<<20/32 + 1<<20 // what a relay asks for with the default --max-body
		const streams = 1<<30 + 1<<30 + 256<<20 + 256<<20
		switch {
		case o.ServerName != "n1" || !o.JetStream || !o.SyncAlways || o.TLSConfig == nil:
			t.Errorf("line %d: no JetStream with TLS that syncs always", c.line)
		case int(o.MaxPayload) < largest:
			t.Errorf("line %d: max_payload %d is less than the %d of a relay with its defaults", c.line, o.MaxPayload, largest)
		case o.JetStreamMaxStore < streams:
			t.Errorf("line %d: max_file_store %d does not hold the streams, %d", c.line, o.JetStreamMaxStore, streams)
		case len(o.Routes) != 3*i:
			t.Errorf("line %d: %d routes", c.line, len(o.Routes))
		case i == 1 && (o.Cluster.Name == "" || o.Cluster.TLSConfig == nil):
			t.Errorf("line %d: the cluster has no name, or no TLS", c.line)
		}
	}
}

// TestScalingServer starts the one server of the page and a relay on it: with
// TLS, a password and no more permissions than it says.
func TestScalingServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificates(t, dir)
	_, configs := natsConfigs(t)
	o := parseNATS(t, configs[0].text, dir)
	o.Host, o.Port, o.HTTPHost, o.HTTPPort, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, "", 0, true, true
	nats, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() { nats.Shutdown(); nats.WaitForShutdown() })
	if !nats.ReadyForConnections(patience) {
		t.Fatal("the server does not come up")
	}
	mattermost := chatServer(t)
	here := install(t, perProject(mattermost.URL("hook"), 2))
	here.env = append(here.env, fmt.Sprintf("RELAY_NATS_URL=tls://relay:secret-one@%s", nats.Addr()), "SSL_CERT_FILE="+filepath.Join(dir, "ca.pem"))
	relay := here.start()
	relay.acceptIssues(2, 1, 20)
	everyIssue(t, mattermost, 2, 20, 0)
	relay.terminate()
	again := here.start() // reads what is there, in batches
	again.acceptIssues(2, 21, 21)
	everyIssue(t, mattermost, 2, 21, 0)
	again.terminate()
	for _, p := range []*process{relay, again} {
		if log := p.stderr.String(); regexp.MustCompile(`(?i)permission|"level":"ERROR"`).MatchString(log) {
			t.Errorf("the log speaks of errors:\n%s", log)
		}
		if strings.Contains(p.stderr.String()+p.stdout.String(), "secret-one") {
			t.Error("the password is in the log")
		}
	}
}

// TestScalingMetrics: the metrics that the page names are there.
func TestScalingMetrics(t *testing.T) {
	t.Parallel()
	page, _ := natsConfigs(t)
	mattermost := chatServer(t)
	relay := install(t, perProject(mattermost.URL("hook"), 1)).start()
	relay.acceptIssues(1, 1, 1)
	everyIssue(t, mattermost, 1, 1, 0)
	relay.until(`relay_deliveries_total{destination="chat",outcome="delivered"}`, "1")
	_, text := relay.get("/metrics")
	names := regexp.MustCompile("relay_[a-z_]+").FindAllString(page, -1)
	if len(names) < 5 {
		t.Fatalf("%s names %d metrics", scalingPage, len(names))
	}
	for _, name := range names {
		if !strings.Contains(text, "\n"+name) && !strings.Contains(text, "# TYPE "+name+" ") {
			t.Errorf("%s names %s, which is no metric", scalingPage, name)
		}
	}
}
