package queue

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A large body is written without a copy of it, and read back like any other,
// whatever it compresses to.
func TestLargeBodies(t *testing.T) {
	noise := make([]byte, 5<<20+17)
	random := rand.NewChaCha8([32]byte{7})
	_, _ = random.Read(noise)
	for name, body := range map[string][]byte{
		"just one piece": bytes.Repeat([]byte("x"), piece),
		"words":          bytes.Repeat([]byte("a merge request was opened "), 200_000),
		"noise":          noise,
		"both":           append(bytes.Repeat([]byte("words "), 500_000), noise...),
	} {
		t.Run(name, func(t *testing.T) {
			w := Webhook{Source: "gitlab", Received: time.UnixMicro(1_700_000_000_000_000), Header: []Field{{"X-Gitlab-Event", "Push Hook"}}, Body: body}
			nonce, whole := newNonce(), cmp.Comparer(bytes.Equal)
			var p packer
			m := p.envelope(nonce, []*Webhook{&w})
			if held := cap(m.sealed); held > large*3/2 {
				t.Errorf("%d bytes are held for a message of %d", held, m.len())
			}
			msg := m.bytes()
			if len(msg) != m.len() || !bytes.Equal(msg, m.bytes()) {
				t.Errorf("%d bytes were written, then %d, %d were announced", len(msg), len(m.bytes()), m.len())
			}
			e, err := decodeEnvelope(1, msg, 64<<20)
			if diff := cmp.Diff(Envelope{Seq: 1, Nonce: nonce, Webhooks: []Webhook{w}}, e, whole); err != nil || diff != "" {
				t.Errorf("envelope: %v %.300s", err, diff)
			}
			one := Parked{ID: ID{1, 0}, Nonce: nonce, Note: []byte("{}"), Webhook: w}
			m = encodeParked(nonce, []Parked{one})
			batch, err := decodeParked(1, m.bytes(), 64<<20)
			if diff := cmp.Diff([]Parked{one}, batch, whole); err != nil || diff != "" {
				t.Errorf("parked: %v %.300s", err, diff)
			}
			dead := Dead{Parked: one, Lane: Lane{"mm", "dev"}, Reason: "gone", Attempts: 3, Time: w.Received}
			m = encodeDead(nonce, &dead)
			d, err := decodeDead(1, m.bytes(), 64<<20)
			if diff := cmp.Diff(dead, d, whole); err != nil || diff != "" {
				t.Errorf("dead: %v %.300s", err, diff)
			}
		})
	}
}
