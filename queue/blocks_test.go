package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func msgsOf(dir, stream string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", stream, "msgs")
}

// A block file that somebody deletes while the relay runs: it ends, rather than
// accept more into nowhere, and the next start counts what is lost.
func TestBlockFileThatIsDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, j, _ := lead(t, dir)
	for n := range 3 {
		store(t, q, fmt.Sprintf(`{"n":%d}`, n))
	}
	if err := j.Write(t.Context()); err != nil { // the journal knows of them
		t.Fatal(err)
	}
	newest, err := newestBlock(msgsOf(dir, Events))
	if err != nil || newest == 0 {
		t.Fatalf("the newest block is %d (%v)", newest, err)
	}
	if err := os.Remove(filepath.Join(msgsOf(dir, Events), fmt.Sprintf("%d.blk", newest))); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-q.Failed():
		if !strings.Contains(err.Error(), fmt.Sprintf("%d.blk of RELAY_EVENTS is gone", newest)) {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody notices")
	}
	j.Close()
	q.Close()
	q, _, log := lead(t, dir)
	if q.Damage() != 3 {
		t.Errorf("%d are counted as lost:\n%s", q.Damage(), log)
	}
	if id := store(t, q, `{"n":4}`); id.Seq != 4 {
		t.Errorf("the next one is %s", id)
	}
}

// What the server itself does to its files is nothing to notice.
func TestBlockFilesThatTheServerRemoves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, _, _, _ := leadSmall(t, dir)
	_, g, _ := q.health.look()
	var b blocks
	look := func() {
		t.Helper()
		if err := b.check(dir, g); err != nil {
			t.Fatal(err)
		}
	}
	for n := range uint64(30) {
		seq := park(t, q, busy, n+1, bulky(int(n)))
		look()
		switch n % 3 {
		case 1:
			purge(t, q, busy, seq)
		case 2:
			if err := q.parked.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		look()
		look()
	}
}
