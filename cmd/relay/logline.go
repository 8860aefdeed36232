package main

import (
	"io"
	"sync"
)

// maxUnwritten is how many bytes of log lines may wait to be written.
const maxUnwritten = 1 << 20

// lineWriter writes the log's lines from a goroutine of its own, so that nobody
// who says something waits for the disk or terminal: lines that come while some
// are being written go together into the next write. When too many wait, the
// next one waits too; none is dropped.
type lineWriter struct {
	out   io.Writer
	ended chan struct{}

	mu     sync.Mutex
	change sync.Cond // of what follows
	lines  []byte    // to be written
	closed bool
}

func newLineWriter(out io.Writer) *lineWriter {
	w := &lineWriter{out: out, ended: make(chan struct{})}
	w.change.L = &w.mu
	go w.run()
	return w
}

// Write takes a line. It never fails: there is nobody to tell.
func (w *lineWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.lines) > maxUnwritten && !w.closed {
		w.change.Wait()
	}
	if w.closed {
		return w.out.Write(line)
	}
	if w.lines = append(w.lines, line...); len(w.lines) == len(line) {
		w.change.Broadcast()
	}
	return len(line), nil
}

func (w *lineWriter) run() {
	defer close(w.ended)
	var writing []byte
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.lines) == 0 && !w.closed {
			w.change.Wait()
		}
		if len(w.lines) == 0 {
			return
		}
		writing, w.lines = w.lines, writing[:0]
		w.mu.Unlock()
		_, _ = w.out.Write(writing)
		w.mu.Lock()
		w.change.Broadcast()
	}
}

// close writes what waits; later lines are written at once.
func (w *lineWriter) close() {
	w.mu.Lock()
	w.closed = true
	w.change.Broadcast()
	w.mu.Unlock()
	<-w.ended
}
