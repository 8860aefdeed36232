package queue

import "fmt"

// Envelope is one message of RELAY_EVENTS: the webhooks that waited together
// when it was committed.
type Envelope struct {
	Seq      uint64
	Nonce    Nonce
	Webhooks []Webhook
}

// maxEnvelope is how much raw content one envelope or one parked batch
// gathers, in bytes. A larger webhook travels alone.
const maxEnvelope = 700 << 10

func encodeEnvelope(n Nonce, hooks []*Webhook) []byte {
	size := 16
	for _, h := range hooks {
		size += h.size() + 8
	}
	w := buffer{make([]byte, 0, size)}
	w.uint(uint64(len(hooks)))
	for _, h := range hooks {
		w.webhook(h)
	}
	return seal(n, w.b)
}

func decodeEnvelope(seq uint64, msg []byte, limit int) (Envelope, error) {
	nonce, content, err := unseal(Events, msg, limit)
	if err != nil {
		return Envelope{}, err
	}
	r := reader{b: content}
	count := r.uint()
	e := Envelope{Seq: seq, Nonce: nonce, Webhooks: make([]Webhook, 0, min(count, 512))}
	for i := uint64(0); i < count && !r.bad; i++ {
		e.Webhooks = append(e.Webhooks, r.webhook())
	}
	if err := r.err(); err != nil {
		return Envelope{}, fmt.Errorf("read %s: envelope %d: %w", Events, seq, err)
	}
	return e, nil
}

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
	var w buffer
	w.uint(uint64(len(batch)))
	for i := range batch {
		w.parked(&batch[i])
	}
	return seal(n, w.b)
}

func decodeParked(seq uint64, msg []byte, limit int) ([]Parked, error) {
	_, content, err := unseal(ParkedStream, msg, limit)
	if err != nil {
		return nil, err
	}
	r := reader{b: content}
	count := r.uint()
	batch := make([]Parked, 0, min(count, 512))
	for i := uint64(0); i < count && !r.bad; i++ {
		batch = append(batch, r.parked())
	}
	if err := r.err(); err != nil {
		return nil, fmt.Errorf("read %s: message %d: %w", ParkedStream, seq, err)
	}
	return batch, nil
}

func encodeDead(n Nonce, d *Dead) []byte {
	var w buffer
	w.parked(&d.Parked)
	w.lane(d.Lane)
	w.str(d.Reason)
	w.uint(uint64(d.Attempts))
	w.time(d.Time)
	return seal(n, w.b)
}

func decodeDead(seq uint64, msg []byte, limit int) (Dead, error) {
	_, content, err := unseal(DeadStream, msg, limit)
	if err != nil {
		return Dead{}, err
	}
	r := reader{b: content}
	d := Dead{Parked: r.parked(), Lane: r.lane(), Reason: r.str(), Attempts: int(r.uint()), Time: r.time()}
	if err := r.err(); err != nil {
		return Dead{}, fmt.Errorf("read %s: message %d: %w", DeadStream, seq, err)
	}
	return d, nil
}
