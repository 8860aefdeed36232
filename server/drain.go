package server

import (
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gitlab-mattermost/relay/events"
)

const (
	// drainTime is how long the rest of a refused body is read. GitLab sends the whole
	// body before it reads the answer, and gives up after 10 s, of which bodyWait may
	// be over.
	drainTime = 5 * time.Second
	// drainsVerified and drainsUnverified are how many are read at the same time, of
	// verified senders and of others.
	drainsVerified, drainsUnverified = 256, 64
	// drainUnverified is how much is read of an unverified sender's body, in bytes.
	drainUnverified = 1 << 20
)

// drains reads the rest of refused bodies, so that their senders get the answer:
// closing a connection with unread data resets it, and the answer is lost.
type drains struct {
	verified, unverified chan struct{}
	buffers              sync.Pool // of *[32 << 10]byte
}

func newDrains() *drains {
	return &drains{
		verified: make(chan struct{}, drainsVerified), unverified: make(chan struct{}, drainsUnverified),
		buffers: sync.Pool{New: func() any { return new([32 << 10]byte) }},
	}
}

// drain reads and drops the rest of a body after its refusal was sent: up to twice the
// largest body of a verified sender, and only little of others. If too many are being
// read already, the connection is closed.
func (d *Door) drain(c *gin.Context, source *Source) {
	r := c.Request
	if r.ProtoMajor != 1 || r.Body == http.NoBody || r.Header.Get("Expect") != "" {
		return // HTTP/2 resets only the request; with Expect the body was not sent
	}
	slots, most := d.drains.unverified, int64(drainUnverified)
	if source != nil {
		if v := source.Proof.Header(r.Header); v.Outcome == events.Accepted && v.By != events.ByInsecure {
			slots, most = d.drains.verified, 2*d.opt.MaxBody
			defer keep(r.Context())()
		}
	}
	if r.ContentLength > most {
		return // it could not be read to its end
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		return
	}
	control := http.NewResponseController(c.Writer)
	if control.SetReadDeadline(time.Now().Add(drainTime)) != nil || control.Flush() != nil {
		return // there is no connection: in tests
	}
	buffer := d.drains.buffers.Get().(*[32 << 10]byte)
	defer d.drains.buffers.Put(buffer)
	for n := int64(0); n <= most; {
		m, err := r.Body.Read(buffer[:])
		if err != nil {
			return
		}
		n += int64(m)
	}
}
