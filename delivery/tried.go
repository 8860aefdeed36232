package delivery

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
)

// Results of a try that somebody asked for.
const (
	TriedOpen    = "open"    // the address takes messages, or nothing waits for it any more
	TriedFailed  = "failed"  // it does not
	TriedWaiting = "waiting" // there is no answer yet
)

// Tried says what came of a try that somebody asked for. It holds no secret.
type Tried struct {
	Address configs.Address
	Result  string
	Error   string    // of TriedFailed
	Next    time.Time // of TriedFailed: when it is tried again; zero: at once
}

// TryNow is [Lanes.Retry], and waits for what comes of it until ctx ends. The lanes
// are by address.
func (s *Lanes) TryNow(ctx context.Context, match func(configs.Address) bool) []Tried {
	asked := time.Now()
	var all []Tried
	for lanes := s.hurryAll(match); ; {
		news := s.tried.wait() // before looking
		waiting := lanes[:0]
		for _, l := range lanes {
			if t := l.triedSince(asked); t.Result != TriedWaiting || ctx.Err() != nil || s.stopping() != nil {
				all = append(all, t)
			} else {
				waiting = append(waiting, l)
			}
		}
		if lanes = waiting; len(lanes) == 0 {
			break
		}
		select {
		case <-news:
		case <-ctx.Done():
		case <-s.stop.Done():
		}
	}
	slices.SortFunc(all, func(a, b Tried) int { return strings.Compare(a.Address.String(), b.Address.String()) })
	return all
}

// triedSince is what came of the lane's attempts since then, or of the probe of its
// destination.
func (l *lane) triedSince(asked time.Time) Tried {
	st := l.status()
	why, fell := l.dest.lastFailure()
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	t := Tried{Address: l.address, Result: TriedWaiting}
	switch {
	case !last.ended.Before(asked) && last.verdict == Delivered, st.State == LaneOpen && st.Held == 0:
		t.Result = TriedOpen
	case !last.ended.Before(asked):
		t.Result, t.Error, t.Next = TriedFailed, last.text, st.Next
	case fell.After(asked):
		t.Result, t.Error, t.Next = TriedFailed, why, st.Next
	}
	return t
}

// news tells those who wait that something has happened.
type news struct {
	mu sync.Mutex
	ch chan struct{} // nil while nobody waits
}

// wait is closed by the next tell.
func (n *news) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}
