package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/server"
)

// The verdict of relay status, its exit code, and what it names.
func TestStatusVerdict(t *testing.T) {
	now := time.Date(2026, 5, 28, 20, 0, 0, 0, time.UTC)
	gib := int64(1 << 30)
	for name, c := range map[string]struct {
		change func(*server.Status)
		code   int
		says   []string
	}{
		"all is well":      {func(*server.Status) {}, statusOK, nil},
		"not ready":        {func(s *server.Status) { s.Ready, s.Why, s.Storage.Free = false, "the disk is full", 0 }, statusCritical, []string{"not ready: the disk is full"}},
		"nobody delivers":  {func(s *server.Status) { s.Live = false }, statusCritical, []string{"no relay delivers at this moment"}},
		"another delivers": {func(s *server.Status) { s.Dispatching = false }, statusOK, nil},
		"a destination": {func(s *server.Status) {
			s.Destinations = []server.Destination{{Name: "mm", State: "paused"}}
			s.Lanes = []server.Lane{{Address: "mm#a", State: delivery.LaneParked, Destination: true}, {Address: "mm#b", State: delivery.LaneBroken}}
		}, statusWarning, []string{"destination mm is paused", "mm#b is broken"}},
		"a message on its way": {func(s *server.Status) { s.Lanes = []server.Lane{{Address: "mm#a", State: delivery.LaneWaiting}} }, statusOK, nil},
		"refused and accepted since": {func(s *server.Status) {
			s.Sources = []server.SourceStatus{{Name: "gitlab", Last: now, LastRefused: now.Add(-time.Second)}}
		}, statusOK, nil},
		"refused":      {func(s *server.Status) { s.Sources = []server.SourceStatus{{Name: "gitlab", LastRefused: now}} }, statusWarning, []string{"the last webhook for source gitlab was refused"}},
		"dead":         {func(s *server.Status) { s.DeadLetters.Count = 2 }, statusWarning, []string{"2 dead letters"}},
		"a small disk": {func(s *server.Status) { s.Storage.Growth = 10 * gib }, statusWarning, []string{"the disk has 9216 MiB free"}},
		"a full disk":  {func(s *server.Status) { s.Storage.Free = gib }, statusWarning, []string{"the disk has 1024 MiB free"}},
		"a full stream": {func(s *server.Status) {
			s.Storage.Streams = []server.Stream{{Name: "RELAY_EVENTS", Bytes: 95, Limit: 100}, {Name: "RELAY_DEAD", Bytes: 90, Limit: 100}}
		}, statusWarning, []string{"RELAY_EVENTS is nearly full"}},
		"mistakes":         {func(s *server.Status) { s.Configuration.Refused = true }, statusWarning, []string{"relay.yaml has mistakes, and the old one is in force"}},
		"a copy":           {func(s *server.Status) { s.Configuration.Refused, s.Configuration.LastGood = true, &now }, statusWarning, []string{"relay.yaml has mistakes, and its last good copy is in force"}},
		"an included file": {func(s *server.Status) { s.Configuration.Broken = []string{"team.yaml"} }, statusWarning, []string{"team.yaml has mistakes"}},
	} {
		s := server.Status{Ready: true, About: server.About{Dispatching: true, Configuration: server.Configuration{File: "relay.yaml", Files: 1}}, LaneList: server.LaneList{Live: true}}
		s.Storage = server.Storage{Free: 9 * gib, Reserve: gib / 2, Growth: 2 * gib}
		c.change(&s)
		x := newScreen(s, now)
		if diff := cmp.Diff(c.says, x.says); diff != "" || x.code != c.code {
			t.Errorf("%s: code %d, want %d; (-want +got):\n%s", name, x.code, c.code, diff)
		}
		if first, _, _ := strings.Cut(x.text(), "\n"); !strings.HasPrefix(first, verdicts[c.code]) || strings.Contains(first, ":") != (len(c.says) > 0) {
			t.Errorf("%s: the first line is %q", name, first)
		}
	}
}

// Text from files and from the relay cannot write lines of its own on the screen.
func TestStatusIsPrintable(t *testing.T) {
	s := server.Status{About: server.About{Configuration: server.Configuration{File: "a\nb", Refused: true, Problems: []string{"x\x1b[2Jy"}}}, Why: "a\nOK"}
	for line := range strings.Lines(newScreen(s, time.Now()).text()) {
		if strings.HasPrefix(line, "OK") || strings.HasPrefix(line, "b") || strings.Contains(line, "\x1b") {
			t.Errorf("it prints %q", line)
		}
	}
}
