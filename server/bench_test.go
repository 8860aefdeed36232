package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

// Everything at the door but net/http and the queue, for a webhook of 6 KB.
func BenchmarkHook(b *testing.B) {
	proof, err := events.NewProof(events.ProofConfig{Tokens: []string{token}})
	if err != nil {
		b.Fatal(err)
	}
	d := NewDoor(Options{
		Sources: []Source{{Name: "gitlab", Paths: []string{"/hooks/gitlab"}, Proof: proof}},
		Store:   storeFunc(func(context.Context, *queue.Webhook) (queue.ID, error) { return queue.ID{Seq: 1042}, nil }),
		MaxBody: 1 << 20, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Registerer: prometheus.NewRegistry(),
	})
	body := fmt.Appendf(nil, `{"object_kind":"push","text":"%s"}`, bytes.Repeat([]byte("word "), 1200))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/hooks/gitlab", bytes.NewReader(body))
		r.Header.Set("X-Gitlab-Token", token)
		r.Header.Set("X-Gitlab-Event", "Push Hook")
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		if w.Code != http.StatusAccepted {
			b.Fatalf("answered %d %s", w.Code, w.Body)
		}
	}
}
