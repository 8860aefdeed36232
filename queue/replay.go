package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Header fields of a webhook that was stored again. What GitLab sends is never
// kept under these names.
const (
	fieldReplayOf   = "Relay-Replay-Of"
	fieldReplayTo   = "Relay-Replay-To"
	fieldReplayKey  = "Relay-Replay-Key"
	fieldReplayDead = "Relay-Replay-Dead" // the dead letter that it was: sequence and nonce
	fieldReceived   = "Relay-Received"    // when the webhook came from GitLab
)

// Replay says that a webhook is another one, stored again.
type Replay struct {
	Of ID     // the event that is replayed
	To string // the one address that it goes to; "": wherever the routes send it
}

// Replay tells what the webhook is a replay of, if it is one.
func (w *Webhook) Replay() (Replay, bool) {
	name := w.Get(fieldReplayOf)
	if name == "" {
		return Replay{}, false
	}
	of, err := ParseID(name)
	return Replay{of, w.Get(fieldReplayTo)}, err == nil
}

// ReplayKey is the same for replays that were asked for by the same request;
// empty for what is none.
func (w *Webhook) ReplayKey() string { return w.Get(fieldReplayKey) }

// FirstReceived is when the webhook came from GitLab, also of a replay.
func (w *Webhook) FirstReceived() time.Time {
	first := w.Get(fieldReceived)
	us, err := strconv.ParseInt(first, 10, 64)
	if first == "" || err != nil {
		return w.Received
	}
	return time.UnixMicro(us)
}

// StoreReplay stores a webhook again, as a new event, and returns its id once
// it is on disk, as [Queue.Store] does. The key names the request for it: repeated
// with the same key within two minutes, also after a restart, it returns the id of
// the first one; later, as long as the window of repeats is, the new event is
// delivered to nobody who got the first one.
func (q *Queue) StoreReplay(ctx context.Context, w *Webhook, r Replay, key string) (ID, error) {
	return q.storeReplay(ctx, w, r, key)
}

func (q *Queue) storeReplay(ctx context.Context, w *Webhook, r Replay, key string, more ...Field) (ID, error) {
	nonce := replayNonce(r, key)
	again := &Webhook{Source: w.Source, Received: time.Now(), Body: w.Body}
	for _, f := range w.Header {
		if !slices.Contains([]string{fieldReplayOf, fieldReplayTo, fieldReplayKey, fieldReplayDead, fieldReceived}, f.Name) {
			again.Header = append(again.Header, f)
		}
	}
	again.Header = append(append(again.Header, more...),
		Field{fieldReplayOf, r.Of.String()}, Field{fieldReplayKey, hex.EncodeToString(nonce[:])},
		Field{fieldReceived, strconv.FormatInt(w.FirstReceived().UnixMicro(), 10)})
	if r.To != "" {
		again.Header = append(again.Header, Field{fieldReplayTo, r.To})
	}
	id, err := q.storeAs(ctx, again, nonce)
	if err != nil {
		return ID{}, fmt.Errorf("store %s again: %w", r.Of, err)
	}
	return id, nil
}

// replayNonce makes one nonce of a request for a replay, however often it is
// sent.
func replayNonce(r Replay, key string) Nonce {
	sum := sha256.Sum256(fmt.Appendf(nil, "replay %s %q %q", r.Of, r.To, key))
	return Nonce(sum[:len(Nonce{})])
}
