package server

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"
)

const (
	// largeBudget bounds the bodies over largeBody that are in memory, in bytes:
	// those of senders who are proved, and again those of strangers. It is one of the
	// largest that GitLab sends, or of the largest that is taken. They are rare, and
	// cost the queue several times their size. They count from when they are read
	// until the relay has let go of them.
	largeBudget = 26 << 20
	largeBody   = 1 << 20
	// usualBudget is what only the usual ones may take beside them.
	usualBudget = 40 << 20
	// strangersBudget is what bodies may take whose sender is not proved before
	// they are read, and half of usualBudget more if they are no large ones.
	strangersBudget = 36 << 20

	// bodyWait is how long a webhook waits for its share, of what it may wait in
	// all.
	bodyWait = 4 * time.Second
	// strangersTime is how long a body may take whose sender is not proved.
	strangersTime = 15 * time.Second
	// chunk is what a body is read by at first whose length is not known, or
	// not believed.
	chunk = 8 << 10
	// collecting is how often a large webhook that waits has the garbage collected,
	// which is when it is known that another has gone.
	collecting = 100 * time.Millisecond
)

// budget counts the bytes of bodies in memory.
type budget struct {
	mu    sync.Mutex
	held  int64
	freed chan struct{} // closed when something is given back
	clean time.Time     // when a large one that waits had the garbage collected
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
		case <-b.collected(n):
		case <-over:
			return false
		case <-gone:
			return false
		}
	}
}

// collected has the garbage collected in a moment, for one that wants so much.
func (b *budget) collected(n int64) <-chan time.Time {
	if n <= largeBody {
		return nil
	}
	b.mu.Lock()
	due := time.Since(b.clean) > collecting
	if due {
		b.clean = time.Now()
	}
	b.mu.Unlock()
	if due {
		runtime.GC()
	}
	return time.After(collecting)
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
	known  *budget // of the large bodies of senders who are proved
	large  int64   // what these may take
	held   int64
	proved bool
	over   <-chan time.Time // ends its waiting
	waited time.Duration    // so far
	gone   <-chan struct{}  // closed when the client is
}

func (s *share) take(n int64) bool {
	begin := time.Now()
	defer func() { s.waited += time.Since(begin) }()
	large := s.held+n > largeBody
	if large && s.proved && s.of != s.known {
		if !s.known.take(s.held+n, s.large, s.over, s.gone) {
			return false
		}
		s.of.give(s.held)
		s.of = s.known
		s.held += n
		return true
	}
	limit := int64(largeBudget + usualBudget)
	switch {
	case s.of == s.known:
		limit = s.large
	case large:
		limit = strangersBudget
	case !s.proved:
		limit = strangersBudget + usualBudget/2
	}
	if !s.of.take(n, limit, s.over, s.gone) {
		return false
	}
	s.held += n
	return true
}

// give gives it back.
func (s *share) give() { s.of.give(s.held) }

// giveAfter gives it back when nothing has the body any more, if that is large:
// its event may wait for its turn, or its message for the chat.
func (s *share) giveAfter(body []byte) (release func()) {
	if s.held <= largeBody {
		return s.give
	}
	runtime.AddCleanup(&body[0], s.of.give, s.held)
	return func() {}
}

var (
	errBusy       = &refusal{status: http.StatusServiceUnavailable, text: "too many webhooks at once; resend this one later", result: "busy"}
	errIncomplete = &refusal{status: http.StatusBadRequest, text: "the body ended early", result: "incomplete"}
)

// read reads the body into memory of its own. A proved sender's Content-Length
// is believed; of a stranger's body, what has come counts. The release function
// gives its share back, for which it has waited so long.
func (d *Door) read(w http.ResponseWriter, r *http.Request, proved bool) (body []byte, waited time.Duration, release func(), err error) {
	wait := time.NewTimer(d.wait)
	if r.ContentLength > largeBody {
		wait.Reset(d.wait * 3 / 2) // each takes a while, and little is left for the queue to do
	}
	defer wait.Stop()
	s := &share{of: d.budget, known: d.large, large: max(largeBudget, d.opt.MaxBody+1), proved: proved, over: wait.C, gone: r.Context().Done()}
	if !proved {
		// Fails only where the connection has no deadlines: in tests.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(strangersTime))
	}
	if n := r.ContentLength; n >= 0 && (proved || n <= chunk) {
		if !s.take(n) {
			return nil, s.waited, s.give, errBusy
		}
		body = make([]byte, n)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, s.waited, s.give, errIncomplete
		}
		return body, s.waited, s.giveAfter(body), nil
	}
	for int64(len(body)) <= d.opt.MaxBody {
		if len(body) == cap(body) {
			more := min(max(len(body), chunk), int(d.opt.MaxBody)+1-len(body))
			if left := int(r.ContentLength) - len(body); left > 0 {
				more = min(more, left)
			}
			if !s.take(int64(more)) {
				return nil, s.waited, s.give, errBusy
			}
			body = append(make([]byte, 0, len(body)+more), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) == r.ContentLength, errors.Is(err, io.EOF) && int64(len(body)) <= d.opt.MaxBody:
			return body, s.waited, s.giveAfter(body), nil
		case err != nil && !errors.Is(err, io.EOF):
			return nil, s.waited, s.give, errIncomplete
		}
	}
	return nil, s.waited, s.give, d.tooLarge()
}
