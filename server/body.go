package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// largeBody is the size from which on a body is large, in bytes.
	largeBody = 1 << 20
	// bodyWait is how long a webhook waits for memory for its body. It is a part of
	// patience.
	bodyWait = 4 * time.Second
	// unverifiedTime is how long a body of an unverified sender may take.
	unverifiedTime = 15 * time.Second
	// idleBody is how long such a body may take for the next chunk.
	idleBody = 2 * time.Second
	// chunk is the first piece that is read of a body whose length is not known, or
	// not trusted.
	chunk = 8 << 10
)

// room is how many bytes of bodies may be in memory at the same time, from reading a
// body to answering its webhook. Large bodies have a budget of their own, so that
// small ones do not wait for them.
type room struct{ usual, large *semaphore.Weighted }

// verifiedRoom is for senders whose token was verified before the body is read,
// unverifiedRoom for all others. Either holds at least one body of the largest size.
func verifiedRoom(most int64) room   { return newRoom(30<<20, max(64<<20, most+1)) }
func unverifiedRoom(most int64) room { return newRoom(40<<20, max(32<<20, most+1)) }

func newRoom(usual, large int64) room {
	return room{semaphore.NewWeighted(usual), semaphore.NewWeighted(large)}
}

// share is what one body takes of a room.
type share struct {
	room
	ctx    context.Context // ends the waiting
	held   int64
	from   *semaphore.Weighted // held is taken from it; nil before the first
	waited time.Duration       // so far
}

// take takes n more bytes, and waits for them. A body that becomes large moves to the
// budget of large ones. It returns false if the time is over.
func (s *share) take(n int64) bool {
	from, more := s.usual, n
	if s.held+n > largeBody {
		from = s.large
	}
	moves := s.from != nil && s.from != from
	if moves {
		more += s.held
	}
	begin := time.Now()
	ok := from.TryAcquire(more) || from.Acquire(s.ctx, more) == nil
	s.waited += time.Since(begin)
	if !ok {
		return false
	}
	if moves {
		s.from.Release(s.held)
	}
	s.from, s.held = from, s.held+n
	return true
}

// give returns all of it to the room.
func (s *share) give() {
	if s.from != nil {
		s.from.Release(s.held)
	}
}

var (
	errBusy       = &refusal{status: http.StatusServiceUnavailable, text: "too many webhooks at once; resend this one later", result: "busy"}
	errSlow       = &refusal{status: http.StatusServiceUnavailable, text: "the body comes too slowly; resend this one later", result: "busy"}
	errIncomplete = &refusal{status: http.StatusBadRequest, text: "the body ended early", result: "incomplete"}
)

// read reads the body. For a verified sender it takes memory for all of its
// Content-Length at once, for others as the body arrives. It also returns how long
// the body waited for memory. Whoever calls it calls release.
func (d *Door) read(w http.ResponseWriter, r *http.Request, verified bool) (body []byte, waited time.Duration, release func(), err error) {
	wait := d.wait
	if r.ContentLength > largeBody {
		wait = wait * 3 / 2 // each takes a while, and little is left for the queue to do
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	s := &share{room: d.unverified, ctx: ctx}
	if verified {
		s.room = d.verified
	}
	if verified && r.ContentLength >= 0 {
		body, err = readAll(r, s)
	} else {
		p := newPace(w, r, verified)
		body, err = d.readChunks(r, s, p)
		p.done()
	}
	return body, s.waited, s.give, err
}

// readAll reads a body whose length is trusted.
func readAll(r *http.Request, s *share) ([]byte, error) {
	if !s.take(r.ContentLength) {
		return nil, errBusy
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, errIncomplete
	}
	return body, nil
}

// readChunks reads a body and takes memory for it as it arrives.
func (d *Door) readChunks(r *http.Request, s *share, p *pace) (body []byte, err error) {
	for int64(len(body)) <= d.opt.MaxBody {
		if len(body) == cap(body) {
			more := min(max(len(body), chunk), int(d.opt.MaxBody)+1-len(body))
			if left := int(r.ContentLength) - len(body); left > 0 {
				more = min(more, left)
			}
			if !s.take(int64(more)) {
				return nil, errBusy
			}
			body = append(make([]byte, 0, len(body)+more), body...)
			p.begin(len(body))
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) == r.ContentLength, errors.Is(err, io.EOF) && int64(len(body)) <= d.opt.MaxBody:
			return body, nil
		case errors.Is(err, os.ErrDeadlineExceeded) && p != nil:
			return nil, errSlow
		case err != nil && !errors.Is(err, io.EOF):
			return nil, errIncomplete
		}
		p.came(len(body))
	}
	return nil, d.tooLarge()
}

// pace gives an unverified sender a deadline for each chunk of a body, because other
// bodies wait for the memory that it takes. A nil pace sets none.
type pace struct {
	request *http.Request
	control *http.ResponseController
	end     time.Time
	at      int // bytes that were read when the current chunk began
}

func newPace(w http.ResponseWriter, r *http.Request, verified bool) *pace {
	if verified {
		return nil
	}
	return &pace{request: r, control: http.NewResponseController(w), end: time.Now().Add(unverifiedTime)}
}

// begin begins the next chunk.
func (p *pace) begin(at int) {
	if p == nil {
		return
	}
	p.at = at
	next := time.Now().Add(idleBody)
	if next.After(p.end) {
		next = p.end
	}
	_ = p.control.SetReadDeadline(next) // fails only where the connection has none: in tests
}

// done removes the deadline: storing the webhook has its own.
func (p *pace) done() {
	if p != nil {
		_ = p.control.SetReadDeadline(time.Time{})
	}
}

// came takes how many bytes have been read.
func (p *pace) came(at int) {
	if p == nil || at-p.at < chunk {
		return
	}
	active(p.request.Context())
	p.begin(at)
}
