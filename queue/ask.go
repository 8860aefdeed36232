package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// subjectAsk carries questions to the relay that dispatches, of several on one
// server. It is in no stream.
const subjectAsk = "relay-ask"

// ErrNobodyDispatches: no relay on this server dispatches at this moment.
var ErrNobodyDispatches = errors.New("no relay dispatches at this moment")

// Ask puts a question to the relay that dispatches, which may be this one, and
// returns its answer.
func (q *Queue) Ask(ctx context.Context, question []byte) ([]byte, error) {
	msg, err := q.nc.RequestWithContext(ctx, subjectAsk, question)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, ErrNobodyDispatches
	}
	if err != nil {
		return nil, fmt.Errorf("ask the relay that dispatches: %w", err)
	}
	return msg.Data, nil
}

// Answer answers what other relays on this server ask, until stop is called.
func (q *Queue) Answer(f func(question []byte) []byte) (stop func(), err error) {
	sub, err := q.nc.Subscribe(subjectAsk, func(m *nats.Msg) {
		go func() { _ = m.Respond(f(m.Data)) }() // an answer may take a while; who got none asks again
	})
	if err != nil {
		return nil, fmt.Errorf("listen for other relays: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}
