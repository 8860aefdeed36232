package chat

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Entry is one request that arrived, in the order of arrival over all hooks.
type Entry struct {
	Seq    int       // from 1, over all hooks; goes on after ResetLedger
	Hook   string    // the id in the path
	At     time.Time // when the head of the request was read
	Conn   int       // which connection brought it, from 1
	Header http.Header
	Raw    []byte // the body as it came; nil after Blackhole

	// What the body says. Empty when it is no JSON object.
	Channel  string
	Username string
	Text     string

	// Status is what the server decided to answer; 0 while it has not. Answered
	// tells whether that answer was handed to the network whole: a 200 that was
	// cut off is posted, but the sender cannot know.
	Status   int
	Answered bool

	taken   bool // the message is in the chat
	unknown bool // the hook does not exist
	problem string
}

// Posted tells whether people can see the message in the chat: the server took
// it, whether or not the sender learned of that.
func (e Entry) Posted() bool { return e.taken }

func (e Entry) clone() Entry {
	e.Raw = bytes.Clone(e.Raw)
	e.Header = e.Header.Clone()
	return e
}

// ledger is what arrived. Whoever waits is woken by closing changed.
type ledger struct {
	mu      sync.Mutex
	entries []*Entry
	bySeq   map[int]*Entry
	seq     int
	changed chan struct{}
}

func newLedger() *ledger {
	return &ledger{bySeq: map[int]*Entry{}, changed: make(chan struct{})}
}

// add numbers an entry and keeps it.
func (l *ledger) add(e Entry) Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	kept := e.clone()
	l.entries = append(l.entries, &kept)
	l.bySeq[e.Seq] = &kept
	l.wake()
	return e
}

// settle writes the answer into an entry. An entry that ResetLedger took away
// is left alone.
func (l *ledger) settle(seq, status int, taken, answered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.bySeq[seq]; e != nil {
		e.Status, e.taken, e.Answered = status, taken, answered
		l.wake()
	}
}

// take forgets an entry and returns what it was.
func (l *ledger) take(seq int) Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.bySeq[seq]
	if e == nil {
		return Entry{Seq: seq}
	}
	delete(l.bySeq, seq)
	l.entries = slices.DeleteFunc(l.entries, func(o *Entry) bool { return o == e })
	return *e
}

// wake tells everybody who waits that something changed; l.mu is held.
func (l *ledger) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *ledger) list(keep func(*Entry) bool) ([]Entry, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for _, e := range l.entries {
		if keep(e) {
			out = append(out, e.clone())
		}
	}
	return out, l.changed
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
	clear(l.bySeq)
	l.wake()
}

func ofHook(id string) func(*Entry) bool {
	return func(e *Entry) bool { return id == "" || e.Hook == id }
}

func postedTo(id string) func(*Entry) bool {
	return func(e *Entry) bool { return (id == "" || e.Hook == id) && e.Posted() && e.Answered }
}

// Entries are the requests that a hook ("" for all hooks) got so far.
func (s *Server) Entries(id string) []Entry {
	entries, _ := s.ledger.list(ofHook(id))
	return entries
}

// Posts are the entries of a hook ("" for all) that were posted and answered
// whole, which is what a sender may call delivered.
func (s *Server) Posts(id string) []Entry {
	entries, _ := s.ledger.list(postedTo(id))
	return entries
}

// Count is how many requests a hook ("" for all) got so far.
func (s *Server) Count(id string) int { return len(s.Entries(id)) }

// Texts are the messages of the entries, in order.
func Texts(entries []Entry) []string {
	texts := make([]string, 0, len(entries))
	for _, e := range entries {
		texts = append(texts, e.Text)
	}
	return slices.Clip(texts)
}

// WaitN waits until a hook ("" for all) got at least n requests and returns all
// that it got. A request counts when it has arrived, answered or not. The error
// says how many there were when ctx ended or the server was closed.
func (s *Server) WaitN(ctx context.Context, id string, n int) ([]Entry, error) {
	return s.wait(ctx, "requests", id, n, ofHook(id))
}

// WaitPosts is [Server.WaitN] for [Server.Posts].
func (s *Server) WaitPosts(ctx context.Context, id string, n int) ([]Entry, error) {
	return s.wait(ctx, "posts", id, n, postedTo(id))
}

func (s *Server) wait(ctx context.Context, what, id string, n int, keep func(*Entry) bool) ([]Entry, error) {
	for {
		entries, changed := s.ledger.list(keep)
		if len(entries) >= n {
			return entries, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return entries, fmt.Errorf("wait for %d %s to hook %q, have %d: %w", n, what, id, len(entries), ctx.Err())
		case <-s.closing:
			return entries, fmt.Errorf("wait for %d %s to hook %q, have %d: %w", n, what, id, len(entries), http.ErrServerClosed)
		}
	}
}

// ResetLedger forgets all entries. Numbers go on counting, and a request that
// is still being answered does not come back.
func (s *Server) ResetLedger() { s.ledger.reset() }
