package delivery

import (
	"context"
	"log/slog"
	"time"

	"github.com/gitlab-mattermost/relay/queue"
)

// mayPost asks the access rules of the configuration that the destination is from
// whether a delivery may be posted. A delivery that may not is settled as withheld,
// and its flight has ended.
func (l *lane) mayPost(j *job, d *Destination) bool {
	if d == nil || d.Closed == nil || j.asked == d {
		return true
	}
	letGo, ok := l.unpacked(j)
	if !ok {
		return false
	}
	defer letGo()
	if reason := d.Closed(j.item.Event, l.address, j.item.File); reason != "" {
		l.withhold(j, reason)
		return false
	}
	j.asked = d
	return true
}

// withhold settles a delivery that may not be posted any more. It leaves no dead
// letter: who wants it after all replays the event.
func (l *lane) withhold(j *job, reason string) {
	if l.yields(j) {
		l.land(j, true)
		return
	}
	l.set.dead(l.name, j.item.Webhook)
	err := l.set.journal.Write(l.set.kill, &queue.Settled{
		ID: j.item.ID, Lane: l.name, Time: time.Now(), Outcome: queue.OutcomeWithheld, Attempts: j.tries, Reason: reason, From: l.end(j),
	})
	if err == nil {
		l.set.log.LogAttrs(context.Background(), slog.LevelInfo, "delivery withheld",
			slog.String("event_id", j.item.ID.String()), slog.String("event", j.item.eventName()), slog.String("project", j.item.projectPath()),
			slog.String("route", j.item.Route), slog.String("address", l.address.String()), slog.Int("attempts", j.tries),
			slog.String("outcome", queue.OutcomeWithheld), slog.String("reason", reason))
	}
	l.conclude(j, queue.OutcomeWithheld, err)
}
