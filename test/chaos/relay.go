package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// relay is a process of the relay.
type relay struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	ready time.Duration // from its start until it was ready
}

// errEnded: the relay ended before it was ready.
var errEnded = errors.New("the relay ended before it was ready")

// freePort finds a port that nobody listens on, outside the range that
// connections going out are given, so that it is free for the next process
// too.
func (b *bench) freePort() string {
	for {
		address := fmt.Sprintf("127.0.0.1:%d", 18000+b.random.IntN(12000))
		listener, err := net.Listen("tcp", address)
		if err == nil {
			listener.Close()
			return address
		}
	}
}

// start starts the relay and waits until it says that it is ready. It returns
// errEnded when the process ends before.
func (r *rig) start(ctx context.Context, env ...string) error {
	if r.epochs > 0 {
		r.ledger.next(r.crashed)
	}
	r.epochs++
	r.crashed = false
	stdout, err := os.OpenFile(filepath.Join(r.dir, "stdout.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start the relay: %w", err)
	}
	defer stdout.Close()
	stderr, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start the relay: %w", err)
	}
	defer stderr.Close()
	args := append(slices.Clone(r.command[1:]), "serve", "--listen", r.public, "--admin", r.admin, "--log-format", "json", "--config", filepath.Join(r.dir, "relay.yaml"))
	args = append(args, r.args...)
	p := &relay{cmd: exec.Command(r.command[0], args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = stdout, stderr, r.dir
	p.cmd.Env = append(append([]string{"NO_COLOR=1", "TOKEN=" + r.token, "HOME=" + r.dir}, r.env...), env...)
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start the relay: %w", err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	r.mu.Lock()
	r.process = p
	r.mu.Unlock()
	if err := r.awaitReady(ctx, 60*time.Second); err != nil {
		return err
	}
	p.ready = time.Since(begin)
	return nil
}

// mustStart is start where nothing may go wrong.
func (r *rig) mustStart(ctx context.Context, env ...string) error {
	err := r.start(ctx, env...)
	if err != nil && ctx.Err() == nil {
		r.stopped = true
		r.b.violate(crash, "the relay does not start: %v: %s", err, r.tail(3))
	}
	return err
}

// awaitReady waits until /readyz says 200.
func (r *rig) awaitReady(ctx context.Context, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		if status, _, _ := r.get(ctx, "/readyz"); status == http.StatusOK {
			return nil
		}
		select {
		case <-r.process.ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("wait until the relay is ready: %w", ctx.Err())
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// alive tells whether the process is there.
func (p *relay) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill is kill -9, and returns when the process is gone.
func (r *rig) kill() {
	r.measure()
	_ = r.process.cmd.Process.Kill() // fails only when it has ended already
	<-r.process.ended
	r.crashed = true
}

// died waits for the relay to kill itself; false when it does not in time.
func (r *rig) died(ctx context.Context, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-r.process.ended:
		r.crashed = true
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// terminate stops the relay in good order and returns how long it took. An end
// that is late or not clean is a violation.
func (r *rig) terminate(signal syscall.Signal) time.Duration {
	r.measure()
	begin := time.Now()
	_ = r.process.cmd.Process.Signal(signal) // fails only when it has ended already
	timer := time.NewTimer(50 * time.Second)
	defer timer.Stop()
	select {
	case <-r.process.ended:
	case <-timer.C:
		r.b.violate(crash, "the relay does not end after %s", signal)
		r.kill()
	}
	if code := r.process.cmd.ProcessState.ExitCode(); code != 0 {
		r.b.violate(crash, "the relay ended with %d after %s: %s", code, signal, r.tail(3))
	}
	return time.Since(begin)
}

// get asks the admin listener.
func (r *rig) get(ctx context.Context, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := admin.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	r.scan("the answer to "+path, body)
	return resp.StatusCode, string(body), err
}

var admin = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// metric is the sum of a metric's values whose line has all these parts.
func (r *rig) metric(ctx context.Context, name string, labels ...string) float64 {
	_, page, err := r.get(ctx, "/metrics")
	if err != nil {
		return 0
	}
	sum := 0.0
lines:
	for line := range strings.Lines(page) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue lines
			}
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:]), 64)
		if err == nil {
			sum += value
		}
	}
	return sum
}

