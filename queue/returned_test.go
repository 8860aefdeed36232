package queue

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small are streams whose block files hold two messages of [bulky].
var small = Options{ParkedSize: 120_000, DeadSize: 120_000, Interval: true}

func bulky(n int) string { return fmt.Sprintf(`{"n":%d,"noise":"%s"}`, n, noise(12<<10)) }

// leadSmall leads on a directory with small blocks. The journal's floor moves with
// its end, as it does where nothing is unsettled.
func leadSmall(t *testing.T, dir string) (*Queue, *Journal, *State, *lockedBuffer) {
	t.Helper()
	log := &lockedBuffer{}
	opt := small
	opt.Dir, opt.Log = dir, slog.New(slog.NewTextHandler(log, nil))
	q := open(t, opt)
	j, state, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	j.Checkpoints(func() Checkpoint { return Checkpoint{Journal: j.Last(), Parked: q.LastPark()} })
	return q, j, state, log
}

// parkedThere are the sequences of a lane in RELAY_PARKED.
func parkedThere(t *testing.T, q *Queue, lane Lane) (seqs []uint64) {
	t.Helper()
	for after := uint64(0); ; {
		msg, err := get(t.Context(), q.parked, after+1, subjectParked+laneToken(lane))
		if err != nil {
			return seqs
		}
		after = msg.Sequence
		seqs = append(seqs, after)
	}
}

var busy, other = Lane{"m1", "a"}, Lane{"m2", "b"}

// comebacks are ways in which the server brings back what was dropped.
var comebacks = map[string]struct {
	drop     func(t *testing.T, q *Queue)
	returned []uint64 // of the lane busy, when the server reads its files anew
	left     []uint64 // of it, rightly
}{
	// Messages 3 and 4 are alone in their block, with a tombstone for 2.
	"a block that is kept for its tombstones": {func(t *testing.T, q *Queue) {
		park(t, q, other, 1, bulky(1))
		park(t, q, busy, 2, bulky(2))
		park(t, q, busy, 3, bulky(3))
		purge(t, q, busy, 2)
		park(t, q, busy, 4, bulky(4))
		park(t, q, other, 5, bulky(5))
		purge(t, q, busy, 4)
	}, []uint64{3, 4}, nil},
	// The tombstone for 1 stands beside 3, in a block that goes.
	"a block that goes with its tombstones": {func(t *testing.T, q *Queue) {
		park(t, q, busy, 1, bulky(1))
		park(t, q, other, 2, bulky(2))
		park(t, q, busy, 3, bulky(3))
		purge(t, q, busy, 1)
		park(t, q, busy, 4, bulky(4))
		park(t, q, other, 5, bulky(5))
		purge(t, q, busy, 4)
	}, []uint64{1}, nil},
	"what was dropped from the middle of a line": {func(t *testing.T, q *Queue) {
		park(t, q, other, 1, bulky(1))
		park(t, q, busy, 2, bulky(2))
		park(t, q, busy, 3, bulky(3))
		drop(t, q, busy, 2)
		park(t, q, busy, 4, bulky(4))
		park(t, q, busy, 5, bulky(5))
		drop(t, q, busy, 3)
		drop(t, q, busy, 4)
	}, []uint64{4, 5}, []uint64{5}},
}

func purge(t *testing.T, q *Queue, lane Lane, upTo uint64) {
	t.Helper()
	if err := q.PurgeParked(t.Context(), lane, upTo); err != nil {
		t.Fatal(err)
	}
}

func drop(t *testing.T, q *Queue, lane Lane, seq uint64) {
	t.Helper()
	if err := q.DropParked(t.Context(), lane, seq); err != nil {
		t.Fatal(err)
	}
}

