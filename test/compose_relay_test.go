package test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// patience is how long a test waits for something that should take no time at
// all. Only a test that fails anyway takes that long.
const patience = 2 * time.Minute

// natsOfCompose runs a NATS server with the settings of docker-compose.yml, but
// on a free port of this machine and in a folder of the test.
func natsOfCompose(t *testing.T) *server.Server {
	t.Helper()
	options, err := server.ProcessConfigFile(mounted(t, compose(t).Services["nats"], "/etc/nats/relay.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port, options.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	options.StoreDir = t.TempDir()
	options.NoSigs, options.NoLog = true, true
	nats, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	})
	if !nats.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not come up")
	}
	return nats
}

// freeAddress is a port of the loopback interface that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// relayOfCompose is the relay as docker-compose.yml configures it: the same
// variables, but for addresses and folders of this machine.
type relayOfCompose struct {
	env    []string
	listen string
	output output
	ended  chan struct{} // closed when the process has ended, with err
	err    error
}

func startRelayOfCompose(t *testing.T, natsURL, hookURL string) *relayOfCompose {
	t.Helper()
	service := compose(t).Services["relay"]
	dir := t.TempDir()
	config, err := os.ReadFile(mounted(t, service, *service.Environment["RELAY_CONFIG"]))
	if err != nil {
		t.Fatal(err)
	}
	urlFile := *compose(t).Services["setup"].Environment["URL_FILE"]
	files := map[string]string{
		"url":        hookURL + "\n",
		"relay.yaml": strings.ReplaceAll(string(config), urlFile, filepath.Join(dir, "url")),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &relayOfCompose{listen: freeAddress(t), ended: make(chan struct{})}
	ours := map[string]string{
		"RELAY_LISTEN":   r.listen,
		"RELAY_ADMIN":    freeAddress(t),
		"RELAY_CONFIG":   filepath.Join(dir, "relay.yaml"),
		"RELAY_DATA":     filepath.Join(dir, "data"),
		"RELAY_NATS_URL": natsURL,
	}
	for name, value := range service.Environment {
		if _, replaced := ours[name]; !replaced && value != nil {
			r.env = append(r.env, name+"="+*value)
		}
	}
	for name, value := range ours {
		r.env = append(r.env, name+"="+value)
	}

	cmd := exec.Command(relayBinary(t), dockerfile(t).command...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = r.env, dir, &r.output, &r.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.err = cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-r.ended:
			if r.err != nil {
				t.Errorf("the relay ended with %v, want a clean end when it is interrupted", r.err)
			}
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Error("the relay goes on after it was interrupted")
		}
		if t.Failed() {
			t.Logf("the relay printed:\n%s", &r.output)
		}
	})
	return r
}

// healthy runs the health check of docker-compose.yml until it is green.
func (r *relayOfCompose) healthy(ctx context.Context, t *testing.T) {
	t.Helper()
	check := dockerfile(t).healthcheck
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		cmd := exec.CommandContext(ctx, relayBinary(t), check[1:]...)
		cmd.Env = r.env
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-r.ended:
			t.Fatalf("the relay ended: %v", r.err)
		case <-ctx.Done():
			t.Fatalf("the health check stays red: %v\n%s", err, out)
		}
	}
}

// tryHints runs the commands that the head of docker-compose.yml suggests.
func (r *relayOfCompose) tryHints(ctx context.Context, t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	hints := regexp.MustCompile(`(?m)^# +docker compose exec relay /relay (.*)$`).FindAllSubmatch(text, -1)
	if len(hints) == 0 {
		t.Error("docker-compose.yml suggests nothing to try")
	}
	for _, hint := range hints {
		cmd := exec.CommandContext(ctx, relayBinary(t), strings.Fields(string(hint[1]))...)
		cmd.Env = r.env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("relay %s: %v\n%s", hint[1], err, out)
		}
	}
}

const issueOpened = `{
  "object_kind": "issue",
  "event_type": "issue",
  "user": {"id": 1, "name": "Jane Doe", "username": "jdoe"},
  "project": {"id": 5, "name": "api", "path_with_namespace": "acme/api", "web_url": "https://gitlab.example/acme/api", "default_branch": "main"},
  "object_attributes": {"id": 301, "iid": 23, "title": "Canary in the coal mine", "action": "open", "state": "opened",
    "url": "https://gitlab.example/acme/api/-/issues/23", "description": "", "confidential": false, "created_at": "2026-11-20 09:00:00 UTC"},
  "labels": [],
  "assignees": []
}`

// TestComposeDelivers is `docker compose up` without an engine: the relay's own
// binary, the NATS settings, the routes and the variables of docker-compose.yml,
// from a webhook to the post.
func TestComposeDelivers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	mattermost, err := chat.Start(chat.Options{Hooks: []string{"secret0hook"}})
	if err != nil {
		t.Fatal(err)
	}
	defer mattermost.Close()
	nats := natsOfCompose(t)
	relay := startRelayOfCompose(t, nats.ClientURL(), mattermost.URL("secret0hook"))
	relay.healthy(ctx, t)

	for token, want := range map[string]int{"": 401, "wrong": 401, composeSecrets["RELAY_TOKEN"]: 202} {
		if got, body := sendIssue(ctx, t, "http://"+relay.listen+"/hooks/gitlab", token); got != want {
			t.Errorf("token %q is answered %d %s, want %d", token, got, body, want)
		}
	}
	posts, err := mattermost.WaitPosts(ctx, "secret0hook", 1)
	if err != nil {
		t.Fatal(err)
	}
	if p := posts[0]; p.Username != "GitLab" || !strings.Contains(string(p.Raw), "Canary in the coal mine") {
		t.Errorf("posted %s, want the issue's title by GitLab", p.Raw)
	}
	streams := 0
	if info, err := nats.Jsz(&server.JSzOptions{}); err != nil {
		t.Error(err)
	} else {
		streams = info.Streams
	}
	if streams == 0 {
		t.Error("nothing is stored in the NATS server: the relay uses another")
	}
	relay.tryHints(ctx, t)
	if _, err := mattermost.WaitPosts(ctx, "secret0hook", 2); err != nil {
		t.Errorf("the command to try it posts nothing: %v", err)
	}
	for _, secret := range []string{"secret0hook", composeSecrets["RELAY_TOKEN"]} {
		if strings.Contains(relay.output.String(), secret) {
			t.Errorf("the relay printed the secret %s", secret)
		}
	}
}

func sendIssue(ctx context.Context, t *testing.T, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(issueOpened))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Gitlab-Event", "Issue Hook")
	if token != "" {
		req.Header.Set("X-Gitlab-Token", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
