//go:build failpoints

package queue

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// HasFailpoints tells whether this relay was built with failpoints.
const HasFailpoints = true

// failpoint is the one that this process dies at.
var failpoint = armed(os.Getenv("RELAY_FAILPOINT"))

// fuse is a failpoint that burns down.
type fuse struct {
	name string
	hang bool
	left atomic.Int64 // passings
}

// armed reads RELAY_FAILPOINT. A name that is none ends the process: a test that
// waits for a kill would otherwise wait for ever.
func armed(setting string) *fuse {
	place, hang := strings.CutSuffix(setting, ":hang")
	name, count, counted := strings.Cut(place, ":")
	n := 1
	if counted {
		var err error
		if n, err = strconv.Atoi(count); err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "RELAY_FAILPOINT=%q: want name:n or name:n:hang\n", setting)
			os.Exit(2)
		}
	}
	if setting != "" && !slices.Contains(Failpoints, name) {
		fmt.Fprintf(os.Stderr, "RELAY_FAILPOINT=%q: the failpoints are %s\n", setting, strings.Join(Failpoints, ", "))
		os.Exit(2)
	}
	f := &fuse{name: name, hang: hang}
	f.left.Store(int64(n))
	return f
}

// Failpoint kills this process, or does not return, when RELAY_FAILPOINT says so.
func Failpoint(name string) {
	if name == failpoint.name && failpoint.left.Add(-1) == 0 {
		if !failpoint.hang {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		select {} // the signal comes when it comes; nothing more is done here
	}
}
