package dispatch

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
)

// RepeatsSize is how much memory the window of repeats may take by default, in
// bytes. It is enough for 1.4 million deliveries: ten minutes of 1,200 events a
// second with two addresses each; of signed webhooks, which take one entry more
// each, for 800 a second.
const RepeatsSize = 80 << 20

// Repeats remembers which addresses got which webhooks in the last minutes. It
// uses the times at which webhooks came in, not the clock, so that a restart
// decides in the same way. Only a webhook with a smaller id makes another one a
// repeat.
type Repeats struct {
	mu      sync.Mutex
	salt    [16]byte       // of all digests
	keys    window[came]   // by source, key and address; by source and key for what repeats another key's webhook; by source and signed id
	bodies  window[sender] // by source and body
	resized func(bytes int64)
	bytes   int64
	seconds *prometheus.Desc
}

// came is an earlier webhook, in 16 bytes.
type came struct {
	seq   uint64
	index uint32
	event uint32 // under a signed id: of the digest of X-Gitlab-Event
}

func cameAs(id queue.ID) came { return came{seq: id.Seq, index: uint32(id.Index)} }

func (c came) id() queue.ID { return queue.ID{Seq: c.seq, Index: int(c.index)} }

// sender is who sent a body first.
type sender struct {
	id   queue.ID
	key  uint64 // of the digest of its key
	hook uint64 // of the digest of its hook; 0 when it is not named
}

// earlier is the webhook that another one repeats.
type earlier struct {
	id    queue.ID
	again bool // under the same key
	other bool // from another hook
	event bool // under the same signed id, and another X-Gitlab-Event
}

// reason says of a repeat what it repeats.
func (e earlier) reason() string {
	switch {
	case e.event:
		return fmt.Sprintf("it came as %s: this is the same signed webhook under another X-Gitlab-Event, which GitLab does not sign", e.id)
	case e.again:
		return fmt.Sprintf("GitLab sent it again: it came as %s", e.id)
	case e.other:
		return fmt.Sprintf("the same event came as %s, from another hook", e.id)
	}
	return fmt.Sprintf("GitLab sent the same event again, under another key: it came as %s", e.id)
}

// past is how long before t the entry's webhook came in.
func (e *entry[V]) past(t time.Time) time.Duration {
	return time.Duration(t.UnixMicro()-e.time) * time.Microsecond
}

// makesRepeat tells whether what came under a key makes a repeat of a webhook with the
// same key.
func makesRepeat(seen *entry[came], id queue.ID, w *queue.Webhook) bool {
	return seen != nil && seen.value.id().Less(id) && seen.past(w.Received) <= keyWindow
}

// givenUp stands, in keys, for the event of a delivery that was given up: it makes a
// repeat of nothing.
var givenUp = came{seq: math.MaxUint64}

// NewRepeats makes an empty window that takes at most so many bytes of memory;
// see [RepeatsSize]. Whenever it takes more or less memory than before, it tells
// resized, unless that is nil.
func NewRepeats(size int64, resized func(bytes int64)) *Repeats {
	// The bodies of ten seconds need a sixteenth of the room of ten minutes' keys.
	const bodies = 16
	largest := powerOfTwo(int(size / maxParts / (entryBytes[came]() + entryBytes[sender]()/bodies)))
	largest = min(largest, 1<<(positionBits-1))
	r := &Repeats{
		keys:    window[came]{keep: keyWindow + disorder, largest: largest},
		bodies:  window[sender]{keep: bodyWindow + disorder, largest: max(largest/bodies, 1)},
		resized: resized,
		seconds: prometheus.NewDesc("relay_repeat_window_seconds", "For how long a webhook that is sent again is recognised: 600, and less only after more deliveries than the window has room for.", nil, nil),
	}
	_, _ = rand.Read(r.salt[:]) // never fails since Go 1.24
	return r
}

// room is how many deliveries it remembers at most.
func (r *Repeats) room() int { return maxParts * r.keys.largest }

// Describe is part of [prometheus.Collector].
func (r *Repeats) Describe(out chan<- *prometheus.Desc) { out <- r.seconds }

// Collect is part of [prometheus.Collector].
func (r *Repeats) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(r.seconds, prometheus.GaugeValue, r.covered(time.Now()).Seconds())
}

// covered is how long before t a webhook can have come in that is certainly
// still known.
func (r *Repeats) covered(t time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	since := time.Duration(t.UnixMicro()-r.keys.lost) * time.Microsecond
	return min(max(since, 0), keyWindow)
}

