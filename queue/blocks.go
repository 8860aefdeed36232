package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// blocks knows the newest block file of each stream. The server writes on into one
// that somebody deleted, and all that it accepts is gone at the next start. It removes
// older ones itself, but never the newest before there is a newer one.
type blocks struct {
	of      *generation    // whose files they are
	newest  map[string]int // by stream
	missing map[string]bool
}

// check returns an error when the newest block file of a stream is gone, at two looks
// running: while a stream is purged, its files are elsewhere for a moment.
func (b *blocks) check(dir string, g *generation) error {
	if g == nil || b.of != g {
		*b = blocks{of: g, newest: map[string]int{}, missing: map[string]bool{}}
	}
	if g == nil {
		return nil
	}
	for _, stream := range []string{Events, ParkedStream, DeadStream, JournalStream} {
		newest, err := newestBlock(filepath.Join(dir, "jetstream", "$G", "streams", stream, "msgs"))
		if err != nil {
			continue // a directory that cannot be looked at says nothing
		}
		switch known := b.newest[stream]; {
		case newest >= known:
			b.newest[stream], b.missing[stream] = newest, false
		case b.missing[stream]:
			return fmt.Errorf("the file %d.blk of %s is gone from the data directory: what was stored in it is lost", known, stream)
		default:
			b.missing[stream] = true
		}
	}
	return nil
}

// newestBlock is the highest number of a block file in a directory; 0 when there is
// none, or no directory.
func newestBlock(dir string) (newest int, err error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("look for block files: %w", err)
	}
	for _, f := range files {
		var n int
		if filepath.Ext(f.Name()) != ".blk" {
			continue
		}
		if _, err := fmt.Sscanf(f.Name(), "%d.blk", &n); err == nil {
			newest = max(newest, n)
		}
	}
	return newest, nil
}