// status reads a field of /proc/PID/status that is in kB, as bytes; 0 when the
// process is gone.
func (p *relay) status(field string) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// measure notes the most memory that the process has taken.
func (r *rig) measure() {
	if r.process != nil && r.process.alive() {
		r.b.memory(r.process.status("VmHWM"))
	}
}

// watch reads the log as it grows, and the memory, until ctx ends and once
// more after that.
func (r *rig) watch(ctx context.Context) {
	var logs [2]*bufio.Reader
	for i, path := range []string{r.log, filepath.Join(r.dir, "stdout.log")} {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
		if err != nil {
			r.b.violate(crash, "the log cannot be read: %v", err)
			return
		}
		defer f.Close()
		logs[i] = bufio.NewReaderSize(f, 64<<10)
	}
	var partial [2][]byte
	read := func() {
		for i, log := range logs {
			for {
				line, err := log.ReadBytes('\n')
				partial[i] = append(partial[i], line...)
				if err != nil {
					break // there will be more
				}
				r.line(partial[i])
				partial[i] = partial[i][:0]
			}
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			read()
			if n%4 == 0 {
				r.sample()
			}
		case <-ctx.Done():
			read()
			for _, rest := range partial {
				r.line(rest)
			}
			return
		}
	}
}

func (r *rig) sample() {
	r.mu.Lock()
	p := r.process
	r.mu.Unlock()
	if p != nil && p.alive() {
		r.b.memory(p.status("VmHWM"))
	}
}

var (
	panics   = [][]byte{[]byte("panic: "), []byte("fatal error: "), []byte("WARNING: DATA RACE"), []byte("goroutine 1 ["), []byte(`"msg":"panic`)}
	givenUp  = []byte(`"outcome":"dead"`)
	timeout  = []byte(`"reason":"timeout"`)
	logError = []byte(`"level":"ERROR"`)
)

// line looks at one line of the log.
func (r *rig) line(line []byte) {
	r.scan("the log", line)
	for _, p := range panics {
		if bytes.Contains(line, p) && (line[0] != '{' || p[0] == '"') {
			r.b.violate(crash, "%s", bytes.TrimSpace(line[:min(len(line), 300)]))
		}
	}
	if dead := bytes.Contains(line, givenUp); dead || bytes.Contains(line, timeout) {
		var d struct {
			EventID string `json:"event_id"`
			Address string
		}
		if err := json.Unmarshal(line, &d); err == nil {
			if id, ok := parsePlace(d.EventID); ok && dead {
				r.ledger.bury(death{id, d.Address})
			} else if ok {
				r.ledger.missed(death{id, d.Address})
			}
		}
	}
	if len(line) > 0 && line[0] != '{' || bytes.Contains(line, logError) {
		r.mu.Lock()
		r.errors = append(r.errors, string(bytes.TrimSpace(line[:min(len(line), 400)])))
		r.errors = r.errors[max(0, len(r.errors)-200):]
		r.mu.Unlock()
	}
}

// tail are the last lines of the log that speak of errors.
func (r *rig) tail(n int) string {
	time.Sleep(120 * time.Millisecond) // lets the watcher read what was just written
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.errors[max(0, len(r.errors)-n):], " | ")
}

// logged is how many lines of the log speak of something.
func (r *rig) logged(what string) int {
	text, err := os.ReadFile(r.log)
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte(what))
}

// scan looks for secrets.
func (r *rig) scan(where string, text []byte) {
	for _, s := range r.b.secrets() {
		if i := bytes.Index(text, []byte(s)); i >= 0 {
			r.b.violate(leak, "%s holds a secret: %s", where, bytes.ReplaceAll(text[max(0, i-80):min(len(text), i+10)], []byte(s[:min(len(s), 10)]), []byte("…")))
			return
		}
	}
}

// guarded is what several goroutines of a rig touch.
type guarded struct {
	mu      sync.Mutex
	process *relay
	errors  []string
}