// hash makes one digest of several strings and a body, or nil.
func (r *Repeats) hash(body []byte, parts ...string) (d digest) {
	var room [256]byte
	head := append(room[:0], r.salt[:]...)
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

// number is the beginning of the digest of strings, where that is enough.
func (r *Repeats) number(parts ...string) uint64 {
	d := r.hash(nil, parts...)
	return binary.LittleEndian.Uint64(d[:])
}

// key is what GitLab calls this delivery, or "". A replay repeats only what the
// same request for a replay has brought. Of a signed webhook only the signed id
// counts: who has captured one could send it again with any other header.
func key(w *queue.Webhook) string {
	return cmp.Or(w.ReplayKey(), w.SignedID(), w.Get("Idempotency-Key"), w.Get("Webhook-Id"))
}

// hook is the hook that GitLab sent it for, or 0: X-Gitlab-Webhook-UUID, since
// 16.2. It only decides on words: GitLab makes a new one for each request
// (lib/gitlab/web_hooks.rb), also when it repeats one.
func (r *Repeats) hook(w *queue.Webhook) uint64 {
	name := w.Get("X-Gitlab-Webhook-Uuid")
	if name == "" {
		return 0
	}
	return r.number("hook", name)
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
	if of, other := r.otherEvent(id, w); other {
		return earlier{id: of, event: true}, true
	}
	body, mine, from := r.hash(w.Body, "body", w.Source), r.number("key", k), r.hook(w)
	seen := r.bodies.find(body)
	just := seen != nil && seen.past(w.Received).Abs() <= bodyWindow
	if just && seen.value.id.Less(id) && seen.value.key != mine {
		by := seen.value
		return r.again(id, w, k, earlier{id: by.id, other: by.hook != 0 && from != 0 && by.hook != from}), true
	}
	if !just || id.Less(seen.value.id) {
		r.bodies.put(body, w.Received.UnixMicro(), sender{id: id, key: mine, hook: from})
		r.measure()
	}
	return earlier{}, false
}

// otherEvent tells whether a signed webhook came before under another X-Gitlab-Event,
// and as which: whoever captured one may change what its signature does not cover.
// The lock is held.
func (r *Repeats) otherEvent(id queue.ID, w *queue.Webhook) (first queue.ID, other bool) {
	signed := w.SignedID()
	if signed == "" {
		return queue.ID{}, false
	}
	d, event := r.hash(nil, "signed", w.Source, signed), uint32(r.number("event", w.Get("X-Gitlab-Event")))
	if seen := r.keys.find(d); makesRepeat(seen, id, w) {
		return seen.value.id(), seen.value.event != event
	}
	as := cameAs(id)
	as.event = event
	r.remember(d, as, w)
	return queue.ID{}, false
}

// again returns what a webhook repeats that came before under another key: if it
// also came before under its own key, that one. The lock is held.
func (r *Repeats) again(id queue.ID, w *queue.Webhook, key string, other earlier) earlier {
	d := r.hash(nil, "repeat", w.Source, key)
	if seen := r.keys.find(d); makesRepeat(seen, id, w) {
		return earlier{id: seen.value.id(), again: true}
	}
	r.remember(d, cameAs(id), w)
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
	d := r.delivery(w.Source, k, lane)
	seen := r.keys.find(d)
	if makesRepeat(seen, id, w) {
		return seen.value.id(), true
	}
	if seen == nil || seen.value != givenUp || seen.time != w.Received.UnixMicro() { // otherwise it is read again
		r.remember(d, cameAs(id), w)
	}
	return queue.ID{}, false
}

// had tells whether the lane already has, or had, the webhook of that key, and as
// which event. It remembers nothing.
func (r *Repeats) had(id queue.ID, w *queue.Webhook, lane queue.Lane) (first queue.ID, had bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen := r.keys.find(r.delivery(w.Source, key(w), lane)); makesRepeat(seen, id, w) {
		return seen.value.id(), true
	}
	return queue.ID{}, false
}

func (r *Repeats) delivery(source, key string, lane queue.Lane) digest {
	return r.hash(nil, "delivery", source, key, lane.Destination, lane.Channel)
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
	d := r.delivery(w.Source, k, lane)
	if seen := r.keys.find(d); seen == nil {
		r.remember(d, givenUp, w) // what was parked can be given up before its event is read again
	} else if seen.time == w.Received.UnixMicro() {
		seen.value = givenUp
	}
}

// remember adds what came under a key. The lock is held.
func (r *Repeats) remember(d digest, as came, w *queue.Webhook) {
	r.keys.put(d, w.Received.UnixMicro(), as)
	r.measure()
}

// measure reports a change of size. The lock is held.
func (r *Repeats) measure() {
	now := r.keys.bytes() + r.bodies.bytes()
	if now == r.bytes {
		return
	}
	r.bytes = now
	if r.resized != nil {
		r.resized(now)
	}
}
