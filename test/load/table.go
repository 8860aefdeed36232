package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// all are the contenders of the closed scenarios, in the order of the table.
var all = []contender{relayMany, relayOne, passThrough, ceiling, naiveSynced, naiveLoose, plainSynced, plainLoose}

// paced are those whose latency is looked at, with what GitLab waits for and
// what people wait for.
var paced = []contender{relayMany, passThrough, naiveSynced, naiveLoose}

const addresses = 256

var closedScenarios = []scenario{
	{name: "6 KB merge request, chat answers at once", mix: "merge requests", projects: addresses},
	{name: "mix of push, note, merge request, pipeline and job, chat answers at once", mix: "mix", projects: addresses},
	{name: "6 KB merge request, chat takes 20 ms", mix: "merge requests", projects: addresses, latency: 20 * time.Millisecond},
	{name: "mix, chat takes 20 ms", mix: "mix", projects: addresses, latency: 20 * time.Millisecond},
}

func pacedScenario(rate int) scenario {
	return scenario{name: fmt.Sprintf("%d events/s", rate), mix: "merge requests", projects: addresses, rate: rate}
}

// table measures everything and judges it.
func (b *bench) table(ctx context.Context) error {
	var out strings.Builder
	var judged []target
	fmt.Fprintf(&out, "%s\n\n", machine(b.dir))
	fmt.Fprintf(&out, "`go run ./test/load bench -rounds %d -window %s`: each figure is the median of %d rounds, in brackets the least and the most.\n", b.rounds, b.window, b.rounds)
	for i, load := range closedScenarios {
		r, err := b.interleaved(ctx, load, all)
		if err != nil {
			return err
		}
		t := closedTable(r)
		fmt.Fprint(os.Stderr, t)
		out.WriteString(t)
		if i == 0 {
			judged = saturation(r)
		}
	}
	out.WriteString("\n### Latency at a fixed rate\n\n6 KB merge request, chat answers at once; an event counts from when it was due.\n\n")
	out.WriteString("| events/s | contender | accept p50 / p99 / p99.9 ms | event to chat p50 / p99 ms | in raw fsyncs p50 / p99 | syncs per event | CPU µs per event |\n|---|---|---|---|---|---|---|\n")
	for _, rate := range []int{20, 100, 400} {
		r, err := b.interleaved(ctx, pacedScenario(rate), paced)
		if err != nil {
			return err
		}
		t := pacedRows(r)
		fmt.Fprint(os.Stderr, t)
		out.WriteString(t)
		if rate == 100 {
			judged = append(judged, atRate(r)...)
		}
	}
	s, err := b.starts(ctx)
	if err != nil {
		return err
	}
	out.WriteString(s.String())
	judged = append(judged, s.targets()...)
	return b.print("bench", targetTable(judged)+"\n"+out.String()+legend())
}

func targetTable(all []target) string {
	var out strings.Builder
	out.WriteString("### Targets\n\n| target | must | stretch | measured | |\n|---|---|---|---|---|\n")
	for _, t := range all {
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", t.what, t.limit(t.must), t.limit(t.stretch), t.measured(), t.verdict())
	}
	return out.String()
}

func closedTable(r *results) string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n### %s\n\nraw fsync of this run: p50 %s ms, p99 %s ms\n\n", r.name, figure(r.disk(0.5)), figure(r.disk(0.99)))
	out.WriteString("| contender | delivered/s | relay ÷ it | accept p50 / p99 / p99.9 ms | event to chat p50 / p99 ms | in raw fsyncs | CPU µs per event | RSS idle / max MB | syncs per event |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range r.contenders {
		rate, ratio := spreadOf(r.each(c, perSecond)), spreadOf(r.ratios(relayMany, c))
		fmt.Fprintf(&out, "| %s | %.0f (%.0f–%.0f) | %s (%s–%s) | %s | %s | %s | %s | %.0f / %.0f | %s |\n",
			c.name, rate.mid, rate.low, rate.high, figure(ratio.mid), figure(ratio.low), figure(ratio.high),
			r.quantiles(c, accepts, 1, 0.5, 0.99, 0.999), r.quantiles(c, deliveries, 1, 0.5, 0.99), r.inSyncs(c),
			figure(median(r.each(c, func(s sample) float64 { return s.cpu }))),
			median(r.each(c, func(s sample) float64 { return float64(s.idle) / (1 << 20) })),
			median(r.each(c, func(s sample) float64 { return float64(s.most) / (1 << 20) })),
			r.syncsOf(c))
	}
	return out.String()
}

