package server

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestAdminPagesAreClean: no page of the admin listener holds a secret, in any
// encoding that a client may ask for.
func TestAdminPagesAreClean(t *testing.T) {
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "relay_x", Help: "x " + canary}, []string{"address"})
	gauge.WithLabelValues("mm#" + canary).Set(1)
	registry.MustRegister(gauge)
	h := NewAdmin(AdminOptions{Gatherer: registry, Log: slog.New(slog.DiscardHandler), Loopback: true, Relay: &standIn{
		ready: errors.New(canary), reload: errors.New("route " + canary), config: map[string]string{canary: canary},
		clean: func(s string) string { return strings.ReplaceAll(s, canary, "[redacted]") },
	}})
	for _, page := range []string{"GET /metrics", "GET /healthz", "GET /readyz", "POST /-/reload", "GET /api/v1/config", "GET /" + canary, "PUT /metrics"} {
		method, path, _ := strings.Cut(page, " ")
		r := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, nil)
		r.Header.Set("Accept-Encoding", "gzip, zstd")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		text := w.Body.String()
		if strings.Contains(text, canary) || w.Header().Get("Content-Encoding") != "" || w.Code == 0 {
			t.Errorf("%s: %d %v %s", page, w.Code, w.Header(), text)
		}
		if (path == "/metrics" && method == http.MethodGet || path == "/api/v1/config") && !strings.Contains(text, "[redacted]") {
			t.Errorf("%s: %s", page, text)
		}
	}
}
