package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/queue"
)

// deliver takes a job as far as it goes: settled, back to the line, or given up
// because the relay stops.
func (l *lane) deliver(j *job) {
	if !l.admit(j) || !l.paced() {
		l.land(j, true)
		return
	}
	dest := l.dest.config.Load()
	if dest == nil {
		l.dest.probed()
		l.bury(j, ReasonNoAddress, goneReason(l.name))
		return
	}
	if dest.GiveUpAfter > 0 && time.Since(j.item.Webhook.Received) > dest.GiveUpAfter {
		l.dest.probed()
		l.bury(j, ReasonTooOld, "undelivered for "+dest.GiveUpAfter.String())
		return
	}
	message, err := l.message(j.item, dest)
	if err != nil {
		l.dest.probed()
		l.bury(j, ReasonTemplate, "the message cannot be written: "+err.Error())
		return
	}
	for {
		r := l.attempt(j, dest, message)
		if again := l.judge(j, dest, r); !again {
			return
		}
		if !l.paced() || l.dest.config.Load() != dest {
			l.parkNow("destination changed")
			l.land(j, true)
			return
		}
	}
}

// paced waits for the destination's rate limit; false when the relay stops.
func (l *lane) paced() bool {
	if l.dest.pace.Wait(l.set.stop) != nil {
		l.dest.probed()
		return false
	}
	return true
}

// message writes what is to be posted.
func (l *lane) message(it *Item, dest *Destination) (formatters.Post, error) {
	post, err := l.set.formatter.Render(l.set.kill, formatters.Request{
		Event: it.Event, Kind: dest.Kind, Channel: cmp.Or(l.name.Channel, dest.Channel), Look: it.Look, Mention: it.Mention,
		People: l.set.people(l.name.Destination), Now: time.Now(),
	})
	if err == nil && post.Fault != "" {
		l.set.metrics.templates.Inc()
		l.set.trouble("template", "⚠️ A template failed; its messages are sent without it: `"+codeSafe(post.Fault)+"`")
		l.set.log.Warn("template failed; sent without it", "event_id", it.ID.String(), "address", l.address.String(), "fault", post.Fault)
	}
	return post, err
}

// admit waits until the lane and its destination may be tried; false when the
// job must go back or the relay stops.
func (l *lane) admit(j *job) bool {
	if l.place(j) == (queue.Place{}) {
		if l.dest.paused() {
			l.parkNow("destination paused")
			return false
		}
		return l.set.stopping() == nil
	}
	return l.rest() && l.dest.admit(l.set.stop)
}

func (l *lane) parkNow(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.park(reason)
}

// attempt posts once and says so.
func (l *lane) attempt(j *job, dest *Destination, message formatters.Post) result {
	j.tries++
	var r result
	if dest.Kind == configs.KindLog {
		r = l.set.printPost(l.address, j.item, message)
	} else {
		r = post(l.set.kill, dest, message.Body)
	}
	if r.verdict == Stopped {
		return r
	}
	l.set.metrics.attempt(l.name.Destination, r)
	level, outcome := slog.LevelInfo, queue.OutcomeDelivered
	if r.verdict != Delivered {
		level, outcome = slog.LevelWarn, "failed"
	}
	attrs := []slog.Attr{
		slog.String("event_id", j.item.ID.String()), slog.String("event", j.item.Event.Name()), slog.String("project", j.item.Event.Project.Path),
		slog.String("route", j.item.Route), slog.String("address", l.address.String()), slog.Int("attempt", j.tries), slog.Int("status", r.status),
		slog.String("outcome", outcome), slog.String("reason", r.reason),
		slog.Duration("delay", time.Since(j.item.Webhook.Received)), slog.Duration("duration", r.duration),
	}
	if r.text != "" {
		attrs = append(attrs, slog.String("err", r.text))
	}
	l.set.log.LogAttrs(context.Background(), level, "delivery attempt", attrs...)
	return r
}

