package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// record is what one sync of the disk is measured with: about one webhook.
const record = 6160

// probe is how long the disk takes to keep one record, in ns, when nothing else
// writes: the yardstick of everything that waits for it.
func probe(dir string, d time.Duration) ([]int64, error) {
	path := filepath.Join(dir, "probe")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("probe the disk: %w", err)
	}
	defer os.Remove(path)
	defer f.Close()
	var took []int64
	block := make([]byte, record)
	for end := time.Now().Add(d); time.Now().Before(end); {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, fmt.Errorf("probe the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("probe the disk: %w", err)
		}
		took = append(took, int64(time.Since(begin)))
	}
	return took, nil
}
