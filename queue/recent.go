package queue

import "sync"

// maxRecent is how many bytes of bodies [recent] holds, unless one alone is
// larger.
const maxRecent = 8 << 20

// recent are the envelopes that were stored last, so that the dispatcher of the
// same process need not read back and unpack what it has just seen. What it does
// not hold any more is read from the stream.
type recent struct {
	mu    sync.Mutex
	all   []Envelope // oldest first
	bytes int
}

// add keeps an envelope that is stored.
func (r *recent) add(e Envelope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.all); n > 0 && r.all[n-1].Seq >= e.Seq {
		r.all, r.bytes = nil, 0 // the stream was cut back: what was there is not any more
	}
	r.all = append(r.all, e)
	r.bytes += e.bytes()
	for r.bytes > maxRecent && len(r.all) > 1 {
		r.drop()
	}
}

// take returns the envelope of that sequence, and lets go of it and of all
// before it.
func (r *recent) take(seq uint64) (Envelope, bool) {
	r.forget(seq - 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 || r.all[0].Seq != seq {
		return Envelope{}, false
	}
	return r.drop(), true
}

// forget lets go of everything up to the sequence.
func (r *recent) forget(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.all) > 0 && r.all[0].Seq <= seq {
		r.drop()
	}
}

// drop takes the oldest off. The lock is held.
func (r *recent) drop() Envelope {
	e := r.all[0]
	r.all[0] = Envelope{}
	r.all = r.all[1:]
	r.bytes -= e.bytes()
	return e
}

func (e *Envelope) bytes() (n int) {
	for i := range e.Webhooks {
		n += len(e.Webhooks[i].Body)
	}
	return n
}
