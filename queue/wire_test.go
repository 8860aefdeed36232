package queue

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A large body is read back as it was written, whatever it compresses to.
func TestLargeBodies(t *testing.T) {
	noise := make([]byte, 5<<20+17)
	random := rand.NewChaCha8([32]byte{7})
	_, _ = random.Read(noise)
	for name, body := range map[string][]byte{
		"one letter": bytes.Repeat([]byte("x"), 1<<20),
		"words":      bytes.Repeat([]byte("a merge request was opened "), 200_000),
		"noise":      noise,
		"both":       append(bytes.Repeat([]byte("words "), 500_000), noise...),
	} {
		t.Run(name, func(t *testing.T) {
			w := Webhook{Source: "gitlab", Received: time.UnixMicro(1_700_000_000_000_000), Header: []Field{{"X-Gitlab-Event", "Push Hook"}}, Body: body}
			nonce, whole := newNonce(), cmp.Comparer(bytes.Equal)
			var p packer
			msg := p.envelope(nonce, []*Webhook{&w})
			e, err := decodeEnvelope(1, msg, 64<<20)
			if diff := cmp.Diff(Envelope{Seq: 1, Nonce: nonce, Webhooks: []Webhook{w}}, e, whole); err != nil || diff != "" {
				t.Errorf("envelope: %v %.300s", err, diff)
			}
			one := Parked{ID: ID{1, 0}, Nonce: nonce, Note: []byte("{}"), Webhook: w}
			batch, _, err := decodeParked(1, encodeParked(nonce, []Parked{one}), 64<<20)
			if diff := cmp.Diff([]Parked{one}, batch, whole); err != nil || diff != "" {
				t.Errorf("parked: %v %.300s", err, diff)
			}
			dead := Dead{Parked: one, Lane: Lane{"mm", "dev"}, Reason: "gone", Attempts: 3, Time: w.Received}
			d, err := decodeDead(1, encodeDead(nonce, &dead), 64<<20)
			if diff := cmp.Diff(dead, d, whole); err != nil || diff != "" {
				t.Errorf("dead: %v %.300s", err, diff)
			}
		})
	}
}
