package delivery

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// hookID is the secret in the URLs of these tests.
const hookID = "hookid-canary"

// answers asks a real server for one answer and returns what the relay makes
// of it.
func answers(t *testing.T, kind string, h http.HandlerFunc) result {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	d := destinationAt(t, server.URL+"/hooks/"+hookID, "", configs.EgressPrivate)
	d.Kind = kind
	r := post(t.Context(), d, []byte("{}"))
	if strings.Contains(r.text, hookID) || strings.Contains(r.text, strings.TrimPrefix(server.URL, "http://")) {
		t.Errorf("the text names the URL: %q", r.text)
	}
	return r
}

func TestVerdicts(t *testing.T) {
	const mm, slack = configs.KindMattermost, configs.KindSlack
	const proxy = ": a login page or a proxy, not an incoming webhook"
	mattermostSays := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"message":"Failed to handle the payload for incoming webhook %s.","status_code":400}`, id, hookID)
	}
	for _, c := range []struct {
		kind    string
		status  int
		body    string
		want    Verdict
		reason  string
		text    string
		ofHook  bool
		mediaIs string
	}{
		{mm, 200, "ok", Delivered, ReasonOK, "", false, ""},
		{mm, 200, "ok\n", Delivered, ReasonOK, "", false, ""},
		{mm, 200, "", NotAccepted, ReasonNotAccepted, `200 OK, but the answer (text/plain) is not "ok"` + proxy, false, ""},
		{mm, 200, "<html>Sign in</html>", NotAccepted, ReasonNotAccepted, `200 OK, but the answer (text/plain) is not "ok"` + proxy, false, ""},
		{mm, 200, `{"ok":true}`, NotAccepted, ReasonNotAccepted, `200 OK, but the answer (text/plain) is not "ok"` + proxy, false, ""},
		{mm, 200, "okay", NotAccepted, ReasonNotAccepted, `200 OK, but the answer (text/plain) is not "ok"` + proxy, false, ""},
		{mm, 204, "", NotAccepted, ReasonNotAccepted, `204 No Content, but the answer (text/plain) is not 200 "ok"` + proxy, false, ""},
		{mm, 202, "ok", NotAccepted, ReasonNotAccepted, `202 Accepted, but the answer (text/plain) is not 200 "ok"` + proxy, false, ""},
		{mm, 200, "<html>Sign in</html>", NotAccepted, ReasonNotAccepted, `200 OK, but the answer (text/html) is not "ok"` + proxy, false, "Text/HTML; charset=utf-8"},
		{mm, 200, "{}", NotAccepted, ReasonNotAccepted, `200 OK, but the answer is not "ok"` + proxy, false, "text/" + hookID},
		{mm, 200, "{}", NotAccepted, ReasonNotAccepted, `200 OK, but the answer is not "ok"` + proxy, false, "text/html; " + hookID + "; ="},
		{mm, 200, mattermostSays("web.incoming_webhook.disabled.app_error"), NotAccepted, ReasonNotAccepted, "200 OK, but the answer is the error web.incoming_webhook.disabled.app_error", true, ""},
		{mm, 400, mattermostSays("web.incoming_webhook.text.app_error"), Refused, ReasonRefused, "400 Bad Request (web.incoming_webhook.text.app_error)", false, ""},
		{mm, 400, mattermostSays("web.incoming_webhook.invalid.app_error"), Refused, ReasonRefused, "400 Bad Request (web.incoming_webhook.invalid.app_error)", true, ""},
		{mm, 400, "no JSON, " + hookID, Refused, ReasonRefused, "400 Bad Request", false, ""},
		{mm, 400, mattermostSays("web." + hookID), Refused, ReasonRefused, "400 Bad Request", false, ""},
		{mm, 413, "", Refused, ReasonRefused, "413 Request Entity Too Large", false, ""},
		{mm, 422, "", Refused, ReasonRefused, "422 Unprocessable Entity", false, ""},
		{mm, 401, "", Rejected, ReasonForbidden, "401 Unauthorized", false, ""},
		{mm, 403, mattermostSays("web.incoming_webhook.permissions.app_error"), Rejected, ReasonForbidden, "403 Forbidden (web.incoming_webhook.permissions.app_error)", false, ""},
		{mm, 404, mattermostSays("web.incoming_webhook.channel.app_error"), Rejected, ReasonNotFound, "404 Not Found (web.incoming_webhook.channel.app_error)", false, ""},
		{mm, 405, "", Rejected, ReasonClientError, "405 Method Not Allowed", false, ""},
		{mm, 410, "", Rejected, ReasonGone, "410 Gone", false, ""},
		{mm, 451, "", Rejected, ReasonClientError, "451 Unavailable For Legal Reasons", false, ""},
		{mm, 301, "", Rejected, ReasonRedirect, "301 Moved Permanently", false, ""},
		{mm, 308, "", Rejected, ReasonRedirect, "308 Permanent Redirect", false, ""},
		{mm, 408, "", Retry, ReasonServerError, "408 Request Timeout", false, ""},
		{mm, 425, "", Retry, ReasonServerError, "425 Too Early", false, ""},
		{mm, 429, "limit exceeded\n", Retry, ReasonRateLimited, "429 Too Many Requests", false, ""},
		{mm, 500, mattermostSays("api.post.create_webhook_post.creating.app_error"), Retry, ReasonServerError, "500 Internal Server Error (api.post.create_webhook_post.creating.app_error)", false, ""},
		{mm, 501, mattermostSays("web.incoming_webhook.disabled.app_error"), Retry, ReasonServerError, "501 Not Implemented (web.incoming_webhook.disabled.app_error)", true, ""},
		{mm, 599, "", Retry, ReasonServerError, "599", false, ""},
		{slack, 200, "ok", Delivered, ReasonOK, "", false, ""},
		{slack, 204, "", Delivered, ReasonOK, "", false, ""},
		{slack, 201, `{"id":1}`, Delivered, ReasonOK, "", false, ""},
		{slack, 200, "  <!DOCTYPE html>", NotAccepted, ReasonNotAccepted, "200 OK, but the answer (text/plain) is a web page" + proxy, false, ""},
		{slack, 200, "\ufeff<html>", NotAccepted, ReasonNotAccepted, "200 OK, but the answer (text/plain) is a web page" + proxy, false, ""},
		{slack, 200, "Sign in", NotAccepted, ReasonNotAccepted, "200 OK, but the answer (text/html) is a web page" + proxy, false, "text/html; charset=utf-8"},
		{slack, 200, "channel_not_found", NotAccepted, ReasonNotAccepted, "200 OK, but the answer is the error channel_not_found", false, ""},
		{slack, 400, "invalid_payload", Refused, ReasonRefused, "400 Bad Request (invalid_payload)", false, ""},
		{slack, 403, "action_prohibited", Rejected, ReasonForbidden, "403 Forbidden (action_prohibited)", false, ""},
		{slack, 404, "channel_not_found", Rejected, ReasonNotFound, "404 Not Found (channel_not_found)", false, ""},
		{slack, 404, "no_service", Rejected, ReasonNotFound, "404 Not Found (no_service)", true, ""},
		{slack, 410, "channel_is_archived", Rejected, ReasonGone, "410 Gone (channel_is_archived)", false, ""},
		{slack, 500, "rollup_error", Retry, ReasonServerError, "500 Internal Server Error (rollup_error)", false, ""},
	} {
		t.Run(fmt.Sprintf("%s %d %.20s", c.kind, c.status, c.body), func(t *testing.T) {
			r := answers(t, c.kind, func(w http.ResponseWriter, _ *http.Request) {
				if c.mediaIs != "" {
					w.Header().Set("Content-Type", c.mediaIs)
				} else {
					w.Header().Set("Content-Type", "text/plain")
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			if r.verdict != c.want || r.reason != c.reason || r.text != c.text || r.status != c.status || r.hook != c.ofHook {
				t.Errorf("verdict %d, reason %s, text %q, status %d, of the hook %t; want %d, %s, %q, %d, %t",
					r.verdict, r.reason, r.text, r.status, r.hook, c.want, c.reason, c.text, c.status, c.ofHook)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"7":                              7 * time.Second,
		"3600":                           time.Hour,
		"3601":                           time.Hour,
		"1000000000":                     time.Hour,
		"9999999999999999999999":         time.Hour,
		"-5":                             0,
		"-9999999999999999999999":        0,
		"soon":                           0,
		"1.5":                            0,
		"Sun, 01 Mar 2026 12:00:30 GMT":  30 * time.Second,
		"Sunday, 01-Mar-26 12:01:00 GMT": time.Minute,
		"Sun Mar  1 12:02:00 2026":       2 * time.Minute,
		"Sun, 01 Mar 2026 11:00:00 GMT":  0,
		"Mon, 02 Mar 2026 12:00:00 GMT":  time.Hour,
		"Sun, 01 Mar 2026 12:00:30":      0,
	} {
		h := http.Header{"Retry-After": {value}}
		for status, counts := range map[int]bool{429: true, 503: true, 500: false, 404: false, 200: false} {
			expected := want
			if !counts {
				expected = 0
			}
			if got := retryAfter(h, status, now); got != expected {
				t.Errorf("%d with Retry-After %q: %s, want %s", status, value, got, expected)
			}
		}
	}
}

// raw answers every connection with these bytes, and then with what more
// writes until it fails.
func raw(t *testing.T, head string, more func(net.Conn)) *Destination {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, head)
				if more != nil {
					more(conn)
				}
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
	return destinationAt(t, "http://"+listener.Addr().String()+"/hooks/"+hookID, "", configs.EgressPrivate)
}

// Answers that no chat server gives: each is judged, none is read beyond what
// is needed.
func TestAnswersThatAreNone(t *testing.T) {
	flood := func(chunk string) func(net.Conn) {
		return func(c net.Conn) {
			for range 1 << 12 {
				if _, err := io.WriteString(c, chunk); err != nil {
					return
				}
			}
		}
	}
	kilobyte := strings.Repeat("x", 1<<10)
	for name, c := range map[string]struct {
		head    string
		more    func(net.Conn)
		verdict Verdict
		reason  string
	}{
		"no HTTP":               {head: "hello\r\n\r\n", verdict: Retry, reason: ReasonNetwork},
		"HTTP/0.9":              {head: "ok", verdict: Retry, reason: ReasonNetwork},
		"nothing":               {head: "", verdict: Retry, reason: ReasonNetwork},
		"cut head":              {head: "HTTP/1.1 200 OK\r\nContent-Le", verdict: Retry, reason: ReasonNetwork},
		"cut ok":                {head: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", verdict: Retry, reason: ReasonNetwork},
		"wrong length":          {head: "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nok", verdict: Retry, reason: ReasonNetwork},
		"two lengths":           {head: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", verdict: Retry, reason: ReasonNetwork},
		"bad chunks":            {head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok", verdict: Retry, reason: ReasonNetwork},
		"cut refusal":           {head: "HTTP/1.1 404 Not Found\r\nContent-Length: 200\r\n\r\n{", verdict: Rejected, reason: ReasonNotFound},
		"trailers":              {head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", verdict: Delivered, reason: ReasonOK},
		"an endless body":       {head: "HTTP/1.1 200 OK\r\n\r\n", more: flood(kilobyte), verdict: NotAccepted, reason: ReasonNotAccepted},
		"an endless head":       {head: "HTTP/1.1 200 OK\r\n", more: flood("A: " + kilobyte + "\r\n"), verdict: Retry, reason: ReasonNetwork},
		"one long header":       {head: "HTTP/1.1 200 OK\r\nA: ", more: flood(kilobyte), verdict: Retry, reason: ReasonNetwork},
		"interim answers":       {head: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", verdict: Delivered, reason: ReasonOK},
		"interim answers alone": {head: "", more: flood("HTTP/1.1 103 Early Hints\r\n\r\n"), verdict: Retry, reason: ReasonNetwork},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			d := raw(t, c.head, c.more)
			runtime.ReadMemStats(&before)
			r := post(t.Context(), d, []byte("{}"))
			runtime.ReadMemStats(&after)
			if r.verdict != c.verdict || r.reason != c.reason || strings.Contains(r.text, hookID) {
				t.Errorf("%+v, want verdict %d for %s", r, c.verdict, c.reason)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
				t.Errorf("it took %d bytes of memory", n)
			}
		})
	}
}

// What is packed stays packed: 1 GB of zeros would fit into this answer.
func TestAnswersAreNotUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	z.Close()
	r := answers(t, configs.KindMattermost, func(w http.ResponseWriter, req *http.Request) {
		if e := req.Header.Get("Accept-Encoding"); e != "" {
			t.Errorf("Accept-Encoding: %s", e)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	if r.verdict != NotAccepted {
		t.Errorf("%+v", r)
	}
}

// No redirect is followed, whatever its kind: the message would be posted
// elsewhere, and nothing is asked there either.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{elsewhere.URL, "/inside", "http://169.254.169.254/latest", "file:///etc/passwd", "//" + strings.TrimPrefix(elsewhere.URL, "http://")} {
			r := answers(t, configs.KindMattermost, func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path != "/hooks/"+hookID {
					followed.Add(1)
				}
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			})
			if r.verdict != Rejected || r.reason != ReasonRedirect {
				t.Errorf("%d to %s: %+v", status, to, r)
			}
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// An attempt has its time, however the receiver spends it. The connection is
// one within the bubble, so that its clock may jump.
func TestAttemptEndsInTime(t *testing.T) {
	says := func(head string) func(net.Conn) {
		return func(c net.Conn) { _, _ = io.WriteString(c, head) }
	}
	timeout := result{verdict: Retry, reason: ReasonTimeout, duration: usualTimeout}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  result
	}{
		"never answers":        {func(net.Conn) {}, timeout},
		"hangs after the head": {says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), timeout},
		"sends a byte a second": {func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
			for {
				time.Sleep(time.Second)
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}, timeout},
		"speaks another protocol from here on": {
			says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
			result{verdict: Rejected, reason: ReasonClientError},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var servers sync.WaitGroup
				transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					here, there := net.Pipe()
					servers.Go(func() {
						defer there.Close()
						r := bufio.NewReader(there)
						if req, err := http.ReadRequest(r); err == nil {
							_, _ = io.Copy(io.Discard, req.Body)
							servers.Go(func() { c.serve(there) })
						}
						_, _ = io.Copy(io.Discard, r) // until the relay hangs up
					})
					return here, nil
				}}
				d := newReachable(configs.Destination{Kind: configs.KindMattermost, URL: configs.NewSecret("http://chat/hooks/x")}, always(transport), "test")
				if r := post(t.Context(), &d, []byte("{}")); r.verdict != c.want.verdict || r.reason != c.want.reason || r.duration != c.want.duration {
					t.Errorf("after %s: %+v", r.duration, r)
				}
				transport.CloseIdleConnections()
				servers.Wait()
			})
		})
	}
}

// What may have come through and what was never sent differ for people.
func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	for url, want := range map[string]string{
		"http://" + addr:              "cannot connect to " + addr + ": connection refused",
		"http://no-such-host.invalid": "no such host: no-such-host.invalid:80",
		"https://" + addr:             "cannot connect to " + addr + ": connection refused",
	} {
		r := post(t.Context(), destinationAt(t, url+"/hooks/"+hookID, "", configs.EgressPrivate), []byte("{}"))
		if r.verdict != Retry || r.reason != ReasonNetwork || r.text != want {
			t.Errorf("%s: %+v, want %q", url, r, want)
		}
	}
}

func TestUntrustedServers(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	// start starts a server and returns where it is, and a ca_file for it.
	start := func(config *tls.Config) (addr, ca string) {
		server := httptest.NewUnstartedServer(ok)
		server.Config.ErrorLog = discardLog
		server.TLS = config
		server.StartTLS()
		t.Cleanup(server.Close)
		ca = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, pemOf(server.Certificate()), 0o600); err != nil {
			t.Fatal(err)
		}
		return server.Listener.Addr().String(), ca
	}
	addr, ca := start(nil)
	elsewhere := strings.Replace(addr, "127.0.0.1", "localhost", 1)
	past, pastCA := start(&tls.Config{Certificates: []tls.Certificate{expired(t)}})
	for _, c := range []struct{ addr, ca, wrong string }{
		{addr, "", "is not signed by an authority that is known here; ca_file can name one"},
		{elsewhere, ca, "is for another host name"},
		{past, pastCA, "has expired, or is not valid yet"},
	} {
		want := "the certificate of " + c.addr + " " + c.wrong
		if r := post(t.Context(), destinationAt(t, "https://"+c.addr+"/hooks/x", c.ca, configs.EgressPrivate), []byte("{}")); r.verdict != Retry || r.text != want {
			t.Errorf("%+v, want %q", r, want)
		}
	}
	old := httptest.NewUnstartedServer(ok)
	old.Config.ErrorLog = discardLog
	old.TLS = oldTLS()
	old.StartTLS()
	defer old.Close()
	if r := post(t.Context(), destinationAt(t, old.URL, ca, configs.EgressPrivate), []byte("{}")); r.verdict != Retry || r.reason != ReasonNetwork {
		t.Errorf("TLS 1.1: %+v", r)
	}
}

// A URL says https:// where none of that is spoken: by a web server, and by
// something that speaks first.
func TestHTTPSByMistake(t *testing.T) {
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.ErrorLog = discardLog
	web.Start()
	defer web.Close()
	mail, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var greeting sync.WaitGroup
	greeting.Go(func() {
		if conn, err := mail.Accept(); err == nil {
			_, _ = io.WriteString(conn, "220 "+hookID+" ESMTP\r\n")
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}
	})
	defer greeting.Wait()
	defer mail.Close()
	for addr, want := range map[string]string{
		web.Listener.Addr().String(): "answers plain HTTP: is its URL https:// by mistake?",
		mail.Addr().String():         "does not answer in TLS: is its URL https:// by mistake?",
	} {
		r := post(t.Context(), destinationAt(t, "https://"+addr+"/hooks/"+hookID, "", configs.EgressPrivate), []byte("{}"))
		if want = addr + " " + want; r.verdict != Retry || r.reason != ReasonNetwork || r.text != want {
			t.Errorf("%+v, want %q", r, want)
		}
	}
}

// expired makes a certificate for 127.0.0.1 whose time is over.
func expired(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// A probe is refused, which says nothing about the destination, and what is sent
// past that message then fails: nobody else may try before a pause is over.
func TestPauseAfterAProbeThatSaidNothing(t *testing.T) {
	d := newDestination(Destination{}, usual.paused)
	later := time.Now().Add(d.failedAgain(time.Now(), result{}) + time.Second)
	d.hurry()
	if err := d.admit(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	d.probed()
	if pause := d.failedAgain(later, result{}); pause < 24*time.Second || pause > 36*time.Second {
		t.Errorf("left alone for %s, want 30 s, a fifth more or less", pause)
	}
	if pause := d.failedAgain(later.Add(time.Second), result{}); pause < 23*time.Second || pause > 35*time.Second {
		t.Errorf("left alone for %s, want what is left of it", pause)
	}
}

// The lane's own limits, as they are shipped: how long a dead destination is
// left alone, and that the pauses are spread by a fifth.
func TestPauses(t *testing.T) {
	d := newDestination(Destination{}, usual.paused)
	now := time.Now()
	for i, want := range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		if i > 0 {
			d.until = time.Time{} // the pause is over
			if err := d.admit(t.Context(), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		got := d.failedAgain(now, result{})
		if got < want*4/5 || got > want*6/5 {
			t.Errorf("pause %d is %s, want %s, a fifth more or less", i+1, got, want)
		}
		if again := d.failedAgain(now, result{}); again != got {
			t.Errorf("a lane that finds out at the same time makes it %s, not %s", again, got)
		}
	}
	if got := d.failedAgain(now, result{retryAfter: 30 * time.Minute}); got < 30*time.Minute {
		t.Errorf("Retry-After made it %s", got)
	}
	d.until = time.Time{}
	_ = d.admit(t.Context(), time.Time{})
	if got := d.failedAgain(now, result{retryAfter: time.Second}); got < 4*time.Minute {
		t.Errorf("a short Retry-After shortened the pause to %s", got)
	}
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[jitter(time.Hour)] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d different pauses in 100", len(seen))
	}
}

// The receiver asks for 3 s with its 429, then for nothing: neither the repeats
// in place nor the pause come sooner.
func TestRetryAfterIsObeyed(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds": func() string { return "1" },
		"a date":  func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }, // whole seconds: at least one
	} {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil)
				var first, second atomic.Int64
				w.chat.Set("hooka", chat.Func(func(x *chat.Exchange) {
					if first.CompareAndSwap(0, time.Now().UnixNano()) {
						x.Answer(status, http.Header{"Retry-After": {value()}}, "")
						return
					}
					second.CompareAndSwap(0, time.Now().UnixNano())
					x.OK()
				}))
				w.deliver("a", "1")
				w.posts("hooka", 1)
				if waited := time.Duration(second.Load() - first.Load()); waited < time.Second {
					t.Errorf("tried again after %s", waited)
				}
			})
		}
	}
}

// A long Retry-After is not waited for in place: the lanes park, and the other
// destination goes on.
func TestLongRetryAfterParks(t *testing.T) {
	w := newWorld(t, nil)
	tell := w.listen()
	w.chat.Set("hooka", chat.Status(429, http.Header{"Retry-After": {"1800"}}, "limit exceeded\n"))
	w.deliver("a#one", "1")
	w.recorded("the lane is parked", func(rec queue.Record) bool {
		s, ok := rec.(*queue.LaneState)
		return ok && s.State == queue.LaneParked
	})
	w.deliver("a#two", "2")
	w.forgotten()
	if n := w.chat.Count("hooka"); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if kinds := tell.kinds(); len(kinds) > 0 {
		t.Errorf("a rate limit is reported as %v: it is no outage", kinds)
	}
	for _, s := range w.lanes.Status() {
		left := time.Until(s.Next)
		if s.State != LaneParked || !s.Whole || left < 29*time.Minute || left > 31*time.Minute {
			t.Errorf("%+v, tried again in %s", s, left)
		}
	}
}

// always is a transport that connects in one way alone.
func always(h *http.Transport) *transport {
	t := &transport{dial: func() *connections {
		return &connections{proxy: func(*http.Request) (*url.URL, error) { return nil, nil }, direct: h, proxied: h}
	}}
	t.now.Store(t.dial())
	return t
}
