package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal how far a command is that takes long. Elsewhere, and for
// the first moment, it shows nothing. Whoever prints a line calls clear first.
type progress struct {
	out   io.Writer // nil: it shows nothing
	total int       // -1: nobody knows
	what  string
	after time.Time // when it begins to show
	done  int
	bar   *progressbar.ProgressBar
}

// patient is how long a command takes before it shows how far it is.
const patient = time.Second

// progress begins one. total is how much there is to do, or -1.
func (a *app) progress(total int, what string) *progress {
	p := &progress{total: total, what: what, after: time.Now().Add(patient)}
	if out := uncleaned(a.stderr); terminal(out) {
		p.out = out
	}
	return p
}

// add notes that so much more is done.
func (p *progress) add(n int) {
	p.done += n
	if p.out == nil || time.Now().Before(p.after) {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions(p.total,
			progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(p.what), progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(true))
	}
	if p.total > 0 && p.done > p.total {
		p.bar.ChangeMax(p.done)
	}
	_ = p.bar.Set(p.done) // a terminal that is gone shows nothing
}

// clear takes it off the screen, until more is done.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// interrupted is the error of a command that was stopped by Ctrl-C. done says what it
// had done, hint how to continue.
func interrupted(done, hint string) error {
	return &exitError{code: exitFail, message: "interrupted: " + done, hint: hint}
}

// repeatIt is the hint where a command that is repeated does only what is left.
const repeatIt = "repeat the command to continue"

// isInterrupted reports whether the command was stopped by Ctrl-C.
func isInterrupted(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }
