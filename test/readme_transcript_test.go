package test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestREADMETranscripts runs every command of the README's console blocks,
// beside the relay.yaml that stands before it, and compares what it prints.
func TestREADMETranscripts(t *testing.T) {
	t.Parallel()
	text := readme(t)
	configurations, consoles := fences(text, "yaml"), fences(text, "console")
	if len(consoles) == 0 {
		t.Fatal("the README shows no command")
	}
	for _, console := range consoles {
		dir := t.TempDir()
		for _, c := range configurations {
			if c.line < console.line && isRelayYAML(c.text) {
				if err := os.WriteFile(filepath.Join(dir, "relay.yaml"), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, part := range strings.Split("\n"+console.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			cmd := exec.CommandContext(ctx, "sh", "-c", command)
			cmd.Dir = dir
			cmd.Env = []string{
				"PATH=" + filepath.Dir(relayBinary(t)) + ":" + os.Getenv("PATH"),
				"MATTERMOST_URL=https://chat.example/hooks/xxx", "RELAY_TOKEN=a-token-of-the-test",
			}
			got, err := cmd.CombinedOutput()
			cancel()
			if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
				t.Errorf("README.md:%d: %s: %v (-README +printed):\n%s", console.line, command, err, diff)
			}
		}
	}
}
