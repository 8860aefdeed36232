package server

import (
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gitlab-mattermost/relay/events"
)

const (
	// drainTime is how long what is left of a refused body is read for. GitLab
	// sends all of a body before it looks for an answer, and gives up after 10 s,
	// of which bodyWait may have gone by.
	drainTime = 5 * time.Second
	// drainsKnown and drainsStrangers are how many are read at once, of senders
	// who are proved and of others.
	drainsKnown, drainsStrangers = 256, 64
	// drainStranger is how much is read of a stranger's body, in bytes.
	drainStranger = 1 << 20
)

// drains reads what is left of bodies that were refused, so that their senders
// come to see the answer: a connection that is closed while something stands
// unread in it is reset, and the answer is lost.
type drains struct {
	known, strangers chan struct{}
	buffers          sync.Pool // of *[32 << 10]byte
}

func newDrains() *drains {
	return &drains{
		known: make(chan struct{}, drainsKnown), strangers: make(chan struct{}, drainsStrangers),
		buffers: sync.Pool{New: func() any { return new([32 << 10]byte) }},
	}
}

// drain reads on after a refusal was answered, and throws away what comes: of a
// proved sender's body as much again as one may hold, of a stranger's only
// little. Whoever is one too many is cut off.
func (d *Door) drain(c *gin.Context, source *Source) {
	r := c.Request
	if r.ProtoMajor != 1 || r.Body == http.NoBody || r.Header.Get("Expect") != "" {
		return // HTTP/2 resets no more than the request; who asks first has not sent it
	}
	slots, most := d.drains.strangers, int64(drainStranger)
	if source != nil {
		if v := source.Proof.Header(r.Header); v.Outcome == events.Accepted && v.By != events.ByInsecure {
			slots, most = d.drains.known, 2*d.opt.MaxBody
			defer keep(r.Context())()
		}
	}
	if r.ContentLength > most {
		return // would be cut off all the same
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		return
	}
	control := http.NewResponseController(c.Writer)
	if control.SetReadDeadline(time.Now().Add(drainTime)) != nil || control.Flush() != nil {
		return // no connection that could be reset: in tests
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
