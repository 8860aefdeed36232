package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
)

// watching is a reloader of files in a folder, which only counts what it does.
type watching struct {
	t       *testing.T
	dir     string
	reloads chan struct{}

	whileLoading func() // nil: nothing
}

// watchFiles writes files and watches some of them.
func watchFiles(t *testing.T, files map[string]string, watched ...string) *watching {
	t.Helper()
	w := &watching{t: t, dir: t.TempDir(), reloads: make(chan struct{}, 100)}
	for name, text := range files {
		w.write(name, text)
	}
	w.watch(watched...)
	return w
}

// watch begins to watch files and folders.
func (w *watching) watch(watched ...string) {
	t := w.t
	cfg := &configs.Config{}
	for _, name := range watched {
		cfg.Files = append(cfg.Files, filepath.Join(w.dir, name))
	}
	c := &configuration{Config: cfg}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	load := func() (*configuration, []configs.Finding) {
		if w.whileLoading != nil {
			w.whileLoading()
		}
		w.reloads <- struct{}{}
		return c, nil
	}
	apply := func(*configuration) error { return nil }
	reports := newReporter(nil, func(s string) string { return s }, log)
	r := newReloader(loaded{configuration: c, load: load}, apply, log, reports, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (w *watching) write(name, text string) {
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Error(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Error(err)
	}
}

// busy writes a file again and again until the test ends.
func (w *watching) busy(name string, every time.Duration) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i := 0; i < 20_000; i++ {
			w.write(name, strconv.Itoa(i))
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	w.t.Cleanup(func() { close(stop); <-stopped })
}

func (w *watching) reloaded(what string) {
	w.t.Helper()
	select {
	case <-w.reloads:
	case <-time.After(20 * time.Second):
		w.t.Fatalf("no reload after %s", what)
	}
}

// TestWatchBesideALog: a file that nobody read, which is written all the time,
// neither puts a reload off nor leads to one.
func TestWatchBesideALog(t *testing.T) {
	t.Parallel()
	w := watchFiles(t, map[string]string{"relay.yaml": "a"}, "relay.yaml")
	w.busy("relay.log", 20*time.Millisecond)
	w.write("relay.yaml", "b")
	w.reloaded("a change of relay.yaml")
	w.write("relay.yaml", "c")
	w.reloaded("a second one")
	if n := len(w.reloads); n > 0 {
		t.Errorf("%d reloads too many", n)
	}
}

// TestWatchWithoutRest: a file that is never left alone is read all the same.
func TestWatchWithoutRest(t *testing.T) {
	t.Parallel()
	w := watchFiles(t, map[string]string{"relay.yaml": "a"}, "relay.yaml")
	w.busy("relay.yaml", 20*time.Millisecond)
	w.reloaded("many changes of relay.yaml")
}

// TestWatchLinks: as Kubernetes changes files, by turning a link two links away;
// and templates, in a folder and as links.
func TestWatchLinks(t *testing.T) {
	t.Parallel()
	w := &watching{t: t, dir: t.TempDir(), reloads: make(chan struct{}, 100)}
	for name, text := range map[string]string{"..1/relay.yaml": "a", "..2/relay.yaml": "b", "looks/push.md.tmpl": "a"} {
		w.write(name, text)
	}
	dir := w.dir
	link := func(target, name string) {
		t.Helper()
		next := filepath.Join(dir, name+".next")
		if err := os.Symlink(target, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/relay.yaml", "relay.yaml")
	link("looks", "templates")
	want := []string{filepath.Join(dir, "relay.yaml"), filepath.Join(dir, "..data"), filepath.Join(dir, "..1/relay.yaml")}
	if diff := cmp.Diff(want, waysTo(filepath.Join(dir, "relay.yaml"))); diff != "" {
		t.Error(diff)
	}
	loads := 0
	w.whileLoading = func() {
		if loads++; loads == 2 { // changed once more before the folder that it is in now is watched
			w.write("..2/relay.yaml", "c")
		}
	}
	w.watch("relay.yaml", "templates")
	w.write("..1/relay.yaml", "more")
	w.reloaded("a change of what it points to")
	link("..2", "..data")
	w.reloaded("another target of ..data")
	w.reloaded("a change while that was read")
	w.write("..2/relay.yaml", "d")
	w.reloaded("a change of what it points to now")
	w.write("looks/push.md.tmpl", "b")
	w.reloaded("a change of a template")
	w.write("looks/issue.md.tmpl", "b")
	w.reloaded("a new template")
}
