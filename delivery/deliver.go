package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/queue"
)

// target is where a message goes, and which of the places that a destination
// was at while the relay ran.
type target struct {
	*Destination
	move uint64
}

// target is where the lane's messages go now; without a Destination when it is
// gone from relay.yaml.
func (l *lane) target() target {
	move := l.dest.moves.Load()
	return target{l.dest.config.Load(), move}
}

// moved tells whether relay.yaml has meanwhile said something else: what failed
// there says nothing about where it goes now.
func (l *lane) moved(t target) bool { return l.dest.moves.Load() != t.move }

// deliver takes a job as far as it goes: settled, back to the line, or given up
// because the relay stops.
func (l *lane) deliver(j *job) {
	j.burst = 0
	err := errBarred
	for errors.Is(err, errBarred) {
		if err = l.admit(j); err == nil {
			err = l.paced()
		}
	}
	t := l.target()
	switch {
	case errors.Is(err, errExpired) && t.Destination != nil:
		l.expire(j, t)
		return
	case err != nil:
		l.land(j, true)
		return
	case t.Destination == nil:
		l.dest.probed()
		l.bury(j, ReasonNoAddress, goneReason(l.name))
		return
	}
	message, ok := l.message(j, t)
	if !ok {
		l.dest.probed()
		return
	}
	for {
		r, ok := l.attempt(j, t, message)
		if !ok {
			l.dest.probed()
			return
		}
		if again := l.judge(j, t, r); !again {
			return
		}
		if l.paced() != nil || l.moved(t) {
			l.parkNow("destination changed")
			l.land(j, true)
			return
		}
	}
}

// expires is when the delivery is given up; zero: never.
func (l *lane) expires(j *job, t target) time.Time {
	if t.Destination == nil || t.GiveUpAfter <= 0 {
		return time.Time{}
	}
	return time.Now().Add(l.set.clock.until(j.item.Webhook.Received.Add(t.GiveUpAfter)))
}

// expire gives up a delivery that was not accepted for too long. It is asked
// only when an attempt has failed, this one's or one before it in its lane or
// destination: a clock that jumps makes nothing too old that could be delivered.
func (l *lane) expire(j *job, t target) {
	why := "undelivered for " + t.GiveUpAfter.String()
	if j.text != "" {
		why += ": " + j.text
	}
	l.bury(j, ReasonTooOld, why)
}

// leave ends a flight that did not get through: the delivery goes back to the
// line, unless it is too old for that.
func (l *lane) leave(j *job, t target) {
	if at := l.expires(j, t); !at.IsZero() && !time.Now().Before(at) && l.set.stopping() == nil {
		l.expire(j, t)
		return
	}
	l.land(j, true)
}

// paced waits for the destination's rate limit. It returns [errBarred] when the
// destination must be left alone meanwhile, another error when the relay stops.
func (l *lane) paced() error {
	err := l.dest.turn(l.set.stop)
	if err != nil && !errors.Is(err, errBarred) {
		l.dest.probed()
	}
	return err
}

// message writes what is to be posted. It returns false when the delivery is
// settled instead: its message cannot be written, not even without its template,
// or it may not be posted any more.
func (l *lane) message(j *job, t target) (formatters.Post, bool) {
	post, err, ok := l.render(j, t)
	switch {
	case !ok:
		return post, false
	case err != nil && l.set.kill.Err() != nil:
		l.land(j, true)
		return post, false
	case err != nil:
		l.bury(j, ReasonTemplate, "the message cannot be written: "+err.Error())
		return post, false
	case post.Fault != "":
		l.set.metrics.templates.WithLabelValues(post.Failed).Inc()
		l.set.trouble("template", "⚠️ A template failed; its messages are sent without it: `"+codeSafe(post.Fault)+"`")
		l.set.log.Warn("template failed; sent without it", "event_id", j.item.ID.String(), "address", l.address.String(), "fault", post.Fault)
	}
	queue.Failpoint(queue.FailRendered)
	return post, true
}

