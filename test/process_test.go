package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// output is what a process prints, safe to read while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed by the next write; nil while nobody waits
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// since is the text from a byte on, and what is closed when there is more.
func (o *output) since(from int) (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.text.String()[from:], o.more
}

// soon is a context of a test that ends after patience.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// installation is what stays when a relay ends: its relay.yaml, and the
// directory of its queue.
type installation struct {
	t    *testing.T
	dir  string
	env  []string
	args []string

	files int // how many a relay may open; 0: as many as the tests
}

// gitlabToken is the secret token in the tests that are not about secrets.
const gitlabToken = "an-ordinary-token"

// install writes a relay.yaml. A source "gitlab" that takes [gitlabToken] is added
// unless it names sources itself.
func install(t *testing.T, yaml string, args ...string) *installation {
	t.Helper()
	if !strings.Contains(yaml, "sources:") {
		yaml = "sources: {gitlab: {token: \"${TOKEN}\"}}\n" + yaml
	}
	i := &installation{t: t, dir: t.TempDir(), args: args, env: []string{"TOKEN=" + gitlabToken, "NO_COLOR=1"}}
	i.write("relay.yaml", yaml)
	return i
}

func (i *installation) write(name, text string) string {
	i.t.Helper()
	path := filepath.Join(i.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return path
}

func (i *installation) command(args ...string) *exec.Cmd {
	cmd := exec.Command(relayBinary(i.t), args...)
	if i.files > 0 {
		limited := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, i.files)
		cmd = exec.Command("/bin/sh", append([]string{"-c", limited, relayBinary(i.t)}, args...)...)
	}
	cmd.Env, cmd.Dir = i.env, i.dir
	return cmd
}

// run runs a command to its end.
func (i *installation) run(args ...string) (code int, stdout, stderr string) {
	i.t.Helper()
	var out, errs bytes.Buffer
	cmd := i.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		i.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// process is a relay that runs.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
	ended          chan struct{} // closed when it has ended
	hook           string        // URL of its first source
	admin          string        // host and port
}

var (
	pasted    = regexp.MustCompile(`paste into GitLab .* URL (http://\S+/hooks/\S+) `)
	listening = regexp.MustCompile(`msg"?[=:]"?listening\b.*\badmin"?[=:]"?([0-9.:]+)`)
)

// start starts the relay and returns when it listens. It is killed at the end
// of the test if it still runs.
func (i *installation) start(args ...string) *process {
	i.t.Helper()
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data", "--log-format", "json"}, append(i.args, args...)...)
	p := &process{t: i.t, cmd: i.command(args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	i.t.Cleanup(p.discard)
	p.hook = p.await(&p.stdout, pasted)[1]
	p.admin = p.await(&p.stderr, listening)[1]
	return p
}

// discard ends the process, if nothing has yet, and looks for what must never
// be in a log.
func (p *process) discard() {
	p.kill()
	for _, bad := range []string{"panic", "fatal error", "DATA RACE", "goroutine 1 ["} {
		if strings.Contains(p.stderr.String(), bad) {
			p.t.Errorf("the log holds %q", bad)
		}
	}
	if p.t.Failed() {
		p.t.Logf("the relay printed:\n%s%s", tailOf(p.stdout.String()), tailOf(p.stderr.String()))
	}
}

func tailOf(s string) string {
	const most = 12 << 10
	if len(s) <= most {
		return s
	}
	return "…" + s[len(s)-most:]
}

// await waits for a line of what the process prints.
func (p *process) await(o *output, line *regexp.Regexp) []string {
	p.t.Helper()
	for ctx := soon(p.t); ; {
		text, more := o.since(0)
		if m := line.FindStringSubmatch(text); m != nil {
			return m
		}
		select {
		case <-more:
		case <-p.ended:
			if text, _ := o.since(0); line.MatchString(text) {
				continue
			}
			p.t.Fatalf("the relay ended (%s) without printing %s", p.cmd.ProcessState, line)
		case <-ctx.Done():
			p.t.Fatalf("the relay does not print %s", line)
		}
	}
}

// kill is kill -9, and returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended already
	<-p.ended
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("send it %s: %v", s, err)
	}
}

// exit waits for the end and returns the exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-soon(p.t).Done():
		p.t.Fatal("the relay does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// terminate stops the relay in good order.
func (p *process) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		p.t.Errorf("the relay ended with %d after TERM, want 0", code)
	}
}

