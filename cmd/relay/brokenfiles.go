package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/configs"
)

// brokenFiles tells of fenced files with mistakes, once each time that they
// change.
type brokenFiles struct {
	log     *slog.Logger
	reports *reporter
	gauge   *prometheus.GaugeVec
	before  map[string]string // what was told of each, by path
}

func newBrokenFiles(log *slog.Logger, reports *reporter, registry prometheus.Registerer) *brokenFiles {
	b := &brokenFiles{log: log, reports: reports, before: map[string]string{}, gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "relay_config_file_broken", Help: "1 for each fenced file with mistakes, which the configuration in force does without: with its last good version, or nothing of it.",
	}, []string{"file"})}
	registry.MustRegister(b.gauge)
	return b
}

// told is called with each configuration that came into force.
func (b *brokenFiles) told(c *configuration, findings []configs.Finding) {
	now := map[string]string{}
	b.gauge.Reset()
	for _, file := range c.broken {
		b.gauge.WithLabelValues(file.Path).Set(1)
		err := findingsError(slices.DeleteFunc(slices.Clone(findings), func(f configs.Finding) bool { return f.Pos.File != file.Path }))
		now[file.Path] = fmt.Sprint(file, err)
		if now[file.Path] == b.before[file.Path] {
			continue
		}
		what := "an included file has mistakes; its last good version is in force, and the rest is loaded"
		if !file.LastGood {
			what = "an included file has mistakes; nothing of it is in force, and the rest is loaded"
		}
		b.log.Error(what, "file", file.Path, "err", err)
		b.reports.mistake("file "+file.Path, "⚠️ "+strings.Replace(what, "an included file", codeSpan(file.Path), 1)+":\n"+b.reports.block(err.Error()))
	}
	for path := range b.before {
		if now[path] == "" {
			b.log.Info("this included file has no mistakes any more", "file", path)
			b.reports.relief("✅ "+codeSpan(path)+" has no mistakes any more.", "file "+path)
		}
	}
	b.before = now
}