// render writes the message, with the body in memory. It returns false when the
// flight has ended: the body is gone, or the delivery is withheld.
func (l *lane) render(j *job, t target) (post formatters.Post, err error, ok bool) {
	letGo, ok := l.unpacked(j)
	if !ok {
		return post, nil, false
	}
	defer letGo()
	if !l.mayPost(j, t.Destination) {
		return post, nil, false
	}
	it := j.item
	done := l.set.rendering(it.ID, l.name, l.place(j))
	defer done()
	post, err = l.set.formatter.Render(l.set.kill, formatters.Request{
		Event: it.Event, Kind: t.Kind, Channel: cmp.Or(l.name.Channel, t.Channel), Look: it.Look, Mention: it.Mention,
		People: l.set.people(l.name.Destination, it.File), Call: l.set.calls(l.name.Destination, it.File), Now: time.Now(), Received: it.Webhook.FirstReceived(),
	})
	return post, err, true
}

var errParked = errors.New("parked")

// admit waits until the lane and its destination may be tried. An error other
// than errExpired says that the job must go back, or that the relay stops.
func (l *lane) admit(j *job) error {
	if l.place(j) == (queue.Place{}) {
		if l.dest.paused() {
			l.parkNow("destination paused")
			return errParked
		}
		return l.set.stopping()
	}
	for {
		expires := l.expires(j, l.target())
		if l.resting() || l.dest.paused() {
			l.lighten(j)
		}
		if err := l.rest(expires); err != nil {
			return err
		}
		err := l.dest.admit(l.set.stop, expires)
		if err != nil || !l.resting() {
			return err
		}
		l.dest.probed() // the lane was held meanwhile, by another worker
	}
}

func (l *lane) parkNow(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.park(cause{reason: reason})
}

// attempt posts once and says so. It returns false when the delivery may not be
// posted any more, and is settled.
func (l *lane) attempt(j *job, t target, message formatters.Post) (result, bool) {
	if err := l.set.journal.Confirm(l.set.kill); err != nil {
		if ended(err) {
			l.set.overtaken()
		}
		return stopped("the relay is stopping"), true
	}
	if l.yields(j) {
		return stopped("it is given up"), true
	}
	now := l.dest.config.Load()
	if now.elsewhere(t.Destination) {
		return stopped("relay.yaml has changed"), true
	}
	if !l.mayPost(j, now) {
		return result{}, false
	}
	j.tries++
	j.burst++
	known, sent := l.dest.lastTaken(), time.Now()
	l.begins(j, sent)
	var r result
	if t.Kind == configs.KindLog {
		r = l.set.printPost(l.address, j.item, message)
	} else {
		r = post(l.set.kill, t.Destination, message.Body)
	}
	if r.verdict == Stopped {
		return r, true
	}
	r.known, r.sent, r.ended = known, sent, time.Now()
	j.text = r.text
	l.set.metrics.attempt(l.name.Destination, r)
	level, outcome := slog.LevelInfo, queue.OutcomeDelivered
	if r.verdict != Delivered {
		level, outcome = slog.LevelWarn, "failed"
	}
	attrs := []slog.Attr{
		slog.String("event_id", j.item.ID.String()), slog.String("event", j.item.eventName()), slog.String("project", j.item.projectPath()),
		slog.String("route", j.item.Route), slog.String("address", l.address.String()), slog.Int("attempt", j.tries), slog.Int("status", r.status),
		slog.String("outcome", outcome), slog.String("reason", r.reason),
		slog.Float64("delay", time.Since(j.item.Webhook.Received).Seconds()), slog.Float64("duration", r.duration.Seconds()),
	}
	if r.text != "" {
		attrs = append(attrs, slog.String("err", r.text))
	}
	l.set.log.LogAttrs(context.Background(), level, "delivery attempt", attrs...)
	return r, true
}

// stopped is an attempt that was not made.
func stopped(why string) result {
	return result{verdict: Stopped, reason: ReasonStopped, text: why}
}

