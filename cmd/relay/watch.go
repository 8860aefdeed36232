package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long files must be left alone before they are read again:
	// editors and Kubernetes replace them in several steps.
	settle = 200 * time.Millisecond
	// settleAtMost is how long is waited for that: a file that changes all the
	// time is read as it is.
	settleAtMost = 2 * time.Second
)

// watch reloads whenever one of the files that were read has changed, until
// ctx ends. It watches their directories, so that files that are replaced, and
// links that are turned to another target, are seen. What else changes there does
// not count: the relay's own log may be beside relay.yaml.
func (r *reloader) watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch relay.yaml: %w", err)
	}
	defer w.Close()
	dirs := map[string]bool{}
	seen := r.seen
	counts, _ := r.follow(w, dirs)
	var first time.Time            // change since the files were read
	quiet := time.NewTimer(settle) // looks once for what changed before it was watched
	wait := func() {
		if first.IsZero() {
			first = time.Now()
		}
		quiet.Reset(min(settle, time.Until(first.Add(settleAtMost))))
	}
	for {
		select {
		case e := <-w.Events:
			if dirs[e.Name] && e.Has(fsnotify.Remove|fsnotify.Rename) {
				delete(dirs, e.Name) // the system watches it no longer
				wait()
			}
			if counts.changed(e) {
				wait()
			}
		case err := <-w.Errors:
			r.log.Warn("a change of relay.yaml may have been missed", "err", err)
			wait()
		case <-quiet.C:
			first = time.Time{}
			if now := fingerprint(r.watched()); now != seen {
				_ = r.reload("file changed") // it has been logged
				seen = now                   // of before: what changed while it was read is read again
			}
			var more bool
			if counts, more = r.follow(w, dirs); more {
				wait() // and what changed before its directory was watched
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// counting says which changes count.
type counting struct {
	names   map[string]bool // files that were read, and links on the way to them
	folders map[string]bool // of templates, where files may be added
}

func (c counting) changed(e fsnotify.Event) bool {
	return c.names[e.Name] || c.folders[filepath.Dir(e.Name)] && isTemplate(e.Name)
}

// follow watches the directories of all files, of what links among them point to,
// and of the links. It says what counts there, and whether it watches more than before.
func (r *reloader) follow(w *fsnotify.Watcher, dirs map[string]bool) (counts counting, more bool) {
	c := counting{map[string]bool{}, map[string]bool{}}
	want := map[string]bool{}
	for _, f := range r.watched() {
		files, isFolder := templateFiles(f)
		for _, name := range slices.Concat(waysTo(f), flatMap(files, waysTo)) {
			c.names[name], want[filepath.Dir(name)] = true, true
		}
		if isFolder == nil {
			end := waysTo(f)
			c.folders[end[len(end)-1]], want[end[len(end)-1]] = true, true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(want)) {
		if !dirs[dir] {
			if err := w.Add(dir); err != nil {
				r.log.Warn("changes in this directory will not be seen; reload with SIGHUP", "dir", dir, "err", err)
				continue
			}
			dirs[dir], more = true, true
		}
	}
	for dir := range dirs {
		if !want[dir] {
			_ = w.Remove(dir) // gone already, then
			delete(dirs, dir)
		}
	}
	return c, more
}

func flatMap(list []string, f func(string) []string) []string {
	var all []string
	for _, s := range list {
		all = append(all, f(s)...)
	}
	return all
}

// maxLinks is how many links may lead to a file, as for Linux.
const maxLinks = 40

// waysTo are the names on the way to a file: of each link in its path, and last its
// own, which no link is part of.
func waysTo(path string) []string {
	var links []string
	at, rest := "/", strings.Split(absolute(path), "/")
	for len(rest) > 0 {
		name := filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(name)
		if err != nil || len(links) == maxLinks {
			at = name // no link, or nothing at all
			continue
		}
		links = append(links, name)
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return append(links, at)
}

// fingerprint tells whether files, and the templates in folders, have other
// contents than before.
func fingerprint(files []string) [sha256.Size]byte {
	h := sha256.New()
	for _, name := range files {
		fmt.Fprintf(h, "%q\n", name)
		if templates, err := templateFiles(name); err == nil {
			for _, t := range templates {
				fmt.Fprintf(h, "%q\n", t)
				hashFile(h, t)
			}
			continue
		}
		hashFile(h, name)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// contentHash is a number made of the contents of files, wherever they are. It has 48
// bits, so that a float64 holds it.
func contentHash(files []string) float64 {
	h := sha256.New()
	for _, name := range files {
		fmt.Fprintf(h, "%q\n", filepath.Base(name))
		if templates, err := templateFiles(name); err == nil {
			for _, t := range templates {
				hashFile(h, t)
			}
			continue
		}
		hashFile(h, name)
	}
	return float64(binary.BigEndian.Uint64(h.Sum(nil)) >> 16)
}

func hashFile(h io.Writer, name string) {
	f, err := os.Open(name)
	if err == nil {
		defer f.Close()
		_, err = io.Copy(h, io.LimitReader(f, 16<<20))
	}
	if err != nil {
		fmt.Fprintf(h, "%v\n", err)
	}
}
