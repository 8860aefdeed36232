package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// machine is what the figures were measured on.
type machine struct {
	cpu, kernel string
	memory      int64 // bytes
	sync        [2]time.Duration
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores (%s), %d GiB, %s; 8 KiB written and synced: p50 %s, p99 %s",
		runtime.NumCPU(), m.cpu, (m.memory+1<<29)>>30, m.kernel, round(m.sync[0]), round(m.sync[1]))
}

// describe looks at the machine, and how long its disk takes for a sync.
func describe(dir string) machine {
	m := machine{cpu: runtime.GOARCH, kernel: runtime.GOOS}
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	if data, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.kernel = "Linux " + strings.TrimSpace(string(data))
	}
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		m.memory = int64(info.Totalram) * int64(info.Unit)
	}
	m.sync = syncTimes(filepath.Join(dir, "sync"))
	return m
}

// treeOf names the source here, and the day.
func treeOf(ctx context.Context) string {
	day := time.Now().UTC().Format(time.DateOnly)
	commit, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return day
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", "*.go", "go.mod").Output()
	name := strings.TrimSpace(string(commit))
	if err != nil || len(changed) > 0 {
		name += " with changes"
	}
	return name + ", " + day
}

func syncTimes(path string) (times [2]time.Duration) {
	f, err := os.Create(path)
	if err != nil {
		return times
	}
	defer os.Remove(path)
	defer f.Close()
	var all []time.Duration
	for range 200 {
		begin := time.Now()
		if _, err := f.Write(make([]byte, 8<<10)); err != nil || f.Sync() != nil {
			return times
		}
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	return [2]time.Duration{quantile(all, 0.5), quantile(all, 0.99)}
}
