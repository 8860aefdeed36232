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
	// largeBody is where a body begins to be large, in bytes.
	largeBody = 1 << 20
	// bodyWait is how long a webhook waits for room for its body, of what it may wait
	// in all.
	bodyWait = 4 * time.Second
	// unprovedTime is how long a body may take whose sender is not proved.
	unprovedTime = 15 * time.Second
	// idleBody is how long such a body may take for the next chunk.
	idleBody = 2 * time.Second
	// chunk is what a body is read by at first whose length is not known, or
	// not believed.
	chunk = 8 << 10
)

// room is how many bytes of bodies may be in memory at once, from when they are read
// until their webhooks are answered. Large bodies wait for each other, and not the
// others for them.
type room struct{ usual, large *semaphore.Weighted }

// knownRoom is for senders who are proved before the body is read, strangersRoom for
// all others. Either holds at least one of the largest body that is taken.
func knownRoom(most int64) room     { return newRoom(30<<20, max(64<<20, most+1)) }
func strangersRoom(most int64) room { return newRoom(40<<20, max(32<<20, most+1)) }

func newRoom(usual, large int64) room {
	return room{semaphore.NewWeighted(usual), semaphore.NewWeighted(large)}
}

// share is what one body takes.
type share struct {
	room
	ctx    context.Context // ends the waiting
	held   int64
	from   *semaphore.Weighted // which one held is taken from; nil before the first
	waited time.Duration       // so far
}

// take takes n more bytes, and waits for them. A body that has become large moves to
// the room of large ones.
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

// give gives all of it back.
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

// read reads the body into memory of its own. A proved sender's Content-Length
// is believed; of any other body, what has come counts. The release function
// gives its room back, for which it has waited so long.
func (d *Door) read(w http.ResponseWriter, r *http.Request, proved bool) (body []byte, waited time.Duration, release func(), err error) {
	wait := d.wait
	if r.ContentLength > largeBody {
		wait = wait * 3 / 2 // each takes a while, and little is left for the queue to do
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	s := &share{room: d.strangers, ctx: ctx}
	if proved {
		s.room = d.known
	}
	if proved && r.ContentLength >= 0 {
		body, err = readAll(r, s)
	} else {
		p := newPace(w, r, proved)
		body, err = d.readChunks(r, s, p)
		p.done()
	}
	return body, s.waited, s.give, err
}

// readAll reads a body whose length is believed.
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

// readChunks reads a body of which room is taken as it comes.
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

// pace gives the sender of an unproved body a deadline for each chunk, because other
// bodies wait for the room that it takes. A nil pace sets none.
type pace struct {
	request *http.Request
	control *http.ResponseController
	end     time.Time
	at      int // bytes that had come when the present chunk began
}

func newPace(w http.ResponseWriter, r *http.Request, proved bool) *pace {
	if proved {
		return nil
	}
	return &pace{request: r, control: http.NewResponseController(w), end: time.Now().Add(unprovedTime)}
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

// came tells how much has come.
func (p *pace) came(at int) {
	if p == nil || at-p.at < chunk {
		return
	}
	active(p.request.Context())
	p.begin(at)
}
