package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// point is one size and what an event cost there.
type point struct {
	size      float64
	cpu       float64 // µs an event
	perSecond float64
	ready     time.Duration
	drained   time.Duration
	most      int64 // RSS, bytes
}

// growth measures what an event costs with more of everything.
func (b *bench) growth(ctx context.Context) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n\n`go run ./test/load growth -rounds %d -window %s`. The exponent is that of what one event costs (or of the time to drain): 0 says that it stays the same, 1 that it grows with the number; the whole is linear while it is below 1 (for the backlog: at 1).\n", machine(b.dir), b.rounds, b.window)
	for _, t := range []struct {
		name, unit string
		f          func(context.Context) ([]point, error)
	}{
		{"addresses", "addresses, of 1,000 routes", b.growAddresses},
		{"routes", "routes", b.growRoutes},
		{"history", "MB of history", b.growHistory},
		{"backlog", "parked deliveries", b.growBacklog},
	} {
		if b.only != "" && b.only != t.name {
			continue
		}
		points, err := t.f(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		out.WriteString(growthTable(t.unit, points))
	}
	return b.print("growth", out.String())
}

func growthTable(unit string, points []point) string {
	var out strings.Builder
	var x, y []float64
	if points[0].drained > 0 {
		fmt.Fprintf(&out, "\n| %s | start to ready | drained after | µs each | RSS max MB |\n|---|---|---|---|---|\n", unit)
	} else {
		fmt.Fprintf(&out, "\n| %s | CPU µs per event | delivered/s | start to ready | RSS max MB |\n|---|---|---|---|---|\n", unit)
	}
	for _, p := range points {
		x = append(x, p.size)
		ready := fmt.Sprintf("%.0f ms", p.ready.Seconds()*1e3)
		if p.drained > 0 {
			y = append(y, p.drained.Seconds())
			fmt.Fprintf(&out, "| %.0f | %s | %.1f s | %.0f | %d |\n", p.size, ready, p.drained.Seconds(), p.drained.Seconds()*1e6/p.size, p.most>>20)
			continue
		}
		y = append(y, p.cpu)
		fmt.Fprintf(&out, "| %.0f | %.0f | %.0f | %s | %d |\n", p.size, p.cpu, p.perSecond, ready, p.most>>20)
	}
	fmt.Fprintf(&out, "\nexponent %.2f\n", exponent(x, y))
	return out.String()
}

// few is how many events may be on their way while growth is measured, so that
// one address takes them all as well as a thousand.
const few = connections

// cost measures a relay of the setup, the median of the rounds.
func (b *bench) cost(ctx context.Context, dir func() (string, error), s setup, size float64) (point, error) {
	var cpu, rate []float64
	p := point{size: size}
	for range b.rounds {
		d, err := dir()
		if err != nil {
			return p, err
		}
		if err := b.costOnce(ctx, d, s, &p, &cpu, &rate); err != nil {
			return p, err
		}
	}
	p.cpu, p.perSecond = median(cpu), median(rate)
	fmt.Fprintf(os.Stderr, "%.0f: %.0f µs CPU, %.0f/s\n", p.size, p.cpu, p.perSecond)
	return p, nil
}

func (b *bench) costOnce(ctx context.Context, dir string, s setup, p *point, cpu, rate *[]float64) error {
	b.sink.latency.Store(0)
	run := b.sink.begin(maxEvents, few)
	relay, err := b.startRelay(ctx, b.binary, dir, s.yaml(b.sink.url()))
	if err != nil {
		return err
	}
	defer relay.stop()
	var one sample
	if err := b.drive(ctx, run, relay, scenario{mix: "merge requests", projects: s.addresses, series: b.next()}, &one); err != nil {
		return fmt.Errorf("%w\n%s", err, tailOf(relay.log))
	}
	_, most, err := relay.memory()
	p.ready, p.most = relay.ready, max(p.most, most)
	*cpu, *rate = append(*cpu, one.cpu), append(*rate, one.perSecond)
	return err
}

// fresh gives an empty directory each time.
func (b *bench) fresh() (string, error) { return os.MkdirTemp(b.dir, "grow-") }

