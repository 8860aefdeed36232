package server

import (
	"context"
	"errors"
	"fmt"
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
	Why      string    `json:"why"` // the reason, with the chat's answer in words
	Attempts int       `json:"attempts"`
	Source   string    `json:"source"`
	Event    string    `json:"event"`
	Project  string    `json:"project"`
	Title    string    `json:"title"`
	Damaged  bool      `json:"damaged,omitempty"` // on disk: it cannot be replayed, only purged, and may have no event_id
	Webhook  *Webhook  `json:"webhook,omitempty"` // of one that is shown
}

// DeadLetterList is a page of dead letters, newest first.
type DeadLetterList struct {
	DeadLetters []DeadLetter `json:"dead_letters"`
	Next        string       `json:"next,omitempty"` // page of the older ones
}

// DeadLettersReplayed says what became of dead letters that were chosen.
type DeadLettersReplayed struct {
	Replayed []Replayed      `json:"replayed"`
	Refused  []RefusedReplay `json:"refused"`
	More     bool            `json:"more"`           // more match than these: send the request again
	Next     string          `json:"next,omitempty"` // page of those
}

// RefusedReplay is a dead letter that was chosen and stays one.
type RefusedReplay struct {
	DeadLetter uint64 `json:"dead_letter"`
	Error      string `json:"error"` // for people
}

