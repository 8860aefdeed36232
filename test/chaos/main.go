// Command chaos shows what becomes of webhooks when things break: it drives the
// real relay with an open-loop load, breaks the relay, its disk and the chat
// server, and compares two ledgers that are kept outside the relay: what was
// answered 2xx, and what arrived in the chat.
//
// It owns the load, the faults, the checker and docs/RELIABILITY.md. It knows
// the relay only by its binary, its listeners and its log; the chat server is
// test/chat.
//
//	go run ./test/chaos                     the short counts, all scenarios
//	go run ./test/chaos -full               the full counts
//	go run ./test/chaos -only kill-random   some scenarios
//
// It exits with 1 when an invariant does not hold, and names the offending
// events; with 2 when it cannot be run.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gitlab-mattermost/relay/test/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// settings are what the command line says.
type settings struct {
	full    bool
	only    string
	seed    uint64
	count   int
	minutes float64 // of the soak; 0: as many as its count
	binary  string
	report  string
	keep    bool
	list    bool

	tree string // what the relay was built of, and the day
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.full, "full", false, "the full counts: hours in place of minutes")
	flags.StringVar(&s.only, "only", "", "run only these `scenarios`, with commas between")
	flags.Uint64Var(&s.seed, "seed", 1, "what is random follows from it; 0 chooses one and prints it")
	flags.IntVar(&s.count, "count", 0, "how often, in place of a scenario's own count")
	flags.Float64Var(&s.minutes, "minutes", 0, "how long the soak is, in place of 60 with -full and none without")
	flags.StringVar(&s.binary, "binary", "", "a relay built with -tags failpoints, in place of one built here")
	flags.StringVar(&s.report, "report", "docs/RELIABILITY.md", "the page that is written; empty: none")
	flags.BoolVar(&s.keep, "keep", false, "keep the logs and data of all scenarios, not only of those that fail")
	flags.BoolVar(&s.list, "list", false, "list the scenarios")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if s.list {
		for _, sc := range scenarios {
			fmt.Fprintf(stdout, "%-16s %s\n", sc.name, sc.what)
		}
		return 0
	}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	chosen, err := choose(s.only)
	if err != nil {
		fmt.Fprintln(stderr, "chaos:", err)
		return 2
	}
	ok, err := runAll(ctx, s, chosen, stdout)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "chaos:", err)
		return 2
	case !ok:
		return 1
	}
	return 0
}

// choose are the scenarios that -only names.
func choose(only string) ([]scenario, error) {
	if only == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for _, name := range strings.Split(only, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q; -list names them", name)
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

// runAll runs the scenarios one after the other: they share two cores.
func runAll(ctx context.Context, s settings, chosen []scenario, out io.Writer) (bool, error) {
	root, err := os.MkdirTemp("", "relay-chaos-")
	if err != nil {
		return false, err
	}
	if s.binary == "" {
		s.binary = filepath.Join(root, "relay")
		// As it is shipped, but for the failpoints.
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "failpoints,nomsgpack", "-ldflags", "-s -w -X main.version=v0.0.0-chaos", "-o", s.binary, "./cmd/relay")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			return false, fmt.Errorf("build the relay: %w\n%s", err, text)
		}
		s.tree = treeOf(ctx)
	} else if s.binary, err = filepath.Abs(s.binary); err != nil {
		return false, err
	} else {
		s.tree = "a binary that was given, " + time.Now().UTC().Format(time.DateOnly)
	}
	here := describe(root)
	fmt.Fprintf(out, "seed %d\n%s\n", s.seed, here)
	begin, ok := time.Now(), true
	bar := progress.New(os.Stderr, len(chosen), "scenarios")
	out = bar.Above(out)
	for i, sc := range chosen {
		r := runOne(ctx, s, sc, root, out)
		if ctx.Err() != nil {
			return false, fmt.Errorf("interrupted in %s: %d of %d scenarios were run before", sc.name, i, len(chosen))
		}
		bar.Step()
		ok = ok && len(r.violations) == 0
		if s.report != "" {
			if err := writeReport(s, here, []result{r}); err != nil {
				return false, err
			}
		}
	}
	fmt.Fprintf(out, "all of it took %s\n", time.Since(begin).Round(time.Second))
	if !ok || s.keep {
		fmt.Fprintf(out, "logs and data are in %s\n", root)
		return ok, ctx.Err()
	}
	return ok, os.RemoveAll(root)
}
