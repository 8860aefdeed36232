package queue

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const fuzzLimit = 1 << 20

// bombs are contents of messages that announce far more than they hold, each for all
// decoders. Packed they take some dozen bytes.
func bombs() map[string][]byte {
	count := func(n uint64, rest []byte) []byte {
		w := buffer{}
		w.uint(n)
		return append(w.b, rest...)
	}
	zeros := make([]byte, 26<<20)
	head := make([]byte, 16+1+16+2) // writer and checkpoint of a journal message
	return map[string][]byte{
		"nothing":                   nil,
		"zeros":                     zeros,
		"ones":                      bytes.Repeat([]byte{1}, len(zeros)),
		"all bits":                  bytes.Repeat([]byte{0xff}, len(zeros)),
		"a count without end":       count(1<<62, nil),
		"a count of all that holds": count(uint64(len(zeros)/4), zeros),
		"a count in a count":        count(1, count(0, count(0, count(1<<60, zeros)))),
		"records":                   append(head, count(uint64(len(zeros)/2), zeros)...),
		"lines":                     append(head, append([]byte{0, 0, 0, 0, 0}, append([]byte{0, 0, 0, 0, 0, 0}, count(uint64(len(zeros)/7), zeros)...)...)...),
	}
}

// decoders are those of all streams. Each returns what was read.
var decoders = map[string]func(msg []byte) (any, error){
	"events":  func(msg []byte) (any, error) { return decodeEnvelope(7, msg, 27<<20) },
	"parked":  func(msg []byte) (any, error) { batch, _, err := decodeParked(7, msg, 27<<20); return batch, err },
	"dead":    func(msg []byte) (any, error) { return decodeDead(7, msg, 27<<20) },
	"journal": func(msg []byte) (any, error) { return decodeEntry(7, msg, 27<<20) },
}

// A few bytes, which anybody may write who shares the NATS server, take no more
// memory than a large webhook, and are damage.
func TestMessageThatAnnouncesTooMuch(t *testing.T) {
	for what, content := range bombs() {
		msg := seal(newNonce(), content)
		for stream, decode := range decoders {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := decode(msg)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 160<<20 {
				t.Errorf("%s: %s, packed in %d bytes, takes %d MiB", stream, what, len(msg), took>>20)
			}
			var damage *DamageError
			var newer *VersionError
			if err != nil && !errors.As(err, &damage) && !errors.As(err, &newer) {
				t.Errorf("%s: %s: %v is no damage", stream, what, err)
			}
		}
	}
	bomb := seal(newNonce(), bombs()["a count without end"])
	if _, err := decodeEnvelope(1, bomb, 27<<20); err == nil {
		t.Errorf("%d bytes that announce 2^62 webhooks are read", len(bomb))
	}
}

// What a decoder does not expect is damage too, and ends nothing.
func TestDecoderThatPanics(t *testing.T) {
	_, err := decode(Events, 3, seal(Nonce{}, nil), fuzzLimit, func(Nonce, *reader) (int, error) { panic("index out of range") })
	var damage *DamageError
	if !errors.As(err, &damage) || damage.Seq != 3 || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("got %v", err)
	}
}

