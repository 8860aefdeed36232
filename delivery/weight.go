package delivery

import (
	"bytes"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

// heavy is from how many bytes on a body that stands in RELAY_PARKED is in
// memory only while its message is written, one of all lanes at a time. It
// stands there alone.
const heavy = 1 << 20

// lighten lets go of what the message is made of. Only what stands in
// RELAY_PARKED can do without.
func (i *Item) lighten() {
	if i.Event != nil {
		i.name, i.project = strings.Clone(i.Event.Name()), strings.Clone(i.Event.Project.Path)
	}
	i.Webhook = bare(i.Webhook)
	i.Event, i.light = nil, true
}

// bare is a webhook without its body.
func bare(w *queue.Webhook) *queue.Webhook {
	return &queue.Webhook{Source: w.Source, Received: w.Received, Header: w.Header}
}

// eventName and projectPath are of the event, for the log.
func (i *Item) eventName() string {
	if i.Event == nil {
		return i.name
	}
	return i.Event.Name()
}

func (i *Item) projectPath() string {
	if i.Event == nil {
		return i.project
	}
	return i.Event.Project.Path
}

// strip lets go of the bodies in the batch that was read. The lock is held.
func (l *line) strip() {
	for i := range l.batch {
		p := &l.batch[i]
		p.Webhook = *bare(&p.Webhook)
		p.Note = bytes.Clone(p.Note) // it was read from the same memory
	}
	l.light = true
}

// bodies are the bytes of the bodies in a batch.
func bodies(batch []queue.Parked) (n int) {
	for i := range batch {
		n += len(batch[i].Webhook.Body)
	}
	return n
}

// lighten lets go of everything that the lane has read from RELAY_PARKED, because
// it will wait.
func (l *lane) lighten(j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line.strip()
	if !j.item.light {
		j.item.lighten()
	}
}

// held is what came of an attempt to have a delivery's body in memory.
type held int

const (
	here     held = iota // it is there
	gone                 // the delivery was given up meanwhile
	stopping             // the relay stops
)

// unpacked reads the body of a delivery again, if the lane has let go of it. The
// function lets go of a heavy one. If the body is not to be had, the flight has
// ended.
func (l *lane) unpacked(j *job) (letGo func(), ok bool) {
	letGo, h := l.tryUnpack(j)
	if h != here {
		l.land(j, h == stopping)
	}
	return letGo, h == here
}

func (l *lane) tryUnpack(j *job) (letGo func(), h held) {
	if !j.item.light {
		return func() {}, here
	}
	l.set.reading.Lock()
	if h = l.load(j); h != here || len(j.item.Webhook.Body) < heavy {
		l.set.reading.Unlock()
		return func() {}, h
	}
	return func() {
		l.mu.Lock()
		j.item.lighten()
		l.mu.Unlock()
		l.set.reading.Unlock()
	}, here
}

// load reads a delivery from RELAY_PARKED. The lanes' lock for reading is held.
func (l *lane) load(j *job) held {
	place := l.place(j)
	for {
		seq, batch, err := l.set.parking.NextParked(l.set.stop, l.name, place.Seq-1)
		switch {
		case err == nil && seq == place.Seq && place.Index < len(batch):
			w := &batch[place.Index].Webhook
			event := events.Decode(events.NewInput(w.Source, w.Get, w.Body))
			l.mu.Lock()
			j.item.Webhook, j.item.Event, j.item.light = w, event, false
			l.mu.Unlock()
			return here
		case err == nil:
			return gone
		case l.set.stopping() != nil:
			return stopping
		}
		l.set.log.Error("a parked delivery cannot be read; trying again", "address", l.address.String(), "event_id", j.item.ID.String(), "err", err)
		if !sleep(l.set.stop, 250*time.Millisecond) {
			return stopping
		}
	}
}
