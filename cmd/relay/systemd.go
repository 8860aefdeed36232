package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	// storePatience is how long the start waits for a queue that stores before the
	// relay says that it is ready anyway: its listeners are open, and it answers 503
	// until the queue recovers.
	storePatience = time.Minute
	// moreTime is how much longer systemd is asked to wait, again and again, while a
	// large queue is opened.
	moreTime = 30 * time.Second
	// statusInterval is how often the status that systemctl shows is checked: each
	// check writes to the queue. unreadyInterval is that of a relay that is not ready.
	statusInterval  = 30 * time.Second
	unreadyInterval = 5 * time.Second
	// checkTimeout is how long a check may take.
	checkTimeout = 3 * time.Second
)

// supervisor tells systemd how the relay is, as sd_notify(3) describes; a unit needs
// Type=notify for it. Without NOTIFY_SOCKET it does nothing.
//
// The watchdog (WatchdogSec=) proves that this process runs, and nothing else: a
// restart gives a full disk no room, so a queue that cannot store only shows in the
// status.
type supervisor struct {
	log   *slog.Logger
	clean func(string) string // takes secrets out of a text

	mu      sync.Mutex
	status  string // that was reported last
	mistake bool   // relay.yaml could not be loaded
	failed  bool   // a failure to notify was logged
}

func newSupervisor(log *slog.Logger, clean func(string) string) *supervisor {
	return &supervisor{log: log, clean: clean}
}

// send sends states to systemd. A failure changes nothing: it is logged once.
func (s *supervisor) send(states string) {
	_, err := daemon.SdNotify(false, states)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.failed {
		s.failed = true
		s.log.Warn("the notification to systemd failed", "err", err)
	}
}

// report sends the status if it has changed, with states before it.
func (s *supervisor) report(status string, states ...string) {
	s.mu.Lock()
	changed := status != s.status
	s.status = status
	s.mu.Unlock()
	text := ""
	for _, state := range states {
		text += state + "\n"
	}
	if changed || text != "" {
		s.send(text + "STATUS=" + status)
	}
}

// opening asks for more time until done is called: recovering a large queue can take
// longer than TimeoutStartSec=.
func (s *supervisor) opening() (done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	begin := time.Now()
	s.report("opening the queue")
	go func() {
		t := time.NewTicker(moreTime / 3)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				s.report(fmt.Sprintf("opening the queue, for %s so far", time.Since(begin).Round(time.Second)),
					fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", moreTime.Microseconds()))
			case <-ctx.Done():
				return
			}
		}
	}()
	return cancel
}

// run reports readiness, and then the status and the watchdog, until ctx ends. ready
// returns an error while webhooks cannot be stored or delivered.
func (s *supervisor) run(ctx context.Context, ready func(context.Context) error) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	go s.watchdog(ctx)
	check := ready
	ready = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		return check(ctx)
	}
	s.awaitReady(ctx, ready)
	if ctx.Err() != nil {
		return
	}
	err := ready(ctx)
	s.report(s.statusOf(err), daemon.SdNotifyReady)
	for {
		interval := statusInterval
		if err != nil {
			interval = unreadyInterval
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return
		}
		err = ready(ctx)
		s.report(s.statusOf(err))
	}
}

// awaitReady waits until ready returns nil, for at most storePatience.
func (s *supervisor) awaitReady(ctx context.Context, ready func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		s.report(s.statusOf(err), fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", moreTime.Microseconds()))
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// watchdog pings systemd's watchdog twice in the time that it allows.
func (s *supervisor) watchdog(ctx context.Context) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	t := time.NewTicker(interval / 2)
	defer t.Stop()
	for {
		s.send(daemon.SdNotifyWatchdog)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// reloading reports a reload; done reports its end.
func (s *supervisor) reloading() (done func(err error)) {
	s.send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
	return func(err error) {
		s.mu.Lock()
		s.mistake = err != nil
		s.mu.Unlock()
		s.report(s.statusOf(nil), daemon.SdNotifyReady)
	}
}

// stopping reports the end.
func (s *supervisor) stopping() {
	s.report("stopping; what is not delivered stays in the queue", daemon.SdNotifyStopping)
}

// statusOf is the status while ready returns err.
func (s *supervisor) statusOf(err error) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		return "not ready: " + strings.ReplaceAll(s.clean(err.Error()), "\n", " ")
	case s.mistake:
		return "accepting webhooks; relay.yaml has mistakes, so the last good configuration is in force"
	}
	return "accepting webhooks and delivering messages"
}
