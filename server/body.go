package server

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// largeBudget bounds the bodies over largeBody that are in memory at the
	// door, in bytes: two of the largest that GitLab sends, or one of the largest
	// that is taken. They are rare, and cost the queue several times their size.
	largeBudget = 52 << 20
	largeBody   = 1 << 20
	// usualBudget is what only the usual ones may take beside them.
	usualBudget = 40 << 20
	// strangersBudget is what bodies may take whose sender is not proved before
	// they are read, and half of usualBudget more if they are no large ones.
	strangersBudget = 36 << 20

	// bodyWait is how long a webhook waits for its share. GitLab gives up after
	// 10 s, of which storeTimeout is the queue's.
	bodyWait = 4 * time.Second
	// strangersTime is how long a body may take whose sender is not proved.
	strangersTime = 15 * time.Second
	// chunk is what a body is read by at first whose length is not known, or
	// not believed.
	chunk = 8 << 10
)

// budget counts the bytes of bodies in memory.
type budget struct {
	mu    sync.Mutex
	held  int64
	freed chan struct{} // closed when something is given back
}

func newBudget() *budget { return &budget{freed: make(chan struct{})} }

// take takes a share as long as all together stay within the limit, waiting
// for it until over is closed or delivers.
func (b *budget) take(n, limit int64, over <-chan time.Time, gone <-chan struct{}) bool {
	for {
		b.mu.Lock()
		if b.held+n <= limit {
			b.held += n
			b.mu.Unlock()
			return true
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-over:
			return false
		case <-gone:
			return false
		}
	}
}

func (b *budget) give(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	close(b.freed)
	b.freed = make(chan struct{})
}

// share is what one request holds of the budget.
type share struct {
	of     *budget
	large  int64 // what large bodies may take
	held   int64
	proved bool
	over   <-chan time.Time // ends its waiting
	gone   <-chan struct{}  // closed when the client is
}

func (s *share) take(n int64) bool {
	limit := s.large + usualBudget
	switch large := s.held+n > largeBody; {
	case large && !s.proved:
		limit = strangersBudget
	case !s.proved:
		limit = strangersBudget + usualBudget/2
	case large:
		limit = s.large
	}
	if !s.of.take(n, limit, s.over, s.gone) {
		return false
	}
	s.held += n
	return true
}

func (s *share) give() { s.of.give(s.held) }

var (
	errBusy       = &refusal{status: http.StatusServiceUnavailable, text: "too many webhooks at once; resend this one later", result: "busy"}
	errIncomplete = &refusal{status: http.StatusBadRequest, text: "the body ended early", result: "incomplete"}
)

// read reads the body into memory of its own. A proved sender's Content-Length
// is believed; of a stranger's body, what has come counts. The release function
// gives its share back.
func (d *Door) read(w http.ResponseWriter, r *http.Request, proved bool) (body []byte, release func(), err error) {
	wait := time.NewTimer(d.wait)
	defer wait.Stop()
	s := &share{of: d.budget, large: max(largeBudget, d.opt.MaxBody), proved: proved, over: wait.C, gone: r.Context().Done()}
	if !proved {
		// Fails only where the connection has no deadlines: in tests.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(strangersTime))
	}
	if n := r.ContentLength; n >= 0 && (proved || n <= chunk) {
		if !s.take(n) {
			return nil, s.give, errBusy
		}
		body = make([]byte, n)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, s.give, errIncomplete
		}
		return body, s.give, nil
	}
	for int64(len(body)) <= d.opt.MaxBody {
		if len(body) == cap(body) {
			more := min(max(len(body), chunk), int(d.opt.MaxBody)+1-len(body))
			if left := int(r.ContentLength) - len(body); left > 0 {
				more = min(more, left)
			}
			if !s.take(int64(more)) {
				return nil, s.give, errBusy
			}
			body = append(make([]byte, 0, len(body)+more), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) == r.ContentLength, errors.Is(err, io.EOF) && int64(len(body)) <= d.opt.MaxBody:
			return body, s.give, nil
		case err != nil && !errors.Is(err, io.EOF):
			return nil, s.give, errIncomplete
		}
	}
	return nil, s.give, d.tooLarge()
}
