package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// scenario is one way to break things.
type scenario struct {
	name   string
	what   string // for docs/RELIABILITY.md
	ci     int    // how often
	full   int
	memory int64 // bytes at most, where more than maxMemory are allowed
	run    func(ctx context.Context, b *bench) error
}

// scenarios in the order in which they run and are reported.
var scenarios = []scenario{
	killRandom, killFailpoint, powerCut, diskFull, streamsFull, shutdown, clusterFaults, destinations, allDead, badRequests, standsStill, chats, damagedStore, upgrade, hostile, reloads, memory, soak,
}

// maxMemory is the most that a relay may take, in bytes; largeMemory where bodies of
// 25 MB come.
const maxMemory, largeMemory = 256 << 20, 512 << 20

// bench is one run of a scenario: what it is given, and what it found.
type bench struct {
	scenario
	settings
	count  int
	random dice
	dir    string
	out    io.Writer
	made   atomic.Int64 // rigs
	rigs   []*rig

	mu         sync.Mutex
	hidden     []string // secrets that must not show
	figures    []figure
	times      []timing
	skipped    string
	violations []violation
	most       int64 // memory, in bytes
}

// figure is something that was counted.
type figure struct {
	name string
	n    int
}

// errSkip is returned by a scenario that cannot be run here.
var errSkip = errors.New("skipped")

// result is what a scenario found.
type result struct {
	scenario
	seed       uint64
	figures    []figure
	times      []timing
	skipped    string
	violations []violation
	most       int64
	took       time.Duration
	tree       string // which source the relay was built of, and the day
}

func runOne(ctx context.Context, s settings, sc scenario, root string, out io.Writer) result {
	h := fnv.New64a()
	h.Write([]byte(sc.name))
	b := &bench{scenario: sc, settings: s, count: sc.ci, random: roll(s.seed, h.Sum64()), dir: filepath.Join(root, sc.name), out: out}
	if s.full {
		b.count = sc.full
	}
	if s.count > 0 {
		b.count = s.count
	}
	begin := time.Now()
	b.printf("%s", sc.what)
	err := sc.run(ctx, b)
	for _, r := range b.rigs {
		r.close()
	}
	switch {
	case errors.Is(err, errSkip):
		b.skipped = err.Error()
		b.printf("%s", b.skipped)
	case err != nil && ctx.Err() == nil:
		b.violate(crash, "the scenario could not be run: %v", err)
	}
	if most := max(sc.memory, maxMemory); b.most > most {
		b.violate(growth, "the relay took %d MiB, at most %d are allowed", b.most>>20, most>>20)
	}
	took := time.Since(begin)
	r := result{sc, s.seed, b.figures, b.times, b.skipped, b.violations, b.most, took, s.tree}
	r.scenario.ci = b.count
	b.summary(r)
	if len(b.violations) == 0 && !s.keep {
		_ = os.RemoveAll(b.dir) // the whole is removed at the end anyway
	}
	return r
}

// summary prints what was found.
func (b *bench) summary(r result) {
	b.printf("%s", r.counts())
	if len(r.times) > 0 {
		b.printf("%s", r.timings())
	}
	word := "ok"
	if len(r.violations) > 0 {
		word = fmt.Sprintf("FAILED with %d violations", len(r.violations))
	}
	b.printf("%s; at most %d MiB; %s", word, r.most>>20, r.took.Round(100*time.Millisecond))
}

