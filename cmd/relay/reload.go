package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/routes"
)

// live is the configuration in force. The dispatcher and the lanes ask it anew
// for every event and every message.
type live struct{ atomic.Pointer[configuration] }

// MatchAt asks the routes in force.
func (l *live) MatchAt(e *events.Event, at time.Time) routes.Decision {
	return l.Load().table.MatchAt(e, at)
}

// Direct asks the routes in force about one address.
func (l *live) Direct(e *events.Event, a configs.Address) routes.Decision {
	return l.Load().table.Direct(e, a)
}

// Render asks the templates in force.
func (l *live) Render(ctx context.Context, r formatters.Request) (formatters.Post, error) {
	return l.Load().formatter.Render(ctx, r)
}

// People asks the routes in force whom a destination's chat can mention.
func (l *live) People(destination, file string) func(username string) (string, bool) {
	return l.Load().table.People(destination, file)
}

// Calls asks the routes in force how a destination's chat mentions people.
func (l *live) Calls(destination, file string) func(username string) string {
	return l.Load().table.Calls(destination, file)
}

// reloader replaces the configuration while the relay runs. Everything that
// can fail comes first; a bad file leaves the old configuration in force.
type reloader struct {
	secrets *redactor
	load    loader // nil: there is nothing to load
	apply   func(*configuration) error
	log     *slog.Logger
	reports *reporter
	systemd *supervisor // nil: nobody is told
	broken  *brokenFiles
	keep    *lastGood
	unkept  string // why the last configuration was not kept

	successful prometheus.Gauge
	at         prometheus.Gauge
	hash       prometheus.Gauge
	copied     atomic.Int64 // when the copies in force were made, in Unix nanoseconds; 0: it is no copies

	seen [sha256.Size]byte // fingerprint of the files that were loaded first

	mu       sync.Mutex // one reload at a time
	files    []string   // that were read last, in force or not
	last     time.Time
	problems []configs.Finding
}

func newReloader(l loaded, apply func(*configuration) error, log *slog.Logger, reports *reporter, registry prometheus.Registerer) *reloader {
	r := &reloader{
		load: l.load, apply: apply, log: log, reports: reports, broken: newBrokenFiles(log, reports, registry), keep: l.keep,
		files: l.Files, seen: fingerprint(l.Files), last: time.Now(), problems: l.findings,
		successful: prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_config_last_reload_successful", Help: "1 if the last attempt to load relay.yaml succeeded."}),
		at:         prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded; of copies, when they were made."}),
	}
	r.hash = prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_config_hash", Help: "A number made of the contents of the configuration in force: relays with equal files have equal numbers."})
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "relay_config_last_good_age_seconds", Help: "Age of the last good copy of relay.yaml while that is in force, because relay.yaml itself has mistakes; 0 otherwise."}, func() float64 {
		if at := r.copied.Load(); at != 0 {
			return time.Since(time.Unix(0, at)).Seconds()
		}
		return 0
	})
	registry.MustRegister(r.successful, r.at, r.hash, age)
	r.told(l.configuration, l.findings)
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
	if r.systemd == nil {
		return r.reloadOnce(why)
	}
	done := r.systemd.reloading()
	err := r.reloadOnce(why)
	done(err)
	return err
}

// reloadOnce is reload; the lock is held.
func (r *reloader) reloadOnce(why string) error {
	c, findings := r.load()
	if r.secrets != nil {
		r.secrets.add(c.secrets()...) // whatever becomes of it: what is said of it may hold some
	}
	r.last, r.problems, r.files = time.Now(), findings, c.Files
	var err error
	if c.refused(findings) {
		err = findingsError(findings)
	}
	if err == nil {
		err = r.apply(c)
	}
	if err != nil {
		r.successful.Set(0)
		r.reports.mistake("reload", "⚠️ relay.yaml has mistakes; the old one stays in force:\n"+r.reports.block(err.Error()))
		r.log.Error("relay.yaml cannot be loaded; the old one stays in force", "trigger", why, "err", err)
		return err
	}
	r.told(c, findings)
	r.kept(c)
	r.log.Info("relay.yaml loaded", "trigger", why, "routes", len(c.Routes), "destinations", len(c.Destinations), "sources", len(c.Sources))
	return nil
}

// codeSpan shows the name of a file, which whoever adds files to a team's folder
// chooses: nothing in it calls anybody.
func codeSpan(name string) string {
	return "`" + strings.NewReplacer("`", "'", "<", "‹", ">", "›", "\n", " ", "\r", " ").Replace(name) + "`"
}

// block is codeBlock without secrets, which are not recognised once characters of
// them are replaced.
func (r *reporter) block(text string) string { return codeBlock(r.clean(text)) }

// codeBlock shows a text as it is in Mattermost and Slack.
func codeBlock(text string) string {
	return "```\n" + strings.NewReplacer("```", "'''", "<", "‹", ">", "›").Replace(text) + "\n```"
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

// configReport is the answer of GET /api/v1/config: what is in force, without
// secrets, and the mistakes of the last attempt to load it.
type configReport struct {
	Files        []string            `json:"files"`
	Sources      []sourceReport      `json:"sources"`
	Destinations []destinationReport `json:"destinations"`
	Routes       []routeReport       `json:"routes"`
	LastGood     *time.Time          `json:"last_good,omitempty"` // when the copies were made that are in force; nil: relay.yaml itself is
	BrokenFiles  []brokenFile        `json:"broken_files"`
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
	rep := configReport{Files: c.Files, Sources: []sourceReport{}, Destinations: []destinationReport{}, Routes: []routeReport{}, BrokenFiles: append([]brokenFile{}, c.broken...)}
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
	if !c.copied.IsZero() {
		rep.LastGood = &c.copied
	}
	at, problems := r.status()
	rep.LastReload.Time, rep.LastReload.Successful = at, !c.refused(problems)
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
