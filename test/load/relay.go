package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// shipped is how the binary is built that is shipped; see the Dockerfile.
var shipped = []string{"build", "-trimpath", "-buildvcs=false", "-tags", "nomsgpack", "-ldflags", "-s -w -X main.version=load"}

// buildRelay builds the relay as it is shipped; with profiles it is the same
// code with one more listener, for pprof.
func (b *bench) buildRelay(ctx context.Context) error {
	b.binary = filepath.Join(b.dir, "relay")
	args := append(append([]string{}, shipped...), "-o", b.binary, "./cmd/relay")
	if b.profile != "" {
		args[4] = "nomsgpack,profile"
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the relay: %w\n%s", err, out)
	}
	return nil
}

// setup is what a relay.yaml says.
type setup struct {
	addresses   int  // one route to each
	concurrency int  // of the one destination; 0: the default
	lone        bool // a single address has one route
	more        int  // routes that take none of the events, before the others
	twice       bool // each of several addresses has a second one beside it
}

// yaml writes it. A route names its addresses outright, so that each address
// has one; a single address has two routes, as a small installation, or one.
func (s setup) yaml(url string) string {
	var y strings.Builder
	y.WriteString("sources: {gitlab: {token: \"${LOAD_TOKEN}\"}}\n")
	fmt.Fprintf(&y, "destinations:\n  chat:\n    url: %s\n    channel: town-square\n", url)
	if s.concurrency > 0 {
		fmt.Fprintf(&y, "    concurrency: %d\n", s.concurrency)
	}
	y.WriteString("routes:\n")
	for i := range s.more {
		fmt.Fprintf(&y, "  - {name: other %d, when: {projects: other/p%04d/**, target_branches: main}, to: \"chat#o%04d\"}\n", i, i, i)
	}
	if s.addresses == 1 {
		y.WriteString("  - {name: Changes, when: {events: [merge_request, push, note]}, to: chat}\n")
		if s.lone {
			return y.String()
		}
		y.WriteString("  - {name: Builds, when: {events: [pipeline.failed, job.failed]}, to: chat}\n")
		return y.String()
	}
	for i := range s.addresses {
		to := fmt.Sprintf(`"chat#c%04d"`, i)
		if s.twice {
			to = fmt.Sprintf(`["chat#c%04d", "chat#d%04d"]`, i, i)
		}
		fmt.Fprintf(&y, "  - {name: p%04d, when: {projects: %s, events: [merge_request, push, note, pipeline.failed, job.failed]}, to: %s}\n", i, project(i), to)
	}
	return y.String()
}

// startRelay starts the relay with the flags of its defaults, on a data
// directory that may hold something.
func (b *bench) startRelay(ctx context.Context, binary, dir, yaml string) (*process, error) {
	path := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		return nil, fmt.Errorf("write relay.yaml: %w", err)
	}
	public, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "--config", path, "--data", filepath.Join(dir, "data"), "--listen", public, "--admin", admin)
	cmd.Env = []string{"LOAD_TOKEN=" + token}
	if b.room != "" {
		cmd.Env = append(cmd.Env, "RELAY_EVENTS_SIZE="+b.room)
	}
	if b.repeats != "" {
		cmd.Env = append(cmd.Env, "RELAY_REPEATS_SIZE="+b.repeats)
	}
	if b.profile != "" {
		if b.pprof, err = freeAddress(); err != nil {
			return nil, err
		}
		cmd.Env = append(cmd.Env, "PPROF_LISTEN="+b.pprof)
	}
	cmd.Dir = dir
	p, err := spawn(ctx, cmd, filepath.Join(dir, "log"), func() bool { return answers200("http://" + admin + "/readyz") })
	if err != nil {
		return nil, err
	}
	p.address, p.admin = public, admin
	return p, nil
}
