package server

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// AdminOptions of the admin listener.
type AdminOptions struct {
	// Ready tells whether a webhook could be stored now.
	Ready    func(ctx context.Context) error
	Gatherer prometheus.Gatherer
	Log      *slog.Logger
}

// NewAdmin makes the admin handler: /metrics, /healthz (the process answers)
// and /readyz (a webhook could be stored).
func NewAdmin(opt AdminOptions) http.Handler {
	e := newEngine(opt.Log)
	metrics := promhttp.HandlerFor(opt.Gatherer, promhttp.HandlerOpts{})
	e.GET("/metrics", gin.WrapH(metrics))
	e.GET("/healthz", healthz)
	e.GET("/readyz", func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), 3*time.Second)
		defer cancel()
		if err := opt.Ready(ctx); err != nil {
			opt.Log.Warn("not ready", "err", err)
			answerError(c, &refusal{status: http.StatusServiceUnavailable, text: "not ready: the queue cannot store"})
			return
		}
		c.JSON(http.StatusOK, gin.H{"status": "ready"})
	})
	e.NoRoute(func(c *gin.Context) { answerError(c, &refusal{status: http.StatusNotFound, text: "no such page"}) })
	return e
}