func pacedRows(r *results) string {
	var out strings.Builder
	for _, c := range r.contenders {
		fmt.Fprintf(&out, "| %d | %s | %s | %s | %s | %s | %s |\n", r.rate, c.name,
			r.quantiles(c, accepts, 1, 0.5, 0.99, 0.999), r.quantiles(c, deliveries, 1, 0.5, 0.99), r.inSyncs(c), r.syncsOf(c),
			figure(median(r.each(c, func(s sample) float64 { return s.cpu }))))
	}
	return out.String()
}

// quantiles are some of a contender's, divided by a unit in ms.
func (r *results) quantiles(c contender, f func(sample) []int64, unit float64, qs ...float64) string {
	var words []string
	for _, q := range qs {
		v := r.quantileOf(c, q, f)
		if v == 0 {
			v = math.NaN() // it has none
		}
		words = append(words, figure(v/unit))
	}
	return strings.Join(words, " / ")
}

func (r *results) inSyncs(c contender) string {
	return r.quantiles(c, deliveries, r.disk(0.5), 0.5) + " / " + r.quantiles(c, deliveries, r.disk(0.99), 0.99)
}

func (r *results) syncsOf(c contender) string {
	if v := median(r.each(c, func(s sample) float64 { return s.syncs })); v > 0 {
		return figure(v)
	}
	return "0"
}

func legend() string {
	var out strings.Builder
	out.WriteString("\n### Contenders\n\n")
	for _, c := range all {
		fmt.Fprintf(&out, "- **%s**: %s\n", c.name, c.what)
	}
	return out.String()
}

// short is for CI: the best of its rounds has to pass gates that leave room for
// a busy machine.
func (b *bench) short(ctx context.Context) error {
	b.rounds, b.window = 3, 2*time.Second
	r, err := b.interleaved(ctx, closedScenarios[0], []contender{relayMany, passThrough, naiveSynced})
	if err != nil {
		return err
	}
	fmt.Print(closedTable(r))
	for _, gate := range []struct {
		against contender
		least   float64
	}{{passThrough, 0.30}, {naiveSynced, 2.5}} {
		best := slices.Max(r.ratios(relayMany, gate.against))
		fmt.Printf("\nagainst %s: %s×, at least %s×\n", gate.against.name, figure(best), figure(gate.least))
		if best < gate.least {
			return fmt.Errorf("the relay delivers %s times what %s does, best of %d; want at least %s", figure(best), gate.against.name, b.rounds, figure(gate.least))
		}
	}
	return nil
}

// compare measures a change: the relay beside another binary of it. Both run at
// the same time, so that whatever disturbs the machine disturbs them alike; what
// counts is the processor time of an event, not how many there were.
func (b *bench) compare(ctx context.Context) error {
	other := &bench{settings: b.settings, dir: b.dir, binary: b.binary}
	var err error
	if other.sink, err = newSink(); err != nil {
		return err
	}
	defer other.sink.close()
	var now, before, ratio []float64
	for range b.rounds {
		type measured struct {
			sample
			err error
		}
		second := make(chan measured, 1)
		go func() {
			s, err := other.measure(ctx, relayBefore, closedScenarios[0])
			second <- measured{s, err}
		}()
		s, err := b.measure(ctx, relayMany, closedScenarios[0])
		o := <-second
		if err = cmp.Or(err, o.err); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "now %.0f µs, %.0f/s, %.3f syncs · before %.0f µs, %.0f/s, %.3f syncs\n", s.cpu, s.perSecond, s.syncs, o.cpu, o.perSecond, o.syncs)
		now, before, ratio = append(now, s.cpu), append(before, o.cpu), append(ratio, s.cpu/o.cpu)
	}
	r := spreadOf(ratio)
	fmt.Printf("CPU per event: %.0f µs, before %.0f µs: %s times (%s–%s)\n", median(now), median(before), figure(r.mid), figure(r.low), figure(r.high))
	return nil
}
