package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// DeadLetter is a delivery that was given up.
type DeadLetter struct {
	ID       uint64    `json:"id"`
	EventID  string    `json:"event_id"`
	Address  string    `json:"address"`
	Time     time.Time `json:"time"` // when it was given up
	Received time.Time `json:"received"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts"`
	Source   string    `json:"source"`
	Event    string    `json:"event"`
	Project  string    `json:"project"`
	Title    string    `json:"title"`
	Damaged  bool      `json:"damaged,omitempty"` // on disk: it cannot be replayed, only purged
	Webhook  *Webhook  `json:"webhook,omitempty"` // of one that is shown
}

// DeadLetterList is a page of dead letters, newest first.
type DeadLetterList struct {
	DeadLetters []DeadLetter `json:"dead_letters"`
	Next        string       `json:"next,omitempty"` // page of the older ones
}

// DeadLettersReplayed says what became of dead letters that were chosen.
type DeadLettersReplayed struct {
	Replayed []Replayed `json:"replayed"`
	More     bool       `json:"more"` // that match are left: ask again
}

// DeadLettersPurged says which dead letters were dropped.
type DeadLettersPurged struct {
	Purged []uint64 `json:"purged"`
	More   bool     `json:"more"`
}

// deadFilter is what dead letters are chosen by.
type deadFilter struct {
	filter
	address string
	eventID string
	source  string
}

func (r *question) deadFilter() (f deadFilter, err error) {
	if f.filter, err = r.filter(); err != nil {
		return f, err
	}
	for name, into := range map[string]*string{"address": &f.address, "event_id": &f.eventID, "source": &f.source} {
		if *into, err = r.text(name); err != nil {
			return f, err
		}
	}
	if f.eventID != "" {
		if _, err := queue.ParseID(f.eventID); err != nil {
			return f, wrong("event_id: %s", err)
		}
	}
	return f, nil
}

func (f *deadFilter) empty() bool { return *f == deadFilter{} }

// takes tells whether a dead letter is chosen, and what it is about. An address
// without a channel chooses all of its destination's.
func (f *deadFilter) takes(a *API, d *queue.DeadLetter) (about Description, ok bool) {
	switch {
	case f.address != "" && f.address != addressOf(d.Lane) && f.address != d.Lane.Destination,
		f.eventID != "" && f.eventID != d.ID.String(),
		f.source != "" && f.source != d.Webhook.Source,
		!f.during(d.Time):
		return about, false
	}
	about = a.Describe(&d.Webhook)
	return about, f.matches(about.Project, about.Event)
}

func newDeadLetter(d *queue.DeadLetter, about Description) DeadLetter {
	return DeadLetter{
		ID: d.Seq, EventID: d.ID.String(), Address: addressOf(d.Lane), Time: d.Time.UTC(), Received: d.Webhook.Received.UTC(), Reason: d.Reason,
		Attempts: d.Attempts, Source: d.Webhook.Source, Event: about.Event, Project: about.Project, Title: about.Title,
		Damaged: d.Damaged,
	}
}

// deadLetters lists them: GET /api/v1/deadletters.
func (a *API) deadLetters(ctx context.Context, r *question) (any, error) {
	f, err := r.deadFilter()
	if err != nil {
		return nil, err
	}
	limit, err := r.number("limit", pageLimit, maxPage)
	if err != nil {
		return nil, err
	}
	page, err := r.text("page")
	if err != nil {
		return nil, err
	}
	below := uint64(0)
	if page != "" {
		if below, err = strconv.ParseUint(page, 10, 64); err != nil || below == 0 {
			return nil, wrong("page: it takes what the last answer said under next")
		}
	}
	if err := r.unasked(); err != nil {
		return nil, err
	}
	list := DeadLetterList{DeadLetters: []DeadLetter{}}
	err = a.Queue.NewestDead(ctx, below, func(d queue.DeadLetter) bool {
		about, ok := f.takes(a, &d)
		switch {
		case !ok:
		case len(list.DeadLetters) == limit:
			list.Next = strconv.FormatUint(list.DeadLetters[limit-1].ID, 10)
			return false
		default:
			list.DeadLetters = append(list.DeadLetters, newDeadLetter(&d, about))
		}
		return true
	})
	return list, err
}

// dead is the dead letter that the path names.
func (a *API) dead(ctx context.Context, r *question) (queue.DeadLetter, error) {
	seq, err := strconv.ParseUint(r.Param("id"), 10, 64)
	if err != nil {
		return queue.DeadLetter{}, wrong("%q is no dead letter: want its number, as the list says it", r.Param("id"))
	}
	d, err := a.Queue.DeadLetter(ctx, seq)
	if errors.Is(err, queue.ErrNotFound) {
		return d, notFound("there is no dead letter %d: it was replayed or purged, or never there", seq)
	}
	return d, err
}

