package queue

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// rot changes one byte of a stream's files where they hold the text, as a bad
// disk does. Without the index the server finds out when it starts, and cuts off
// what stands behind.
func rot(t *testing.T, dir, stream, text string, keepIndex bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", stream, "msgs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
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
		if i := bytes.Index(block, []byte(text)); i >= 0 {
			block[i+1] ^= 1
			found = true
			if err := os.WriteFile(name, block, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !found {
		t.Fatalf("%s holds no %q", stream, text)
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
			if damage.Seq != after+1 || damage.Stream != Events || !bytes.Contains(damage.Raw, []byte(`{"a":"`)) {
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