// judge turns a verdict into what happens next. This is the one place that
// does. It returns true to try again in place.
func (l *lane) judge(j *job, dest *Destination, r result) bool {
	now := time.Now()
	switch r.verdict {
	case Delivered:
		l.dest.succeeded(now)
		l.settle(j, r)
		return false
	case Stopped:
		l.dest.probed()
		l.land(j, true)
		return false
	}
	l.set.journal.Note(&queue.Attempt{
		ID: j.item.ID, Lane: l.name, Time: now, Number: j.tries, Status: r.status, Reason: r.reason, Error: r.text, Duration: r.duration,
	})
	if l.dest.config.Load() != dest {
		// relay.yaml has changed meanwhile: what failed says nothing about where
		// it goes now.
		l.parkNow("destination changed")
		l.dest.probed()
		l.land(j, true)
		return false
	}
	switch r.verdict {
	case Refused:
		l.dest.answered()
		return l.refused(j, now)
	case Rejected:
		l.dest.answered()
		l.set.trouble("rejected "+l.address.String(), fmt.Sprintf("⚠️ `%s` refuses messages (%s). They wait on disk; every few minutes one is tried.", l.address, r.text))
		l.hold(j, now.Add(jitter(l.set.limits.rejected)), r.reason)
		return false
	case NotAccepted:
		l.pause(j, r)
		return false
	default:
		if l.place(j) == (queue.Place{}) && j.tries <= len(l.set.limits.inPlace) && r.retryAfter <= 10*time.Second && l.stay(max(l.set.limits.inPlace[j.tries-1], r.retryAfter)) {
			return true
		}
		l.pause(j, r)
		return false
	}
}

// stay waits to try again in place; false when the lane is parked meanwhile,
// or the relay stops.
func (l *lane) stay(d time.Duration) bool {
	if !sleep(l.set.stop, d) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.parked
}

// pause leaves the whole destination alone for a while; its lanes park.
func (l *lane) pause(j *job, r result) {
	if l.set.stopping() != nil {
		l.dest.probed()
		l.land(j, true)
		return
	}
	pause := l.dest.failedAgain(time.Now(), r.retryAfter)
	l.set.trouble("paused "+l.name.Destination, fmt.Sprintf("⚠️ Destination `%s` takes no messages now (%s). They wait on disk and are tried again.", l.name.Destination, r.text))
	l.set.log.Warn("destination paused", "destination", l.name.Destination, "reason", r.reason, "for", pause.Round(time.Second).String())
	l.set.parkDestination(l.dest, r.reason)
	l.land(j, true)
}

// hold leaves this lane alone until then.
func (l *lane) hold(j *job, until time.Time, reason string) {
	l.mu.Lock()
	l.until = until
	l.park(reason)
	l.mu.Unlock()
	l.land(j, true)
}

// refused handles a message that the chat refused. A destination that is
// broken can refuse in the same words, so it is buried only when another
// message got through after it was refused first.
func (l *lane) refused(j *job, now time.Time) bool {
	if j.refusal == 0 {
		j.refused = now
	}
	j.refusal++
	if j.refusal <= len(l.set.limits.refused) {
		if sleep(l.set.stop, l.set.limits.refused[j.refusal-1]) {
			return true
		}
		l.land(j, true)
		return false
	}
	if l.dest.since(j.refused) {
		l.bury(j, ReasonRefused, "refused by the receiver, while other messages got through")
		return false
	}
	l.hold(j, now.Add(jitter(l.set.limits.rejected)), ReasonRefused)
	return false
}

// settle records that a delivery got through. The lane posts its next message
// only after this.
func (l *lane) settle(j *job, r result) {
	err := l.set.journal.Write(l.set.kill, &queue.Settled{
		ID: j.item.ID, Lane: l.name, Time: time.Now(), Outcome: queue.OutcomeDelivered,
		Attempts: j.tries, Status: r.status, Reason: r.reason, Duration: r.duration, From: l.end(j),
	})
	l.conclude(j, queue.OutcomeDelivered, err)
}

