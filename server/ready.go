package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	// readyTimeout is how long it may take to find out whether the queue stores.
	readyTimeout = 3 * time.Second
	// readyCache is how long the answer holds at the public listener: anyone may ask
	// there, and finding out takes a write.
	readyCache = time.Second
)

// readyz answers 200 if ready returns nil, and 503 otherwise.
func readyz(ready func(ctx context.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
		defer cancel()
		if err := ready(ctx); err != nil {
			text := "the queue cannot store"
			var other interface{ NotReady() string } // with words for strangers
			if errors.As(err, &other) {
				text = other.NotReady()
			}
			answerError(c, &refusal{status: http.StatusServiceUnavailable, text: "not ready: " + text})
			return
		}
		c.JSON(http.StatusOK, gin.H{"status": "ready"})
	}
}

// cached asks at most once in readyCache, and once at a time. Whoever asks first
// may go without ending what the others wait for.
func cached(ready func(ctx context.Context) error) func(ctx context.Context) error {
	var mu sync.Mutex
	var asked time.Time
	var answer error
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if asked.IsZero() || time.Since(asked) > readyCache {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
			defer cancel()
			answer = ready(ctx)
			asked = time.Now()
		}
		return answer
	}
}
