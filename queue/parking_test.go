package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLaneTokensAreReversible(t *testing.T) {
	seen := map[string]Lane{}
	for _, l := range []Lane{{"mm", ""}, {"mm", "reviews"}, {"mm", "@al.ice"}, {"mm", "="}, {"m-m", "a_b"}, {"mm", "a b*>é"}} {
		token := laneToken(l)
		got, err := parseLane(token)
		if err != nil || got != l {
			t.Errorf("%+v became %q became %+v (%v)", l, token, got, err)
		}
		if strings.ContainsAny(token, " *>") || strings.Count(token, ".") != 1 {
			t.Errorf("%+v: %q is no pair of subject tokens", l, token)
		}
		if other, ok := seen[token]; ok {
			t.Errorf("%+v and %+v share %q", l, other, token)
		}
		seen[token] = l
	}
}

func TestParkedLine(t *testing.T) {
	q := open(t, Options{})
	a, b := Lane{"mm", "a"}, Lane{"mm", "b"}
	parked := func(n uint64) Parked {
		return Parked{ID: ID{n, 0}, Nonce: Nonce{byte(n)}, Webhook: *hook(`{}`), Note: []byte(`{"route":"r"}`)}
	}
	var last uint64
	for n, l := range map[uint64]Lane{1: b, 2: b, 3: b} {
		if _, err := q.Park(t.Context(), l, []Parked{parked(n)}); err != nil {
			t.Fatal(err)
		}
	}
	for n := uint64(10); n < 13; n++ {
		seq, err := q.Park(t.Context(), a, []Parked{parked(n), parked(n + 100)})
		if err != nil {
			t.Fatal(err)
		}
		last = seq
	}
	var ids []uint64
	for after := uint64(0); ; {
		seq, batch, err := q.NextParked(t.Context(), a, after)
		if err != nil {
			t.Fatal(err)
		}
		if seq == 0 {
			break
		}
		if diff := cmp.Diff(parked(batch[0].ID.Seq), batch[0]); diff != "" {
			t.Errorf("parked (-want +got):\n%s", diff)
		}
		for _, p := range batch {
			ids = append(ids, p.ID.Seq)
		}
		after = seq
	}
	if diff := cmp.Diff([]uint64{10, 110, 11, 111, 12, 112}, ids); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if err := q.PurgeParked(t.Context(), a, last); err != nil {
		t.Fatal(err)
	}
	lanes, err := q.ParkedLanes(t.Context())
	if diff := cmp.Diff([]Lane{b}, lanes); diff != "" || err != nil {
		t.Errorf("lanes left (-want +got):\n%s%v", diff, err)
	}
	if got := q.LastPark(); got != last {
		t.Errorf("the last parked is %d, want %d", got, last)
	}
}

func TestDeadLettersMakeRoom(t *testing.T) {
	q := open(t, Options{DeadSize: 64 << 10})
	letter := func(i int) *Dead {
		body := make([]byte, 8<<10)
		for k := range body {
			n := newNonce()
			body[k] = n[0]
		}
		return &Dead{Parked: Parked{ID: ID{uint64(i), 0}, Webhook: Webhook{Body: body}}, Lane: Lane{"mm", ""}, Reason: "refused", Attempts: 3, Time: time.UnixMicro(1)}
	}
	for i := 1; i <= 20; i++ {
		if _, err := q.Bury(t.Context(), letter(i)); err != nil {
			t.Fatal(err)
		}
	}
	var ids []uint64
	if err := q.DeadLetters(t.Context(), func(_ uint64, d Dead) bool { ids = append(ids, d.ID.Seq); return true }); err != nil {
		t.Fatal(err)
	}
	if len(ids) == 0 || len(ids) == 20 || ids[len(ids)-1] != 20 {
		t.Errorf("kept %v: want the newest, and not all", ids)
	}
}

// lastSequence is that of a lane's newest message in RELAY_PARKED, or 0.
func lastSequence(t *testing.T, q *Queue, lane Lane) uint64 {
	t.Helper()
	msg, err := q.lastParked(t.Context(), lane)
	if err != nil {
		t.Fatal(err)
	}
	if msg == nil {
		return 0
	}
	return msg.Sequence
}
