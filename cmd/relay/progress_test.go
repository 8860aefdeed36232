package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// On a terminal it shows how much is done, and clears that before lines; when piped, and
// for the first moment, it shows nothing.
func TestProgress(t *testing.T) {
	var screen bytes.Buffer
	p := &progress{out: &screen, total: 10, what: "replaying"}
	p.add(1)
	p.add(3)
	if s := screen.String(); !strings.Contains(s, "replaying") || !strings.Contains(s, "4/10") || strings.Contains(s, "\n") {
		t.Errorf("it shows %q", s)
	}
	screen.Reset()
	p.clear()
	if s := screen.String(); strings.TrimSpace(s) != "" && !strings.HasPrefix(s, "\r") {
		t.Errorf("clearing writes %q", s)
	}
	p.add(20) // more came meanwhile
	if s := screen.String(); !strings.Contains(s, "/24)") {
		t.Errorf("it shows %q", s)
	}

	screen.Reset()
	early := &progress{out: &screen, total: -1, after: time.Now().Add(time.Hour)}
	early.add(1)
	early.clear()
	piped := (&app{stderr: &screen}).progress(-1, "replaying")
	piped.after = time.Time{}
	piped.add(1)
	piped.clear()
	if screen.Len() > 0 {
		t.Errorf("it shows %q", screen.String())
	}
	unknown := &progress{out: &screen, total: -1}
	unknown.add(7)
	if s := screen.String(); !strings.Contains(s, "7") {
		t.Errorf("without a total it shows %q", s)
	}
}

// Ctrl-C ends the commands that may take long, and they say what was done.
func TestInterruptedCommandsSayWhatWasDone(t *testing.T) {
	answer := map[string]string{
		"/api/v1/events/1-0/replay":  `{"id":"9-0","status":"accepted","replay_of":"1-0"}`,
		"/api/v1/deadletters/replay": `{"replayed":[{"id":"9-0","replay_of":"1-0","dead_letter":4}],"refused":[],"more":true,"next":"4"}`,
		"/api/v1/deadletters/purge":  `{"purged":[4,5],"more":true,"next":"5"}`,
		"/api/v1/parked/move":        `{"moved":[{"event_id":"1-0","id":"9-0"}],"dropped":[],"kept":[],"next":"7.0"}`,
	}
	for command, want := range map[string][2]string{
		"replay 1-0 2-0 3-0 --idempotency-key k": {"9-0 replays 1-0\n", "relay: interrupted: 1 of 3 events were replayed\nhint: repeat it with --idempotency-key k within"},
		"deadletters replay --all":               {"dead letter 4: 9-0 replays 1-0\n", "relay: interrupted: 1 dead letter replayed; the others are kept\nhint: repeat the command"},
		"deadletters purge --all":                {"2 dead letters dropped\n", "relay: interrupted: 2 dead letters dropped; the others are kept\nhint: repeat the command"},
		"parked move mm#a mm#b":                  {"1 message moved from mm#a to mm#b\n", "relay: interrupted: the other messages still wait\nhint: repeat the command"},
	} {
		ctx, ctrlC := context.WithCancel(t.Context())
		asked := 0
		relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if asked++; asked > 1 {
				ctrlC()
				<-r.Context().Done()
				return
			}
			fmt.Fprint(w, answer[r.URL.Path])
		}))
		var stdout, stderr bytes.Buffer
		args := append(strings.Fields(command), "--admin-url", relay.URL)
		code := run(ctx, args, func(string) (string, bool) { return "", false }, strings.NewReader(""), &stdout, &stderr)
		relay.Close()
		if code != exitFail || stdout.String() != want[0] || !strings.Contains(stderr.String(), want[1]) {
			t.Errorf("relay %s: exit %d\n%s%s", command, code, &stdout, &stderr)
		}
	}
}
