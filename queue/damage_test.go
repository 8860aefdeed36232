package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// rot changes one byte of a stream's files where they hold the text, as a bad
// disk does. Without the index the server finds out when it starts, and cuts off
// what stands behind.
func rot(t *testing.T, dir, stream, text string, keepIndex bool) {
	t.Helper()
	damage(t, dir, stream, text, keepIndex, func(name string, block []byte, at int) error {
		block[at+1] ^= 1
		return os.WriteFile(name, block, 0o600)
	})
}

// cut ends a stream's file before the text, as a file system does that has lost the
// rest.
func cut(t *testing.T, dir, stream, text string, keepIndex bool) {
	t.Helper()
	damage(t, dir, stream, text, keepIndex, func(name string, _ []byte, at int) error {
		return os.Truncate(name, int64(at))
	})
}

// damage calls how for each block of a stream that holds the text, and removes the
// index unless that is kept.
func damage(t *testing.T, dir, stream, text string, keepIndex bool, how func(name string, block []byte, at int) error) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", stream, "msgs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	found, seen := false, ""
	for _, name := range files {
		if filepath.Ext(name) != ".blk" {
			if !keepIndex {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		block, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seen += fmt.Sprintf("\n%s: %d bytes\n%q", filepath.Base(name), len(block), block[:min(len(block), 4096)])
		if i := bytes.Index(block, []byte(text)); i >= 0 {
			found = true
			if err := how(name, block, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !found {
		t.Fatalf("%s holds no %q:%s", stream, text, seen)
	}
}

// The server passes over what it cannot read without a word.
func TestDamagedEventIsHandedOutAsSuch(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	for _, body := range []string{`{"a":"first"}`, `{"a":"second"}`, `{"a":"third"}`, `{"a":"last"}`} {
		store(t, q, body)
	}
	q.Close()
	rot(t, dir, Events, "second", true)
	rot(t, dir, Events, "last", true)
	q = open(t, Options{Dir: dir})
	var read []uint64
	for after := uint64(0); after < 4; after++ {
		e, err := q.Next(t.Context(), after)
		var damage *DamageError
		switch {
		case errors.As(err, &damage):
			if damage.Seq != after+1 || damage.Stream != Events || len(damage.Raw) != 0 {
				t.Errorf("after %d: %v with %q", after, damage, damage.Raw)
			}
		case err != nil:
			t.Fatal(err)
		default:
			read = append(read, e.Seq)
		}
	}
	if len(read) != 2 || read[0] != 1 || read[1] != 3 {
		t.Errorf("read were %d", read)
	}
}

func TestDamagedContentAndNewerFormat(t *testing.T) {
	q := open(t, Options{})
	put := func(version byte, content string) uint64 {
		t.Helper()
		n := newNonce()
		seq, err := q.publish(t.Context(), subjectEvents, append(append([]byte{version}, n[:]...), content...), n, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.tail.advance(seq)
		return seq
	}
	bad := put(version, "\xff\xff\xff\xff no S2")
	good := store(t, q, `{}`)
	newer := put(version+1, "what is to come")
	var damage *DamageError
	if _, err := q.Next(t.Context(), 0); !errors.As(err, &damage) || damage.Seq != bad || len(damage.Raw) == 0 {
		t.Errorf("damaged: %v", err)
	}
	if e := next(t, q, bad); e.Seq != good.Seq {
		t.Errorf("behind it is %d, want %d", e.Seq, good.Seq)
	}
	var version *VersionError
	if _, err := q.Next(t.Context(), newer-1); !errors.As(err, &version) || errors.As(err, &damage) && damage.Seq == newer {
		t.Errorf("written by a newer relay: %v", err)
	}
}

// The server has cut off what stands behind the damage, accepted webhooks among
// it; their sequences must not be given to others, which the journal would take
// for settled.
func TestSequencesAreNotGivenTwice(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lane := Lane{"mm", "dev"}
	for i, body := range []string{`{"a":"first"}`, `{"a":"second"}`, `{"a":"third"}`} {
		store(t, q, body)
		if _, err := q.Park(t.Context(), lane, []Parked{{ID: ID{uint64(i + 1), 0}, Webhook: *hook(body)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Write(t.Context(), &Settled{ID: ID{3, 0}, Lane: Lane{"mm", ""}, Outcome: OutcomeDelivered}); err != nil {
		t.Fatal(err)
	}
	q.Close()
	rot(t, dir, Events, "second", false)
	rot(t, dir, ParkedStream, "second", false)

	q = open(t, Options{Dir: dir})
	if _, _, err := q.Lead(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id := store(t, q, `{}`); id.Seq != 4 {
		t.Errorf("the next is stored as %s", id)
	}
	if seq, err := q.Park(t.Context(), lane, []Parked{{ID: ID{4, 0}, Webhook: *hook(`{}`)}}); err != nil || seq <= 3 {
		t.Errorf("the next is parked as %d (%v)", seq, err)
	}
	if q.Damage() != 4 {
		t.Errorf("%d messages are counted as lost, want 4", q.Damage())
	}
}

func TestDamagedParkedMessageIsSetAside(t *testing.T) {
	q := open(t, Options{})
	lane := Lane{"mm", "dev"}
	n := newNonce()
	bad, err := q.append(t.Context(), subjectParked+laneToken(lane), append(append([]byte{version}, n[:]...), "\xff\xff no S2"...), n)
	if err != nil {
		t.Fatal(err)
	}
	good, err := q.Park(t.Context(), lane, []Parked{{ID: ID{1, 0}, Webhook: *hook(`{}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if seq, batch, err := q.NextParked(t.Context(), lane, bad-1); seq != good || len(batch) != 1 || err != nil {
		t.Errorf("read %d with %d (%v), want %d", seq, len(batch), err, good)
	}
	var dead []Dead
	if err := q.DeadLetters(t.Context(), func(_ uint64, d Dead) bool { dead = append(dead, d); return true }); err != nil {
		t.Fatal(err)
	}
	if len(dead) != 1 || dead[0].Lane != lane || !bytes.Contains(dead[0].Webhook.Body, []byte("no S2")) {
		t.Errorf("dead letters: %+v", dead)
	}
}

// What the damaged messages said may be done again; the relay starts.
func TestDamagedJournalStillStarts(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store(t, q, `{}`)
	nonce := next(t, q, 0).Nonce
	j.Checkpoints(func() Checkpoint { return Checkpoint{Cursor: 1, Nonce: nonce} })
	for _, title := range []string{"needle one", "needle two", "needle end"} {
		if err := j.Write(t.Context(), &Decision{ID: ID{1, 0}, Title: title}); err != nil {
			t.Fatal(err)
		}
	}
	q.Close() // and not the journal
	rot(t, dir, JournalStream, "needle two", true)
	rot(t, dir, JournalStream, "needle end", true)
	q = open(t, Options{Dir: dir})
	_, state, err := q.Lead(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if state.Checkpoint.Cursor != 1 || q.Damage() == 0 {
		t.Errorf("it goes on from %d; %d messages are counted as damaged", state.Checkpoint.Cursor, q.Damage())
	}
}

// Lists show what is damaged, with what to do about it, and all the rest.
func TestDamagedDeadLettersAreListed(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	lane := Lane{"mm", "dev"}
	for i, body := range []string{`{"a":"first"}`, `{"a":"second"}`, `{"a":"third"}`, `{"a":"fourth"}`} {
		if _, err := q.Bury(t.Context(), &Dead{Parked: Parked{ID: ID{uint64(i + 1), 0}, Webhook: *hook(body)}, Lane: lane}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.DropDead(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	n := newNonce()
	if _, err := q.publish(t.Context(), subjectDead+laneToken(lane), append(append([]byte{version}, n[:]...), "\xff\xff no S2"...), n, nil); err != nil {
		t.Fatal(err)
	}
	q.Close()
	rot(t, dir, DeadStream, "second", true)
	q = open(t, Options{Dir: dir})
	for range 2 { // counted once
		var seqs []uint64
		if err := q.OldestDead(t.Context(), 0, func(d DeadLetter) bool {
			seqs = append(seqs, d.Seq)
			if want := d.Seq == 2 || d.Seq == 5; d.Damaged != want || want && !strings.Contains(d.Reason, fmt.Sprintf("relay deadletters purge %d", d.Seq)) {
				t.Errorf("%d: damaged %t, because %q", d.Seq, d.Damaged, d.Reason)
			}
			if d.Seq == 5 && (d.Lane != lane || !bytes.Contains(d.Webhook.Body, []byte("no S2"))) {
				t.Errorf("what is left: %+v", d)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(seqs, []uint64{1, 2, 4, 5}) {
			t.Errorf("listed are %d", seqs)
		}
	}
	if q.Damage() != 2 {
		t.Errorf("%d are counted as damaged, want 2", q.Damage())
	}
	if err := q.DropDead(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "the oldest is 1") {
		t.Errorf("dropped while an older one is kept: %v", err)
	}
	if err := q.DropDead(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{5, 2} {
		d, err := q.DeadLetter(t.Context(), seq)
		if err != nil || !d.Damaged {
			t.Fatalf("%+v (%v)", d, err)
		}
		if _, err := q.ReplayDead(t.Context(), d, "mm#dev"); err == nil {
			t.Errorf("%d was replayed", seq)
		}
		if err := q.DropDead(t.Context(), seq); err != nil {
			t.Errorf("purge %d: %v", seq, err)
		}
		if _, err := q.DeadLetter(t.Context(), seq); !errors.Is(err, ErrNotFound) {
			t.Errorf("%d is still there: %v", seq, err)
		}
	}
	if d, err := q.DeadLetter(t.Context(), 4); err != nil || d.Damaged {
		t.Errorf("another one is %+v (%v)", d, err)
	}
}

// What is damaged in the journal costs a page of events no more than what it said,
// and is counted and said once; a listing leaves what is parked as it is.
func TestDamageBreaksNoListing(t *testing.T) {
	var log lockedBuffer
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, title := range []string{"needle one", "needle two", "needle three", "needle four"} {
		if err := j.Write(t.Context(), &Decision{ID: ID{uint64(i + 1), 0}, Title: title}); err != nil {
			t.Fatal(err)
		}
	}
	n := newNonce()
	if _, err := q.append(t.Context(), subjectParked+laneToken(Lane{"mm", "dev"}), append(append([]byte{version}, n[:]...), "\xff\xff no S2"...), n); err != nil {
		t.Fatal(err)
	}
	q.Close()
	rot(t, dir, JournalStream, "needle two", true)
	q = open(t, Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 {
		page, err := q.EventPage(t.Context(), EventQuery{})
		if err != nil || len(page.Events) != 3 {
			t.Errorf("%d events: %v", len(page.Events), err)
		}
		if lines, err := q.ParkedLines(t.Context()); err != nil || len(lines) != 1 {
			t.Errorf("parked: %+v (%v)", lines, err)
		}
	}
	if err := q.Entries(t.Context(), 0, func(Entry) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if q.Damage() != 2 {
		t.Errorf("%d messages are counted as damaged, want 2", q.Damage())
	}
	if text := log.String(); strings.Count(text, "gone") != 1 || !strings.Contains(text, "count=1") {
		t.Errorf("the log says %s", text)
	}
	if err := q.OldestDead(t.Context(), 0, func(d DeadLetter) bool { t.Errorf("a listing has buried %+v", d); return true }); err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer is a log that several write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
