package queue

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// external is a server that several relays share.
func external(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: 8 << 20, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s
}

// Two relays on one server: the first one parks after the second has taken
// over, before it has heard of that.
func TestOvertakenRelayParksNothing(t *testing.T) {
	opt := Options{URL: external(t).ClientURL(), MaxBody: 1 << 20, TakeoverWait: 50 * time.Millisecond}
	first, second := open(t, opt), open(t, opt)
	lost, _, err := first.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lost.Close()
	// The first one gives a sign of life each second: dead, for one that waits 50 ms.
	won, _, err := second.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer won.Close()
	lane := Lane{"mm", ""}
	batch := []Parked{{ID: ID{1, 0}, Webhook: *hook(`{}`)}}
	if _, err := first.Park(t.Context(), lane, batch); !errors.Is(err, ErrFenced) && !errors.Is(err, ErrClosed) {
		t.Errorf("the loser's append: %v, want ErrFenced", err)
	}
	if seq := lastSequence(t, second, lane); seq != 0 {
		t.Errorf("the loser's batch stands at %d", seq)
	}
	if _, err := second.Park(t.Context(), lane, batch); err != nil {
		t.Errorf("the winner's append: %v", err)
	}
}

// A standby writes its fence and then loses the journal to the relay that goes
// on: nothing that relay appends may be refused for it.
func TestStandbyThatOnlyTriedStopsNobody(t *testing.T) {
	opt := Options{URL: external(t).ClientURL(), MaxBody: 1 << 20}
	q, standby := open(t, opt), open(t, opt)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for i := range 3 {
		if err := standby.fence(t.Context()); err != nil {
			t.Fatal(err)
		}
		lane := Lane{"mm", ""}
		seq, err := q.Park(t.Context(), lane, []Parked{{ID: ID{uint64(i + 1), 0}, Webhook: *hook(`{}`)}})
		if err != nil {
			t.Fatal(err)
		}
		if last := lastSequence(t, q, lane); last != seq {
			t.Errorf("appended as %d, found at %d", seq, last)
		}
	}
	lanes, err := q.ParkedLanes(t.Context())
	if err != nil || len(lanes) != 1 {
		t.Errorf("the lanes are %v (%v): the fence is none", lanes, err)
	}
}

// An append is stored but its answer is lost; the repeat is refused for the
// sequence that the first one has taken.
func TestRepeatedParkIsFoundAgain(t *testing.T) {
	q := open(t, Options{})
	nonce, lane := newNonce(), Lane{"mm", ""}
	subject, data := subjectParked+laneToken(lane), encodeParked(nonce, []Parked{{ID: ID{1, 0}, Webhook: *hook(`{}`)}})
	stored, err := q.publish(t.Context(), subject, data, nonce, &q.parkEnd)
	if err != nil {
		t.Fatal(err)
	}
	if seq, err := q.append(t.Context(), subject, data, nonce); seq != stored || err != nil {
		t.Errorf("the repeat: %d, %v; it is stored as %d", seq, err, stored)
	}
	if seq, err := q.Park(t.Context(), lane, nil); seq != stored+1 || err != nil {
		t.Errorf("the next: %d, %v; want %d", seq, err, stored+1)
	}
}
