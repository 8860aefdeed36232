package queue

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// afterMiss is a stream in which something happens right after the first look
// that found nothing.
type afterMiss struct {
	jetstream.Stream
	happens func()
}

func (s *afterMiss) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	msg, err := s.Stream.GetMsg(ctx, seq, opts...)
	if happens := s.happens; happens != nil && errors.Is(err, jetstream.ErrMsgNotFound) {
		s.happens = nil
		happens()
	}
	return msg, err
}

// Next finds that everything up to the tail was purged, and before it acts on
// that the next event is stored.
func TestNextSkipsNothingThatIsStoredMeanwhile(t *testing.T) {
	q := open(t, Options{})
	store(t, q, `{"purged":true}`)
	if err := q.events.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	var stored ID
	events := &afterMiss{Stream: q.events, happens: func() { stored = store(t, q, `{"n":1}`) }}
	q.events = events
	if e := next(t, q, 0); e.Seq != stored.Seq || events.happens != nil {
		t.Errorf("next is %d, want %d", e.Seq, stored.Seq)
	}
}