// seeds are messages of each stream as they are written.
func seeds() map[string][]byte {
	n, now := Nonce{1, 2, 3}, time.UnixMicro(1_700_000_000_000_000)
	w := Webhook{Source: "gitlab", Received: now, Header: []Field{{"X-Gitlab-Event", "Push Hook"}, {fieldReplayDead, "7 00"}}, Body: []byte(`{"a":1}`)}
	one := Parked{ID: ID{1, 2}, Nonce: n, Note: []byte("{}"), Webhook: w}
	lane := Lane{"mm", "dev"}
	d := routed(ID{3, 1}, lane, Lane{"mm", "ops"})
	d.Time, d.Received, d.Withheld, d.Repeats = now, now, []Planned{{lane, "R", "why"}}, []Planned{{lane, "R", "again"}}
	envelope, parked, dead := encodeEnvelope(n, []*Webhook{&w, &w}), encodeParked(n, []Parked{one, one}), encodeDead(n, &Dead{Parked: one, Lane: lane, Reason: "gone", Attempts: 3, Time: now})
	return map[string][]byte{
		"events": envelope, "parked": parked, "dead": dead,
		"journal": encodeEntry(n, Entry{
			Writer: n, Checkpoint: Checkpoint{1, n, 2, 3}, Ends: streamEnds{4, 5, 6, 7},
			Records: []Record{
				d, &Attempt{ID: d.ID, Lane: lane, Time: now, Number: 1, Error: "x"}, &Settled{ID: d.ID, Lane: lane, Time: now, Outcome: OutcomeDead, From: Place{8, 1}, DeadSeq: 9},
				&LaneState{Lane: lane, Time: now, State: LaneParked, Early: []ID{{1, 0}, {2, 1}}}, &takeover{n, now}, &Mark{ID: d.ID, Begin: true, Lane: lane}, &released{n, now},
			},
			Kept: &inventory{Dead: 3, Lines: []lineEnd{{Lane: lane, End: Place{1, 2}, Total: 3}}, Settled: []laneSettled{{lane, Place{8, 2}, []uint64{10, 12}}}},
		}),
	}
}

// fuzzDecoder gives a decoder any message, and any content of one. What it reads is
// the same when it is written and read again.
func fuzzDecoder[T any](f *testing.F, stream string, decode func(msg []byte) (T, error), encode func(T) []byte) {
	seed := seeds()[stream]
	f.Add(seed)
	_, content, err := unseal(stream, seed, version, fuzzLimit)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = decode(data)
		v, err := decode(seal(Nonce{1, 2, 3}, data))
		if err != nil {
			return
		}
		again, err := decode(encode(v))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := cmp.Diff(v, again); diff != "" {
			t.Fatalf("read again it is another one:\n%s", diff)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	fuzzDecoder(f, "events", func(msg []byte) (Envelope, error) { return decodeEnvelope(7, msg, fuzzLimit) }, func(e Envelope) []byte {
		hooks := make([]*Webhook, len(e.Webhooks))
		for i := range hooks {
			hooks[i] = &e.Webhooks[i]
		}
		return encodeEnvelope(e.Nonce, hooks)
	})
}

func FuzzParked(f *testing.F) {
	fuzzDecoder(f, "parked", func(msg []byte) ([]Parked, error) {
		batch, _, err := decodeParked(7, msg, fuzzLimit)
		return batch, err
	}, func(batch []Parked) []byte {
		return encodeParked(Nonce{}, batch)
	})
}

func FuzzDead(f *testing.F) {
	fuzzDecoder(f, "dead", func(msg []byte) (Dead, error) { return decodeDead(7, msg, fuzzLimit) }, func(d Dead) []byte {
		return encodeDead(Nonce{}, &d)
	})
}

func FuzzEntry(f *testing.F) {
	fuzzDecoder(f, "journal", func(msg []byte) (Entry, error) { return decodeEntry(7, msg, fuzzLimit) }, func(e Entry) []byte { return encodeEntry(Nonce{}, e) })
}

// What a webhook's header says of a replay is read back as it was written, or not at
// all; so is an event's id, an address in a subject and a message's place in its line.
func FuzzReplay(f *testing.F) {
	f.Add("1042-0", "mm#dev", "7 00")
	f.Add("", "mm.dev", "=2E=.=")
	f.Fuzz(func(t *testing.T, of, to, dead string) {
		w := Webhook{Header: []Field{{fieldReplayOf, of}, {fieldReplayTo, to}, {fieldReplayDead, dead}, {fieldReceived, dead}}}
		if r, ok := w.Replay(); ok {
			if again, err := ParseID(r.Of.String()); err != nil || again != r.Of || r.To != to {
				t.Errorf("%q is read as %+v", of, r)
			}
		}
		w.FirstReceived()
		if lane, err := parseLane(dead); err == nil {
			if again, err := parseLane(laneToken(lane)); err != nil || again != lane {
				t.Errorf("%q is read as %v, then as %v", dead, lane, again)
			}
		}
	})
}
