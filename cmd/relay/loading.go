package main

import (
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
)

// loader reads the configuration anew.
type loader func() (*configuration, []configs.Finding)

// loaded is what a relay starts with.
type loaded struct {
	*configuration
	findings []configs.Finding // of the files as they are
	load     loader            // nil: there is nothing to load again
	keep     *lastGood         // nil: there are no files to keep
	hangups  <-chan os.Signal
	notes    []string // to be logged
}

// loadFor loads the configuration for a start with these flags.
func (a *app) loadFor(cmd *cobra.Command, f *serveFlags, l *loaded) error {
	path, err := a.find(cmd)
	if err != nil {
		return err
	}
	if f.natsURL == "" {
		var note string
		if f.data, note = dataDir(f.data); note != "" {
			l.notes = append(l.notes, note)
		}
	}
	if path == "" {
		l.load = func() (*configuration, []configs.Finding) { return compile(a.read("")) }
		l.configuration, l.findings, err = a.compiled(a.read(""))
		return err
	}
	data := f.data
	if !f.lastGood {
		data = ""
	}
	l.keep = newLastGood(path, a.variables(), data)
	l.load = l.keep.load
	l.configuration, l.findings = l.keep.start()
	a.secrets.add(l.secrets()...)
	if l.copied.IsZero() && l.refused(l.findings) {
		return a.refuse(l.findings)
	}
	return nil
}

// kept makes the configuration in force the last good one, and logs when that is
// not possible.
func (r *reloader) kept(c *configuration) {
	err := r.keep.keep(c)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != r.unkept {
		hint := "make the data directory writable, or say --last-good=false"
		if errors.Is(err, errClear) {
			hint = "write ${VAR} in its place, or name a file that holds it"
		}
		r.log.Warn("no last good copy is kept: the relay will not start again while relay.yaml has a mistake", "err", err, "hint", hint)
	}
	r.unkept = text
}

// told says what a configuration that came into force is like: its warnings, what
// it does without, and whether it is from copies.
func (r *reloader) told(c *configuration, findings []configs.Finding) {
	r.broken.told(c, findings)
	r.hash.Set(contentHash(c.Files))
	if !c.copied.IsZero() {
		r.toldCopied(c, findings)
		return
	}
	r.copied.Store(0)
	r.reports.relief("✅ relay.yaml has no mistakes any more, and is in force.", "reload")
	r.successful.Set(1)
	r.at.SetToCurrentTime()
	for _, f := range findings {
		if f.Severity == configs.Warning {
			logFinding(r.log, f)
		}
	}
}

func logFinding(log *slog.Logger, f configs.Finding) {
	args := []any{"at", f.Pos.String()}
	if f.Hint != "" {
		args = append(args, "hint", f.Hint)
	}
	log.Warn(f.Message, args...)
}

// toldCopied says that the relay started with copies, and what it lacks.
func (r *reloader) toldCopied(c *configuration, findings []configs.Finding) {
	err := findingsError(findings)
	r.copied.Store(c.copied.UnixNano())
	r.successful.Set(0)
	r.at.Set(float64(c.copied.Unix()))
	r.log.Error("relay.yaml cannot be loaded; the relay started with the last good copy of it", "copied", c.copied, "err", err,
		"hint", "fix it; it is loaded as soon as it has no mistakes")
	for _, s := range c.Sources {
		if s.Incomplete() {
			r.log.Error("a secret of this source is missing: webhooks that need it are refused", "source", s.Name)
		}
	}
	for _, d := range c.Destinations {
		if d.URL.Missing() {
			r.log.Error("the URL of this destination is missing: its messages wait", "destination", d.Name)
		}
	}
	r.reports.mistake("reload", "⚠️ relay.yaml has mistakes; the relay started with the last good copy of it, of "+clock(c.copied)+":\n"+r.reports.block(err.Error()))
}
