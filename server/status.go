package server

import (
	"context"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// Status is how a relay is, in one answer.
type Status struct {
	About
	Ready bool   `json:"ready"`
	Why   string `json:"not_ready,omitempty"` // why it is not

	Sources []SourceStatus `json:"sources"`
	LaneList
	DeadLetters DeadLetterCount `json:"dead_letters"`
	Storage     Storage         `json:"storage"`
}

// About is what a relay knows of itself.
type About struct {
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Dispatching bool      `json:"dispatching"` // of several relays on one NATS server one does

	Configuration Configuration `json:"configuration"`
}

// Configuration is the relay.yaml in force, and what is wrong with the one on disk.
type Configuration struct {
	File     string     `json:"file"`                // "" if it is from the environment
	Files    int        `json:"files"`               // with those that it includes
	Loaded   time.Time  `json:"loaded"`              // when the one in force was
	Tried    time.Time  `json:"tried"`               // when the files were read last
	LastGood *time.Time `json:"last_good,omitempty"` // when the copies in force were made; nil: they are none

	// Refused reports that the files on disk have mistakes, and what was loaded before is
	// in force.
	Refused  bool     `json:"refused"`
	Problems []string `json:"problems"` // the mistakes, with their places
	Warnings int      `json:"warnings"`
	Broken   []string `json:"broken_files"` // included files with mistakes, which alone are not in force
}

// DeadLetterCount is how many dead letters are kept.
type DeadLetterCount struct {
	Count   uint64    `json:"count"`
	Newest  time.Time `json:"newest,omitzero"` // when the last one was given up
	Dropped uint64    `json:"dropped"`         // since the start, for want of room
}

// Storage is how much room the queue has, in bytes.
type Storage struct {
	Free    int64    `json:"free,omitempty"`    // on the disk of the embedded queue
	Reserve int64    `json:"reserve,omitempty"` // with less, webhooks are refused
	Growth  int64    `json:"growth"`            // how much the streams may still take
	Streams []Stream `json:"streams"`
}

// Stream is how full one is.
type Stream struct {
	Name  string `json:"name"`
	Bytes uint64 `json:"bytes"`
	Limit int64  `json:"limit"`
}

// Small reports that the disk is full before the streams are at their limits.
func (s Storage) Small() bool { return s.Reserve > 0 && s.Free-s.Reserve < s.Growth }

// NewStorage asks a queue.
func NewStorage(ctx context.Context, q *queue.Queue) (Storage, error) {
	s := Storage{Streams: []Stream{}}
	if free, reserve, ok := q.DiskRoom(); ok {
		s.Free, s.Reserve = free, reserve
	}
	states, err := q.States(ctx)
	for _, one := range states {
		s.Streams = append(s.Streams, Stream{one.Name, one.Bytes, one.Limit})
		s.Growth += max(one.Limit-int64(one.Bytes), 0)
	}
	return s, err
}

// status says how the relay is: GET /api/v1/status. What a queue that does not answer
// knows is left out.
func (a *api) status(ctx context.Context, _ *question) (any, error) {
	sources := a.relay.Sources()
	out := Status{About: a.relay.About(), Ready: true, Sources: sources.Sources}
	readiness, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := a.relay.Ready(readiness); err != nil {
		out.Ready, out.Why = false, notReady(err)
	}
	asked, cancel := context.WithTimeout(ctx, 2*readyTimeout)
	defer cancel()
	var err error
	if out.LaneList, err = a.laneList(asked, ""); err != nil {
		out.Note = "the queue does not answer: what waits on disk is not known"
	}
	if out.Storage, err = NewStorage(asked, a.queue); err != nil {
		a.log.Warn("the queue did not answer for its status", "err", err)
		return out, nil
	}
	out.DeadLetters, err = a.countDead(asked)
	if err != nil {
		a.log.Warn("the queue did not answer for its dead letters", "err", err)
	}
	return out, nil
}

func (a *api) countDead(ctx context.Context) (c DeadLetterCount, err error) {
	c.Dropped = a.queue.DeadDropped()
	states, err := a.queue.States(ctx)
	for _, s := range states {
		if s.Name == queue.DeadStream {
			c.Count = s.Messages
		}
	}
	if err != nil || c.Count == 0 {
		return c, err
	}
	err = a.queue.NewestDead(ctx, 0, func(d queue.DeadLetter) bool {
		c.Newest = d.Time.UTC()
		return false
	})
	return c, err
}
