package dispatch

import (
	"cmp"
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// keyWindow is how long one key is one delivery: GitLab repeats a webhook
	// under the key of the first try (Idempotency-Key, since 17.4; webhook-id,
	// since 19.0), by itself and with "Resend".
	keyWindow = 10 * time.Minute
	// bodyWindow is how long the same body from the same source under another
	// key is the same event: a project's hook, its group's and the instance's
	// all fire for one change.
	bodyWindow = 10 * time.Second
	// maxRemembered bounds the window, in hashes.
	maxRemembered = 1 << 20
)

// Repeats remembers what was handed to whom in the last minutes, as hashes. It
// goes by the times at which webhooks came in, not by the clock, so that a
// restart decides alike. Only a webhook with a smaller id makes another one a
// repeat.
type Repeats struct {
	mu     sync.Mutex
	keys   map[digest]remembered // source, key and address
	bodies map[digest]remembered // source and body
	order  list.List             // of digest, oldest first
}

type digest [16]byte

type remembered struct {
	id   queue.ID
	key  digest // of the key, in bodies
	time time.Time
}

// NewRepeats makes an empty window.
func NewRepeats() *Repeats {
	return &Repeats{keys: map[digest]remembered{}, bodies: map[digest]remembered{}}
}

// hash makes one digest of several strings.
func hash(parts ...string) (d digest) {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		for i := range n {
			n[i] = byte(len(p) >> (8 * i))
		}
		h.Write(n[:])
		h.Write([]byte(p))
	}
	copy(d[:], h.Sum(nil))
	return d
}

// key is what GitLab calls this delivery, or "".
func key(w *queue.Webhook) string {
	return cmp.Or(w.Get("Idempotency-Key"), w.Get("Webhook-Id"))
}

// sameEvent tells whether the webhook is an event that came in under another
// key just before, and remembers it if not. A webhook without a key repeats
// nothing.
func (r *Repeats) sameEvent(id queue.ID, w *queue.Webhook) bool {
	k := key(w)
	if k == "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	body, mine := hash("body", w.Source, string(w.Body)), hash("key", k)
	first, ok := r.bodies[body]
	if ok && first.id.Less(id) && first.key != mine && w.Received.Sub(first.time) <= bodyWindow {
		return true
	}
	if !ok || id.Less(first.id) || w.Received.Sub(first.time) > bodyWindow {
		r.remember(r.bodies, body, remembered{id, mine, w.Received})
	}
	return false
}

// sameDelivery tells whether the lane already has, or had, the webhook of that
// key, and remembers that it has it now if not.
func (r *Repeats) sameDelivery(id queue.ID, w *queue.Webhook, lane queue.Lane) bool {
	k := key(w)
	if k == "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := deliveryDigest(w.Source, k, lane)
	first, ok := r.keys[d]
	if ok && first.id.Less(id) && w.Received.Sub(first.time) <= keyWindow {
		return true
	}
	r.remember(r.keys, d, remembered{id: id, time: w.Received})
	return false
}

func deliveryDigest(source, key string, lane queue.Lane) digest {
	return hash("delivery", source, key, lane.Destination, lane.Channel)
}

// Forget tells that a delivery was given up, so that the same webhook sent
// again is welcome.
func (r *Repeats) Forget(lane queue.Lane, w *queue.Webhook) {
	if k := key(w); k != "" {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.keys, deliveryDigest(w.Source, k, lane))
	}
}

// remember adds a hash and lets go of the oldest. The lock is held.
func (r *Repeats) remember(m map[digest]remembered, d digest, v remembered) {
	m[d] = v
	r.order.PushBack(d)
	for e := r.order.Front(); e != nil; e = r.order.Front() {
		old := e.Value.(digest)
		seen, ok := r.keys[old]
		if !ok {
			seen, ok = r.bodies[old]
		}
		if ok && r.order.Len() <= maxRemembered && v.time.Sub(seen.time) <= keyWindow {
			return
		}
		r.order.Remove(e)
		delete(r.keys, old)
		delete(r.bodies, old)
	}
}
