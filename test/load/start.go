package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// starts are how long the relay takes until it could store a webhook.
type starts struct {
	size   int64 // of the binary, bytes
	empty  []float64
	clean  []float64 // with a history, after it was stopped
	killed []float64 // after kill -9 under load
	bytes  int64     // of the history
}

// gigabyte is a history, and twiceThat the room for it: a stream that is three
// quarters full lets go of what is settled.
const (
	gigabyte  = 1000 << 20
	twiceThat = "2GiB"
)

// starts measures all of them.
func (b *bench) starts(ctx context.Context) (*starts, error) {
	s := &starts{bytes: gigabyte}
	if b.quick {
		s.bytes /= 10
	}
	info, err := os.Stat(b.binary)
	if err != nil {
		return nil, fmt.Errorf("look at the binary: %w", err)
	}
	s.size = info.Size()
	yaml := setup{addresses: addresses}.yaml(b.sink.url())
	for range b.rounds {
		dir, err := os.MkdirTemp(b.dir, "start-")
		if err != nil {
			return nil, err
		}
		p, err := b.startRelay(ctx, b.binary, dir, yaml)
		if err != nil {
			return nil, err
		}
		p.stop()
		s.empty = append(s.empty, p.ready.Seconds()*1e3)
		os.RemoveAll(dir)
	}
	b.room = twiceThat
	defer func() { b.room = "" }()
	dir, err := os.MkdirTemp(b.dir, "start-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	h := &history{b: b, dir: dir, yaml: yaml}
	if err := h.grow(ctx, s.bytes); err != nil {
		return nil, err
	}
	for range b.rounds {
		p, err := b.startRelay(ctx, b.binary, dir, yaml)
		if err != nil {
			return nil, err
		}
		s.clean = append(s.clean, p.ready.Seconds()*1e3)
		p.stop()
	}
	for range b.rounds {
		took, err := h.crash(ctx)
		if err != nil {
			return nil, err
		}
		s.killed = append(s.killed, took.Seconds()*1e3)
	}
	return s, nil
}

func (s *starts) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n### Size and start\n\n| | |\n|---|---|\n| binary, stripped | %.1f MB |\n", float64(s.size)/(1<<20))
	for _, row := range []struct {
		what string
		took []float64
	}{
		{"start to ready, empty", s.empty},
		{fmt.Sprintf("start to ready, %d MB of history, stopped in good order", s.bytes>>20), s.clean},
		{"the same after kill -9 under load", s.killed},
	} {
		t := spreadOf(row.took)
		fmt.Fprintf(&out, "| %s | %.0f ms (%.0f–%.0f) |\n", row.what, t.mid, t.low, t.high)
	}
	return out.String()
}

func (s *starts) targets() []target {
	return []target{
		atMost("binary, stripped", " MB", 40, 34, float64(s.size)/(1<<20)),
		atMost("start to ready, empty", " ms", 150, 100, median(s.empty)),
		atMost("start to ready, 1 GB of history, clean", " ms", 1000, 500, median(s.clean)),
		atMost("start to ready, 1 GB of history, after kill -9", " ms", 3000, 2000, median(s.killed)),
	}
}

func (b *bench) start(ctx context.Context) error {
	s, err := b.starts(ctx)
	if err != nil {
		return err
	}
	return b.print("start", machine(b.dir)+"\n"+s.String()+"\n"+targetTable(s.targets()))
}

// history is a store that grows.
type history struct {
	b    *bench
	dir  string
	yaml string
}

// large is a webhook that does not compress, as a description full of hashes:
// a history of so many bytes is there soon.
var large = kind{"merge_request.open", "Limit requests per client", 32 << 10, true}

// grow fills RELAY_EVENTS up to so many bytes on disk.
func (h *history) grow(ctx context.Context, bytes int64) error {
	return h.with(ctx, func(p *process, s *sender) error {
		for {
			size, err := h.size()
			if err != nil || size >= bytes {
				return err
			}
			n := max(min(int((bytes-size)/int64(large.size)), 2000), 1)
			if err := s.count(n); err != nil {
				return err
			}
			if err := s.drained(ctx); err != nil {
				return err
			}
		}
	})
}

// size is how many bytes the stream takes on disk.
func (h *history) size() (sum int64, err error) {
	files, err := filepath.Glob(filepath.Join(h.dir, "data", "jetstream", "*", "streams", "RELAY_EVENTS", "msgs", "*.blk"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += info.Size()
		}
	}
	return sum, err
}

// with starts the relay, sends large webhooks to it and stops it.
func (h *history) with(ctx context.Context, f func(*process, *sender) error) error {
	h.b.sink.latency.Store(0)
	run := h.b.sink.begin(maxEvents, 0)
	p, err := h.b.startRelay(ctx, h.b.binary, h.dir, h.yaml)
	if err != nil {
		return err
	}
	defer p.stop()
	bodies, err := newPost([]kind{large}, addresses)
	if err != nil {
		return err
	}
	bodies.series = h.b.next()
	for _, l := range bodies.kinds {
		l.scatter()
	}
	return f(p, &sender{address: p.address, post: bodies, sink: h.b.sink, run: run, sent: make([]int64, maxEvents)})
}

// crash loads the relay, kills it, and tells how long it then takes to be
// ready.
func (h *history) crash(ctx context.Context) (time.Duration, error) {
	err := h.with(ctx, func(p *process, s *sender) error {
		time.AfterFunc(time.Second, p.kill)
		_, err := s.closed(ctx)
		select {
		case <-p.ended:
			return nil // what was under way failed, as it should
		case <-time.After(2 * time.Second):
			return fmt.Errorf("the relay was killed and goes on: %w", err)
		}
	})
	if err != nil {
		return 0, err
	}
	p, err := h.b.startRelay(ctx, h.b.binary, h.dir, h.yaml)
	if err != nil {
		return 0, err
	}
	p.stop()
	return p.ready, nil
}
