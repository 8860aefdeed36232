package delivery

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
)

func TestEgress(t *testing.T) {
	private, public := newGuard(configs.EgressPrivate), newGuard(configs.EgressPublic)
	for address, c := range map[string]struct{ private, public bool }{
		"127.0.0.1":              {true, false},
		"10.1.2.3":               {true, false},
		"172.16.0.1":             {true, false},
		"192.168.1.1":            {true, false},
		"100.64.0.1":             {true, false},
		"::1":                    {true, false},
		"fd12:3456::1":           {true, false},
		"::ffff:10.0.0.1":        {true, false}, // the same as 10.0.0.1
		"93.184.216.34":          {true, true},
		"2606:2800:220:1::1":     {true, true},
		"169.254.169.254":        {false, false},
		"::ffff:169.254.169.254": {false, false},
		"fe80::1":                {false, false},
		"fe80::1%eth0":           {false, false},
		"fd00:ec2::254":          {false, false},
		"100.100.100.200":        {false, false},
		"0.0.0.0":                {false, false},
		"::":                     {false, false},
		"224.0.0.1":              {false, false},
		"255.255.255.255":        {false, false},
		"ff02::1":                {false, false},
		"168.63.129.16":          {false, false}, // Azure
		"::ffff:168.63.129.16":   {false, false},
		"192.0.0.192":            {false, false}, // Oracle
		"fd20:ce::254":           {false, false}, // Google
		"fd20:ce::253":           {true, false},  // a neighbour, perhaps of a private network at Google
		"fd00:ec2::23":           {false, false}, // Amazon, for pods
		"fd00:42::42":            {false, false}, // Scaleway
		"::169.254.169.254":      {false, false}, // the deprecated form
		"64:ff9b::a83f:8110":     {false, false}, // NAT64 of Azure's
		"64:ff9b:1::a83f:8110":   {false, false}, // with the local prefix
		"fd12:64::a83f:8110":     {false, false}, // with a prefix of the network's own
		"fd12:64::a9fe:a9fe":     {false, false},
		"fd12:64::6464:64c8":     {false, false},
		"2606:2800::a83f:8110":   {false, false},
		"64:ff9b::a9fe:a9fe":     {false, false}, // NAT64 of the metadata service
		"2002:a9fe:a9fe::1":      {false, false}, // 6to4 of it
		"2001:0:a9fe:a9fe::1":    {false, false}, // Teredo
	} {
		ip := netip.MustParseAddr(address)
		if err := private.allow(ip); (err == nil) != c.private {
			t.Errorf("%s with egress private: %v", address, err)
		}
		if err := public.allow(ip); (err == nil) != c.public {
			t.Errorf("%s with egress public: %v", address, err)
		}
	}
}

// No name and no notation gets round the guard: it sees the resolved address.
func TestForbiddenAddressIsNotDialed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer server.Close()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		d := destinationAt(t, strings.Replace(server.URL, "127.0.0.1", host, 1), "", configs.EgressPublic)
		r := post(context.Background(), d, []byte("{}"))
		if r.verdict != NotAccepted || r.reason != ReasonEgress || strings.Contains(r.text, "127.0.0.1") {
			t.Errorf("%s: %+v", host, r)
		}
	}
}

// A proxy connects in the relay's place: what the guard refuses never gets
// there, whatever the notation. Whatever else it is asked for, it resolves.
func TestProxyGetsNoForbiddenHost(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		_, _ = io.WriteString(w, "ok")
	}))
	defer proxy.Close()
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	try := func(host, egress string) result {
		d := destinationAt(t, "http://"+host+"/hooks/x", "", egress)
		own := newTransport(nil, egress)
		defer own.CloseIdleConnections()
		own.connections().proxy = http.ProxyURL(through)
		own.connections().proxied.Proxy = own.connections().proxy
		d.transport = own
		return post(t.Context(), d, []byte("{}"))
	}
	for _, host := range []string{
		"169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "0.0.0.0", "100.100.100.200",
		"168.63.129.16", "[::ffff:168.63.129.16]", "[fd20:ce::254]", "[fd12:64::a83f:8110]", "192.0.0.192", "0xa83f8110",
		"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xA9.0xFE.0xA9.0xFE", "169.254.169.254.",
	} {
		if r := try(host, configs.EgressPrivate); r.verdict != NotAccepted || r.reason != ReasonEgress {
			t.Errorf("%s: %+v", host, r)
		}
	}
	for _, host := range []string{"10.0.0.1", "127.0.0.1", "[::1]", "localhost"} {
		if r := try(host, configs.EgressPublic); r.verdict != NotAccepted || r.reason != ReasonEgress {
			t.Errorf("%s with egress public: %+v", host, r)
		}
	}
	if len(asked) != 0 {
		t.Errorf("the proxy was asked for %v", asked)
	}
	for _, egress := range []string{configs.EgressPrivate, configs.EgressPublic} {
		if r := try("chat.invalid", egress); r.verdict != Delivered {
			t.Errorf("egress %s: %+v", egress, r)
		}
	}
	if diff := cmp.Diff([]string{"http://chat.invalid/hooks/x", "http://chat.invalid/hooks/x"}, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func destinationAt(t *testing.T, url, caFile, egress string) *Destination {
	t.Helper()
	clients := NewClients("test")
	t.Cleanup(clients.Close)
	ds, err := clients.Prepare([]configs.Destination{{Name: "mm", Kind: configs.KindMattermost, URL: configs.NewSecret(url), CAFile: caFile}}, egress)
	if err != nil {
		t.Fatal(err)
	}
	return &ds[0]
}

func TestCAFileIsTrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer server.Close()
	server.Config.ErrorLog = nil
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pemOf(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := post(context.Background(), destinationAt(t, server.URL, file, configs.EgressPrivate), []byte("{}")); r.verdict != Delivered {
		t.Errorf("with ca_file: %+v", r)
	}
	want := "the certificate of " + server.Listener.Addr().String() + " is not signed by an authority that is known here; ca_file can name one"
	if r := post(context.Background(), destinationAt(t, server.URL, "", configs.EgressPrivate), []byte("{}")); r.verdict != Retry || r.text != want {
		t.Errorf("without: %+v", r)
	}
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func TestCAFileThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + ".missing"} {
		_, err := NewClients("test").Prepare([]configs.Destination{{Name: "mm", CAFile: name}}, configs.EgressPrivate)
		if err == nil || !strings.Contains(err.Error(), `destination "mm"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
