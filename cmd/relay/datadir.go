package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ownDataDir is the folder inside a data directory of somebody else's.
const ownDataDir = "relay"

// dataDir is where the embedded queue keeps its files: the directory of --data or,
// where that belongs to another user and cannot be closed to others, a directory
// inside it. Kubernetes mounts volumes like that: root owns them, and the process
// is only in their group (fsGroup). A store that exists stays where it is. What
// cannot be made or written is left for the queue to tell.
func dataDir(path string) (dir, note string) {
	own := filepath.Join(path, ownDataDir)
	if !hasStore(path) && hasStore(own) {
		return own, ""
	}
	if os.MkdirAll(path, 0o700) != nil || !errors.Is(os.Chmod(path, 0o700), fs.ErrPermission) {
		return path, ""
	}
	if !hasStore(path) && os.MkdirAll(own, 0o700) == nil && os.Chmod(own, 0o700) == nil {
		return own, fmt.Sprintf("the data directory %s belongs to another user and cannot be closed to others; the queue is in %s", path, own)
	}
	return path, fmt.Sprintf("the data directory %s belongs to another user and cannot be closed to others: who may read it can read webhooks; chmod it to 700", path)
}

// hasStore tells whether an embedded queue has its files in a directory.
func hasStore(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "jetstream"))
	return err == nil
}
