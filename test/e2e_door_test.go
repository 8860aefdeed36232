package test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const printed = "destinations: {mm: {kind: log}}\nroutes: [{to: mm}]\n"

// public is an URL of a relay's public listener.
func (p *process) public(path string) string {
	u, err := url.Parse(p.hook)
	if err != nil {
		p.t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host + path
}

func ask(t *testing.T, method, url string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	a, err := roundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestFewFiles: a relay that may open 64 files is asked by more silent clients than
// that, at both listeners. It answers each webhook, and loads its configuration.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	here := install(t, printed)
	here.files = 64
	relay := here.start()
	relay.await(&relay.stderr, regexp.MustCompile(`may open few files.*"files":64,"connections":28`))
	for range 50 {
		for _, host := range []string{strings.TrimPrefix(relay.public(""), "http://"), relay.admin} {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
	}
	own := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // as GitLab
	for n := range 60 {
		begin := time.Now()
		resp, err := own.Do(webhook(soon(t), relay.hook, issueHook, issue("acme/api", n, 0)))
		if err != nil {
			t.Fatalf("webhook %d: %v", n, err)
		}
		resp.Body.Close()
		if took := time.Since(begin); resp.StatusCode != http.StatusAccepted || took > 10*time.Second {
			t.Errorf("webhook %d is answered %d after %s", n, resp.StatusCode, took)
		}
	}
	here.write("relay.yaml", strings.Replace("sources: {gitlab: {token: \"${TOKEN}\"}}\n"+printed, "mm", "chat", 2))
	relay.await(&relay.stderr, regexp.MustCompile(`"msg":"relay.yaml loaded"`))
	if strings.Contains(relay.stderr.String(), "cannot be loaded") {
		t.Error("the log says that relay.yaml cannot be loaded")
	}
	relay.terminate()
}

// TestSignedWebhookBehindIdleBodies: 1,200 clients begin a body of a signed source
// and do not go on. A signed webhook of 2 MB is stored all the same.
func TestSignedWebhookBehindIdleBodies(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef0123456789abcdef")
	here := install(t, "sources: {gitlab: {signing_key: \"${KEY}\"}}\n"+printed)
	here.env = append(here.env, "KEY=whsec_"+base64.StdEncoding.EncodeToString(key))
	relay := here.start()
	u, err := url.Parse(relay.hook)
	if err != nil {
		t.Fatal(err)
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	begun := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: relay\r\nWebhook-Id: x\r\nWebhook-Timestamp: %s\r\nWebhook-Signature: v1,AAAA\r\nContent-Length: 1000000\r\n\r\n{%s",
		u.Path, now, strings.Repeat(" ", 40<<10))
	for range 1200 {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, begun) // one that has made room already fails
	}
	body := issue("acme/api", 1, 2<<20)
	req := webhook(soon(t), relay.hook, issueHook, body)
	req.Header.Del("X-Gitlab-Token")
	sum := hmac.New(sha256.New, key)
	fmt.Fprintf(sum, "an-id.%s.%s", now, body)
	req.Header.Set("Webhook-Id", "an-id")
	req.Header.Set("Webhook-Timestamp", now)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	begin := time.Now()
	a, err := roundTrip(req)
	if err != nil || a.status != http.StatusAccepted {
		t.Fatalf("answered %d %s, %v", a.status, a.body, err)
	}
	if took := time.Since(begin); took > 10*time.Second && !raceDetector {
		t.Errorf("answered after %s: GitLab waits 10 s", took)
	}
}

// TestWrongPath: slashes too many do not matter, and another path is in the log.
func TestWrongPath(t *testing.T) {
	t.Parallel()
	relay := install(t, printed).start()
	for n, path := range []string{"/hooks/gitlab/", "//hooks/gitlab", "/hooks//gitlab//"} {
		a, err := roundTrip(webhook(soon(t), relay.public(path), issueHook, issue("acme/api", n, 0)))
		if err != nil || a.status != http.StatusAccepted {
			t.Errorf("%s: answered %d %s, %v", path, a.status, a.body, err)
		}
	}
	if a := ask(t, http.MethodPost, relay.public("/hook/gitlab%0A%1b[31m"), "X-Gitlab-Token", gitlabToken); a.status != http.StatusNotFound {
		t.Errorf("a wrong path is answered %d", a.status)
	}
	relay.await(&relay.stderr, regexp.MustCompile(`"outcome":"not_found".*"path":"/hook/gitlab\x{fffd}\x{fffd}\[31m"`))
}

// TestReadyForLoadBalancers: when the queue's server has gone, /readyz of the public
// listener says so, and /healthz goes on saying that the process lives.
func TestReadyForLoadBalancers(t *testing.T) {
	t.Parallel()
	nats, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, MaxPayload: 28 << 20})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	down := func() { nats.Shutdown(); nats.WaitForShutdown() }
	t.Cleanup(down)
	if !nats.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not come up")
	}
	here := install(t, printed)
	here.env = append(here.env, "RELAY_NATS_URL="+nats.ClientURL())
	relay := here.start()
	for _, page := range []string{"/readyz", "/healthz"} {
		if a := ask(t, http.MethodGet, relay.public(page)); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", page, a.status, a.body)
		}
	}
	if a := ask(t, http.MethodPost, relay.public("/readyz")); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST /readyz: %d", a.status)
	}
	down()
	for ctx := soon(t); ; {
		if a := ask(t, http.MethodGet, relay.public("/readyz")); a.status == http.StatusServiceUnavailable {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("/readyz does not say that nothing can be stored")
		}
	}
	for _, page := range []string{relay.public("/healthz"), "http://" + relay.admin + "/healthz"} {
		if a := ask(t, http.MethodGet, page); a.status != http.StatusOK {
			t.Errorf("%s: %d", page, a.status)
		}
	}
	if code, out, _ := here.run("healthcheck", "--live", "--admin", relay.admin); code != 0 || out != "ok\n" {
		t.Errorf("healthcheck --live: %d %q", code, out)
	}
	if code, _, why := here.run("healthcheck", "--admin", relay.admin); code != 1 || !strings.Contains(why, " is not ready: the queue cannot store") {
		t.Errorf("healthcheck: %d %q, want 1 and why", code, why)
	}
}

