package dispatch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gitlab-mattermost/relay/queue"
)

// What the journal says last of an event in a lane counts, in whatever order
// events come in it.
func TestReceiversAreThoseThatTheJournalNamesLast(t *testing.T) {
	names := []queue.Lane{{Destination: "mm"}, {Destination: "mm", Channel: "dev"}, {Destination: "slack"}}
	rapid.Check(t, func(t *rapid.T) {
		r := newReceivers(1 << 20)
		want := map[queue.ID]map[queue.Lane]bool{}
		for range rapid.IntRange(0, 3000).Draw(t, "records") {
			id := queue.ID{Seq: rapid.Uint64Range(1, 200).Draw(t, "seq"), Index: rapid.IntRange(0, 1).Draw(t, "index")}
			lane, known := rapid.SampledFrom(names).Draw(t, "lane"), rapid.Uint32Range(planned, lost).Draw(t, "known")
			r.add(id, lane, known)
			if want[id] == nil {
				want[id] = map[queue.Lane]bool{}
			}
			if _, told := want[id][lane]; known != planned || !told {
				want[id][lane] = known != lost
			}
		}
		for seq := range uint64(202) {
			for index := range 2 {
				id, got := queue.ID{Seq: seq, Index: index}, map[queue.Lane]bool{}
				for _, lane := range r.of(id) {
					got[lane] = true
				}
				for lane, has := range want[id] {
					if got[lane] != has {
						t.Errorf("%s has got to %v: %t, want %t", id, lane, got[lane], has)
					}
					delete(got, lane)
				}
				if len(got) > 0 {
					t.Errorf("%s has got to %v", id, got)
				}
			}
		}
	})
}

// Of more than the window has room for the newest are kept.
func TestReceiversAreBounded(t *testing.T) {
	const most = 5000
	r := newReceivers(most)
	lane := queue.Lane{Destination: "mm"}
	for i := range 10 * most {
		id := queue.ID{Seq: uint64(i + 1)}
		r.add(id, lane, planned)
		r.add(id, lane, got)
		if cap(r.all) > 4*most {
			t.Fatalf("there is room for %d", cap(r.all))
		}
	}
	var known []bool
	for _, seq := range []uint64{1, 9*most - 1, 9*most + 1, 10 * most} {
		known = append(known, len(r.of(queue.ID{Seq: seq})) == 1)
	}
	if diff := cmp.Diff([]bool{false, false, true, true}, known); diff != "" {
		t.Error(diff)
	}
}