// DeadLettersPurged says which dead letters were dropped.
type DeadLettersPurged struct {
	Purged []uint64 `json:"purged"`
	More   bool     `json:"more"`
	Next   string   `json:"next,omitempty"`
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
func (f *deadFilter) takes(a *api, d *queue.DeadLetter) (about Description, ok bool) {
	switch {
	case f.address != "" && f.address != addressOf(d.Lane) && f.address != d.Lane.Destination,
		f.eventID != "" && f.eventID != d.ID.String(),
		f.source != "" && f.source != d.Webhook.Source,
		!f.during(d.Time):
		return about, false
	}
	about = a.about(d)
	return about, f.matches(about.Project, about.Event)
}

// about tells what a dead letter is about: nobody knows it of a damaged one.
func (a *api) about(d *queue.DeadLetter) Description {
	if d.Damaged {
		return Description{}
	}
	return a.relay.Describe(&d.Webhook)
}

func (a *api) newDeadLetter(d *queue.DeadLetter, about Description) DeadLetter {
	out := DeadLetter{
		ID: d.Seq, Address: addressOf(d.Lane), Time: d.Time.UTC(), Received: d.Webhook.Received.UTC(), Reason: d.Reason, Why: a.relay.InWords(d.Lane, d.Reason),
		Attempts: d.Attempts, Source: d.Webhook.Source, Event: about.Event, Project: about.Project, Title: about.Title,
		Damaged: d.Damaged,
	}
	if d.ID != (queue.ID{}) {
		out.EventID = d.ID.String()
	}
	return out
}

// deadLetters lists them: GET /api/v1/deadletters.
func (a *api) deadLetters(ctx context.Context, r *question) (any, error) {
	f, err := r.deadFilter()
	if err != nil {
		return nil, err
	}
	limit, err := r.number("limit", pageLimit, maxPage)
	if err != nil {
		return nil, err
	}
	below, err := r.deadPage()
	if err != nil {
		return nil, err
	}
	if err := r.rejectUnknown(); err != nil {
		return nil, err
	}
	list := DeadLetterList{DeadLetters: []DeadLetter{}}
	err = a.queue.NewestDead(ctx, below, func(d queue.DeadLetter) bool {
		about, ok := f.takes(a, &d)
		switch {
		case !ok:
		case len(list.DeadLetters) == limit:
			list.Next = strconv.FormatUint(list.DeadLetters[limit-1].ID, 10)
			return false
		default:
			list.DeadLetters = append(list.DeadLetters, a.newDeadLetter(&d, about))
		}
		return true
	})
	return list, err
}

// deadPage is the dead letter where the last answer ended; 0 for the first page.
func (q *question) deadPage() (uint64, error) {
	page, err := q.text("page")
	if err != nil || page == "" {
		return 0, err
	}
	seq, err := strconv.ParseUint(page, 10, 64)
	if err != nil || seq == 0 {
		return 0, wrong("page: it takes what the last answer said under next")
	}
	return seq, nil
}

// dead is the dead letter that the path names.
func (a *api) dead(ctx context.Context, r *question) (queue.DeadLetter, error) {
	seq, err := strconv.ParseUint(r.Param("id"), 10, 64)
	if err != nil {
		return queue.DeadLetter{}, wrong("%q is no dead letter: want its number, as the list says it", r.Param("id"))
	}
	d, err := a.queue.DeadLetter(ctx, seq)
	if errors.Is(err, queue.ErrNotFound) {
		return d, notFound("there is no dead letter %d: it was replayed or purged, or never there", seq)
	}
	return d, err
}

// deadLetter shows one: GET /api/v1/deadletters/{id}.
func (a *api) deadLetter(ctx context.Context, r *question) (any, error) {
	d, err := a.dead(ctx, r)
	if err != nil {
		return nil, err
	}
	out := a.newDeadLetter(&d, a.about(&d))
	out.Webhook = a.webhook(d.ID, &d.Webhook)
	if d.Damaged {
		out.Webhook.Body, out.Webhook.BodyPath = nil, ""
	}
	return out, nil
}

// replayDeadLetter stores one again: POST /api/v1/deadletters/{id}/replay. It
// goes to its own address unless the request names another.
func (a *api) replayDeadLetter(ctx context.Context, r *question) (any, error) {
	to, err := a.to(r)
	if err != nil {
		return nil, err
	}
	if err := r.rejectUnknown(); err != nil {
		return nil, err
	}
	d, err := a.dead(ctx, r)
	if err != nil {
		return nil, err
	}
	r.status = http.StatusAccepted
	one, err := a.replayDead(ctx, &d, to)
	var no *refusal
	if errors.As(err, &no) {
		no.text = fmt.Sprintf("dead letter %d: %s", d.Seq, no.text)
	}
	return one, err
}

// replayDead stores a dead letter again; a refusal says why it is none of those
// that can go.
func (a *api) replayDead(ctx context.Context, d *queue.DeadLetter, to string) (Replayed, error) {
	if d.Damaged {
		return Replayed{}, wrong("%s", d.Reason)
	}
	if to == "" {
		to = addressOf(d.Lane)
		if _, err := a.relay.Lane(to); err != nil {
			return Replayed{}, wrong("its own address is gone (%s); say where to with to", err)
		}
	}
	if err := a.open(&d.Webhook, to); err != nil {
		return Replayed{}, err
	}
	id, err := a.queue.ReplayDead(ctx, *d, to)
	if err != nil {
		return Replayed{}, err
	}
	return Replayed{ID: id.String(), Status: "accepted", ReplayOf: d.ID.String(), ReplayTo: to, DeadLetter: d.Seq}, nil
}

// purgeDeadLetter drops one: POST /api/v1/deadletters/{id}/purge.
func (a *api) purgeDeadLetter(ctx context.Context, r *question) (any, error) {
	if err := r.rejectUnknown(); err != nil {
		return nil, err
	}
	d, err := a.dead(ctx, r)
	if err != nil {
		return nil, err
	}
	return DeadLettersPurged{Purged: []uint64{d.Seq}}, a.queue.DropDead(ctx, d.Seq)
}

// chosen are dead letters that a request means.
type chosen struct {
	seqs []uint64 // oldest first
	more bool     // more match than these
}

// chosen gathers the dead letters that a request means: with none of the filters
// it has to say all.
func (a *api) chosen(ctx context.Context, r *question) (c chosen, err error) {
	f, err := r.deadFilter()
	if err != nil {
		return c, err
	}
	limit, err := r.number("limit", maxPage, maxPage)
	if err != nil {
		return c, err
	}
	after, err := r.deadPage()
	if err != nil {
		return c, err
	}
	r.params["all"] = true
	if err := r.rejectUnknown(); err != nil {
		return c, err
	}
	if all := strings.TrimSpace(string(r.body["all"])); f.empty() && all != "true" {
		return c, wrong(`say which dead letters, by address, event_id, project, event, source, since or until, or {"all": true}`)
	}
	err = a.queue.OldestDead(ctx, after, func(d queue.DeadLetter) bool {
		if _, ok := f.takes(a, &d); ok {
			if c.more = len(c.seqs) == limit; c.more {
				return false
			}
			c.seqs = append(c.seqs, d.Seq)
		}
		return true
	})
	return c, err
}

// each does something with one after the other, and returns whether some are left
// and the page to go on with. Where it fails behind others, what was done with
// those is the answer, and who goes on meets the failure first.
func (a *api) each(c chosen, do func(seq uint64) error) (more bool, next string, err error) {
	for i, seq := range c.seqs {
		if err := do(seq); err != nil {
			if i == 0 {
				return false, "", err
			}
			a.log.Warn("an answer about dead letters ends early", "at", seq, "err", err)
			return true, strconv.FormatUint(c.seqs[i-1], 10), nil
		}
	}
	if c.more {
		next = strconv.FormatUint(c.seqs[len(c.seqs)-1], 10)
	}
	return c.more, next, nil
}

// replayDeadLetters stores those that are chosen again, the oldest first, and goes
// on past those that cannot go, as many as one answer may list:
// POST /api/v1/deadletters/replay.
func (a *api) replayDeadLetters(ctx context.Context, r *question) (any, error) {
	to, err := a.to(r)
	if err != nil {
		return nil, err
	}
	c, err := a.chosen(ctx, r)
	if err != nil {
		return nil, err
	}
	out := DeadLettersReplayed{Replayed: []Replayed{}, Refused: []RefusedReplay{}}
	out.More, out.Next, err = a.each(c, func(seq uint64) error {
		d, err := a.queue.DeadLetter(ctx, seq)
		if errors.Is(err, queue.ErrNotFound) {
			return nil // somebody else has just replayed it
		}
		if err != nil {
			return err
		}
		one, err := a.replayDead(ctx, &d, to)
		var no *refusal
		switch {
		case errors.As(err, &no):
			out.Refused = append(out.Refused, RefusedReplay{seq, no.text})
		case err != nil:
			return err
		default:
			out.Replayed = append(out.Replayed, one)
		}
		return nil
	})
	r.status = http.StatusAccepted
	return out, err
}

// purgeDeadLetters drops those that are chosen: POST /api/v1/deadletters/purge.
func (a *api) purgeDeadLetters(ctx context.Context, r *question) (any, error) {
	c, err := a.chosen(ctx, r)
	if err != nil {
		return nil, err
	}
	out := DeadLettersPurged{Purged: []uint64{}}
	out.More, out.Next, err = a.each(c, func(seq uint64) error {
		if err := a.queue.DropDead(ctx, seq); err != nil {
			return err
		}
		out.Purged = append(out.Purged, seq)
		return nil
	})
	return out, err
}