func (b *bench) growAddresses(ctx context.Context) ([]point, error) {
	var points []point
	for _, n := range []int{1, 10, 100, 1000} {
		p, err := b.cost(ctx, b.fresh, setup{addresses: n, concurrency: connections, more: 1000 - n}, float64(n))
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

func (b *bench) growRoutes(ctx context.Context) ([]point, error) {
	var points []point
	for _, n := range []int{1, 100, 1000} {
		p, err := b.cost(ctx, b.fresh, setup{addresses: 1, concurrency: connections, lone: true, more: n - 1}, float64(n))
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

func (b *bench) growHistory(ctx context.Context) ([]point, error) {
	b.room = twiceThat
	defer func() { b.room = "" }()
	dir, err := b.fresh()
	if err != nil {
		return nil, err
	}
	s := setup{addresses: addresses}
	h := &history{b: b, dir: dir, yaml: s.yaml(b.sink.url())}
	var points []point
	for _, n := range []int64{1, 10, 100, 1000} {
		if b.quick && n > 100 {
			break
		}
		if err := h.grow(ctx, n<<20); err != nil {
			return nil, err
		}
		p, err := b.cost(ctx, func() (string, error) { return dir, nil }, s, float64(n))
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

// growBacklog takes the sizes in turn, so that a disk that drifts does so for all.
func (b *bench) growBacklog(ctx context.Context) ([]point, error) {
	sizes := []int{10_000, 30_000, 100_000}
	if b.quick {
		sizes = []int{1_000, 3_000, 10_000}
	}
	points := make([]point, len(sizes))
	ready, drained := make([][]float64, len(sizes)), make([][]float64, len(sizes))
	for range b.rounds {
		for i, n := range sizes {
			p, err := b.backlog(ctx, n)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "%d parked: ready after %s, drained after %s\n", n, p.ready, p.drained)
			ready[i], drained[i] = append(ready[i], float64(p.ready)), append(drained[i], float64(p.drained))
			points[i] = point{
				size: p.size, most: max(points[i].most, p.most),
				ready: time.Duration(median(ready[i])), drained: time.Duration(median(drained[i])),
			}
		}
	}
	return points, nil
}

// backlog sends while the chat is down, restarts the relay, and lets the chat
// come back.
func (b *bench) backlog(ctx context.Context, n int) (point, error) {
	dir, err := b.fresh()
	if err != nil {
		return point{}, err
	}
	defer os.RemoveAll(dir)
	yaml := setup{addresses: addresses}.yaml(b.sink.url())
	run := b.sink.begin(n, 0)
	b.sink.latency.Store(0)
	b.sink.down.Store(true)
	defer b.sink.down.Store(false)
	p, err := b.startRelay(ctx, b.binary, dir, yaml)
	if err != nil {
		return point{}, err
	}
	defer p.kill()
	bodies, err := newPost(onlyMergeRequests, addresses)
	if err != nil {
		return point{}, err
	}
	s := &sender{address: p.address, post: bodies, sink: b.sink, run: run, sent: make([]int64, n)}
	if err := s.count(n); err != nil {
		return point{}, fmt.Errorf("%w\n%s", err, tailOf(p.log))
	}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		parked, err := p.metric("relay_deliveries_parked_total")
		if err != nil {
			return point{}, err
		}
		if parked >= float64(n) {
			break
		}
		if time.Since(begin) > patience {
			return point{}, fmt.Errorf("%d events were accepted and %.0f parked", n, parked)
		}
	}
	p.stop()
	b.sink.down.Store(false)
	begin := time.Now()
	again, err := b.startRelay(ctx, b.binary, dir, yaml)
	if err != nil {
		return point{}, err
	}
	defer again.stop()
	if err := s.drained(ctx); err != nil {
		return point{}, fmt.Errorf("%w\n%s", err, tailOf(again.log))
	}
	out := point{size: float64(n), ready: again.ready, drained: time.Since(begin)}
	_, out.most, err = again.memory()
	return out, err
}

// metric is the sum of a metric's values over all its labels.
func (p *process) metric(name string) (sum float64, err error) {
	resp, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("read the metrics: %w", err)
		}
		sum += v
	}
	return sum, nil
}
