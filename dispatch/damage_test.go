package dispatch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gitlab-mattermost/relay/queue"
)

// One byte on the disk has changed: that event becomes a dead letter, once, which
// names stream and sequence, and the rest is delivered.
func TestDamagedEventIsSetAside(t *testing.T) {
	dir := t.TempDir()
	ids := storeAll(t, dir, "a", "b", "c")
	rot(t, dir, `namespace":"b`)
	for start := range 3 {
		s := newStage(t, dir)
		if first := s.take(); first.ID != ids[0] {
			t.Errorf("start %d: first %s", start, first.ID)
		} else if start == 2 {
			s.settle(first)
		}
		if second := s.take(); second.ID != ids[2] {
			t.Errorf("start %d: then %s", start, second.ID)
		}
		s.stop()
	}
	dead := deadLetters(t, dir)
	if len(dead) != 1 || dead[0].ID != ids[1] || len(dead[0].Webhook.Body) != 0 ||
		!strings.Contains(dead[0].Reason, "message 2 of RELAY_EVENTS is damaged") {
		t.Errorf("dead letters: %+v", dead)
	}
}

// rot changes the first byte of a text in the events of a data directory.
func rot(t *testing.T, dir, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", queue.Events, "msgs", "*.blk"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	block, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	block[bytes.Index(block, []byte(text))] ^= 1
	if err := os.WriteFile(files[0], block, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A write that nobody answered was repeated when the server had forgotten the
// first one.
func TestEnvelopeThatIsStoredTwiceIsPassedOver(t *testing.T) {
	nats := external(t)
	s := newStageOn(t, queue.Options{URL: nats.ClientURL(), MaxBody: 1 << 20, TakeoverWait: 50 * time.Millisecond})
	first := s.store("a")
	if it := s.take(); it.ID != first {
		t.Fatalf("delivered %s", it.ID)
	}
	storeAgain(t, nats.ClientURL(), first.Seq)
	last := s.store("a")
	if it := s.take(); it.ID != last {
		t.Errorf("delivered %s, want %s", it.ID, last)
	}
	s.stop()
	if want := fmt.Sprintf("sequence=%d first=%d", first.Seq+1, first.Seq); !strings.Contains(s.log.String(), want) {
		t.Errorf("the log does not say %q:\n%s", want, s.log)
	}
}

func external(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), MaxPayload: 8 << 20, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s
}

// storeAgain stores a message of RELAY_EVENTS once more, as if under an id that
// the server has forgotten.
func storeAgain(t *testing.T, url string, seq uint64) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), queue.Events)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), msg.Subject, msg.Data); err != nil {
		t.Fatal(err)
	}
}

func TestNoncesAreBounded(t *testing.T) {
	var n nonces
	nonce := func(seq uint64) (x queue.Nonce) {
		copy(x[:], fmt.Sprintf("%016d", seq))
		return x
	}
	for seq := uint64(1); seq <= 2*maxNonces; seq++ {
		if _, twice := n.storedBefore(&queue.Envelope{Seq: seq, Nonce: nonce(seq)}); twice {
			t.Fatalf("%d is new", seq)
		}
	}
	if len(n.first) != maxNonces || len(n.order) != maxNonces {
		t.Errorf("%d and %d are remembered", len(n.first), len(n.order))
	}
	if _, twice := n.storedBefore(&queue.Envelope{Seq: 2 * maxNonces, Nonce: nonce(2 * maxNonces)}); twice {
		t.Error("what is read again at its place is no repeat")
	}
	if first, twice := n.storedBefore(&queue.Envelope{Seq: 9 * maxNonces, Nonce: nonce(maxNonces + 1)}); !twice || first != maxNonces+1 {
		t.Errorf("stored twice: %d, %v", first, twice)
	}
}
