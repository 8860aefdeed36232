// Command load measures the relay beside programs that do less: a pass-through
// that keeps nothing, and naive relays that keep one JetStream message for each
// webhook. It builds the relay as it is shipped, sends the same bytes to all of
// them, plays GitLab and the chat itself, and judges ratios within one run.
//
// It owns no assertion about what a message says or what survives a crash; the
// tests do that. Figures of different runs, or of different machines, must not
// be compared.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

const usage = `usage: load [bench|short|steady|growth|start|compare] [flags]

bench   the whole table: closed on delivery, latency at fixed rates, start
short   the relay, the pass-through and the synced naive relay, best of three;
        fails below the gates. For CI: less than two minutes
steady  ten minutes at saturation, each event with a key and to two addresses;
        fails if the last minute brings much less than the first. With -slice 6s
        and -repeats-size 2MiB it takes one minute, for CI
growth  what an event costs with more addresses, routes, history and backlog
start   binary size, and how long the relay takes to be ready
compare the relay with another binary of it (-baseline), and the pass-through

flags:`

// settings are the flags of all commands.
type settings struct {
	rounds   int
	window   time.Duration
	dir      string // where the stores are; must be on the disk that is measured
	root     string // of the module
	write    string // Markdown file to write the results into, or ""
	only     string // for one contender or one table; "" for all
	profile  string // where to write CPU profiles of the relay, or ""
	quick    bool   // growth, start: a tenth of the sizes
	baseline string // binary of another relay

	slices  int           // steady: how many are measured, one after the other
	slice   time.Duration // steady: how long each is
	repeats string        // steady: the relay's --repeats-size, or ""
	least   float64       // steady: how much of what the first slice brings the last one has to
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "load:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	command := "bench"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	if command == contenderCommand {
		return runContender(ctx, args)
	}
	var s settings
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(flags.Output(), usage); flags.PrintDefaults() }
	flags.IntVar(&s.rounds, "rounds", 5, "how often each contender runs, in turn")
	flags.DurationVar(&s.window, "window", 3*time.Second, "how long each is measured in a round")
	flags.StringVar(&s.dir, "dir", os.TempDir(), "where the stores are: on the disk that is to be measured")
	flags.StringVar(&s.root, "root", ".", "the module's root")
	flags.StringVar(&s.write, "write", "", "Markdown file whose tables are replaced by these")
	flags.StringVar(&s.only, "only", "", "one contender beside the relay, or one table, by name")
	flags.StringVar(&s.profile, "profile", "", "directory for CPU and heap profiles of the relay, which is built with them")
	flags.BoolVar(&s.quick, "quick", false, "growth and start with a tenth of the sizes")
	flags.StringVar(&s.baseline, "baseline", "", "compare: the binary of another relay")
	flags.IntVar(&s.slices, "slices", 10, "steady: how many slices of time are measured, one after the other")
	flags.DurationVar(&s.slice, "slice", time.Minute, "steady: how long a slice is")
	flags.StringVar(&s.repeats, "repeats-size", "", "steady: memory of the relay's window of repeats; empty: its default")
	flags.Float64Var(&s.least, "least", 0.9, "steady: how much of what the first slice brings the last one has to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	switch command {
	case "bench":
		return b.table(ctx)
	case "short":
		return b.short(ctx)
	case "steady":
		return b.steady(ctx)
	case "growth":
		return b.growth(ctx)
	case "start":
		return b.start(ctx)
	case "compare":
		return b.compare(ctx)
	}
	flags.Usage()
	return fmt.Errorf("no such command: %s", command)
}
