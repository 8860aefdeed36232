package main

import (
	"log/slog"
	"os"
	"time"
)

// endGrace is how long the relay may take to end. What is not done by then is
// done after the next start, as after a crash.
const endGrace = 10 * time.Second

// endWithin ends the process when it has not ended by itself, unless the timer
// is stopped: a disk that does not answer keeps the embedded server from
// stopping.
func endWithin(d time.Duration, log *slog.Logger, lines *lineWriter) *time.Timer {
	return time.AfterFunc(d, func() {
		time.AfterFunc(time.Second/2, func() { os.Exit(exitFail) }) // if nobody reads the log
		log.Error("the relay did not end in time and ends without waiting longer; what it was doing is done again after the next start", "after", d.String())
		endNow(exitFail, lines)
	})
}

// endNow ends the process once its log is written, or if nobody reads that, without.
func endNow(code int, lines *lineWriter) {
	time.AfterFunc(time.Second/2, func() { os.Exit(code) })
	lines.close()
	os.Exit(code)
}

// closeQueue closes the queue and says so when that was not possible.
func (r *relay) closeQueue() {
	if err := r.queue.Close(); err != nil {
		r.log.Error("the queue was not closed in good order; nothing that was accepted is lost", "err", err)
		return
	}
	r.log.Info("stopped")
}