// running fails the test when the process has ended.
func (p *process) running() {
	p.t.Helper()
	select {
	case <-p.ended:
		p.t.Fatalf("the relay ended by itself: %s", p.cmd.ProcessState)
	default:
	}
}

// get asks the admin listener.
func (p *process) get(path string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(soon(p.t), http.MethodGet, "http://"+p.admin+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	a, err := roundTrip(req)
	if err != nil {
		p.t.Fatal(err)
	}
	return a.status, a.body
}

// answer is what the relay answered to a webhook.
type answer struct {
	status int
	header http.Header
	body   string
}

// id is the event's id.
func (a answer) id(t *testing.T) string {
	t.Helper()
	var accepted struct{ ID, Status string }
	if err := json.Unmarshal([]byte(a.body), &accepted); err != nil || a.status != http.StatusAccepted || accepted.Status != "accepted" {
		t.Fatalf("answered %d %s, want 202 with an id", a.status, a.body)
	}
	return accepted.ID
}

// gitlab is the sender: it keeps connections, as GitLab's workers do not, so
// that tests are quick.
var gitlab = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

func roundTrip(req *http.Request) (answer, error) {
	resp, err := gitlab.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

// webhook is a request as GitLab makes it, with the ordinary token.
func webhook(ctx context.Context, url, event string, body []byte) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		panic(err) // the relay printed a URL that is none
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitLab/18.5.0")
	req.Header.Set("X-Gitlab-Event", event)
	req.Header.Set("X-Gitlab-Token", gitlabToken)
	return req
}

// post sends a webhook and expects it to be answered.
func (p *process) post(event string, body []byte) answer {
	p.t.Helper()
	a, err := roundTrip(webhook(soon(p.t), p.hook, event, body))
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// accept sends a webhook and expects 202; it returns the event's id.
func (p *process) accept(event string, body []byte) string {
	p.t.Helper()
	return p.post(event, body).id(p.t)
}

// issue is a webhook about the opening of issue n of a project, with a
// description of so many bytes.
func issue(project string, n, size int) []byte {
	body, err := json.Marshal(map[string]any{
		"object_kind": "issue", "event_type": "issue",
		"user":    map[string]any{"id": 1, "name": "Jane Doe", "username": "jdoe"},
		"project": map[string]any{"id": 5, "name": project, "path_with_namespace": project, "web_url": "https://gitlab.example/" + project, "default_branch": "main"},
		"object_attributes": map[string]any{
			"id": 1000 + n, "iid": n, "title": fmt.Sprintf("number <%d>", n), "action": "open", "state": "opened",
			"url": fmt.Sprintf("https://gitlab.example/%s/-/issues/%d", project, n), "description": strings.Repeat("word ", size/5),
		},
		"labels": []any{}, "assignees": []any{},
	})
	if err != nil {
		panic(err) // strings and numbers
	}
	return body
}

const issueHook = "Issue Hook"

var issueURL = regexp.MustCompile(`gitlab\.example/(\S+?)/-/issues/(\d+)`)

// issueOf tells which issue a post is about, as project#n.
func issueOf(t *testing.T, e chat.Entry) string {
	t.Helper()
	m := issueURL.FindSubmatch(e.Raw)
	if m == nil {
		t.Fatalf("a post about no issue: %s", e.Raw)
	}
	return fmt.Sprintf("%s#%s", m[1], m[2])
}

// chatServer is a chat server until the end of the test.
func chatServer(t *testing.T) *chat.Server {
	t.Helper()
	s, err := chat.Start(chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// attempts are the lines of the log about deliveries that were tried.
func (p *process) attempts() []attempt {
	p.t.Helper()
	var all []attempt
	for line := range strings.Lines(p.stderr.String()) {
		var a attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			continue // findings of relay.yaml are text
		}
		if a.Msg == "delivery attempt" {
			all = append(all, a)
		}
	}
	return all
}

type attempt struct {
	Msg     string
	EventID string `json:"event_id"`
	Event   string
	Address string
	Outcome string
	Reason  string
}

// pool runs f for 0 to n-1, so many at a time, and returns the first error.
func pool(n, workers int, f func(i int) error) error {
	next := make(chan int)
	failed := make(chan error, workers)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	go func() {
		all.Wait()
		close(failed)
	}()
	var first error
	for i := 0; i < n && first == nil; i++ {
		select {
		case next <- i:
		case first = <-failed:
		}
	}
	close(next)
	for err := range failed {
		if first == nil {
			first = err
		}
	}
	return first
}
