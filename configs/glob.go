package configs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

const (
	maxVisited      = 20_000 // files and folders that all globs without a fence look at
	maxFencedVisits = 2_000  // the same for each glob of a fence
	maxAlternatives = 100    // that the {a,b} of one glob make
)

var (
	errVisited      = errors.New("looks at too many files")
	errAlternatives = errors.New("has too many alternatives")
)

// glob finds the files that a pattern matches, in order of their names. With a
// fence it looks only beneath a folder, and follows no links.
func (l *loading) glob(dir, pattern string, fence *Fence) ([]string, error) {
	if alternatives(pattern) > maxAlternatives {
		return nil, errAlternatives
	}
	base, rel := doublestar.SplitPattern(filepath.ToSlash(filepath.Clean(pattern)))
	fsys, left := os.DirFS(l.at(base)), &l.visits
	options := []doublestar.GlobOption{doublestar.WithFilesOnly()}
	if fence != nil {
		below, err := beneath(l.at(dir), l.at(base))
		if err != nil {
			return nil, err
		}
		root, err := os.OpenRoot(l.at(dir))
		if err != nil {
			return nil, err
		}
		defer root.Close()
		if fsys, err = fs.Sub(root.FS(), below); err != nil {
			return nil, err
		}
		options = append(options, doublestar.WithNoFollow())
		left = new(maxFencedVisits)
	}
	paths, err := doublestar.Glob(visiting{fsys, left}, rel, options...)
	if err == nil && *left < 0 {
		err = errVisited
	}
	for i, p := range paths {
		paths[i] = filepath.FromSlash(path.Join(base, p))
	}
	slices.Sort(paths)
	return paths, err
}

// alternatives is how many patterns the {a,b} of a glob stand for, at most.
func alternatives(glob string) int {
	all := 1
	var open []int
	for _, r := range glob {
		switch {
		case r == '{':
			open = append(open, 1)
		case r == ',' && len(open) > 0:
			open[len(open)-1]++
		case r == '}' && len(open) > 0:
			all = min(all*open[len(open)-1], maxAlternatives+1)
			open = open[:len(open)-1]
		}
	}
	return all
}

// visiting is a file system of which a limited number of entries can be looked
// at.
type visiting struct {
	fs.FS
	left *int // negative once there were more
}

// ReadDir lists a folder, as fs.ReadDir does.
func (v visiting) ReadDir(name string) ([]fs.DirEntry, error) {
	if *v.left--; *v.left < 0 {
		return nil, errVisited
	}
	f, err := v.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, fs.ErrInvalid
	}
	list, err := dir.ReadDir(*v.left + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if *v.left -= len(list); *v.left < 0 {
		return nil, errVisited
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}

// Stat describes a file, as fs.Stat does.
func (v visiting) Stat(name string) (fs.FileInfo, error) {
	if *v.left--; *v.left < 0 {
		return nil, errVisited
	}
	return fs.Stat(v.FS, name)
}
