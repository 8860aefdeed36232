package dispatch

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/queue"
)

// model is what the window of repeats does, in maps that forget nothing.
type model struct {
	keys   map[string]modelEntry
	bodies map[string]modelEntry
}

type modelEntry struct {
	id        queue.ID
	key, hook string
	time      time.Time
}

func newModel() *model {
	return &model{keys: map[string]modelEntry{}, bodies: map[string]modelEntry{}}
}

func (m *model) repeats(name string, id queue.ID, w *queue.Webhook) (queue.ID, bool) {
	seen, ok := m.keys[name]
	return seen.id, ok && seen.id.Less(id) && w.Received.Sub(seen.time) <= keyWindow
}

func (m *model) sameEvent(id queue.ID, w *queue.Webhook) (earlier, bool) {
	k, name := key(w), w.Source+" "+string(w.Body)
	if k == "" || w.ReplayKey() != "" {
		return earlier{}, false
	}
	hook := w.Get("X-Gitlab-Webhook-Uuid")
	seen, ok := m.bodies[name]
	just := ok && w.Received.Sub(seen.time).Abs() <= bodyWindow
	if just && seen.id.Less(id) && seen.key != k {
		repeat := "repeat " + w.Source + " " + k
		if own, again := m.repeats(repeat, id, w); again {
			return earlier{id: own, again: true}, true
		}
		m.keys[repeat] = modelEntry{id: id, time: w.Received}
		return earlier{id: seen.id, other: seen.hook != "" && hook != "" && seen.hook != hook}, true
	}
	if !just || id.Less(seen.id) {
		m.bodies[name] = modelEntry{id, k, hook, w.Received}
	}
	return earlier{}, false
}

func (m *model) delivery(w *queue.Webhook, lane queue.Lane) string {
	return fmt.Sprint("delivery ", w.Source, " ", key(w), " ", lane)
}

func (m *model) sameDelivery(id queue.ID, w *queue.Webhook, lane queue.Lane) (queue.ID, bool) {
	name := m.delivery(w, lane)
	if key(w) == "" {
		return queue.ID{}, false
	}
	if first, repeat := m.repeats(name, id, w); repeat {
		return first, true
	}
	if seen, ok := m.keys[name]; !ok || seen.id != givenUp.id() || !seen.time.Equal(w.Received) {
		m.keys[name] = modelEntry{id: id, time: w.Received}
	}
	return queue.ID{}, false
}

func (m *model) forget(lane queue.Lane, w *queue.Webhook) {
	name := m.delivery(w, lane)
	if key(w) == "" {
		return
	}
	if seen, ok := m.keys[name]; !ok || seen.time.Equal(w.Received) {
		m.keys[name] = modelEntry{id: givenUp.id(), time: w.Received}
	}
}

// stored is a webhook of a generated history.
type stored struct {
	id queue.ID
	w  *queue.Webhook
}

// generated draws webhooks as they are stored: some again under the same key, some
// with the same body under another one, some without a key, some replays; they
// come in about in the order in which they are stored.
func generated(t *rapid.T) []stored {
	at := time.UnixMicro(1700000000000000)
	var all []stored
	for i := range rapid.IntRange(1, 60).Draw(t, "webhooks") {
		at = at.Add(rapid.SampledFrom([]time.Duration{0, time.Microsecond, time.Second, 10 * time.Second, 10*time.Second + time.Microsecond, time.Minute, 4 * time.Minute, 11 * time.Minute}).Draw(t, "later"))
		came := at.Add(-rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 9 * time.Second}).Draw(t, "disorder"))
		w := &queue.Webhook{
			Source: rapid.SampledFrom([]string{"gitlab", "other"}).Draw(t, "source"), Received: came,
			Body: fmt.Append(nil, rapid.IntRange(0, 3).Draw(t, "body")),
		}
		for _, name := range []string{"Idempotency-Key", "Webhook-Id", "X-Gitlab-Webhook-Uuid", "Relay-Replay-Key"} {
			most := 4
			if name == "Relay-Replay-Key" {
				most = 20 // seldom
			}
			if v := rapid.IntRange(0, most).Draw(t, name); v > 0 && v < 5 {
				w.Header = append(w.Header, queue.Field{Name: name, Value: fmt.Sprint(name[:1], v)})
			}
		}
		all = append(all, stored{queue.ID{Seq: uint64(1 + i/3), Index: i % 3}, w})
	}
	return all
}

