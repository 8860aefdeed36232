package queue

import "bytes"

// Envelope is one message of RELAY_EVENTS: the webhooks that waited together
// when it was committed.
type Envelope struct {
	Seq      uint64
	Nonce    Nonce
	Webhooks []Webhook // their bodies share no memory with each other
}

// maxEnvelope is how much raw content one envelope or one parked batch
// gathers, in bytes. A larger webhook travels alone.
const maxEnvelope = 700 << 10

func encodeEnvelope(n Nonce, hooks []*Webhook) []byte {
	var p packer
	return p.envelope(n, hooks)
}

// packer writes envelopes one after the other into the same memory: what it
// returns holds until the next one.
type packer struct{ content, sealed []byte }

// maxPacker is how much memory a packer keeps for the next envelope, in bytes.
const maxPacker = 2 * maxEnvelope

func (p *packer) envelope(n Nonce, hooks []*Webhook) []byte {
	if len(hooks) == 1 && len(hooks[0].Body) >= apart {
		var w buffer
		w.uint(1)
		w.webhookHead(hooks[0])
		return sealParts(n, w.b, hooks[0].Body) // which ends the envelope
	}
	w := buffer{b: p.content[:0]}
	w.uint(uint64(len(hooks)))
	for _, h := range hooks {
		w.webhook(h)
	}
	out := sealInto(p.sealed, n, w.b)
	if cap(w.b) <= maxPacker {
		p.content, p.sealed = w.b, out
	}
	return out
}

func decodeEnvelope(seq uint64, msg []byte, limit int) (Envelope, error) {
	return decode(Events, seq, msg, limit, func(nonce Nonce, r *reader) (Envelope, error) {
		e := Envelope{Seq: seq, Nonce: nonce, Webhooks: list(r, minWebhook, r.webhook)}
		if len(e.Webhooks) > 1 {
			for i := range e.Webhooks {
				e.Webhooks[i].Body = bytes.Clone(e.Webhooks[i].Body) // so that one that is kept does not keep all
			}
		}
		return e, nil
	})
}

// minWebhook is how many bytes a webhook takes at least.
const minWebhook = 4

func (w *buffer) parked(p *Parked) {
	w.id(p.ID)
	w.nonce(p.Nonce)
	w.bytes(p.Note)
	w.webhook(&p.Webhook)
}

func (r *reader) parked() Parked {
	return Parked{ID: r.id(), Nonce: r.nonce(), Note: r.bytes(), Webhook: r.webhook()}
}

func encodeParked(n Nonce, batch []Parked) []byte {
	size := 16
	for i := range batch {
		size += batch[i].Webhook.size() + len(batch[i].Note) + 64
	}
	w := buffer{b: make([]byte, 0, size)}
	w.uint(uint64(len(batch)))
	for i := range batch {
		w.parked(&batch[i])
	}
	return seal(n, w.b)
}

// encodeApart writes a delivery whose body is stored apart, in so many bytes.
func encodeApart(n Nonce, p *Parked, size int64) []byte {
	var w buffer
	w.uint(1)
	w.parked(p)
	w.uint(uint64(size))
	out := seal(n, w.b)
	out[0] = versionApart
	return out
}

// decodeParked also returns in how many bytes the body is stored apart, or 0.
func decodeParked(seq uint64, msg []byte, limit int) (batch []Parked, size int64, err error) {
	batch, err = decode(ParkedStream, seq, msg, limit, func(_ Nonce, r *reader) ([]Parked, error) {
		batch := list(r, 2+len(Nonce{})+1+minWebhook, r.parked)
		if msg[0] != versionApart {
			return batch, nil
		}
		if size = int64(r.uint()); len(batch) != 1 || size < 0 {
			r.fail()
		}
		return batch, nil
	})
	return batch, size, err
}

func encodeDead(n Nonce, d *Dead) []byte {
	w := buffer{b: make([]byte, 0, d.Webhook.size()+len(d.Note)+len(d.Reason)+256)}
	w.parked(&d.Parked)
	w.lane(d.Lane)
	w.str(d.Reason)
	w.uint(uint64(d.Attempts))
	w.time(d.Time)
	return seal(n, w.b)
}

func decodeDead(seq uint64, msg []byte, limit int) (Dead, error) {
	return decode(DeadStream, seq, msg, limit, func(_ Nonce, r *reader) (Dead, error) {
		return Dead{Parked: r.parked(), Lane: r.lane(), Reason: r.str(), Attempts: int(r.uint()), Time: r.time()}, nil
	})
}
