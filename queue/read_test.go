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
	stream
	happens func()
}

func (s *afterMiss) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	msg, err := s.stream.GetMsg(ctx, seq, opts...)
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
	q.recent.forget(1)
	var stored ID
	events := &afterMiss{stream: q.events, happens: func() { stored = store(t, q, `{"n":1}`) }}
	q.events = events
	if e := next(t, q, 0); e.Seq != stored.Seq || events.happens != nil {
		t.Errorf("next is %d, want %d", e.Seq, stored.Seq)
	}
}
