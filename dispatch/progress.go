package dispatch

import (
	"sync"

	"github.com/gitlab-mattermost/relay/queue"
)

// progress knows which envelopes have deliveries that are not settled yet.
// The cursor is below the oldest of them.
type progress struct {
	mu     sync.Mutex
	cursor uint64
	nonce  queue.Nonce
	open   []*envelope // oldest first; a settled one stays until all older ones are settled

	// Until the cursor reaches known, the next recovery must read all that this one
	// read: it holds which events above the cursor are settled or parked.
	known    uint64
	recovery queue.Checkpoint
}

type envelope struct {
	seq     uint64
	nonce   queue.Nonce
	left    int    // deliveries not settled, plus one while it is being read
	journal uint64 // the journal's last sequence when it was read
	parked  uint64 // RELAY_PARKED's
}

// remember keeps what the journal holds about an event readable by recovery until the
// cursor has reached the event.
func (p *progress) remember(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = max(p.known, seq)
}

// begin adds an envelope that is about to be read.
func (p *progress) begin(seq uint64, nonce queue.Nonce, journal, parked uint64) *envelope {
	e := &envelope{seq: seq, nonce: nonce, left: 1, journal: journal, parked: parked}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, e)
	return e
}

// add counts a delivery of the envelope.
func (p *progress) add(e *envelope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.left++
}

// done subtracts one: a settled delivery, or the reading itself.
func (p *progress) done(e *envelope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.left--
	for len(p.open) > 0 && p.open[0].left == 0 {
		p.cursor, p.nonce = p.open[0].seq, p.open[0].nonce
		p.open[0] = nil
		p.open = p.open[1:]
	}
}

// checkpoint is up to where everything is settled, and from where recovery has to
// read. last and parked are the ends of the journal and of RELAY_PARKED; recovery
// starts there if nothing is open.
func (p *progress) checkpoint(last, parked uint64) queue.Checkpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := queue.Checkpoint{Cursor: p.cursor, Nonce: p.nonce, Journal: last, Parked: parked}
	if len(p.open) > 0 {
		c.Journal, c.Parked = p.open[0].journal, p.open[0].parked
	}
	if p.cursor < p.known {
		c.Journal, c.Parked = min(c.Journal, p.recovery.Journal), min(c.Parked, p.recovery.Parked)
	}
	return c
}