// TestAdminTokenIsAdvised where confidential events are delivered, and nobody reads
// them then without it, from this machine either. The commands send it.
func TestAdminTokenIsAdvised(t *testing.T) {
	t.Parallel()
	const advice = "set --admin-token-file"
	if relay := install(t, printed).start(); strings.Contains(relay.stderr.String(), advice) {
		t.Error("it is advised without confidential events")
	}
	here := install(t, strings.Replace(printed, "kind: log", "kind: log, confidential: true", 1))
	relay := here.start()
	if !strings.Contains(relay.stderr.String(), advice) {
		t.Error("it is not advised")
	}
	relay.terminate()

	here.write("token", "0123456789abcdef\n")
	here.env = append(here.env, "RELAY_ADMIN_TOKEN_FILE=token")
	relay = here.start()
	if strings.Contains(relay.stderr.String(), advice) {
		t.Error("it is advised although it is there")
	}
	if code, _, _ := here.run("send", "issue.open~confidential", "--via", relay.hook); code != 0 {
		here.env = append(here.env, "RELAY_TOKEN="+gitlabToken)
		if code, _, text := here.run("send", "issue.open~confidential", "--via", relay.hook); code != 0 {
			t.Fatal(text)
		}
	}
	for _, page := range []string{"/api/v1/events", "/api/v1/events/1-0", "/api/v1/events/1-0/body"} {
		a := ask(t, http.MethodGet, "http://"+relay.admin+page)
		if a.status != http.StatusUnauthorized || !strings.Contains(a.body, "--admin-token-file") {
			t.Errorf("%s: %d %s", page, a.status, a.body)
		}
	}
	relay.comes(here, `1-0 .* issue.open `, "events", "--admin-url", "http://"+relay.admin)
}

// TestAdminBehindProxy: whatever the proxies of the page send is not taken for
// this machine's own.
func TestAdminBehindProxy(t *testing.T) {
	t.Parallel()
	page := operations(t)
	nginx, caddy := fences(page, "nginx"), fences(page, "caddyfile")
	if len(nginx) != 2 || len(caddy) != 2 {
		t.Fatalf("%s has %d blocks for nginx and %d for Caddy, want one for each listener", operationsPage, len(nginx), len(caddy))
	}
	for name, token := range map[string]bool{"without a token": false, "with a token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := install(t, printed)
			if token {
				here.write("token", "0123456789abcdef")
				here.env = append(here.env, "RELAY_ADMIN_TOKEN_FILE=token")
			}
			relay := here.start()
			for kind, start := range map[string]func(*testing.T, *process, []block) (public, admin string){"the headers of nginx": nginxHeaders, "nginx": startNginx, "Caddy": startCaddy} {
				t.Run(kind, func(t *testing.T) {
					blocks := nginx
					if kind == "Caddy" {
						blocks = caddy
					}
					public, admin := start(t, relay, blocks)
					a, err := roundTrip(webhook(soon(t), public+"/hooks/gitlab", issueHook, issue("acme/api", 1, 2<<20)))
					if err != nil || a.status != http.StatusAccepted {
						t.Errorf("a webhook is answered %d %s, %v", a.status, a.body, err)
					}
					for _, path := range []string{"/api/v1/config", "/api/v1/events"} {
						if a := ask(t, http.MethodGet, admin+path); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "--admin-token-file") {
							t.Errorf("%s without the token: %d %s", path, a.status, a.body)
						}
						want := http.StatusUnauthorized
						if token {
							want = http.StatusOK
						}
						if a := ask(t, http.MethodGet, admin+path, "Authorization", "Bearer 0123456789abcdef"); a.status != want {
							t.Errorf("%s with the token: %d %s, want %d", path, a.status, a.body, want)
						}
					}
				})
			}
		})
	}
}

// eventually asks a page until somebody answers.
func eventually(t *testing.T, url string) {
	t.Helper()
	ctx, tick := soon(t), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := roundTrip(req); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("nobody answers at %s: %v", url, context.Cause(ctx))
		}
	}
}
