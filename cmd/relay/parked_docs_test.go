package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/delivery"
)

// section is what docs/operations.md says below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/operations.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// firstColumn are the code spans in the first column of a table.
func firstColumn(text string) []string {
	var spans []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\| ").FindAllStringSubmatch(text, -1) {
		for _, span := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			spans = append(spans, span[1])
		}
	}
	return spans
}

// Whatever the relay logs of how an address stands is in the table of log lines.
func TestStandingIsDocumented(t *testing.T) {
	source, err := os.ReadFile("../../delivery/standing.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`log\.(?:Info|Warn|Error)\("([^"]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(lines) < 5 {
		t.Fatalf("it logs only %q", lines)
	}
	documented := firstColumn(section(t, "Log lines"))
	for _, line := range lines {
		if !slices.Contains(documented, line[1]) {
			t.Errorf("docs/operations.md does not explain the log line %q", line[1])
		}
	}
}

// Whatever relay parked list can give as a reason is in the table of reasons.
func TestReasonsAreDocumented(t *testing.T) {
	documented := firstColumn(section(t, "A destination is down"))
	for _, reason := range []string{
		delivery.ReasonNetwork, delivery.ReasonTimeout, delivery.ReasonEgress, delivery.ReasonServerError, delivery.ReasonRateLimited,
		delivery.ReasonRefused, delivery.ReasonNotAccepted, delivery.ReasonRedirect, delivery.ReasonForbidden, delivery.ReasonNotFound,
		delivery.ReasonGone, delivery.ReasonClientError, delivery.ReasonNoAnswer, delivery.ReasonPaced,
		"backlog", "memory", "waiting too long", "destination paused", "destination changed",
	} {
		if !slices.Contains(documented, reason) {
			t.Errorf("docs/operations.md does not explain the reason %q", reason)
		}
	}
}
