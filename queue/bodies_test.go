package queue

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// heavy is a delivery of an event with a body that does not compress.
func heavy(seq uint64, size int) Parked {
	return Parked{ID: ID{Seq: seq}, Nonce: Nonce{byte(seq)}, Webhook: *noisy(size), Note: []byte("{}")}
}

func parkOne(t *testing.T, q *Queue, lane Lane, p Parked) uint64 {
	t.Helper()
	seq, err := q.Park(t.Context(), lane, []Parked{p})
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func wantParked(t *testing.T, q *Queue, lane Lane, want Parked) uint64 {
	t.Helper()
	seq, batch, err := q.NextParked(t.Context(), lane, 0)
	if err != nil || len(batch) != 1 || batch[0].ID != want.ID || !bytes.Equal(batch[0].Webhook.Body, want.Webhook.Body) {
		t.Fatalf("%v: read %d deliveries at %d: %v", lane, len(batch), seq, err)
	}
	return seq
}

func wantMessages(t *testing.T, q *Queue, want uint64, below uint64) {
	t.Helper()
	info, err := q.parked.Info(t.Context())
	if err != nil || info.State.Msgs != want || info.State.Bytes > below {
		t.Errorf("%d messages of %d bytes are parked (%v); want %d below %d", info.State.Msgs, info.State.Bytes, err, want, below)
	}
}

func channel(n int) Lane { return Lane{"mm", fmt.Sprintf("dead-%d", n)} }

// A hundred channels that wait with the same large body store it once. Those after
// the first one wait for nobody who moves something large, and keep nobody waiting.
func TestLargeBodyIsStoredOnce(t *testing.T) {
	t.Parallel()
	const lanes, size = 100, 3 << 20
	q := open(t, Options{MaxBody: 4 << 20})
	p := heavy(1, size)
	parkOne(t, q, channel(0), p)
	_, turn, err := q.turnFor(t.Context(), large)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < lanes; n++ {
		parkOne(t, q, channel(n), p)
	}
	turn.end()
	wantMessages(t, q, lanes+1, size*3/2)
	for n := range lanes {
		seq := wantParked(t, q, channel(n), p)
		var err error
		if n%2 == 0 {
			err = q.PurgeParked(t.Context(), channel(n), seq)
		} else {
			err = q.DropParked(t.Context(), channel(n), seq)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	wantMessages(t, q, 0, 0)
}

// A start knows the bodies that are stored: nobody stores one again, and the last
// delivery takes its body along. So does the one before it with a body that a crash
// left without any delivery.
func TestLargeBodyAfterAStart(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	opt := Options{Dir: t.TempDir(), MaxBody: 4 << 20}
	q := open(t, opt)
	p, orphan := heavy(1, size), heavy(2, size)
	parkOne(t, q, channel(0), p)
	if _, err := q.storeBody(t.Context(), channel(0), bodyName(&orphan), orphan.Webhook.Body); err != nil {
		t.Fatal(err)
	}
	q.Close()
	q = open(t, opt)
	parkOne(t, q, channel(1), p)
	wantMessages(t, q, 4, size*5/2)
	if err := q.PurgeParked(t.Context(), channel(0), wantParked(t, q, channel(0), p)); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, q, 2, size*3/2)
	if err := q.PurgeParked(t.Context(), channel(1), wantParked(t, q, channel(1), p)); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, q, 0, 0)
	parkOne(t, q, channel(1), p)
	wantParked(t, q, channel(1), p)
}

// In a store of the last version each message holds its bodies. They are read in
// order with those that are stored apart, also by a start.
func TestLargeBodyInAStoreOfTheLastVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, j, _ := lead(t, dir)
	lane, old, now := channel(0), heavy(1, 2<<20), heavy(2, 2<<20)
	nonce, k := newNonce(), q.lines.next(lane, 1)
	seq, err := q.append(t.Context(), subjectParked+laneToken(lane), encodeParked(nonce, []Parked{old}), nonce, Field{fieldLine, k.String()})
	if err != nil {
		t.Fatal(err)
	}
	q.lines.appended(lane, seq, k)
	parkOne(t, q, lane, now)
	if err := j.Write(t.Context(), &LaneState{Lane: lane, State: LaneParked}); err != nil {
		t.Fatal(err)
	}
	j.Close()
	q.Close()
	q, _, _ = lead(t, dir)
	for _, want := range []Parked{old, now} {
		if err := q.PurgeParked(t.Context(), lane, wantParked(t, q, lane, want)); err != nil {
			t.Fatal(err)
		}
	}
	wantMessages(t, q, 0, 0)
	if q.Damage() != 0 {
		t.Errorf("%d are counted as damaged", q.Damage())
	}
}

// A delivery whose body is gone becomes a dead letter without content, which names
// stream and sequence; what waits behind it goes on.
func TestLargeBodyThatIsGone(t *testing.T) {
	t.Parallel()
	q := open(t, Options{MaxBody: 4 << 20})
	lane, p, next := channel(0), heavy(1, 2<<20), heavy(2, 2<<20)
	seq := parkOne(t, q, lane, p)
	parkOne(t, q, lane, next)
	if err := q.parked.Purge(t.Context(), jetstream.WithPurgeSubject(subjectBody+bodyName(&p))); err != nil {
		t.Fatal(err)
	}
	wantParked(t, q, lane, next)
	var letters []DeadLetter
	if err := q.OldestDead(t.Context(), 0, func(d DeadLetter) bool { letters = append(letters, d); return true }); err != nil {
		t.Fatal(err)
	}
	if len(letters) != 1 || !letters[0].Damaged || len(letters[0].Webhook.Body) != 0 ||
		!strings.Contains(letters[0].Reason, fmt.Sprintf("message %d of RELAY_PARKED is damaged on disk: the body of event 1-0 is gone", seq)) {
		t.Errorf("set aside is %+v", letters)
	}
}

// What several channels of a destination share counts once towards its share of the
// stream, and what another destination waits with counts for both.
func TestLargeBodyCountsOnceTowardsAShare(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	q := open(t, Options{MaxBody: 4 << 20, ParkedSize: 16 << 20})
	p := heavy(1, size)
	for n := range 5 {
		parkOne(t, q, channel(n), p)
	}
	parkOne(t, q, Lane{Destination: "other"}, p)
	unlock, err := q.knowShares(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	for name, held := range q.shares.destinations() {
		if held < size || held > size*3/2 {
			t.Errorf("%s holds %d bytes", name, held)
		}
	}
}

// NATS may bring a delivery back after a kill, and not its body. So the journal says
// that the delivery is settled before the body is dropped.
func TestLargeBodyIsDroppedAfterTheJournalSaysSo(t *testing.T) {
	t.Parallel()
	q, j, _ := lead(t, t.TempDir())
	lane := channel(0)
	seq, last := parkOne(t, q, lane, heavy(1, 2<<20)), j.Last()
	if err := q.PurgeParked(t.Context(), lane, seq); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, q, 0, 0)
	said := false
	err := q.Entries(t.Context(), last, func(e Entry) bool {
		said = slices.ContainsFunc(e.Kept.Settled, func(s laneSettled) bool { return s.Lane == lane && s.Done.Seq == seq })
		return !said
	})
	if err != nil || !said {
		t.Errorf("the journal does not say that message %d is settled (%v)", seq, err)
	}
}