// The table decides as maps that forget nothing would, whatever comes again, is
// given up, or is read again after a restart.
func TestRepeatsAreAsInMaps(t *testing.T) {
	lanes := []queue.Lane{{Destination: "mm"}, {Destination: "mm", Channel: "dev"}}
	rapid.Check(t, func(t *rapid.T) {
		all := generated(t)
		r, m := NewRepeats(RepeatsSize, nil), newModel()
		decide := func(s stored) {
			of, same := r.sameEvent(s.id, s.w)
			wantOf, want := m.sameEvent(s.id, s.w)
			if of != wantOf || same != want {
				t.Fatalf("%s is the same event as %+v: %t, want %+v: %t", s.id, of, same, wantOf, want)
			}
			for _, lane := range lanes {
				if same {
					continue
				}
				first, again := r.sameDelivery(s.id, s.w, lane)
				if wantFirst, want := m.sameDelivery(s.id, s.w, lane); first != wantFirst || again != want {
					t.Fatalf("%s to %v is a repeat of %s: %t, want of %s: %t", s.id, lane, first, again, wantFirst, want)
				}
			}
		}
		forget := func(s stored, lane queue.Lane) {
			r.Forget(lane, s.w)
			m.forget(lane, s.w)
		}
		for i, s := range all {
			decide(s)
			switch rapid.IntRange(0, 5).Draw(t, "then") {
			case 0:
				forget(all[rapid.IntRange(0, i).Draw(t, "given up")], rapid.SampledFrom(lanes).Draw(t, "lane"))
			case 1: // the relay starts anew: it reads some again, and what was parked may be given up before
				r, m = NewRepeats(RepeatsSize, nil), newModel()
				forget(all[rapid.IntRange(0, i).Draw(t, "given up first")], rapid.SampledFrom(lanes).Draw(t, "lane"))
				for _, old := range all[rapid.IntRange(0, i).Draw(t, "read again from"):i] {
					decide(old)
				}
			}
		}
	})
}

// A small window forgets the oldest, and knows all that it says it knows.
func TestSmallWindowKnowsWhatItCovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := window[int]{keep: time.Minute, largest: rapid.SampledFrom([]int{1, 2, 8}).Draw(t, "largest")}
		want := map[digest]entry[int]{}
		at := int64(1)
		for i := range rapid.IntRange(1, 300).Draw(t, "entries") {
			at += rapid.Int64Range(0, int64(20*time.Second/time.Microsecond)).Draw(t, "later")
			n := rapid.Byte().Draw(t, "digest")
			d := digest{0: n % 4, 8: n % 8, 11: n} // many that share a slot, and some the bits in it
			w.put(d, at, i)
			want[d] = entry[int]{d, at, i}
			for d, e := range want {
				got := w.find(d)
				known := e.time > w.lost && time.Duration(at-e.time)*time.Microsecond <= w.keep
				if got == nil && known {
					t.Fatalf("%v of %d is forgotten at %d; lost up to %d", d, e.time, at, w.lost)
				}
				if got != nil && !cmp.Equal(*got, e, cmp.AllowUnexported(entry[int]{})) {
					t.Fatalf("%v is %v, want %v", d, *got, e)
				}
			}
			if w.entries() > maxParts*w.largest {
				t.Fatalf("it has room for %d entries", w.entries())
			}
		}
	})
}

// The digests of two relays differ: nobody can choose keys that stand in one place.
func TestDigestsCannotBeForeseen(t *testing.T) {
	one, other := NewRepeats(RepeatsSize, nil), NewRepeats(RepeatsSize, nil)
	if one.hash(nil, "key") == other.hash(nil, "key") {
		t.Error("two relays have the same digest of a key")
	}
}
