package test

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// begin starts a relay without waiting for it to listen.
func (i *installation) begin() *process {
	i.t.Helper()
	p := &process{t: i.t, ended: make(chan struct{})}
	p.cmd = i.command("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data", "--log-format", "json")
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	i.t.Cleanup(p.discard)
	return p
}

// starting waits until the process is in the middle of its start: it has made its
// data directory, and does not listen yet.
func (p *process) starting(i *installation) {
	p.t.Helper()
	for ctx := soon(p.t); ; {
		if _, err := os.Stat(filepath.Join(i.dir, "data")); err == nil {
			return
		}
		select {
		case <-p.ended:
			p.t.Fatal("the relay ended")
		case <-ctx.Done():
			p.t.Fatal("the relay makes no data directory")
		case <-time.After(time.Millisecond):
		}
	}
}

// hangUp sends HUP again and again until the returned function is called.
func (p *process) hangUp() (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for range 10_000 {
			_ = p.cmd.Process.Signal(syscall.SIGHUP) // fails once it has ended
			select {
			case <-done:
				return
			case <-p.ended:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// TestHangups: HUP never ends the relay, neither while it starts nor while it
// stops.
func TestHangups(t *testing.T) {
	t.Parallel()
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Delay(time.Second)) // a post is in flight while it stops
	here := install(t, perProject(mattermost.URL("hook"), 1))
	p := here.begin()
	p.starting(here)
	stop := p.hangUp()
	p.hook = p.await(&p.stdout, pasted)[1]
	p.accept(issueHook, issue("acme/1", 1, 0))
	p.signal(syscall.SIGTERM)
	code := p.exit()
	stop()
	if code != 0 {
		t.Errorf("it ended with %d, %s", code, p.cmd.ProcessState)
	}
}

// TestTermWhileStarting: TERM ends the start in order.
func TestTermWhileStarting(t *testing.T) {
	t.Parallel()
	url := chatServer(t).URL("hook")
	for range 3 {
		here := install(t, perProject(url, 1))
		p := here.begin()
		p.starting(here)
		p.signal(syscall.SIGTERM)
		if code := p.exit(); code != 0 {
			t.Errorf("it ended with %d, %s", code, p.cmd.ProcessState)
		}
	}
}

// TestLogReaderGone: who reads the log and the messages may go away.
func TestLogReaderGone(t *testing.T) {
	t.Parallel()
	here := install(t, "destinations: {screen: {kind: log}}\nroutes: [{when: {events: all}, to: screen}]\n")
	p := &process{t: t, ended: make(chan struct{})}
	p.cmd = here.command("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data", "--log-format", "json")
	stdout, stderr := pipe(t), pipe(t)
	p.cmd.Stdout, p.cmd.Stderr = stdout.w, stderr.w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stdout.w.Close()
	stderr.w.Close()
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	go func() { _, _ = io.Copy(&p.stdout, stdout.r) }() // until it is closed
	go func() { _, _ = io.Copy(&p.stderr, stderr.r) }()
	p.hook = p.await(&p.stdout, pasted)[1]
	p.admin = p.await(&p.stderr, listening)[1]
	stdout.r.Close()
	stderr.r.Close()
	for n := range 20 {
		p.accept(issueHook, issue("acme/1", n+1, 0))
	}
	if status, _ := p.get("/readyz"); status != 200 {
		t.Errorf("/readyz answers %d", status)
	}
	p.running()
	p.terminate()
}

type ends struct{ r, w *os.File }

func pipe(t *testing.T) ends {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return ends{r, w}
}
