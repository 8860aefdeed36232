package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/routes"
)

// settle is how long files must be left alone before they are read again:
// editors and Kubernetes replace them in several steps.
const settle = 200 * time.Millisecond

// live is the configuration in force. The dispatcher and the lanes ask it anew
// for every event and every message.
type live struct{ atomic.Pointer[configuration] }

// Match asks the routes in force.
func (l *live) Match(e *events.Event) routes.Decision { return l.Load().table.Match(e) }

// Direct asks the routes in force about one address.
func (l *live) Direct(e *events.Event, a configs.Address) routes.Decision {
	return l.Load().table.Direct(e, a)
}

// Render asks the templates in force.
func (l *live) Render(ctx context.Context, r formatters.Request) (formatters.Post, error) {
	return l.Load().formatter.Render(ctx, r)
}

// People asks the routes in force whom a destination's chat can mention.
func (l *live) People(destination string) func(username string) (string, bool) {
	return l.Load().table.People(destination)
}

// reloader replaces the configuration while the relay runs. Everything that
// can fail comes first; a bad file leaves the old configuration in force.
type reloader struct {
	load  loader // nil: there is nothing to load
	apply func(*configuration) error
	log   *slog.Logger

	trouble func(kind, text string) bool // tells the operator

	successful prometheus.Gauge
	at         prometheus.Gauge

	seen [sha256.Size]byte // fingerprint of the files that were loaded first

	mu       sync.Mutex // one reload at a time
	files    []string   // that were read last, in force or not
	last     time.Time
	problems []configs.Finding
}

func newReloader(c *configuration, load loader, apply func(*configuration) error, log *slog.Logger, registry prometheus.Registerer) *reloader {
	r := &reloader{
		load: load, apply: apply, log: log, files: c.Files, seen: fingerprint(c.Files), last: time.Now(),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_config_last_reload_successful", Help: "1 if the last attempt to load relay.yaml succeeded."}),
		at:         prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded."}),
	}
	registry.MustRegister(r.successful, r.at)
	r.successful.Set(1)
	r.at.SetToCurrentTime()
	return r
}

// reload loads and applies the configuration. The error is for people: it
// lists every mistake with its place.
func (r *reloader) reload(why string) error {
	if r.load == nil {
		return errors.New("there is nothing to load: this relay runs without a relay.yaml")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c, findings := r.load()
	r.last, r.problems, r.files = time.Now(), findings, c.Files
	var err error
	if configs.HasErrors(findings) {
		err = findingsError(findings)
	}
	if err == nil {
		err = r.apply(c)
	}
	if err != nil {
		r.successful.Set(0)
		r.trouble("reload", "⚠️ relay.yaml has mistakes; the old one stays in force:\n```\n"+strings.NewReplacer("```", "'''", "<", "‹", ">", "›").Replace(err.Error())+"\n```")
		r.log.Error("relay.yaml cannot be loaded; the old one stays in force", "trigger", why, "err", err)
		return err
	}
	r.successful.Set(1)
	r.at.SetToCurrentTime()
	r.log.Info("relay.yaml loaded", "trigger", why, "routes", len(c.Routes), "destinations", len(c.Destinations), "sources", len(c.Sources))
	return nil
}

// findingsError is all errors among the findings, one a line.
func findingsError(findings []configs.Finding) error {
	var errs []error
	for _, f := range findings {
		if f.Severity == configs.Error {
			errs = append(errs, fmt.Errorf("%s: %s", f.Pos, f.Message))
		}
	}
	return errors.Join(errs...)
}

// status is what the last attempt came to.
func (r *reloader) status() (at time.Time, problems []configs.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.problems
}

func (r *reloader) watched() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.files)
}

// watch reloads whenever one of the files that were read has changed, until
// ctx ends. It watches their directories, so that files that are replaced, and
// links that are turned to another target, are seen.
func (r *reloader) watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch relay.yaml: %w", err)
	}
	defer w.Close()
	dirs := map[string]bool{}
	seen := r.seen
	r.follow(w, dirs)
	quiet := time.NewTimer(settle) // looks once for what changed before it was watched
	for {
		select {
		case <-w.Events:
			quiet.Reset(settle)
		case err := <-w.Errors:
			r.log.Warn("a change of relay.yaml may have been missed", "err", err)
			quiet.Reset(settle)
		case <-quiet.C:
			files := r.watched()
			if now := fingerprint(files); now != seen {
				_ = r.reload("file changed") // it has been logged
				seen = now                   // of before: what changed while it was read is read again
				if !slices.Equal(files, r.watched()) {
					seen = fingerprint(r.watched())
				}
			}
			r.follow(w, dirs)
		case <-ctx.Done():
			return nil
		}
	}
}

