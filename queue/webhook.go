package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Webhook is one HTTP request as it came: the headers that were kept and the
// raw body. Secrets of the request are never in it.
type Webhook struct {
	Source   string
	Received time.Time
	Header   []Field
	Body     []byte
}

// Field is one kept header.
type Field struct{ Name, Value string }

// Get returns the first value of a header, or "". The name must be spelled as
// it was stored.
func (w *Webhook) Get(name string) string {
	for _, f := range w.Header {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// fieldSigned holds the id under which a webhook was signed. GitLab sends no
// header of this name, and the door keeps none.
const fieldSigned = "Relay-Signed-Id"

// Sign notes the id that the webhook's signature covers.
func (w *Webhook) Sign(id string) { w.Header = append(w.Header, Field{fieldSigned, id}) }

// SignedID is the id that the webhook's signature covers, or "". Nobody but the
// sender can send the webhook under another one.
func (w *Webhook) SignedID() string { return w.Get(fieldSigned) }

// ID names a stored webhook: the sequence of its envelope in RELAY_EVENTS and
// its place in it. It is what GitLab shows under Recent events.
type ID struct {
	Seq   uint64
	Index int
}

func (id ID) String() string {
	return strconv.FormatUint(id.Seq, 10) + "-" + strconv.Itoa(id.Index)
}

// Less orders ids as the webhooks were stored.
func (id ID) Less(other ID) bool {
	return id.Seq < other.Seq || id.Seq == other.Seq && id.Index < other.Index
}

// ParseID reads what [ID.String] wrote.
func ParseID(s string) (ID, error) {
	seq, index, ok := strings.Cut(s, "-")
	n, err := strconv.ParseUint(seq, 10, 64)
	i, err2 := strconv.Atoi(index)
	if !ok || err != nil || err2 != nil || i < 0 || n == 0 {
		return ID{}, fmt.Errorf("%q is no event id: want SEQUENCE-INDEX, such as 1042-0", s)
	}
	return ID{n, i}, nil
}

// Lane names the ordered line of deliveries to one address.
type Lane struct {
	Destination string
	Channel     string // "" for the destination's own, "reviews", "@alice"
}

// Parked is one delivery that waits in RELAY_PARKED. It is self-contained: the
// webhook travels with it.
type Parked struct {
	ID      ID
	Nonce   Nonce // of the envelope that ID names
	Webhook Webhook
	Note    []byte // what the delivery remembers: route, look; opaque here
}

// Dead is a delivery given up.
type Dead struct {
	Parked
	Lane     Lane
	Reason   string
	Attempts int
	Time     time.Time
}
