package dispatch

import (
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// maxNonces is how many of the newest envelopes are known by their nonces.
const maxNonces = 16 << 10

// nonces recognise an envelope that is stored twice. A write without an answer is
// repeated, and the server recognises the first one for two minutes only.
type nonces struct {
	first map[queue.Nonce]uint64 // the sequence of each envelope
	order []queue.Nonce          // a ring, once it is full
	next  int
}

// storedBefore reports whether the envelope is already stored at another sequence, and
// at which; if not, it remembers it. A replay is never a duplicate: its nonce comes
// from the request for it.
func (n *nonces) storedBefore(e *queue.Envelope) (first uint64, before bool) {
	if len(e.Webhooks) == 1 && e.Webhooks[0].ReplayKey() != "" {
		return 0, false
	}
	if first, ok := n.first[e.Nonce]; ok {
		return first, first != e.Seq
	}
	if n.first == nil {
		n.first = map[queue.Nonce]uint64{}
	}
	if len(n.order) < maxNonces {
		n.order = append(n.order, e.Nonce)
	} else {
		delete(n.first, n.order[n.next])
		n.order[n.next] = e.Nonce
		n.next = (n.next + 1) % maxNonces
	}
	n.first[e.Nonce] = e.Seq
	return 0, false
}

// skipDuplicate settles an envelope that is stored a second time.
func (d *Dispatcher) skipDuplicate(e queue.Envelope, first uint64) {
	open := d.progress.begin(e.Seq, e.Nonce, d.Journal.Last(), d.Queue.LastPark())
	defer d.progress.done(open)
	d.Log.Warn("these webhooks are stored twice; the second copy is skipped", "sequence", e.Seq, "first", first, "webhooks", len(e.Webhooks))
	for i := range e.Webhooks {
		w := &e.Webhooks[i]
		d.Journal.Note(&queue.Decision{
			ID: queue.ID{Seq: e.Seq, Index: i}, Time: time.Now(), Received: w.Received, Source: w.Source, Outcome: queue.OutcomeRepeat,
			Because: "it is stored twice, first as " + queue.ID{Seq: first, Index: i}.String(),
		})
		d.events.WithLabelValues(queue.OutcomeRepeat).Inc()
	}
}
