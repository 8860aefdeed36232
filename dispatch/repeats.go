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
	// key is the same event: the hooks of a project, of its group and of the
	// instance all fire for one change.
	bodyWindow = 10 * time.Second
)

// RepeatsSize is how much memory the window of repeats may take by default, in
// bytes. It is enough for 1.4 million deliveries: ten minutes of 1,200 events a
// second with two addresses each; of signed webhooks, which take one entry more
// each, for 800 a second.
const RepeatsSize = 80 << 20

// Repeats remembers which addresses got which webhooks in the last minutes. It
// uses the times at which webhooks were received, not the clock, so that it decides
// the same after a restart. A webhook is only a repeat of one with a smaller id.
type Repeats struct {
	mu      sync.Mutex
	salt    [16]byte       // of all digests
	keys    window[came]   // by source, key and address; by source and key of repeats under another key; by source and signed id
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

// past is how long before t the entry's webhook was received.
func (e *entry[V]) past(t time.Time) time.Duration {
	return time.Duration(t.UnixMicro()-e.time) * time.Microsecond
}

// makesRepeat reports whether a webhook repeats what was seen under its key.
func makesRepeat(seen *entry[came], id queue.ID, w *queue.Webhook) bool {
	return seen != nil && seen.value.id().Less(id) && seen.past(w.Received) <= keyWindow
}

// givenUp replaces, in keys, the event of a delivery that was given up: the same
// webhook, sent again, is then no repeat.
var givenUp = came{seq: math.MaxUint64}

// NewRepeats makes an empty window that takes at most size bytes of memory; see
// [RepeatsSize]. It calls resized, unless that is nil, when its memory changes.
func NewRepeats(size int64, resized func(bytes int64)) *Repeats {
	// Ten seconds of bodies need a sixteenth of the memory of ten minutes of keys.
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

// capacity is how many deliveries it remembers at most.
func (r *Repeats) capacity() int { return maxParts * r.keys.largest }

// Describe is part of [prometheus.Collector].
func (r *Repeats) Describe(out chan<- *prometheus.Desc) { out <- r.seconds }

// Collect is part of [prometheus.Collector].
func (r *Repeats) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(r.seconds, prometheus.GaugeValue, r.reach(time.Now()).Seconds())
}

// reach is how far back from t every webhook is certainly known.
func (r *Repeats) reach(t time.Time) time.Duration {
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

// key is GitLab's name of this delivery, or "". A replay can only repeat what the same
// request for a replay has brought. Of a signed webhook only the signed id counts:
// who has captured one could send it again with other headers.
func key(w *queue.Webhook) string {
	return cmp.Or(w.ReplayKey(), w.SignedID(), w.Get("Idempotency-Key"), w.Get("Webhook-Id"))
}

// hook is the hook that GitLab sent it for, or 0: X-Gitlab-Webhook-UUID, since
// 16.2. It only changes the text of a reason: GitLab makes a new one for each request
// (lib/gitlab/web_hooks.rb), also when it repeats one.
func (r *Repeats) hook(w *queue.Webhook) uint64 {
	name := w.Get("X-Gitlab-Webhook-Uuid")
	if name == "" {
		return 0
	}
	return r.number("hook", name)
}

// sameEvent reports whether the webhook is an event that came under another key just
// before, and as which; if not, it remembers it. A webhook without a key is no
// repeat, and neither is a replay.
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

// otherEvent reports whether a signed webhook came before under another
// X-Gitlab-Event, and as which: its signature does not cover that header, so whoever
// captured it can change it. The lock is held.
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

// again returns which event a webhook repeats whose body came under another key: the
// earlier one under its own key, if there is one, otherwise other. The lock is held.
func (r *Repeats) again(id queue.ID, w *queue.Webhook, key string, other earlier) earlier {
	d := r.hash(nil, "repeat", w.Source, key)
	if seen := r.keys.find(d); makesRepeat(seen, id, w) {
		return earlier{id: seen.value.id(), again: true}
	}
	r.remember(d, cameAs(id), w)
	return other
}

// sameDelivery reports whether the lane has had the webhook of that key, and as which
// event; if not, it remembers it.
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

// had reports whether the lane has had the webhook of that key, and as which event.
// It remembers nothing.
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

// Forget records that a delivery was given up: the same webhook, sent again, is then
// delivered. It changes nothing about a later webhook of the same key.
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

// remember adds an event under a key. The lock is held.
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
