package queue

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klauspost/compress/s2"
)

// The version byte that begins every stored message. A relay refuses what a
// newer one wrote rather than guess.
const version = 1

// Nonce tells two messages apart that carry the same sequence number in two
// lives of a store (after a restore, say), and deduplicates repeated publishes.
type Nonce [16]byte

func newNonce() (n Nonce) {
	_, _ = rand.Read(n[:]) // never fails since Go 1.24
	return n
}

func (n Nonce) String() string { return hex.EncodeToString(n[:]) }

var errTruncated = errors.New("message ends early")

// A VersionError is met when a stored message was written by a newer relay.
type VersionError struct{ Stream, What string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s holds %s that this relay cannot read: it was written by a newer version; start that version again, or let it drain before going back", e.Stream, e.What)
}

// seal makes a stored message: version, nonce, then the compressed content.
func seal(n Nonce, content []byte) []byte {
	out := sealInto(nil, n, content)
	return out[:len(out):len(out)]
}

// sealInto is seal with memory to write into, as far as there is enough of it.
func sealInto(out []byte, n Nonce, content []byte) []byte {
	if most := 1 + len(n) + s2.MaxEncodedLen(len(content)); cap(out) < most {
		out = make([]byte, most)
	} else {
		out = out[:most]
	}
	out[0] = version
	copy(out[1:], n[:])
	packed := s2.Encode(out[1+len(n):], content)
	return out[:1+len(n)+len(packed)]
}

// piece is how much of a large body is compressed at a time, in bytes.
const piece = 1 << 20

// sealParts is seal with content that stands in several places: a large body is not
// copied before it is compressed.
func sealParts(n Nonce, parts ...[]byte) []byte {
	total, most := 0, 1+len(n)+binary.MaxVarintLen64
	for _, p := range parts {
		total += len(p)
		most += (len(p)/piece + 1) * (s2.MaxEncodedLen(piece) - piece)
	}
	out := append(make([]byte, 0, most+total), version)
	out = binary.AppendUvarint(append(out, n[:]...), uint64(total))
	var packed []byte
	for _, p := range parts {
		for now := range slices.Chunk(p, piece) {
			packed = s2.Encode(packed[:cap(packed)], now)
			_, length := binary.Uvarint(packed)
			out = append(out, packed[length:]...) // blocks without their lengths make one block
		}
	}
	return out
}

// unseal reads what seal made, up to the version that is the newest. The limit bounds the memory that a damaged
// message can ask for.
func unseal(stream string, msg []byte, newest byte, limit int) (Nonce, []byte, error) {
	var n Nonce
	if len(msg) < 1+len(n) {
		return n, nil, fmt.Errorf("read %s: %w", stream, errTruncated)
	}
	if msg[0] < version || msg[0] > newest {
		return n, nil, &VersionError{stream, fmt.Sprintf("a message of format %d", msg[0])}
	}
	copy(n[:], msg[1:])
	packed := msg[1+len(n):]
	size, err := s2.DecodedLen(packed)
	if err != nil || size > limit {
		return n, nil, fmt.Errorf("read %s: damaged message (%d bytes unpacked)", stream, size)
	}
	content, err := s2.Decode(nil, packed)
	if err != nil {
		return n, nil, fmt.Errorf("read %s: unpack: %w", stream, err)
	}
	return n, content, nil
}

// buffer appends values; reader takes them off again in the same order.
// Integers are varints, strings and bytes are preceded by their length.
type buffer struct{ b []byte }

func (w *buffer) uint(v uint64)  { w.b = binary.AppendUvarint(w.b, v) }
func (w *buffer) bytes(v []byte) { w.uint(uint64(len(v))); w.b = append(w.b, v...) }
func (w *buffer) str(v string)   { w.uint(uint64(len(v))); w.b = append(w.b, v...) }
func (w *buffer) nonce(n Nonce)  { w.b = append(w.b, n[:]...) }
func (w *buffer) id(v ID)        { w.uint(v.Seq); w.uint(uint64(v.Index)) }
func (w *buffer) lane(v Lane)    { w.str(v.Destination); w.str(v.Channel) }

