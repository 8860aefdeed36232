package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/dispatch"
	"github.com/gitlab-mattermost/relay/queue"
)

// trialWait is how long a trial may wait for the processor and for memory. What it
// takes of them is bounded in the process itself.
const trialWait = 2 * time.Minute

// The lines that `relay try` answers with.
const (
	trialReady = "ready" // the configuration is loaded
	trialLane  = "lane " // a message is about to be written; the lane as JSON
	trialDone  = "done"
)

// sandbox tries events in a process of their own: this program, started as `relay
// try`. What is tried goes there through a pipe, and the configuration is read from
// its files.
type sandbox struct {
	name string   // what the process is called
	args []string // behind that

	mu    sync.Mutex
	child *trialProcess // nil: none runs
}

// newSandbox makes one that loads what this process has loaded: files, or where they
// have mistakes the last good copies, or without any the environment.
func newSandbox(l *lastGood) *sandbox {
	s := &sandbox{name: os.Args[0], args: []string{"try"}}
	if l != nil {
		s.args = append(s.args, "--config", l.main, "--copies", l.dir)
	}
	return s
}

// trialProcess is a running `relay try`.
type trialProcess struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	words bytes.Buffer // what it says on standard error
	kill  context.CancelFunc
}

// Try implements [dispatch.Sandbox].
func (s *sandbox) Try(ctx context.Context, t *dispatch.Trial) (v dispatch.Verdict, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child == nil {
		if s.child, err = s.start(); err != nil {
			return v, fmt.Errorf("start a process to try an event in: %w", err)
		}
	}
	child, limit := s.child, time.NewTimer(trialWait)
	defer limit.Stop()
	killed := make(chan struct{})
	answered := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-limit.C:
		case <-answered:
			return
		}
		close(killed)
		child.kill()
	}()
	lane, done := child.ask(t)
	close(answered)
	if done {
		return v, nil
	}
	s.child = nil
	why := child.ended()
	select {
	case <-killed: // by us
		return v, errors.Join(fmt.Errorf("it was not done after %s", trialWait), ctx.Err())
	default:
		return dispatch.Verdict{Died: true, Lane: lane, Why: why}, nil
	}
}

// close ends the process, if one runs.
func (s *sandbox) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child != nil {
		s.child.in.Close()
		s.child.ended()
		s.child = nil
	}
}

func (s *sandbox) start() (*trialProcess, error) {
	ctx, kill := context.WithCancel(context.Background())
	c := &trialProcess{cmd: exec.CommandContext(ctx, program(), s.args...), kill: kill}
	c.cmd.Args[0] = s.name
	c.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "RELAY_FAILPOINT=") })
	c.cmd.Stderr = &firstBytes{to: &c.words, left: 4 << 10}
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		kill()
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	if !c.out.Scan() || c.out.Text() != trialReady {
		return nil, errors.New(c.ended())
	}
	return c, nil
}

// program is this program's file: on Linux the very one that runs, though another
// may have its name by now.
func program() string {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// ask has something tried. The lane is that whose message was being written when
// the process ended.
func (c *trialProcess) ask(t *dispatch.Trial) (lane queue.Lane, done bool) {
	if err := json.NewEncoder(c.in).Encode(t); err != nil {
		return lane, false // it has ended
	}
	for c.out.Scan() {
		line := c.out.Text()
		if line == trialDone {
			return lane, true
		}
		if text, ok := strings.CutPrefix(line, trialLane); ok {
			_ = json.Unmarshal([]byte(text), &lane) // it was written by this program
		}
	}
	return lane, false
}

// ended waits for the end and tells why.
func (c *trialProcess) ended() string {
	err := c.cmd.Wait()
	c.kill()
	if err == nil {
		return "it ended"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(c.words.String()), "\n")
	return strings.TrimSuffix(fmt.Sprintf("%v: %s", err, first), ": ")
}

// firstBytes keeps the beginning of what is written, and drops the rest.
type firstBytes struct {
	to   *bytes.Buffer
	left int
}

func (f *firstBytes) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	f.to.Write(p[:n])
	return len(p), nil
}
