package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
)

// message is what is stored: sealed, or, if it is large even then, in the parts
// that it is packed from while it is written. So a large one takes no memory
// beside the body that it is made of.
type message struct {
	sealed []byte
	nonce  Nonce
	parts  [][]byte // instead of sealed
	size   int      // of what the parts make, in bytes
}

// whole is a message that is sealed.
func whole(sealed []byte) message { return message{sealed: sealed} }

// len is what is stored, in bytes.
func (m *message) len() int {
	if m.parts == nil {
		return len(m.sealed)
	}
	return m.size
}

// WriteTo writes what is stored: the same, however often.
func (m *message) WriteTo(w io.Writer) (int64, error) {
	if m.parts == nil {
		n, err := w.Write(m.sealed)
		return int64(n), err
	}
	return pack(w, m.nonce, m.parts)
}

// bytes is what is stored, in one piece.
func (m *message) bytes() []byte {
	if m.parts == nil {
		return m.sealed
	}
	b := bytes.NewBuffer(make([]byte, 0, m.size))
	_, _ = m.WriteTo(b) // fails only where the writer does
	return b.Bytes()
}

// sealParts is seal with content that stands in several places, of which one may
// be large.
func sealParts(n Nonce, parts ...[]byte) message {
	var first head
	size, _ := pack(&first, n, parts) // head takes everything
	if size < large {
		return whole(first.b)
	}
	return message{nonce: n, parts: parts, size: int(size)}
}

// head keeps what is written up to the size from which on a message is large.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), large-len(h.b))]...)
	return len(p), nil
}

// piece is what is compressed at a time of content that is not in one place.
const piece = 1 << 20

// pack writes what [seal] makes of the parts together, and returns its length.
func pack(w io.Writer, n Nonce, parts [][]byte) (written int64, err error) {
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	begin := append([]byte{version}, n[:]...)
	k, err := w.Write(binary.AppendUvarint(begin, uint64(total)))
	written = int64(k)
	var packed []byte
	for _, p := range parts {
		for len(p) > 0 && err == nil {
			now := p[:min(len(p), piece)]
			p = p[len(now):]
			packed = s2.Encode(packed[:cap(packed)], now)
			_, length := binary.Uvarint(packed)
			k, err = w.Write(packed[length:]) // blocks without their lengths make one block
			written += int64(k)
		}
	}
	if err != nil {
		return written, fmt.Errorf("write a message: %w", err)
	}
	return written, nil
}