// bury gives a delivery up.
func (l *lane) bury(j *job, reason, why string) {
	p, err := j.item.park()
	if err != nil {
		l.set.log.Error("a delivery is buried without its look", "event_id", j.item.ID.String(), "err", err)
		p = queue.Parked{ID: j.item.ID, Nonce: j.item.Nonce, Webhook: *j.item.Webhook}
	}
	d := &queue.Dead{Parked: p, Lane: l.name, Reason: why, Attempts: j.tries, Time: time.Now()}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := l.set.bury(d, reason, func() queue.Place { return l.end(j) })
		if err == nil || ended(err) || !sleep(l.set.stop, wait) {
			l.conclude(j, queue.OutcomeDead, err)
			return
		}
	}
}

// conclude ends a job whose outcome was recorded, or could not be.
func (l *lane) conclude(j *job, outcome string, err error) {
	if ended(err) {
		l.set.overtaken()
	}
	if err != nil {
		// The relay stops, or another one has taken over: the delivery is not
		// settled and will be made again.
		l.land(j, true)
		return
	}
	l.set.metrics.settled(l.name.Destination, outcome, j.item.Webhook.Received)
	l.land(j, false)
}

// ended tells whether the journal takes nothing more from this relay.
func ended(err error) bool { return errors.Is(err, queue.ErrFenced) || errors.Is(err, queue.ErrClosed) }

// codeSafe makes a text fit to stand in a code span.
func codeSafe(s string) string {
	return strings.NewReplacer("`", "'", "\n", " ", "<", "‹", ">", "›").Replace(s)
}

func goneReason(l queue.Lane) string {
	return fmt.Sprintf("the destination %q is no longer in relay.yaml", l.Destination)
}

// bury keeps a dead letter and records it.
func (s *Lanes) bury(d *queue.Dead, reason string, from func() queue.Place) error {
	seq, err := s.parking.Bury(s.kill, d)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			s.log.Error("a dead letter cannot be kept", "event_id", d.ID.String(), "err", err)
		}
		return err
	}
	s.trouble("dead "+AddressOf(d.Lane).String(), fmt.Sprintf("❌ A message for `%s` was given up: %s. It is kept as a dead letter (event %s).", AddressOf(d.Lane), d.Reason, d.ID))
	s.log.Error("delivery given up", "event_id", d.ID.String(), "address", AddressOf(d.Lane).String(), "outcome", queue.OutcomeDead, "reason", reason, "err", d.Reason)
	s.dead(d.Lane, &d.Webhook)
	return s.journal.Write(s.kill, &queue.Settled{
		ID: d.ID, Lane: d.Lane, Time: d.Time, Outcome: queue.OutcomeDead, Attempts: d.Attempts, Reason: reason, From: from(), DeadSeq: seq,
	})
}

// buryLane turns everything parked for a destination that is gone into dead
// letters.
func (s *Lanes) buryLane(ctx context.Context, at *queue.LaneAtStart) error {
	early := map[queue.ID]bool{}
	for _, id := range at.Early {
		early[id] = true
	}
	for after := max(at.Done.Seq, 1) - 1; after < at.Last; {
		seq, batch, err := s.parking.NextParked(ctx, at.Lane, after)
		if err != nil || seq == 0 {
			return err
		}
		after = seq
		for i, p := range batch {
			place := queue.Place{Seq: seq, Index: i}
			if !at.Done.Less(place) || early[p.ID] {
				continue
			}
			d := &queue.Dead{Parked: p, Lane: at.Lane, Time: time.Now(), Reason: goneReason(at.Lane)}
			if err := s.bury(d, ReasonNoAddress, func() queue.Place { return place }); err != nil {
				return err
			}
		}
	}
	return s.parking.PurgeParked(ctx, at.Lane, at.Last)
}
