package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/dispatch"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

// newTestSandbox is one whose process is this test's program, as the program.
func newTestSandbox(t *testing.T, args ...string) *sandbox {
	t.Helper()
	file := filepath.Join(t.TempDir(), "relay.yaml")
	yaml := "sources: {gitlab: {token: \"0123456789abcdef\"}}\ndestinations: {log: {kind: log}}\nroutes: [{to: log}]\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "relay")); err != nil { // TestMain knows the program by its name
		t.Fatal(err)
	}
	if raceDetector() && len(args) == 0 {
		args = []string{"--memory", "0x7fffffffffffffff"}
	}
	s := &sandbox{name: filepath.Join(bin, "relay"), args: append([]string{"try", "--config", file}, args...)}
	t.Cleanup(s.close)
	return s
}

// raceDetector tells whether this program has it, which takes terabytes of address
// space.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func trialOf(t *testing.T, body []byte) *dispatch.Trial {
	t.Helper()
	return &dispatch.Trial{Webhook: queue.Webhook{Source: "gitlab", Body: body, Header: []queue.Field{{Name: "X-Gitlab-Event", Value: "Issue Hook"}}}}
}

func issue(t *testing.T) []byte {
	t.Helper()
	sample, ok := events.SampleNamed("issue.open")
	if !ok {
		t.Fatal("there is no sample issue.open")
	}
	return sample.Body
}

// One process tries everything that is harmless, events and parked deliveries.
func TestSandbox(t *testing.T) {
	s := newTestSandbox(t)
	lane := queue.Lane{Destination: "log"}
	for _, trial := range []*dispatch.Trial{
		trialOf(t, issue(t)), trialOf(t, []byte("{}")), trialOf(t, []byte(`{"object_kind":"`+strings.Repeat("x", 5<<20)+`"}`)),
		{Webhook: trialOf(t, issue(t)).Webhook, Parked: &queue.Parked{ID: queue.ID{Seq: 1}}, Lane: lane},
		{Webhook: trialOf(t, issue(t)).Webhook, Skip: []queue.Lane{lane}},
	} {
		v, err := s.Try(t.Context(), trial)
		if err != nil || v.Died {
			t.Fatalf("%+v, %v", v, err)
		}
	}
}

// The process has little room for a large event, and ends of it. The next trial has
// another one.
func TestSandboxEnds(t *testing.T) {
	if runtime.GOOS != "linux" || raceDetector() {
		t.Skip("memory is not limited")
	}
	s := newTestSandbox(t, "--memory", "1")
	trial := trialOf(t, fmt.Appendf(nil, `{"object_kind":"issue","object_attributes":{"description":%q}}`, strings.Repeat("*a* ", 5<<20)))
	for range 2 {
		v, err := s.Try(t.Context(), trial)
		if err != nil || !v.Died || !strings.HasPrefix(v.Why, "exit status 2: ") {
			t.Errorf("%+v, %v; want that it ended without memory", v, err)
		}
	}
}

// A process that could not load its configuration, and one that was stopped because
// the relay ends, tell nothing about an event.
func TestSandboxFindsNothingOut(t *testing.T) {
	s := newTestSandbox(t)
	s.args = []string{"try", "--config", filepath.Join(t.TempDir(), "relay.yaml")}
	if v, err := s.Try(t.Context(), trialOf(t, issue(t))); err == nil || v.Died {
		t.Errorf("without a configuration: %+v, %v", v, err)
	}
	s = newTestSandbox(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if v, _ := s.Try(ctx, trialOf(t, issue(t))); v.Died {
			t.Fatalf("of a relay that ends: %+v", v)
		}
	}
}

var _ dispatch.Sandbox = (*sandbox)(nil)
