package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimeoutByTheTimeThatTheProcessRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		<-ctx.Done()
		if took := time.Since(begin); took != 3*time.Second || context.Cause(ctx) != context.DeadlineExceeded {
			t.Errorf("it ends after %s with %v", took, context.Cause(ctx))
		}
		ctx, cancel = WithTimeout(t.Context(), 50*time.Millisecond)
		begin = time.Now()
		<-ctx.Done()
		if took := time.Since(begin); took != 50*time.Millisecond {
			t.Errorf("it ends after %s", took)
		}
		cancel()
		ctx, cancel = WithTimeout(t.Context(), time.Second)
		cancel()
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled, it ends with %v", err)
		}
		parent, end := context.WithCancelCause(t.Context())
		ctx, cancel = WithTimeout(parent, time.Second)
		defer cancel()
		end(ErrClosed)
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, ErrClosed) {
			t.Errorf("with its parent it ends with %v", err)
		}
	})
}
