package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
)

// lastGoodDir is where the copies are, in the data directory.
const lastGoodDir = "last-good"

// manifestFile describes a generation of copies, in its folder.
const manifestFile = "manifest.json"

// lastGood keeps copies of the files of the configuration that came into force
// last. A start with a broken relay.yaml uses them, and a fenced file with a
// mistake is replaced by its own copy.
//
// A generation of copies is a folder, named by the time when it was made, which
// appears under its name when all of it is on disk. It holds neither secret files
// nor files with a secret in clear, and the files are as they are: no variable is
// expanded.
type lastGood struct {
	main string      // path of relay.yaml
	env  configs.Env // for loading
	dir  string      // "": nothing is written to disk

	teams map[string][]byte // fenced files as they were last good, by absolute path
}

// generation is one set of copies.
type generation struct {
	Main   string    `json:"main"` // absolute path of relay.yaml
	Time   time.Time `json:"time"`
	Whole  bool      `json:"whole"`  // all files are there, not only fenced ones
	Fenced []string  `json:"fenced"` // their absolute paths

	dir string
}

// files is the folder that holds the copies by their absolute paths.
func (g *generation) files() string { return filepath.Join(g.dir, "files") }

// absolute is a path that another working directory does not change.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path // there is no working directory any more
}

// newLastGood looks for copies of relay.yaml's files in the data directory. With
// an empty one, copies are kept in memory alone.
func newLastGood(main string, env configs.Env, data string) *lastGood {
	l := &lastGood{main: main, env: env, teams: map[string][]byte{}}
	if data == "" {
		return l
	}
	l.dir = filepath.Join(data, lastGoodDir)
	g := l.newest()
	if g == nil {
		return l
	}
	for _, path := range g.Fenced {
		if text, err := os.ReadFile(filepath.Join(g.files(), path)); err == nil {
			l.teams[path] = text
		}
	}
	return l
}

// newest is the last generation, nil without one of this relay.yaml.
func (l *lastGood) newest() *generation {
	names, _ := filepath.Glob(filepath.Join(escapeGlob(l.dir), "g-*")) // the pattern is good
	if l.dir == "" || len(names) == 0 {
		return nil
	}
	g := &generation{dir: slices.Max(names)}
	text, err := os.ReadFile(filepath.Join(g.dir, manifestFile))
	if err != nil || json.Unmarshal(text, g) != nil {
		return nil
	}
	if g.Main != absolute(l.main) {
		return nil
	}
	return g
}

// escapeGlob makes a path a pattern that matches it alone.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// load reads relay.yaml. A mistake in a fenced file is left to that file: its last
// good version is used or, where that does not fit either, nothing of it.
func (l *lastGood) load() (*configuration, []configs.Finding) {
	return l.contain(func(instead map[string][]byte) (*configs.Config, []configs.Finding) {
		return configs.Reading{Env: l.env, Instead: instead}.Load(l.main)
	})
}

// start is load for the start: with a relay.yaml that cannot be used, the last
// good copies are, where they can be. The findings are about relay.yaml itself, and
// about those fenced files that are broken in the copies alone.
func (l *lastGood) start() (*configuration, []configs.Finding) {
	c, findings := l.load()
	g := l.newest()
	if !c.refused(findings) || g == nil || !g.Whole {
		return c, findings
	}
	old, wrong := l.contain(func(instead map[string][]byte) (*configs.Config, []configs.Finding) {
		cfg, found := configs.Reading{Env: l.env, Loose: true, Copies: g.files(), Instead: instead}.Load(l.main)
		cfg.Restrict(c.Config)
		cfg.CloseMissing()
		return cfg, found
	})
	if old.refused(wrong) {
		return c, findings
	}
	old.copied, old.Files = g.Time, c.Files // what is watched is what has the mistakes
	return old, append(findings, old.toldAlone(wrong, findings)...)
}

// contain loads a configuration, if need be again and again, with other texts for
// the fenced files that have errors, until none has. The findings are of the files
// as they are.
func (l *lastGood) contain(read func(instead map[string][]byte) (*configs.Config, []configs.Finding)) (*configuration, []configs.Finding) {
	instead := map[string][]byte{}
	var broken []brokenFile
	var told []configs.Finding // errors of broken files, as they are
	for {
		c, findings := compile(read(instead))
		c.broken = broken
		fenced, other := c.errorsByFile(findings)
		if len(fenced) == 0 || other {
			findings = append(findings, told...)
			configs.SortFindings(findings)
			return c, findings
		}
		for _, path := range slices.Sorted(maps.Keys(fenced)) {
			last, seen := l.teams[absolute(path)], false
			for i := range broken {
				if broken[i].Path == path {
					broken[i].LastGood, instead[path], seen = false, nil, true
				}
			}
			if seen {
				continue
			}
			broken, instead[path] = append(broken, brokenFile{path, last != nil}), last
			told = append(told, fenced[path]...)
		}
	}
}

// toldAlone are the errors of the configuration's broken files of which others say
// nothing.
func (c *configuration) toldAlone(own, others []configs.Finding) (alone []configs.Finding) {
	for _, b := range c.broken {
		here := func(f configs.Finding) bool { return f.Severity == configs.Error && f.Pos.File == b.Path }
		if slices.ContainsFunc(others, here) {
			continue
		}
		for _, f := range own {
			if here(f) {
				alone = append(alone, f)
			}
		}
	}
	return alone
}

// brokenFile is a fenced file with mistakes.
type brokenFile struct {
	Path     string `json:"file"`
	LastGood bool   `json:"last_good"` // its last good version is in force; else nothing of it
}

// errorsByFile are the errors in fenced files, by path, and whether there are
// others.
func (c *configuration) errorsByFile(findings []configs.Finding) (fenced map[string][]configs.Finding, other bool) {
	fenced = map[string][]configs.Finding{}
	for _, f := range findings {
		switch {
		case f.Severity != configs.Error:
		case c.Fences[f.Pos.File] != nil:
			fenced[f.Pos.File] = append(fenced[f.Pos.File], f)
		default:
			other = true
		}
	}
	return fenced, other
}

// refused tells whether a configuration cannot come into force: it has errors
// that are not left to a fenced file.
func (c *configuration) refused(findings []configs.Finding) bool {
	return slices.ContainsFunc(findings, func(f configs.Finding) bool {
		return f.Severity == configs.Error && !slices.ContainsFunc(c.broken, func(b brokenFile) bool { return b.Path == f.Pos.File })
	})
}

// keep makes the configuration in force the last good one: it copies its files.
// Fenced files are kept however the others fare. A configuration that is itself
// from copies changes nothing.
func (l *lastGood) keep(c *configuration) error {
	if l == nil || !c.copied.IsZero() {
		return nil
	}
	fenced := map[string]bool{}
	for path := range c.Fences {
		fenced[absolute(path)] = true
	}
	maps.DeleteFunc(l.teams, func(path string, _ []byte) bool { return !fenced[path] })
	for _, t := range c.Texts() {
		if c.Fences[t.Path] != nil && !t.Clear {
			l.teams[absolute(t.Path)] = t.Data
		}
	}
	if l.dir == "" {
		return nil
	}
	if err := l.write(c); err != nil {
		return fmt.Errorf("keep a last good copy of %s: %w", l.main, withoutDir(err, l.dir))
	}
	return nil
}

// withoutDir shortens paths of copies in an error to the part below a folder.
func withoutDir(err error, dir string) error {
	var p *fs.PathError
	if errors.As(err, &p) && strings.HasPrefix(p.Path, dir) {
		return fmt.Errorf("%s %s: %w", p.Op, dir, p.Err)
	}
	return err
}
