package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// snapshot is what a kill would leave of a store at this moment. The server removes
// the files of a purged stream on the side: if one goes while it is copied, it is
// copied anew.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	for {
		to := filepath.Join(t.TempDir(), "data")
		err := os.CopyFS(to, os.DirFS(dir))
		if err == nil {
			return to
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// lead opens a queue, with what it says, and leads.
func lead(t *testing.T, dir string) (*Queue, *Journal, *lockedBuffer) {
	t.Helper()
	log := &lockedBuffer{}
	q := open(t, Options{Dir: dir, Log: slog.New(slog.NewTextHandler(log, nil))})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return q, j, log
}

func park(t *testing.T, q *Queue, lane Lane, first uint64, bodies ...string) uint64 {
	t.Helper()
	var batch []Parked
	for i, b := range bodies {
		batch = append(batch, Parked{ID: ID{first + uint64(i), 0}, Webhook: *hook(b)})
	}
	seq, err := q.Park(t.Context(), lane, batch)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func bury(t *testing.T, q *Queue, n uint64, body string) uint64 {
	t.Helper()
	seq, err := q.Bury(t.Context(), &Dead{Parked: Parked{ID: ID{n, 0}, Webhook: *hook(body)}, Lane: Lane{"mm", "dev"}})
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// filled is a store with two lanes and a few dead letters. With ended it was
// stopped in good order, else killed.
func filled(t *testing.T, ended bool) string {
	t.Helper()
	dir := t.TempDir()
	q, j, _ := lead(t, dir)
	a, b := Lane{"mm", "a"}, Lane{"mm", "b"}
	park(t, q, a, 1, `{"a":"one"}`, `{"a":"two"}`)
	park(t, q, b, 1, `{"b":"one"}`)
	park(t, q, a, 3, `{"a":"three"}`, `{"a":"four"}`, `{"a":"five"}`)
	park(t, q, a, 6, `{"a":"six"}`)
	park(t, q, b, 2, `{"b":"two"}`)
	for i := range 4 {
		bury(t, q, uint64(i+1), fmt.Sprintf(`{"dead":"letter %d"}`, i+1))
	}
	if err := q.DropDead(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	q.kept.calm()
	if err := j.Write(t.Context(), &Settled{ID: ID{1, 0}, Lane: a, Outcome: OutcomeDelivered, From: Place{1, 0}}); err != nil {
		t.Fatal(err)
	}
	if !ended {
		return snapshot(t, dir)
	}
	j.Close()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// calm forgets when dead letters were dropped last.
func (k *kept) calm() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped = k.dropped.Add(-2 * dropCalm)
}

// readAll reads a lane's line from its head.
func readAll(t *testing.T, q *Queue, lane Lane) (read int) {
	t.Helper()
	for after := uint64(0); ; {
		seq, batch, err := q.NextParked(t.Context(), lane, after)
		if err != nil {
			t.Fatal(err)
		}
		if seq == 0 {
			return read
		}
		after, read = seq, read+len(batch)
	}
}

// Whatever is lost of what is parked or dead is said, once, with how much.
func TestWhatIsGoneIsSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		killed bool
		harm   func(t *testing.T, dir string)
		damage uint64
		says   []string
	}{
		"nothing":       {harm: func(*testing.T, string) {}},
		"nothing, kill": {killed: true, harm: func(*testing.T, string) {}},
		"parked, in the middle of a line": {
			harm:   func(t *testing.T, dir string) { rot(t, dir, ParkedStream, `{"a":"three"`, true) },
			damage: 3, says: []string{"3 parked deliveries are gone from RELAY_PARKED", "channel=a count=3"},
		},
		"parked, the end of both lines": {
			harm:   func(t *testing.T, dir string) { cut(t, dir, ParkedStream, `{"a":"three"`, true) },
			damage: 5, says: []string{"4 parked deliveries are gone", "channel=a count=4", "1 parked delivery is gone", "channel=b count=1"},
		},
		"parked, the end of both lines, kill": {
			killed: true,
			harm:   func(t *testing.T, dir string) { rot(t, dir, ParkedStream, `{"a":"three"`, false) },
			damage: 3, says: []string{"stored messages are gone", "channel=a count=4", "channel=b count=1"},
		},
		"parked, the head of a line": {
			harm:   func(t *testing.T, dir string) { rot(t, dir, ParkedStream, `{"a":"one"`, true) },
			damage: 1, says: []string{"1 parked delivery is gone", "channel=a count=1"}, // the other one is settled
		},
		"parked, the last of a line": {
			harm:   func(t *testing.T, dir string) { rot(t, dir, ParkedStream, `{"a":"six"`, true) },
			damage: 1, says: []string{"1 parked delivery is gone", "channel=a count=1"},
		},
		"parked, all of a line": {
			harm: func(t *testing.T, dir string) {
				rot(t, dir, ParkedStream, `{"b":"one"`, true)
				rot(t, dir, ParkedStream, `{"b":"two"`, true)
			},
			damage: 2, says: []string{"2 parked deliveries are gone", "channel=b count=2"},
		},
		"parked, as a whole": {
			harm:   func(t *testing.T, dir string) { cut(t, dir, ParkedStream, `{"a":"one"`, true) },
			damage: 8, says: []string{"channel=a count=6", "channel=b count=2"},
		},
		"dead letters": {
			harm:   func(t *testing.T, dir string) { cut(t, dir, DeadStream, "letter 3", true) },
			damage: 2, says: []string{"dead letters are gone from RELAY_DEAD, at least 2"}, // the second one, which was dropped, is back
		},
		"dead letters, kill": {
			killed: true,
			harm:   func(t *testing.T, dir string) { cut(t, dir, DeadStream, "letter 1", false) },
			damage: 3, says: []string{"dead letters are gone from RELAY_DEAD, at least 3"},
		},
		"a dead letter in the place of another": {
			killed: true,
			harm:   func(t *testing.T, dir string) { cut(t, dir, DeadStream, "letter 4", false) },
			damage: 1, says: []string{"dead letters are gone from RELAY_DEAD, at least 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t, !c.killed)
			c.harm(t, dir)
			q, j, log := lead(t, dir)
			for _, lane := range []Lane{{"mm", "a"}, {"mm", "b"}} {
				readAll(t, q, lane)
				readAll(t, q, lane)
				j.Note(&LaneState{Lane: lane, State: LaneParked})
			}
			if q.Damage() != c.damage {
				t.Errorf("%d are counted, want %d:\n%s", q.Damage(), c.damage, log)
			}
			for _, what := range c.says {
				if strings.Count(log.String(), what) != 1 {
					t.Errorf("the log does not say %q once:\n%s", what, log)
				}
			}
			j.Close()
			q.Close()
			q, _, log = lead(t, dir)
			readAll(t, q, Lane{"mm", "a"})
			if q.Damage() != 0 {
				t.Errorf("the next start counts %d again:\n%s", q.Damage(), log)
			}
		})
	}
}

// A disk that goes bad while the relay runs: what it takes from a line is said when
// the line is read.
func TestLineThatEndsEarlyWhileItIsRead(t *testing.T) {
	t.Parallel()
	q, _, log := lead(t, t.TempDir())
	lane := Lane{"mm", "a"}
	park(t, q, lane, 1, `{"a":1}`)
	park(t, q, lane, 2, `{"a":2}`)
	last := park(t, q, lane, 3, `{"a":3}`, `{"a":4}`)
	if err := q.parked.DeleteMsg(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n := readAll(t, q, lane); n != 2 {
			t.Errorf("%d are read", n)
		}
	}
	if q.Damage() != 2 || !strings.Contains(log.String(), "2 parked deliveries are gone") {
		t.Errorf("%d are counted:\n%s", q.Damage(), log)
	}
	park(t, q, lane, 5, `{"a":5}`)
	if n := readAll(t, q, lane); n != 3 || q.Damage() != 2 {
		t.Errorf("%d are read, and %d damaged:\n%s", n, q.Damage(), log)
	}
}

// A journal that was cut off forgets what was settled: that is said, once, by what
// was stored beside it.
func TestJournalThatIsCutOffIsNoticed(t *testing.T) {
	t.Parallel()
	for _, ended := range []bool{true, false} {
		dir := t.TempDir()
		q, j, _ := lead(t, dir)
		for i, title := range []string{"needle one", "needle two", "needle three"} {
			if err := j.Write(t.Context(), &Decision{ID: ID{uint64(i + 1), 0}, Title: title}); err != nil {
				t.Fatal(err)
			}
			store(t, q, fmt.Sprintf(`{"a":%d}`, i))
		}
		if ended {
			j.Close()
			q.Close()
		} else {
			dir = snapshot(t, dir)
		}
		cut(t, dir, JournalStream, "needle two", false)
		q, j, log := lead(t, dir)
		want := uint64(2)
		if ended {
			want = 3
		}
		if q.Damage() != want || !strings.Contains(log.String(), fmt.Sprintf("%d messages of the journal are gone from its end", want)) || !strings.Contains(log.String(), "up to 3 stored messages") {
			t.Errorf("ended %t: %d are counted, want %d:\n%s", ended, q.Damage(), want, log)
		}
		j.Close()
		q.Close()
		if q, _, log = lead(t, dir); q.Damage() != 0 {
			t.Errorf("ended %t: the next start counts %d again:\n%s", ended, q.Damage(), log)
		}
	}
}

// A journal of which nothing is left is not begun anew in silence.
func TestJournalThatIsGoneIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, j, _ := lead(t, dir)
	store(t, q, `{}`)
	j.Close()
	q.Close()
	if err := os.RemoveAll(filepath.Join(dir, "jetstream", "$G", "streams", JournalStream)); err != nil {
		t.Fatal(err)
	}
	q = open(t, Options{Dir: dir})
	if _, _, err := q.Lead(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody knows what is settled") {
		t.Errorf("it starts: %v", err)
	}
}

// A kill at any moment of a day in which everything happens that may lawfully
// happen to what is parked and dead: no start takes any of it for damage.
func TestKillIsNoDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, j, _ := lead(t, dir)
	var images []string
	a, b := Lane{"mm", "a"}, Lane{"mm", "b"}
	settled := func(lane Lane, p Place) {
		t.Helper()
		if err := j.Write(t.Context(), &Settled{ID: ID(p), Lane: lane, Outcome: OutcomeDelivered, From: p}); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for _, step := range []func(){
		func() { park(t, q, a, 1, `{"a":1}`, `{"a":2}`) },
		func() { j.Note(&LaneState{Lane: a, State: LaneParked}) },
		func() { err = j.Write(t.Context()) },
		func() { park(t, q, b, 1, `{"b":1}`) },
		func() { park(t, q, a, 3, `{"a":3}`) },
		func() { settled(a, Place{1, 0}); settled(a, Place{1, 1}) },
		func() { err = q.PurgeParked(t.Context(), a, 1) },
		func() { j.Note(&LaneState{Lane: a, State: LaneParked, Done: Place{1, 1}}) },
		func() { settled(b, Place{2, 0}) },
		func() { err = q.PurgeParked(t.Context(), b, 2) },
		func() { bury(t, q, 7, `{"d":7}`); bury(t, q, 8, `{"d":8}`) },
		func() { err = j.Write(t.Context()) },
		func() { err = q.DropDead(t.Context(), 1) },
		func() { bury(t, q, 9, `{"d":9}`) },
		func() { err = q.DropDead(t.Context(), 2) },
		func() { q.kept.calm(); err = j.Write(t.Context()) },
		func() { err = q.dropOldestDead(t.Context(), 1) },
		func() { park(t, q, b, 4, `{"b":4}`) },
		func() { park(t, q, a, 5, `{"a":5}`); park(t, q, a, 6, `{"a":6}`); park(t, q, a, 7, `{"a":7}`) },
		func() { settled(a, Place{6, 0}) }, // given up for want of room
		func() { err = q.DropParked(t.Context(), a, 6) },
		func() { j.Note(&LaneState{Lane: a, State: LaneParked, Done: Place{1, 1}}); err = j.Write(t.Context()) },
		func() { settled(a, Place{3, 0}); settled(a, Place{5, 0}); settled(a, Place{7, 0}) },
		func() { err = q.PurgeParked(t.Context(), a, 7) },
		func() { j.Note(&LaneState{Lane: a, State: LaneOpen, Done: Place{8, 0}.Before()}) },
		func() { park(t, q, a, 10, `{"a":10}`); park(t, q, a, 11, `{"a":11}`) },
		func() { err = j.Write(t.Context()) },
	} {
		if step(); err != nil {
			t.Fatal(err)
		}
		images = append(images, snapshot(t, dir))
	}
	for i, dir := range images {
		q, j, log := lead(t, dir)
		for _, lane := range []Lane{a, b} {
			for after := uint64(0); ; {
				seq, _, err := q.NextParked(t.Context(), lane, after)
				if err != nil {
					t.Fatal(err)
				}
				if seq == 0 {
					break
				}
				after = seq
			}
		}
		if q.Damage() != 0 {
			t.Errorf("killed after step %d: %d are counted as damaged:\n%s", i, q.Damage(), log)
		}
		j.Close()
		q.Close()
	}
}
