package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// scenario is one way to load the contenders.
type scenario struct {
	name     string
	mix      string
	projects int
	latency  time.Duration // of the chat
	rate     int           // events a second; 0: closed
	answers  bool          // closed on the answers alone
	series   int           // see post
}

// outstanding is how many events may be on their way in a closed loop.
const outstanding = 2000

// workers is how many posts a contender may have in flight: enough for what the
// chat takes to answer.
func (s scenario) workers() int {
	if s.latency > 0 {
		return 256
	}
	return connections
}

// sample is one contender measured once.
type sample struct {
	perSecond  float64 // events delivered
	cpu        float64 // of the contender, µs an event
	accept     answers
	delivery   []int64 // from sent to the chat, ns
	idle, most int64   // RSS, bytes
	syncs      float64 // an event; NaN when nothing is synced
	events     int64
}

// measure starts a contender with an empty store, loads it and stops it. Every
// event that was answered must arrive.
func (b *bench) measure(ctx context.Context, c contender, load scenario) (sample, error) {
	s, err := b.measured(ctx, c, load)
	if err != nil {
		return sample{}, fmt.Errorf("%s, %s: %w", c.name, load.name, err)
	}
	return s, nil
}

func (b *bench) measured(ctx context.Context, c contender, load scenario) (sample, error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir)
	b.sink.latency.Store(0)
	run := b.sink.begin(maxEvents, outstanding)
	if load.answers || load.rate > 0 || c.alone {
		run.slots = nil
	}
	p, err := b.launch(ctx, c, dir, load)
	if err != nil {
		return sample{}, err
	}
	defer p.kill()
	b.sink.latency.Store(int64(load.latency))
	time.Sleep(settle)
	var s sample
	if s.idle, _, err = p.memory(); err != nil {
		return sample{}, err
	}
	profiled := b.profiles(c, load)
	if c.alone {
		err = b.watch(run, p, &s)
	} else {
		err = b.drive(ctx, run, p, load, &s)
	}
	if err == nil {
		err = profiled()
	}
	if err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, tailOf(p.log))
	}
	if _, s.most, err = p.memory(); err != nil {
		return sample{}, err
	}
	p.stop()
	if s.syncs, err = syncs(dir, c, int(run.count.Load())); err != nil {
		return sample{}, err
	}
	return s, nil
}

// settle is how long a contender is left alone before its memory is looked at.
const settle = 300 * time.Millisecond

func (b *bench) launch(ctx context.Context, c contender, dir string, load scenario) (*process, error) {
	switch c.name {
	case relayMany.name:
		return b.startRelay(ctx, b.binary, dir, setup{addresses: load.projects}.yaml(b.sink.url()))
	case relayBefore.name:
		return b.startRelay(ctx, b.baseline, dir, setup{addresses: load.projects}.yaml(b.sink.url()))
	case relayOne.name:
		return b.startRelay(ctx, b.binary, dir, setup{addresses: 1, concurrency: connections}.yaml(b.sink.url()))
	}
	return b.startContender(ctx, c, dir, load)
}

// warm is the part of a window before it is measured.
const warm = 4

// drive sends for a while without counting, then measures a window and waits
// until everything has arrived.
func (b *bench) drive(ctx context.Context, run *arrivals, p *process, load scenario, s *sample) error {
	bodies, err := newPost(mixes[load.mix], load.projects)
	if err != nil {
		return err
	}
	bodies.series = load.series
	from := &sender{address: p.address, post: bodies, sink: b.sink, run: run, sent: make([]int64, maxEvents)}
	send := func(d time.Duration) (answers, error) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		if load.rate > 0 {
			return from.paced(ctx, load.rate)
		}
		return from.closed(ctx)
	}
	if _, err := send(b.window / warm); err != nil {
		return err
	}
	if err := from.drained(ctx); err != nil {
		return err
	}
	before, err := p.cpu()
	if err != nil {
		return err
	}
	first, begin := from.next.Load(), b.sink.since()
	if s.accept, err = send(b.window); err != nil {
		return err
	}
	if err := from.drained(ctx); err != nil {
		return err
	}
	after, err := p.cpu()
	if err != nil {
		return err
	}
	s.events = from.next.Load() - first
	took := run.last.Load() - begin
	s.perSecond = float64(s.events) / (float64(took) / 1e9)
	s.cpu = float64((after - before).Microseconds()) / float64(s.events)
	for n := first; n < first+s.events; n++ {
		s.delivery = append(s.delivery, run.at[n].Load()-from.sent[n])
	}
	if repeats := run.repeats.Load(); repeats > 0 {
		return fmt.Errorf("%d events arrived twice", repeats)
	}
	return nil
}

// drained waits until everything that was answered has arrived.
func (s *sender) drained(ctx context.Context) error {
	for end := time.Now().Add(patience); s.run.count.Load() < s.next.Load()-s.refused.Load(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d events were accepted and %d have arrived", s.next.Load()-s.refused.Load(), s.run.count.Load())
		}
	}
	return nil
}

// watch measures a contender that sends by itself.
func (b *bench) watch(run *arrivals, p *process, s *sample) error {
	time.Sleep(b.window / warm)
	before, err := p.cpu()
	if err != nil {
		return err
	}
	first, begin := run.count.Load(), b.sink.since()
	time.Sleep(b.window)
	s.events = run.count.Load() - first
	s.perSecond = float64(s.events) / (float64(b.sink.since()-begin) / 1e9)
	after, err := p.cpu()
	s.cpu = float64((after - before).Microseconds()) / float64(s.events)
	return err
}

// syncs counts the messages in a contender's streams: with SyncAlways each one
// was one sync of the disk.
func syncs(dir string, c contender, events int) (float64, error) {
	if !c.isRelay() && c.name != naiveSynced.name && c.name != plainSynced.name {
		return 0, nil
	}
	s, nc, err := openStore(filepath.Join(dir, "data"), false)
	if err != nil {
		return 0, err
	}
	defer func() { nc.Close(); s.Shutdown(); s.WaitForShutdown() }()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var messages uint64
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		messages += info.State.LastSeq
	}
	if messages == 0 {
		return 0, errors.Join(errors.New("count the syncs: the store is empty"), list.Err())
	}
	return float64(messages) / float64(events), list.Err()
}