// What was settled and dropped from RELAY_PARKED is never met again, however often
// the relay is killed, and nothing is taken for damaged.
func TestSettledMessagesThatComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range comebacks {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			q, j, _, _ := leadSmall(t, dir)
			c.drop(t, q)
			before := parkedThere(t, q, other)
			if err := j.Write(t.Context()); err != nil {
				t.Fatal(err)
			}
			for kill := range 5 {
				dir = snapshot(t, dir)
				if got := asTheServerHasIt(t, dir); kill == 0 && !slices.Equal(got, c.returned) {
					t.Errorf("the server brings back %v, want %v: is the test still about anything?", got, c.returned)
				}
				q, j, state, log := leadSmall(t, dir)
				if got := parkedThere(t, q, busy); !slices.Equal(got, c.left) {
					t.Errorf("kill %d: %v are there of the lane, want %v", kill, got, c.left)
				}
				if got := parkedThere(t, q, other); !slices.Equal(got, before) {
					t.Errorf("kill %d: %v are there of the other lane, want %v", kill, got, before)
				}
				if _, known := state.Lanes[busy]; known != (len(c.left) > 0) {
					t.Errorf("kill %d: the lane goes on: %+v", kill, state.Lanes[busy])
				}
				readAll(t, q, other)
				for range restateAfter + 10 { // so that what was said of the lane is far below the floor
					if err := j.write(Checkpoint{Journal: j.Last()}, nil); err != nil {
						t.Fatal(err)
					}
				}
				if kill == 2 { // a floor that moves, and a start in good order in between
					if floor := j.Durable().Journal; floor+2*restateAfter < j.Last() {
						t.Errorf("the floor stays at %d of %d", floor, j.Last())
					}
					j.Close()
					q.Close()
				}
				if q.Damage() > 0 || strings.Contains(log.String(), "damaged") {
					t.Errorf("kill %d: %d are counted as damaged:\n%s", kill, q.Damage(), log)
				}
			}
		})
	}
}

// asTheServerHasIt is what a copy of a store holds of the lane busy when only the
// server has read it.
func asTheServerHasIt(t *testing.T, dir string) []uint64 {
	t.Helper()
	opt := small
	opt.Dir = snapshot(t, dir)
	q := open(t, opt)
	defer q.Close()
	return parkedThere(t, q, busy)
}

// A line of which some came back and some is new: only the new is read, and nothing
// is missed before it.
func TestLineGoesOnBehindWhatCameBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, j, _, _ := leadSmall(t, dir)
	comebacks["a block that is kept for its tombstones"].drop(t, q)
	next := park(t, q, busy, 6, `{"n":6}`, `{"n":7}`)
	j.Note(&LaneState{Lane: busy, State: LaneParked, Done: Place{next, 0}})
	for range 3 {
		if err := j.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	q, _, state, log := leadSmall(t, snapshot(t, dir))
	at := state.Lanes[busy]
	if at == nil || at.Last != next || at.Done != (Place{next, 0}) {
		t.Fatalf("the lane goes on with %+v", at)
	}
	seq, batch, err := q.NextParked(t.Context(), busy, 0)
	if err != nil || seq != next || len(batch) != 2 || q.Damage() > 0 {
		t.Errorf("read %d with %d deliveries (%v), %d damaged:\n%s", seq, len(batch), err, q.Damage(), log)
	}
}

// A dead letter that comes back is none that is gone.
func TestDeadLetterThatComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, j, _, _ := leadSmall(t, dir)
	for n := range 5 {
		bury(t, q, uint64(n+1), bulky(n))
		if n == 2 {
			if err := q.DropDead(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, seq := range []uint64{3, 4} {
		if err := q.DropDead(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	q.kept.calm()
	if err := j.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	q, _, _, log := leadSmall(t, snapshot(t, dir))
	var there []uint64
	if err := q.OldestDead(t.Context(), 0, func(d DeadLetter) bool { there = append(there, d.Seq); return true }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{1, 5}, there); diff != "" || q.Damage() > 0 {
		t.Errorf("%d damaged; dead letters (-want +got):\n%s\n%s", q.Damage(), diff, log)
	}
}
