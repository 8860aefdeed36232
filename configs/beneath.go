package configs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

var (
	errOutside = errors.New("is outside the main file's folder, where a fenced include reads no files")
	errLink    = errors.New("is reached through a link, and a fenced include follows none")
)

// beneath is the path of a file relative to a folder, with slashes, for a file
// in that folder or in one below it.
func beneath(dir, name string) (string, error) {
	if filepath.IsAbs(name) != filepath.IsAbs(dir) {
		name, dir = absolute(name), absolute(dir)
	}
	rel, err := filepath.Rel(dir, name)
	if err != nil || !filepath.IsLocal(rel) {
		return "", errOutside
	}
	return filepath.ToSlash(rel), nil
}

// readBeneath reads a file of a fenced include, as readFile does. It follows no
// link: a team could point one at a file that it may not read.
func readBeneath(dir, name string) ([]byte, fs.FileInfo, error) {
	rel, err := beneath(dir, name)
	if err != nil {
		return nil, nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	rel, info, err := withoutLinks(root, rel)
	if err != nil || info.IsDir() {
		return nil, info, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	f, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return nil, nil, errLink // it was replaced in between
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	return data, info, err
}

// linked tells whether a file is reached through a link below a folder, or below
// its own where it is elsewhere. What such a file says is not shown: the link may
// lead to a secret.
func linked(dir, name string) bool {
	err := reachable(dir, name)
	if errors.Is(err, errOutside) {
		err = reachable(filepath.Dir(name), name)
	}
	return err != nil
}

// reachable tells why a fenced include cannot reach a file; nil if it can.
func reachable(dir, name string) error {
	rel, err := beneath(dir, name)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	_, _, err = withoutLinks(root, rel)
	return err
}

// withoutLinks checks that no part of a path is a link, other than those of a
// Kubernetes volume, and returns the path without these.
func withoutLinks(root *os.Root, name string) (string, fs.FileInfo, error) {
	at := "."
	var info fs.FileInfo
	for part := range strings.SplitSeq(name, "/") {
		at = path.Join(at, part)
		var err error
		if info, err = root.Lstat(at); err != nil {
			return "", nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if at, err = volumeFile(root, at); err != nil {
			return "", nil, err
		}
		if info, err = root.Lstat(at); err != nil {
			return "", nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return "", nil, errLink
		}
	}
	return at, info, nil
}

// volumeFile is the file behind a link that Kubernetes makes in the volume of a
// ConfigMap: name -> ..data/name, and ..data -> ..2026_01_31, a folder beside
// it (k8s.io/kubernetes/pkg/volume/util/atomic_writer.go).
func volumeFile(root *os.Root, link string) (string, error) {
	dir, name := path.Split(link)
	target, err := root.Readlink(link)
	if err != nil {
		return "", err
	}
	if target != "..data/"+name {
		return "", errLink
	}
	version, err := root.Readlink(path.Join(dir, "..data"))
	if err != nil || len(version) < 3 || !strings.HasPrefix(version, "..") || strings.Contains(version, "/") {
		return "", errLink
	}
	if info, err := root.Lstat(path.Join(dir, version)); err != nil || !info.IsDir() {
		return "", errLink
	}
	return path.Join(dir, version, name), nil
}