// deadLetter shows one: GET /api/v1/deadletters/{id}.
func (a *API) deadLetter(ctx context.Context, r *question) (any, error) {
	d, err := a.dead(ctx, r)
	if err != nil {
		return nil, err
	}
	out := newDeadLetter(&d, a.Describe(&d.Webhook))
	out.Webhook = a.webhook(d.ID, &d.Webhook)
	return out, nil
}

// replayDeadLetter stores one again: POST /api/v1/deadletters/{id}/replay. It
// goes to its own address unless the request names another.
func (a *API) replayDeadLetter(ctx context.Context, r *question) (any, error) {
	to, err := a.to(r)
	if err != nil {
		return nil, err
	}
	if err := r.unasked(); err != nil {
		return nil, err
	}
	d, err := a.dead(ctx, r)
	if err != nil {
		return nil, err
	}
	r.status = http.StatusAccepted
	return a.replayDead(ctx, &d, to)
}

func (a *API) replayDead(ctx context.Context, d *queue.DeadLetter, to string) (Replayed, error) {
	if d.Damaged {
		return Replayed{}, wrong("dead letter %d: %s", d.Seq, d.Reason)
	}
	if to == "" {
		to = addressOf(d.Lane)
		if _, err := a.Lane(to); err != nil {
			return Replayed{}, wrong("dead letter %d: its own address is gone (%s); say where to with to", d.Seq, err)
		}
	}
	if err := a.open(&d.Webhook, to); err != nil {
		return Replayed{}, err
	}
	id, err := a.Queue.ReplayDead(ctx, *d, to)
	if err != nil {
		return Replayed{}, err
	}
	return Replayed{ID: id.String(), Status: "accepted", ReplayOf: d.ID.String(), ReplayTo: to, DeadLetter: d.Seq}, nil
}

// purgeDeadLetter drops one: POST /api/v1/deadletters/{id}/purge.
func (a *API) purgeDeadLetter(ctx context.Context, r *question) (any, error) {
	if err := r.unasked(); err != nil {
		return nil, err
	}
	d, err := a.dead(ctx, r)
	if err != nil {
		return nil, err
	}
	return DeadLettersPurged{Purged: []uint64{d.Seq}}, a.Queue.DropDead(ctx, d.Seq)
}

// chosen gathers the numbers of the dead letters that a request means, oldest
// first: with none of the filters it has to say all.
func (a *API) chosen(ctx context.Context, r *question) (seqs []uint64, more bool, err error) {
	f, err := r.deadFilter()
	if err != nil {
		return nil, false, err
	}
	limit, err := r.number("limit", maxPage, maxPage)
	if err != nil {
		return nil, false, err
	}
	r.asked["all"] = true
	if err := r.unasked(); err != nil {
		return nil, false, err
	}
	if all := strings.TrimSpace(string(r.body["all"])); f.empty() && all != "true" {
		return nil, false, wrong(`say which dead letters, by address, event_id, project, event, source, since or until, or {"all": true}`)
	}
	err = a.Queue.OldestDead(ctx, func(d queue.DeadLetter) bool {
		if _, ok := f.takes(a, &d); ok {
			if more = len(seqs) == limit; more {
				return false
			}
			seqs = append(seqs, d.Seq)
		}
		return true
	})
	return seqs, more, err
}

// replayDeadLetters stores those that are chosen again, the oldest first, as
// many as one answer may list: POST /api/v1/deadletters/replay.
func (a *API) replayDeadLetters(ctx context.Context, r *question) (any, error) {
	to, err := a.to(r)
	if err != nil {
		return nil, err
	}
	seqs, more, err := a.chosen(ctx, r)
	if err != nil {
		return nil, err
	}
	out := DeadLettersReplayed{Replayed: []Replayed{}, More: more}
	for _, seq := range seqs {
		d, err := a.Queue.DeadLetter(ctx, seq)
		if errors.Is(err, queue.ErrNotFound) {
			continue // somebody else has just replayed it
		}
		if err != nil {
			return nil, err
		}
		if d.Damaged {
			continue // the list says so
		}
		one, err := a.replayDead(ctx, &d, to)
		if err != nil {
			return nil, err
		}
		out.Replayed = append(out.Replayed, one)
	}
	r.status = http.StatusAccepted
	return out, nil
}

// purgeDeadLetters drops those that are chosen: POST /api/v1/deadletters/purge.
func (a *API) purgeDeadLetters(ctx context.Context, r *question) (any, error) {
	seqs, more, err := a.chosen(ctx, r)
	if err != nil {
		return nil, err
	}
	out := DeadLettersPurged{Purged: []uint64{}, More: more}
	for _, seq := range seqs {
		if err := a.Queue.DropDead(ctx, seq); err != nil {
			return nil, err
		}
		out.Purged = append(out.Purged, seq)
	}
	return out, nil
}
