package test

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
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

var caughtSignals = regexp.MustCompile(`(?m)^SigCgt:\s*([0-9a-f]+)$`)

// catching waits until the process handles a signal, as it does from the first line
// of its main on; before that the kernel decides.
func (p *process) catching(sig syscall.Signal) {
	p.t.Helper()
	path := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	for ctx := soon(p.t); ; {
		name, _ := os.Readlink(path + "/exe") // it is the test's own until it is started
		status, _ := os.ReadFile(path + "/status")
		if m := caughtSignals.FindSubmatch(status); m != nil && name == p.cmd.Path {
			if mask, err := strconv.ParseUint(string(m[1]), 16, 64); err == nil && mask>>(sig-1)&1 == 1 {
				return
			}
		}
		select {
		case <-p.ended:
			p.t.Fatal("the relay ended")
		case <-ctx.Done():
			p.t.Fatalf("the relay does not handle %s", sig)
		default:
		}
	}
}

func needProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc to see when signals are handled")
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
	needProc(t)
	mattermost := chatServer(t)
	mattermost.Set("hook", chat.Delay(time.Second)) // a post is in flight while it stops
	here := install(t, perProject(mattermost.URL("hook"), 1))
	p := here.begin()
	p.catching(syscall.SIGHUP)
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
	needProc(t)
	here := install(t, perProject(chatServer(t).URL("hook"), 1))
	for range 3 {
		p := here.begin()
		p.catching(syscall.SIGTERM)
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
