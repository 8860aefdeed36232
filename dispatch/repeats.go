package dispatch

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
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
	keys   map[digest]remembered // source, key and address; and source and key of what repeats another key's
	bodies map[digest]remembered // source and body
	order  []digest              // oldest first
	oldest int                   // its place in order
}

type digest [16]byte

// remembered holds no pointers, so that the collector need not look at a million
// of them.
type remembered struct {
	id   queue.ID
	key  digest // of the key, in bodies
	hook uint64 // of the hook, in bodies; 0 when it is not named
	time int64  // Unix µs
}

// earlier is the webhook that another one repeats.
type earlier struct {
	id    queue.ID
	again bool // under the same key
	other bool // from another hook
}

// reason says of a repeat what it repeats.
func (e earlier) reason() string {
	switch {
	case e.again:
		return fmt.Sprintf("GitLab sent it again: it came as %s", e.id)
	case e.other:
		return fmt.Sprintf("the same event came as %s, from another hook", e.id)
	}
	return fmt.Sprintf("GitLab sent the same event again, under another key: it came as %s", e.id)
}

// past is how long before t it was.
func (r remembered) past(t time.Time) time.Duration {
	return time.Duration(t.UnixMicro()-r.time) * time.Microsecond
}

// before tells whether it makes a repeat of a webhook with the same key.
func (r remembered) before(id queue.ID, w *queue.Webhook) bool {
	return r.id.Less(id) && r.past(w.Received) <= keyWindow
}

// givenUp stands, in keys, for the event of a delivery that was given up: it makes a
// repeat of nothing.
var givenUp = queue.ID{Seq: math.MaxUint64}

// NewRepeats makes an empty window.
func NewRepeats() *Repeats {
	return &Repeats{keys: map[digest]remembered{}, bodies: map[digest]remembered{}}
}

// hash makes one digest of several strings and a body, or nil.
func hash(body []byte, parts ...string) (d digest) {
	var room [256]byte
	head := room[:0]
	for _, p := range parts {
		head = binary.LittleEndian.AppendUint64(head, uint64(len(p)))
		head = append(head, p...)
	}
	if body == nil {
		sum := sha256.Sum256(head)
		copy(d[:], sum[:])
		return d
	}
	h := sha256.New()
	h.Write(head)
	h.Write(body)
	copy(d[:], h.Sum(room[:0]))
	return d
}

// key is what GitLab calls this delivery, or "". A replay repeats only what the
// same request for a replay has brought.
func key(w *queue.Webhook) string {
	return cmp.Or(w.ReplayKey(), w.Get("Idempotency-Key"), w.Get("Webhook-Id"))
}

// hook is the hook that GitLab sent it for, or 0: X-Gitlab-Webhook-UUID, since
// 16.2. It is good for words alone: GitLab makes a new one for each request
// (lib/gitlab/web_hooks.rb), also when it repeats one.
func hook(w *queue.Webhook) uint64 {
	name := w.Get("X-Gitlab-Webhook-Uuid")
	if name == "" {
		return 0
	}
	d := hash(nil, "hook", name)
	return binary.LittleEndian.Uint64(d[:])
}

// sameEvent tells whether the webhook is an event that came in under another
// key just before, and as which, and remembers it if not. A webhook without a
// key, and a replay, repeats nothing.
func (r *Repeats) sameEvent(id queue.ID, w *queue.Webhook) (first earlier, repeat bool) {
	k := key(w)
	if k == "" || w.ReplayKey() != "" {
		return earlier{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	body, mine, from := hash(w.Body, "body", w.Source), hash(nil, "key", k), hook(w)
	seen, ok := r.bodies[body]
	if ok && seen.id.Less(id) && seen.key != mine && seen.past(w.Received).Abs() <= bodyWindow {
		return r.again(id, w, k, earlier{id: seen.id, other: seen.hook != 0 && from != 0 && seen.hook != from}), true
	}
	if !ok || id.Less(seen.id) || seen.past(w.Received).Abs() > bodyWindow {
		r.remember(r.bodies, body, remembered{id: id, key: mine, hook: from, time: w.Received.UnixMicro()})
	}
	return earlier{}, false
}

// again is what a repeat of another key's webhook repeats rather: the one that
// brought that before under its own key. The lock is held.
func (r *Repeats) again(id queue.ID, w *queue.Webhook, key string, other earlier) earlier {
	d := hash(nil, "repeat", w.Source, key)
	if seen, ok := r.keys[d]; ok && seen.before(id, w) {
		return earlier{id: seen.id, again: true}
	}
	r.remember(r.keys, d, remembered{id: id, time: w.Received.UnixMicro()})
	return other
}

// sameDelivery tells whether the lane already has, or had, the webhook of that
// key, and as which event, and remembers that it has it now if not.
func (r *Repeats) sameDelivery(id queue.ID, w *queue.Webhook, lane queue.Lane) (first queue.ID, repeat bool) {
	k := key(w)
	if k == "" {
		return queue.ID{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := deliveryDigest(w.Source, k, lane)
	seen, ok := r.keys[d]
	if ok && seen.before(id, w) {
		return seen.id, true
	}
	if at := w.Received.UnixMicro(); !ok || seen.id != givenUp || seen.time != at { // else it is read again
		r.remember(r.keys, d, remembered{id: id, time: at})
	}
	return queue.ID{}, false
}

// had tells whether the lane already has, or had, the webhook of that key, and as
// which event. It remembers nothing.
func (r *Repeats) had(id queue.ID, w *queue.Webhook, lane queue.Lane) (first queue.ID, had bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, ok := r.keys[deliveryDigest(w.Source, key(w), lane)]
	return seen.id, ok && seen.before(id, w)
}

func deliveryDigest(source, key string, lane queue.Lane) digest {
	return hash(nil, "delivery", source, key, lane.Destination, lane.Channel)
}

// Forget tells that a delivery was given up, so that the same webhook sent
// again is welcome. One that was sent again before, and is remembered, stays so.
func (r *Repeats) Forget(lane queue.Lane, w *queue.Webhook) {
	k := key(w)
	if k == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d, v := deliveryDigest(w.Source, k, lane), remembered{id: givenUp, time: w.Received.UnixMicro()}
	if seen, ok := r.keys[d]; !ok {
		r.remember(r.keys, d, v) // what was parked can be given up before its event is read again
	} else if seen.time == v.time {
		r.keys[d] = v
	}
}

// remember adds a hash and lets go of the oldest. The lock is held.
func (r *Repeats) remember(m map[digest]remembered, d digest, v remembered) {
	m[d] = v
	r.order = append(r.order, d)
	for r.oldest < len(r.order) {
		old := r.order[r.oldest]
		seen, ok := r.keys[old]
		if !ok {
			seen, ok = r.bodies[old]
		}
		if ok && len(r.order)-r.oldest <= maxRemembered && time.Duration(v.time-seen.time)*time.Microsecond <= keyWindow {
			break
		}
		r.oldest++
		delete(r.keys, old)
		delete(r.bodies, old)
	}
	if r.oldest > len(r.order)/2 {
		r.order = r.order[:copy(r.order, r.order[r.oldest:])]
		r.oldest = 0
	}
}
