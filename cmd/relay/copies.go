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

// maxCopy is the largest template or certificate file that is copied, in bytes.
const maxCopy = 1 << 20

// errClear: a file is not copied, because it holds a secret.
var errClear = errors.New("a secret is in clear text in it")

// write makes a new generation of copies, and removes the older ones. What cannot
// be copied makes it one of fenced files alone, and is the error.
func (l *lastGood) write(c *configuration) error {
	files, incomplete := l.copies(c)
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	now := time.Now()
	next := &generation{Main: absolute(l.main), Time: now.UTC(), Whole: incomplete == nil, Fenced: slices.Sorted(maps.Keys(l.teams))}
	dir, err := os.MkdirTemp(l.dir, "new-") // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	next.dir = dir
	for path, data := range files {
		if err := writeSynced(filepath.Join(next.files(), path), data); err != nil {
			return err
		}
	}
	if next.Whole {
		incomplete = l.try(next)
		next.Whole = incomplete == nil
	}
	manifest, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(dir, manifestFile), manifest); err != nil {
		return err
	}
	if err := syncFolders(dir); err != nil {
		return err
	}
	name := filepath.Join(l.dir, fmt.Sprintf("g-%020d", now.UnixNano()))
	if err := os.Rename(dir, name); err != nil {
		return err
	}
	if err := syncFolder(l.dir); err != nil {
		return err
	}
	l.prune(filepath.Base(name))
	return incomplete
}

// copies are the files of a generation, by absolute path. With an error they are
// the fenced ones alone.
func (l *lastGood) copies(c *configuration) (map[string][]byte, error) {
	files := map[string][]byte{}
	maps.Copy(files, l.teams)
	for _, t := range c.Texts() {
		if t.Clear {
			return l.teams, fmt.Errorf("%s: %w", t.Path, errClear)
		}
		files[absolute(t.Path)] = t.Data
	}
	var paths []string
	for _, d := range c.Destinations {
		if d.CAFile != "" {
			paths = append(paths, d.CAFile)
		}
	}
	for _, s := range c.Sources {
		if s.API != nil && s.API.CAFile != "" {
			paths = append(paths, s.API.CAFile)
		}
	}
	for _, dir := range c.Templates {
		if !strings.ContainsRune(dir, filepath.Separator) {
			continue // a built-in set
		}
		found, err := templateFiles(dir)
		if err != nil {
			return l.teams, err
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		data, err := readSmall(path)
		if err != nil {
			return l.teams, err
		}
		files[absolute(path)] = data
	}
	return files, nil
}

// templateFiles are the templates in a folder.
func templateFiles(dir string) ([]string, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, errors.Join(err, fs.ErrInvalid) // opening a pipe would wait
	}
	entries, err := os.ReadDir(dir)
	var paths []string
	for _, e := range entries {
		if isTemplate(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

// isTemplate tells whether a file is one of those that a folder of templates is
// read for.
func isTemplate(name string) bool {
	return strings.HasSuffix(name, ".tmpl") && !strings.HasPrefix(filepath.Base(name), ".")
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxCopy:
		return nil, fmt.Errorf("%s is not a small file", path)
	}
	return os.ReadFile(path)
}

// try loads a generation: a template may have changed while it was copied.
func (l *lastGood) try(g *generation) error {
	c, findings := compile(configs.Reading{Env: l.env, Loose: true, Copies: g.files()}.Load(l.main))
	if _, other := c.errorsByFile(findings); other {
		return fmt.Errorf("the copy does not load: %w", findingsError(findings))
	}
	return nil
}

// prune removes all generations but one, and what was left of a write that did
// not end.
func (l *lastGood) prune(name string) {
	entries, _ := os.ReadDir(l.dir)
	for _, e := range entries {
		if e.Name() != name {
			_ = os.RemoveAll(filepath.Join(l.dir, e.Name())) // else the next one does
		}
	}
}

// writeSynced writes a file that only this user may read, and waits for the disk.
func writeSynced(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolders waits for the disk to have the names in a folder and below it.
func syncFolders(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return syncFolder(path)
	})
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