// judge turns a verdict into what happens next. This is the one place that
// does. It returns true to try again in place.
func (l *lane) judge(j *job, t target, r result) (again bool) {
	switch r.verdict {
	case Delivered:
		l.took(r)
		l.settle(j, r)
		return false
	case Stopped:
		l.dest.probed()
		if l.set.stopping() == nil {
			l.parkNow("destination changed")
		}
		l.land(j, true)
		return false
	}
	if l.failed(j, t, r) {
		l.parkNow("destination changed")
		l.dest.probed()
		l.land(j, true)
		return false
	}
	switch r.verdict {
	case Refused:
		l.dest.probed()
		return l.refused(j, t, r)
	case Retry:
		if l.mayRepeat(j, r) {
			if l.shed(j) {
				return false
			}
			if l.repeat(j, r) {
				return true
			}
		}
		if r.status >= 500 && l.place(j) != (queue.Place{}) {
			if j.probes++; j.probes > poisonAfter && l.passBy(j, t) {
				return false
			}
		}
	}
	l.setBack(j, r)
	l.leave(j, t)
	return false
}

// failed notes an attempt that did not get through, and tells whether it says
// nothing because its destination has moved.
func (l *lane) failed(j *job, t target, r result) (moved bool) {
	l.set.journal.Note(&queue.Attempt{
		ID: j.item.ID, Lane: l.name, Time: r.ended, Number: j.tries, Status: r.status, Reason: r.reason, Error: r.text, Duration: r.duration,
	})
	if j.failed.IsZero() {
		j.failed = r.ended
	}
	moved = l.moved(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	j.began, l.last = time.Time{}, r
	if !l.moved(t) {
		j.cause, l.standing.cause = r.cause(), r.cause()
	}
	return moved
}

// setBack has whatever failed wait: the lane, or its whole destination.
func (l *lane) setBack(j *job, r result) {
	switch {
	case l.set.stopping() != nil:
		l.dest.probed()
	case r.verdict == Rejected, r.verdict == Refused:
		l.dest.probed()
		l.hold(r)
	case r.verdict == Retry && r.reason != ReasonRateLimited && r.retryAfter == 0 && l.dest.tookSince(j.failed):
		l.dest.probed()
		l.holdAlone(r)
	default:
		l.pause(r)
	}
	j.failed = r.ended
}

// longestStay is how long a Retry-After is waited for in place.
const longestStay = 10 * time.Second

// mayRepeat tells whether an attempt that failed may be repeated in place: while
// the destination is not being left alone, and on probes before a message is
// suspected, because one of several servers behind a name may answer 5xx alone.
func (l *lane) mayRepeat(j *job, r result) bool {
	if j.burst > len(l.set.limits.inPlace) || r.retryAfter > longestStay {
		return false
	}
	return !l.dest.paused() || r.status >= 500 && j.probes > 0
}

// shed parks a lane before it stands still with a heavy body in memory: from the
// line it goes on without. It returns false when there is no such body.
func (l *lane) shed(j *job) bool {
	if j.item.light || len(j.item.Webhook.Body) < heavy || l.place(j) != (queue.Place{}) {
		return false
	}
	l.mu.Lock()
	l.park(l.lateness("memory"))
	l.mu.Unlock()
	l.land(j, true)
	return true
}

// repeat waits before an attempt is repeated in place; false when the lane is
// parked meanwhile, or the relay stops.
func (l *lane) repeat(j *job, r result) bool {
	if !l.stay(max(l.set.limits.inPlace[j.burst-1], r.retryAfter)) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.parked || j.fromLine()
}

// pause leaves the whole destination alone for a while; its lanes park.
func (l *lane) pause(r result) {
	pause := l.dest.failedAgain(r.ended, r)
	if r.reason != ReasonRateLimited { // which is no outage
		l.tellOfAll("paused", fmt.Sprintf("⚠️ Destination `%s` takes no messages now: %s. They wait on disk and are tried again.", l.name.Destination, l.inWords(r.text)))
	}
	l.set.log.Warn("destination paused", "destination", l.name.Destination, "reason", r.reason, "for", pause.Round(time.Second).String())
	l.mu.Lock()
	l.parkFor(r)
	l.mu.Unlock()
	l.set.parkDestination(l.dest, r.reason)
}
