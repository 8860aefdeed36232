package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
)

// A large body is stored once in RELAY_PARKED, however many lanes wait with it. Its
// subject names the webhook; the message in a lane's line says of which webhook it
// is anyway, and holds everything but the body. It is stored before the first of
// these messages, and dropped after the last one. What a crash leaves without a
// message in a line goes with the next body that is dropped.

const (
	// apart is from how many bytes on a body is stored apart from its delivery.
	apart = 1 << 20

	// versionApart is the version byte of a body that is stored apart, and of a
	// delivery whose body is.
	versionApart = 2

	// subjectBody begins the subject of a body: no address is written like this.
	subjectBody = subjectParked + "=body."

	// subjectLines are the subjects of all lanes, without the bodies and fences.
	subjectLines = subjectParked + "*.*"
)

// bodyName is the end of the subject of a delivery's body.
func bodyName(p *Parked) string { return p.ID.String() + "." + p.Nonce.String() }

// bodies are those that RELAY_PARKED holds. Only the holder of the turn looks at
// them, and changes what refers to them. Whoever takes it holds no other turn yet.
type bodies struct {
	turn   mover
	stored map[string]int64 // how large they are there, 0 if that is not known yet; nil until it was asked
	stale  atomic.Bool      // others may be there than are known: another relay wrote, or the server was restarted
}

// learnBodies asks the server which bodies there are, unless that is known. The
// caller holds the turn.
func (q *Queue) learnBodies(ctx context.Context) error {
	if !q.bodies.stale.Swap(false) && q.bodies.stored != nil {
		return nil
	}
	q.bodies.stored = nil
	info, err := q.parked.Info(ctx, jetstream.WithSubjectFilter(subjectBody+">"))
	if err != nil {
		return fmt.Errorf("look at %s: %w", ParkedStream, err)
	}
	q.bodies.stored = map[string]int64{}
	for subject := range info.State.Subjects {
		q.bodies.stored[strings.TrimPrefix(subject, subjectBody)] = 0
	}
	return nil
}

// parkApart appends one delivery with a large body to a lane's line. It stores the
// body, unless another lane already waits with it.
func (q *Queue) parkApart(ctx context.Context, lane Lane, p *Parked) (uint64, error) {
	end, err := q.bodies.turn.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	body, err := q.knownBody(ctx, bodyName(p))
	if err == nil && body.size == 0 {
		body.size, err = q.storeBody(ctx, lane, body.name, p.Webhook.Body)
	}
	if err != nil {
		return 0, err
	}
	rest := *p
	rest.Webhook.Body = nil
	nonce := newNonce()
	return q.appendLine(ctx, lane, 1, encodeApart(nonce, &rest, body.size), nonce, body)
}

// knownBody returns a body and how large it is; 0 if it is not stored.
func (q *Queue) knownBody(ctx context.Context, name string) (parcelBody, error) {
	if err := q.learnBodies(ctx); err != nil {
		return parcelBody{}, err
	}
	size, known := q.bodies.stored[name]
	if known && size == 0 { // stored before this start
		msg, err := q.lastBody(ctx, name)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return parcelBody{}, err
		}
		if err == nil {
			size = int64(len(msg.Data))
			q.bodies.stored[name] = size
		}
	}
	return parcelBody{name, size}, nil
}

// storeBody stores a body and returns how large it is in the stream.
func (q *Queue) storeBody(ctx context.Context, lane Lane, name string, content []byte) (int64, error) {
	ctx, end, err := q.turnToWrite(ctx, max(len(content), large))
	if err != nil {
		return 0, err
	}
	defer end()
	nonce := newNonce()
	data := seal(nonce, content)
	data[0] = versionApart
	if err := q.shareLeft(ctx, lane.Destination, len(data)); err != nil {
		return 0, err
	}
	if _, err := q.append(ctx, subjectBody+name, data, nonce); err != nil {
		return 0, err
	}
	q.bodies.stored[name] = int64(len(data))
	return int64(len(data)), nil
}

// lastBody reads a body as it is stored, or returns jetstream.ErrMsgNotFound.
func (q *Queue) lastBody(ctx context.Context, name string) (*jetstream.RawStreamMsg, error) {
	ctx, t, err := q.turnFor(ctx, large)
	if err != nil {
		return nil, err
	}
	defer t.end()
	msg, err := q.parked.GetLastMsgForSubject(ctx, subjectBody+name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ParkedStream, err)
	}
	return msg, nil
}

// readBody reads the body of a delivery that stands at seq of RELAY_PARKED.
func (q *Queue) readBody(ctx context.Context, seq uint64, p *Parked) error {
	msg, err := q.lastBody(ctx, bodyName(p))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		if err := q.parkedBehind(ctx); err != nil {
			return err
		}
		return &DamageError{ParkedStream, seq, nil, fmt.Errorf("the body of event %s is gone", p.ID)}
	}
	if err != nil {
		return err
	}
	_, p.Webhook.Body, err = unseal(ParkedStream, msg.Data, versionApart, q.opt.maxContent())
	return damaged(ParkedStream, seq, nil, err)
}

// dropBodies drops the bodies that no lane waits with any more, after messages of a
// lane were dropped.
func (q *Queue) dropBodies(ctx context.Context) error {
	end, err := q.bodies.turn.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := q.learnBodies(ctx); err != nil || len(q.bodies.stored) == 0 {
		return err
	}
	unlock, err := q.knowShares(ctx)
	if err != nil {
		return err
	}
	var idle []string
	for name := range q.bodies.stored {
		if q.shares.bodies[name] == 0 {
			idle = append(idle, name)
		}
	}
	unlock()
	if j := q.leading.Load(); j != nil && len(idle) > 0 {
		// A message of a line may come back after a kill. The journal has to say that it
		// was settled, or a start would look for its body. What cannot be written leaves
		// the bodies to the next one that is dropped.
		if err := j.Write(ctx); err != nil {
			return nil
		}
	}
	for _, name := range idle {
		if err := q.dropBody(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) dropBody(ctx context.Context, name string) error {
	ctx, t, err := q.turnFor(ctx, large) // the server reads it once more to drop it
	if err != nil {
		return err
	}
	defer t.end()
	size := q.bodies.stored[name]
	delete(q.bodies.stored, name)
	if err := q.parked.Purge(ctx, jetstream.WithPurgeSubject(subjectBody+name)); err != nil {
		q.bodies.stored[name] = size
		return fmt.Errorf("purge %s: %w", ParkedStream, err)
	}
	return nil
}
