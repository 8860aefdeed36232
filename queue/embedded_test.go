package queue

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A server that cannot start says why, and at once.
func TestServerThatCannotStartSaysWhy(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	q, err := Open(t.Context(), Options{Dir: dir})
	if err == nil {
		q.Close()
		t.Fatal("it opened a queue where a file stands in place of the store")
	}
	if !strings.Contains(err.Error(), "storage directory is not a directory") || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took >= startTime {
		t.Errorf("it took %s", took)
	}
}
