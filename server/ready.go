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
	// readyTimeout is how long a check of the queue may take.
	readyTimeout = 3 * time.Second
	// readyCache is how long the public listener repeats an answer: anyone may ask it,
	// and each check writes to the queue.
	readyCache = time.Second
)

// readyz answers 200 if ready returns nil, and 503 otherwise.
func readyz(ready func(ctx context.Context) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
		defer cancel()
		if err := ready(ctx); err != nil {
			answerError(c, &refusal{status: http.StatusServiceUnavailable, text: "not ready: " + notReady(err)})
			return
		}
		c.JSON(http.StatusOK, gin.H{"status": "ready"})
	}
}

// notReady is what readiness says of an error: its own text only if that may be shown to
// anybody.
func notReady(err error) string {
	var known interface{ NotReady() string }
	if errors.As(err, &known) {
		return known.NotReady()
	}
	return "the queue cannot store"
}

// cached checks at most once in readyCache, and one at a time. A client that hangs up
// does not end the check for the others.
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
