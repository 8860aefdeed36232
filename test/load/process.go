package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of processor time in /proc/PID/stat: USER_HZ, which Linux
// fixes at 100 for everything outside the kernel.
const tick = 10 * time.Millisecond

// patience is how long anything may take that should take a moment.
const patience = 2 * time.Minute

// process is a contender that runs.
type process struct {
	cmd     *exec.Cmd
	address string // that GitLab sends to
	admin   string // of the relay
	ready   time.Duration
	ended   chan struct{}
	log     string // path of what it prints
}

// spawn starts a program and waits until it is ready, which it is asked every
// millisecond.
func spawn(ctx context.Context, cmd *exec.Cmd, log string, ready func() bool) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	p := &process{cmd: cmd, ended: make(chan struct{}), log: log}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	go func() { _ = cmd.Wait(); close(p.ended) }()
	for !ready() {
		select {
		case <-p.ended:
			return nil, fmt.Errorf("%s ended before it was ready: %s", filepath.Base(cmd.Path), tailOf(log))
		case <-ctx.Done():
			p.kill()
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
		if time.Since(begin) > patience {
			p.kill()
			return nil, fmt.Errorf("%s is not ready after %s: %s", filepath.Base(cmd.Path), patience, tailOf(log))
		}
	}
	p.ready = time.Since(begin)
	return p, nil
}

func tailOf(log string) string {
	b, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// stop ends it in good order.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	select {
	case <-p.ended:
	case <-time.After(patience / 4):
		p.kill()
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// cpu is the processor time that it has used.
func (p *process) cpu() (time.Duration, error) {
	stat, err := p.proc("stat")
	if err != nil {
		return 0, err
	}
	// The second field is the name in brackets, which may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the processor time: /proc/PID/stat has %d fields", len(fields))
	}
	var sum time.Duration
	for _, f := range fields[11:13] { // utime, stime: proc_pid_stat(5), fields 14 and 15
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the processor time: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// memory is what it has in memory now and had at most, in bytes.
func (p *process) memory() (now, most int64, err error) {
	status, err := p.proc("status")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &now, "VmHWM": &most}[name]
		if into == nil {
			continue
		}
		n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read the memory: %w", err)
		}
		*into = n << 10
	}
	return now, most, nil
}

func (p *process) proc(file string) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		return "", fmt.Errorf("look at the process: %w", err)
	}
	return string(bytes.TrimSpace(b)), nil
}

// freeAddress is one that nothing listens on at this moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// listens tells whether something accepts connections there.
func listens(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// answers200 tells whether a GET is answered 200.
func answers200(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