// counts are the figures in one line.
func (r result) counts() string {
	var parts []string
	for _, f := range r.figures {
		parts = append(parts, fmt.Sprintf("%s %s", f.name, thousands(f.n)))
	}
	return strings.Join(parts, " · ")
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (b *bench) printf(format string, args ...any) {
	fmt.Fprintf(b.out, "%-14s %s\n", b.name+":", fmt.Sprintf(format, args...))
}

// violate notes that an invariant does not hold. The first ones of each kind
// are printed.
func (b *bench) violate(kind, format string, args ...any) {
	v := violation{kind, fmt.Sprintf(format, args...)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.violations = append(b.violations, v)
	same := 0
	for _, o := range b.violations {
		if o.kind == kind {
			same++
		}
	}
	if same <= 10 {
		b.printf("VIOLATION %s", v)
	}
}

// add counts.
func (b *bench) add(name string, n int) {
	b.note(name, func(was int) int { return was + n })
}

// peak keeps the highest of what is said under a name.
func (b *bench) peak(name string, n int) {
	b.note(name, func(was int) int { return max(was, n) })
}

// note changes what stands under a name; at first that is 0.
func (b *bench) note(name string, change func(int) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.figures, func(f figure) bool { return f.name == name })
	if i < 0 {
		i, b.figures = len(b.figures), append(b.figures, figure{name: name})
	}
	b.figures[i].n = change(b.figures[i].n)
}

// timing is something that was timed: the longest of all times under its name.
type timing struct {
	name          string
	n             int // how often
	worst, target time.Duration
	value         string // in place of a time: a rate, or several figures
}

// label is the name, with the number of times that it stands for.
func (t timing) label() string {
	if t.n > 1 {
		return fmt.Sprintf("%s, longest of %d", t.name, t.n)
	}
	return t.name
}

func (t timing) text() string {
	if t.value != "" {
		return t.value
	}
	return round(t.worst).String()
}

// goal is the target, or nothing.
func (t timing) goal() string {
	if t.target == 0 {
		return ""
	}
	return t.target.String()
}

// timings are all times in one line.
func (r result) timings() string {
	var parts []string
	for _, t := range r.times {
		part := t.label() + " " + t.text()
		if t.target > 0 {
			part += fmt.Sprintf(" (target %s)", t.target)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " · ")
}

// slack is how many times its target a time may take before it is a violation:
// the machines that this runs on are busy.
const slack = 5

// time notes how long something took. With a target it may not take more than
// slack times that.
func (b *bench) time(name string, took, target time.Duration) {
	b.mu.Lock()
	i := slices.IndexFunc(b.times, func(t timing) bool { return t.name == name })
	if i < 0 {
		i, b.times = len(b.times), append(b.times, timing{name: name, target: target})
	}
	b.times[i].n++
	b.times[i].worst = max(b.times[i].worst, took)
	b.mu.Unlock()
	if target > 0 && took > slack*target {
		b.violate(untrue, "%s took %s, the target is %s", name, round(took), target)
	}
}

// measure notes a figure that is no time and no count.
func (b *bench) measure(name, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.times = append(b.times, timing{name: name, value: fmt.Sprintf(format, args...)})
}

// round keeps the digits that mean something.
func round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 100*time.Millisecond:
		return d.Round(time.Millisecond)
	default:
		return d.Round(10 * time.Microsecond)
	}
}

// spread notes the middle and the end of times.
func (b *bench) spread(name string, all []time.Duration, target time.Duration) {
	slices.Sort(all)
	b.time(name+", p50", quantile(all, 0.5), 0)
	b.time(name+", p99", quantile(all, 0.99), target)
}

func (b *bench) memory(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.most = max(b.most, bytes)
}

// secret makes a word that must not show anywhere.
func (b *bench) secret(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := fmt.Sprintf("kanarie%016x%s", b.random.Uint64(), name)
	b.hidden = append(b.hidden, s)
	return s
}

func (b *bench) secrets() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hidden
}

// dice is a source of random numbers for many goroutines.
type dice struct {
	mu     *sync.Mutex
	random *rand.Rand
}

func roll(seed, stream uint64) dice { return dice{&sync.Mutex{}, rand.New(rand.NewPCG(seed, stream))} }

// IntN is a number from 0 to n-1.
func (d dice) IntN(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(n)
}

// Uint64 is any number.
func (d dice) Uint64() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.Uint64()
}

// between is a random time.
func (d dice) between(least, most time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return least + time.Duration(d.random.Int64N(int64(most-least)))
}
