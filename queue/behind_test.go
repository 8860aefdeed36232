package queue

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// late is a stream whose server has stored nothing above a sequence, until it was
// asked so many times: as one that has just begun to lead it.
type late struct {
	stream
	above uint64
	times int
	tells bool // its state says what cannot be read yet
}

func (s *late) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	info, err := s.stream.Info(ctx, opts...)
	if err != nil || s.times <= 0 || s.tells {
		return info, err
	}
	s.times--
	info.State.LastSeq = min(info.State.LastSeq, s.above)
	if len(info.State.Subjects) > 0 && s.above == 0 {
		info.State.Subjects = nil
	}
	return info, nil
}

func (s *late) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	msg, err := s.stream.GetMsg(ctx, seq, opts...)
	if err == nil && msg.Sequence > s.above && s.times > 0 {
		s.times--
		return nil, jetstream.ErrMsgNotFound
	}
	return msg, err
}

// led is a server on which a relay has stored two webhooks, settled the first one,
// parked the second one, and ended without a word.
func led(t *testing.T) (Options, ID, ID) {
	t.Helper()
	opt := Options{URL: external(t).ClientURL(), MaxBody: 1 << 20, TakeoverWait: 200 * time.Millisecond}
	q := open(t, opt)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, second := store(t, q, `{"n":1}`), store(t, q, `{"n":2}`)
	lane := Lane{"mm", "dev"}
	if _, err := q.Park(t.Context(), lane, []Parked{{ID: second, Webhook: *hook(`{"n":2}`)}}); err != nil {
		t.Fatal(err)
	}
	err = j.Write(t.Context(), &Settled{ID: first, Lane: lane, Time: time.Now(), Outcome: OutcomeDelivered},
		&LaneState{Lane: lane, Time: time.Now(), State: LaneParked})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Write(t.Context()); err != nil { // what carries the ends
		t.Fatal(err)
	}
	j.cancel() // it dies
	<-j.done
	return opt, first, second
}

// What a server does not hold yet that has just begun to lead a stream is not taken
// for lost: the relay that takes over looks again.
func TestTakeoverWaitsForAServerThatIsBehind(t *testing.T) {
	for _, name := range []string{JournalStream, Events, ParkedStream} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opt, first, second := led(t)
			q := open(t, opt)
			s := map[string]*stream{JournalStream: &q.journalStream, Events: &q.events, ParkedStream: &q.parked}[name]
			info, err := (*s).Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			behind := &late{stream: *s, times: 4}
			if name == JournalStream {
				behind.above, behind.tells = info.State.LastSeq-1, true
			}
			*s = behind
			j, state, err := q.Lead(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if q.Damage() != 0 {
				t.Errorf("%d messages were taken for gone", q.Damage())
			}
			lane := Lane{"mm", "dev"}
			if got := state.Settled[Settlement{first, lane}]; got != OutcomeDelivered {
				t.Errorf("the first one: %q, want delivered", got)
			}
			if l := state.Lanes[lane]; l == nil || l.Last == 0 || !l.Held[second] {
				t.Errorf("the second one is not in the line: %+v", l)
			}
		})
	}
}

// What is not there however long one waits is gone, and the relay goes on.
func TestTakeoverGoesOnWithoutWhatIsGone(t *testing.T) {
	t.Parallel()
	opt, first, _ := led(t)
	q := open(t, opt)
	info, err := q.journalStream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q.journalStream = &late{stream: q.journalStream, above: info.State.LastSeq - 1, times: 1 << 30, tells: true}
	j, state, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if q.Damage() == 0 || len(state.Settled) == 0 {
		t.Errorf("damage %d, settled %v; want the last message to be missed, and what stood before it (%s)", q.Damage(), state.Settled, first)
	}
}

// A line is not at its end where RELAY_PARKED ends before what is known to be
// there.
func TestLineWaitsForAServerThatIsBehind(t *testing.T) {
	t.Parallel()
	opt, _, second := led(t)
	q := open(t, opt)
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	q.parked = &late{stream: q.parked, times: 2}
	lane := Lane{"mm", "dev"}
	if seq, _, err := q.NextParked(t.Context(), lane, 0); !errors.Is(err, errBehind) {
		t.Errorf("got %d, %v; want an error", seq, err)
	}
	if seq, batch, err := q.NextParked(t.Context(), lane, 0); err != nil || seq == 0 || len(batch) != 1 || batch[0].ID != second {
		t.Errorf("afterwards: %d, %v, %v", seq, batch, err)
	}
}

// Who repeats a write whose answer was lost is told that it was refused. As long as
// nobody knows what stands there, that does not make it another relay's.
func TestWriterWaitsForAServerThatIsBehind(t *testing.T) {
	t.Parallel()
	q := open(t, Options{URL: external(t).ClientURL(), MaxBody: 1 << 20, TakeoverWait: 200 * time.Millisecond})
	j, _, err := q.Lead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	nonce, expect := newNonce(), j.Last()
	if _, err := q.publish(t.Context(), subjectJournal, encodeEntry(nonce, Entry{Writer: j.writer}), nonce, &expect); err != nil {
		t.Fatal(err)
	}
	j.q.journalStream = &late{stream: j.q.journalStream, above: expect, times: 1, tells: true}
	if _, err := j.ours(expect+1, nonce); !errors.Is(err, errBehind) || errors.Is(err, ErrFenced) {
		t.Errorf("while it cannot be read: %v", err)
	}
	if seq, err := j.ours(expect+1, nonce); err != nil || seq != expect+1 {
		t.Errorf("afterwards: %d, %v", seq, err)
	}
	var p patience
	if p.over(q, errBehind) {
		t.Error("no patience at all")
	}
	if p.since = p.since.Add(-behindFor * q.opt.TakeoverWait); !p.over(q, errBehind) || p.over(q, ErrFull) {
		t.Error("patience without end")
	}
}

// A server that has not heard of a stream yet is asked again.
func TestStreamThatIsNotThereYet(t *testing.T) {
	q := open(t, Options{URL: external(t).ClientURL(), MaxBody: 1 << 20})
	info, err := q.dead.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := q.js.DeleteStream(t.Context(), DeadStream); err != nil {
		t.Fatal(err)
	}
	made := make(chan error, 1)
	time.AfterFunc(2*heartbeat, func() {
		_, err := q.js.CreateStream(context.WithoutCancel(t.Context()), info.Config)
		made <- err
	})
	if _, err := q.dead.Info(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-made; err != nil {
		t.Error(err)
	}
}
