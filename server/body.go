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
	// largeBody is where a body begins to be large, in bytes.
	largeBody = 1 << 20
	// usualBudget bounds the bodies in memory of senders who are proved, but for the
	// large ones, in bytes.
	usualBudget = 30 << 20
	// largeBudget bounds the large ones of them: one of the largest that GitLab
	// sends, or of the largest that is taken. They are rare, and cost the queue
	// several times their size. They count from when they are read until the relay
	// has let go of them.
	largeBudget = 26 << 20
	// unprovedBudget bounds the bodies whose sender is not proved before they are
	// read. Those that are not large may take unprovedUsual more.
	unprovedBudget = 32 << 20
	unprovedUsual  = 8 << 20

	// bodyWait is how long a webhook waits for its share, of what it may wait in
	// all.
	bodyWait = 4 * time.Second
	// unprovedTime is how long a body may take whose sender is not proved.
	unprovedTime = 15 * time.Second
	// idleBody is how long such a body may bring less than a chunk before it is cut
	// off, if another one needs the room.
	idleBody = time.Second
	// chunk is what a body is read by at first whose length is not known, or
	// not believed.
	chunk = 8 << 10
	// collecting is how often a large webhook that waits has the garbage collected,
	// which is when it is known that another has gone.
	collecting = 100 * time.Millisecond
)

// budget counts the bytes of bodies in memory.
type budget struct {
	mu      sync.Mutex
	held    int64
	freed   chan struct{}       // closed when something is given back
	clean   time.Time           // when a large one that waits had the garbage collected
	reading map[*share]struct{} // those of unproved senders that wait for more of their body
}

func newBudget() *budget {
	return &budget{freed: make(chan struct{}), reading: map[*share]struct{}{}}
}

// take takes a share as long as all together stay within the limit, waiting
// for it until over is closed or delivers. It cuts off those that bring nothing.
func (b *budget) take(n, limit int64, over <-chan time.Time, gone <-chan struct{}) bool {
	for {
		b.mu.Lock()
		if b.held+n <= limit {
			b.held += n
			b.mu.Unlock()
			return true
		}
		freed, idle := b.freed, b.cutIdle()
		b.mu.Unlock()
		select {
		case <-freed:
		case <-idle:
		case <-b.collected(n):
		case <-over:
			return false
		case <-gone:
			return false
		}
	}
}

// cutIdle cuts off the body that has brought nothing for longest, if that is long,
// and otherwise returns when it will be. The lock is held.
func (b *budget) cutIdle() (next <-chan time.Time) {
	var first *share
	for s := range b.reading {
		if first == nil || s.since.Before(first.since) {
			first = s
		}
	}
	if first == nil {
		return nil
	}
	if left := idleBody - time.Since(first.since); left > 0 {
		return time.After(left)
	}
	delete(b.reading, first)
	first.wasCut = true
	first.cut()
	return nil
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

// share is what one request holds of a budget.
type share struct {
	of     *budget
	large  *budget // where it moves to when it is large, if the sender is proved; else nil
	most   int64   // what large ones may take in all
	held   int64
	over   <-chan time.Time // ends its waiting
	waited time.Duration    // so far
	gone   <-chan struct{}  // closed when the client is

	// Of an unproved sender, guarded by the budget's lock.
	cut    func()    // ends a read that is under way
	wasCut bool      // it was called
	since  time.Time // when the body last brought a chunk
	came   int       // bytes that had come then
}

func (d *Door) share(w http.ResponseWriter, r *http.Request, proved bool, over <-chan time.Time) *share {
	s := &share{of: d.strangers, most: max(unprovedBudget, d.opt.MaxBody+1), over: over, gone: r.Context().Done(), since: time.Now()}
	if proved {
		s.of, s.large, s.most = d.usual, d.large, max(largeBudget, d.opt.MaxBody+1)
		return s
	}
	// Setting a deadline fails only where the connection has none: in tests.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(unprovedTime))
	s.cut = func() { _ = control.SetReadDeadline(time.Unix(1, 0)) }
	return s
}

func (s *share) take(n int64) bool {
	begin := time.Now()
	defer func() { s.waited += time.Since(begin) }()
	limit, large := int64(usualBudget), s.held+n > largeBody
	switch {
	case large && s.large != nil && s.of != s.large:
		if !s.large.take(s.held+n, s.most, s.over, s.gone) {
			return false
		}
		s.of.give(s.held)
		s.of = s.large
		s.held += n
		return true
	case large:
		limit = s.most
	case s.large == nil:
		limit = s.most + unprovedUsual
	}
	if !s.of.take(n, limit, s.over, s.gone) {
		return false
	}
	s.held += n
	return true
}

// read reads more of an unproved sender's body, of which so much is there. It can
// be cut off meanwhile; then it returns errBusy.
func (s *share) read(r *http.Request, into []byte, there int) (int, error) {
	if s.cut == nil {
		return r.Body.Read(into)
	}
	s.of.mu.Lock()
	if there-s.came >= chunk {
		s.came, s.since = there, time.Now()
		active(r.Context())
	}
	s.of.reading[s] = struct{}{}
	s.of.mu.Unlock()
	n, err := r.Body.Read(into)
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	delete(s.of.reading, s)
	if s.wasCut {
		return n, errBusy
	}
	return n, err
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
// is believed; of any other body, what has come counts. The release function
// gives its share back, for which it has waited so long.
func (d *Door) read(w http.ResponseWriter, r *http.Request, proved bool) (body []byte, waited time.Duration, release func(), err error) {
	wait := time.NewTimer(d.wait)
	if r.ContentLength > largeBody {
		wait.Reset(d.wait * 3 / 2) // each takes a while, and little is left for the queue to do
	}
	defer wait.Stop()
	s := d.share(w, r, proved, wait.C)
	if n := r.ContentLength; n >= 0 && proved {
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
		n, err := s.read(r, body[len(body):cap(body)], len(body))
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, errBusy):
			return nil, s.waited, s.give, errBusy
		case int64(len(body)) == r.ContentLength, errors.Is(err, io.EOF) && int64(len(body)) <= d.opt.MaxBody:
			return body, s.waited, s.giveAfter(body), nil
		case err != nil && !errors.Is(err, io.EOF):
			return nil, s.waited, s.give, errIncomplete
		}
	}
	return nil, s.waited, s.give, d.tooLarge()
}