// follow watches the directories of all files, and of what links among them
// point to.
func (r *reloader) follow(w *fsnotify.Watcher, dirs map[string]bool) {
	want := map[string]bool{}
	for _, f := range r.watched() {
		want[filepath.Dir(f)] = true
		if target, err := filepath.EvalSymlinks(f); err == nil {
			want[filepath.Dir(target)] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(want)) {
		if !dirs[dir] {
			if err := w.Add(dir); err != nil {
				r.log.Warn("changes in this directory will not be seen; reload with SIGHUP", "dir", dir, "err", err)
				continue
			}
			dirs[dir] = true
		}
	}
	for dir := range dirs {
		if !want[dir] {
			_ = w.Remove(dir) // gone already, then
			delete(dirs, dir)
		}
	}
}

// fingerprint tells whether files have other contents than before.
func fingerprint(files []string) [sha256.Size]byte {
	h := sha256.New()
	for _, name := range files {
		fmt.Fprintf(h, "%q\n", name)
		f, err := os.Open(name)
		if err != nil {
			fmt.Fprintf(h, "%v\n", err)
			continue
		}
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			entries, err := f.Readdirnames(-1)
			slices.Sort(entries)
			fmt.Fprintf(h, "%q %v\n", entries, err)
		} else if _, err := io.Copy(h, io.LimitReader(f, 16<<20)); err != nil {
			fmt.Fprintf(h, "%v\n", err)
		}
		f.Close()
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// configReport is the answer of GET /api/v1/config: what is in force, without
// secrets, and the mistakes of the last attempt to load it.
type configReport struct {
	Files        []string            `json:"files"`
	Sources      []sourceReport      `json:"sources"`
	Destinations []destinationReport `json:"destinations"`
	Routes       []routeReport       `json:"routes"`
	LastReload   struct {
		Time       time.Time        `json:"time"`
		Successful bool             `json:"successful"`
		Problems   []checkedFinding `json:"problems"`
	} `json:"last_reload"`
}

type sourceReport struct {
	Name     string   `json:"name"`
	Paths    []string `json:"paths"`
	Require  string   `json:"require"`
	Proofs   []string `json:"proofs"`
	Projects []string `json:"projects"`
}

type destinationReport struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Channel string `json:"channel"`
}

type routeReport struct {
	Name string   `json:"name"`
	File string   `json:"file"`
	Line int      `json:"line"`
	To   []string `json:"to"`
}

func (r *reloader) report(c *configuration) configReport {
	rep := configReport{Files: c.Files, Sources: []sourceReport{}, Destinations: []destinationReport{}, Routes: []routeReport{}}
	for _, s := range c.Sources {
		rep.Sources = append(rep.Sources, sourceReport{s.Name, s.Paths, s.Require, proofNames(s), patterns(s.Projects)})
	}
	for _, d := range c.Destinations {
		rep.Destinations = append(rep.Destinations, destinationReport{d.Name, d.Kind, d.Channel})
	}
	for _, route := range c.Routes {
		to := []string{}
		for _, t := range route.To {
			to = append(to, t.Address.String())
		}
		rep.Routes = append(rep.Routes, routeReport{route.Name, route.Pos.File, route.Pos.Line, to})
	}
	at, problems := r.status()
	rep.LastReload.Time, rep.LastReload.Successful = at, !configs.HasErrors(problems)
	rep.LastReload.Problems = checkedFindings(problems)
	return rep
}

func proofNames(s configs.Source) []string {
	names := []string{}
	for _, p := range []struct {
		name string
		has  bool
	}{
		{events.ByToken, len(s.Tokens) > 0}, {events.BySignature, len(s.SigningKeys) > 0}, {events.ByBasic, s.Basic != nil}, {events.ByInsecure, s.Insecure},
	} {
		if p.has {
			names = append(names, p.name)
		}
	}
	return names
}

func patterns(ps []configs.Pattern) []string {
	texts := []string{}
	for _, p := range ps {
		texts = append(texts, p.Text)
	}
	return texts
}
