package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// worthBatch is how many messages are quicker read together than one after
	// the other.
	worthBatch = 32
	// batchWait is how long a batch may take, and its consumer to be made: on a
	// server that dies at this moment both would take for ever. After so many
	// tries what is left is read one by one.
	batchWait    = 5 * time.Second
	consumerWait = time.Second
	batchTries   = 5
)

// batchMessages and batchBytes are the most that is read together.
const batchMessages, batchBytes = 4096, 4 << 20

// batch reads messages of a stream above the sequence together, in order and
// without a gap, up to so many. It may bring none where there are some; these are
// to be read one by one.
func (s lasting) batch(ctx context.Context, subject string, after uint64) (msgs []*jetstream.RawStreamMsg, err error) {
	g, err := s.q.health.readable(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, batchWait)
	defer cancel()
	err = g.while(ctx, func(ctx context.Context) (err error) {
		msgs, err = fetch(ctx, g.nc, g.streams[s.name], s.name, subject, after)
		return err
	})
	return msgs, err
}

// fetch makes a consumer for one batch. The server drops it by itself.
func fetch(ctx context.Context, nc *nats.Conn, s jetstream.Stream, name, subject string, after uint64) ([]*jetstream.RawStreamMsg, error) {
	soon, cancel := context.WithTimeout(ctx, consumerWait)
	defer cancel()
	c, err := s.CreateConsumer(soon, jetstream.ConsumerConfig{
		FilterSubject: subject, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: batchWait,
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if c.CachedInfo().NumPending == 0 {
		return nil, nil
	}
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is closed
	request, err := json.Marshal(map[string]any{"batch": batchMessages, "max_bytes": batchBytes, "no_wait": true})
	if err == nil {
		err = nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+name+"."+c.CachedInfo().Name, inbox, request)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return collect(ctx, sub, batchMessages)
}

// collect takes the messages of a batch, up to the first that is missing.
func collect(ctx context.Context, sub *nats.Subscription, most int) (msgs []*jetstream.RawStreamMsg, err error) {
	for len(msgs) < most {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return msgs, err
		}
		at, err := m.Metadata()
		if err != nil || at.Sequence.Consumer != uint64(len(msgs)+1) {
			break // the end of the batch, or a gap
		}
		msgs = append(msgs, &jetstream.RawStreamMsg{Subject: m.Subject, Sequence: at.Sequence.Stream, Header: m.Header, Data: m.Data, Time: at.Timestamp})
		if at.NumPending == 0 {
			break
		}
	}
	return msgs, nil
}