func (w *buffer) bool(v bool) {
	if v {
		w.uint(1)
	} else {
		w.uint(0)
	}
}

// time is kept in microseconds; the zero time as 0.
func (w *buffer) time(t time.Time) {
	if t.IsZero() {
		w.uint(0)
		return
	}
	w.uint(uint64(t.UnixMicro()))
}

type reader struct {
	b     []byte
	bad   bool // something was missing; every later value is zero
	items int  // that were announced so far
}

// maxItems is how many values of lists one message may hold: what a few bytes unpack
// to must not take memory many times over.
const maxItems = 1 << 20

// count reads how many values of a list follow, of at least so many bytes each. One
// that cannot be true ends the reading.
func (r *reader) count(least int) int {
	n := r.uint()
	if n > uint64(len(r.b)/least) || n > uint64(maxItems-r.items) {
		r.fail()
		return 0
	}
	r.items += int(n)
	return int(n)
}

// list reads a list of values of at least so many bytes each.
func list[T any](r *reader, least int, one func() T) []T {
	n := r.count(least)
	if n == 0 {
		return nil
	}
	all := make([]T, 0, n)
	for range n {
		v := one()
		if r.bad {
			return nil
		}
		all = append(all, v)
	}
	return all
}

// decode reads a stored message with f. Whatever is wrong with it, also what f did
// not expect, makes it a damaged one, which is set aside.
func decode[T any](stream string, seq uint64, msg []byte, limit int, f func(n Nonce, r *reader) (T, error)) (v T, err error) {
	var none T
	defer func() {
		if p := recover(); p != nil {
			v, err = none, damaged(stream, seq, msg, fmt.Errorf("it cannot be decoded: %v", p))
		}
	}()
	newest := byte(version)
	if stream == ParkedStream {
		newest = versionApart
	}
	nonce, content, err := unseal(stream, msg, newest, limit)
	if err != nil {
		return none, damaged(stream, seq, msg, err)
	}
	r := reader{b: content}
	if v, err = f(nonce, &r); err == nil {
		err = r.err()
	}
	if err != nil {
		return none, damaged(stream, seq, msg, err)
	}
	return v, nil
}

func (r *reader) err() error {
	if r.bad {
		return errTruncated
	}
	return nil
}

// ends tells whether nothing is left: an older version wrote fewer fields.
func (r *reader) ends() bool { return len(r.b) == 0 }

func (r *reader) bool() bool { return r.uint() == 1 }

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes shares the memory it reads from.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) str() string { return string(r.bytes()) }

func (r *reader) nonce() (n Nonce) {
	if len(r.b) < len(n) {
		r.fail()
		return n
	}
	copy(n[:], r.b)
	r.b = r.b[len(n):]
	return n
}

func (r *reader) id() ID     { return ID{r.uint(), int(r.uint() & 0x7fffffff)} }
func (r *reader) lane() Lane { return Lane{r.str(), r.str()} }

func (r *reader) time() time.Time {
	v := r.uint()
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(v))
}

func (w *buffer) webhook(h *Webhook) {
	w.webhookHead(h)
	w.b = append(w.b, h.Body...)
}

// webhookHead appends all of a webhook up to the bytes of its body.
func (w *buffer) webhookHead(h *Webhook) {
	w.time(h.Received)
	w.str(h.Source)
	w.uint(uint64(len(h.Header)))
	for _, f := range h.Header {
		w.str(f.Name)
		w.str(f.Value)
	}
	w.uint(uint64(len(h.Body)))
}

// webhook shares the body's memory with the reader.
func (r *reader) webhook() Webhook {
	return Webhook{
		Received: r.time(), Source: r.str(),
		Header: list(r, 2, func() Field { return Field{r.str(), r.str()} }), Body: r.bytes(),
	}
}

// size is about what the webhook takes in an envelope, in bytes.
func (w *Webhook) size() int {
	n := len(w.Body) + len(w.Source) + 16
	for _, f := range w.Header {
		n += len(f.Name) + len(f.Value) + 4
	}
	return n
}
