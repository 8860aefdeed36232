package test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
)

func readme(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// block is a fenced code block of a Markdown file.
type block struct {
	line int // of its first line of code, from 1
	text string
}

// fences finds the blocks in one language. A fence may be indented, as in a
// list; that much is taken off its code, as CommonMark says.
func fences(markdown, language string) []block {
	var blocks []block
	var closing string // outside of a block empty
	var indent int
	var current *block // nil also within a block of another language
	for i, line := range strings.Split(markdown, "\n") {
		text := strings.TrimLeft(line, " ")
		switch {
		case closing == "" && strings.HasPrefix(text, "```"):
			closing = text[:len(text)-len(strings.TrimLeft(text, "`"))]
			indent = len(line) - len(text)
			if words := strings.Fields(text[len(closing):]); len(words) > 0 && words[0] == language {
				current = &block{line: i + 2}
			}
		case closing != "" && strings.TrimRight(text, " ") == closing:
			if current != nil {
				blocks = append(blocks, *current)
			}
			closing, current = "", nil
		case current != nil:
			current.text += line[min(indent, len(line)-len(text)):] + "\n"
		}
	}
	return blocks
}

// isRelayYAML tells a relay.yaml from a GitLab CI file, a Kubernetes manifest
// or a Compose file: it has one of the keys that only it has at the top.
func isRelayYAML(text string) bool {
	return regexp.MustCompile(`(?m)^(sources|destinations|routes|unrouted):`).MatchString(text)
}

func TestFences(t *testing.T) {
	markdown := strings.Join([]string{
		"text", "```yaml", "a: 1", "```", "```", "b: 2", "```", "````yaml title=\"x\"", "```yaml", "c: 3", "````",
		"- in a list", "  ```yaml", "  d:", "    e: 4", "  ```", "```yaml", "never closed",
	}, "\n")
	want := []block{{3, "a: 1\n"}, {9, "```yaml\nc: 3\n"}, {14, "d:\n  e: 4\n"}}
	if diff := cmp.Diff(want, fences(markdown, "yaml"), cmp.AllowUnexported(block{})); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)`)

// TestREADMEConfigurations loads every relay.yaml that the README shows. The
// variables that a block names are set, as its reader would set them.
func TestREADMEConfigurations(t *testing.T) {
	loaded := 0
	for _, b := range fences(readme(t), "yaml") {
		if !isRelayYAML(b.text) {
			continue
		}
		loaded++
		env := map[string]string{"RELAY_TOKEN": "token0of0gitlab0webhooks"}
		for _, m := range variable.FindAllStringSubmatch(b.text, -1) {
			env[m[1]] = "https://chat.example/hooks/" + strings.ToLower(m[1])
		}
		_, findings := configs.LoadBytes("README.md", []byte(b.text), func(name string) (string, bool) {
			v, ok := env[name]
			return v, ok
		})
		for _, f := range findings {
			if f.Severity == configs.Error {
				t.Errorf("README.md:%d: %s (%s)", b.line+f.Pos.Line-1, f.Message, f.Hint)
			}
		}
	}
	if loaded == 0 {
		t.Error("README.md shows no relay.yaml")
	}
}

func TestREADMEVariables(t *testing.T) {
	t.Parallel()
	known := relayVariables(t)
	unknown := map[string]bool{}
	for _, name := range regexp.MustCompile(`RELAY_[A-Z][A-Z_]*`).FindAllString(readme(t), -1) {
		if !known[name] {
			unknown[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		t.Errorf("README.md: the relay reads no %s", name)
	}
}

// TestREADMECommands: the commands of .ci/run are the README's own.
func TestREADMECommands(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(root, ".ci/run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"go test ./...", "go run ./cmd/relay serve --demo"} {
		if !strings.Contains(readme(t), command) {
			t.Errorf("README.md does not say %s", command)
		}
		if !strings.Contains(string(script), command) {
			t.Errorf(".ci/run does not run %s", command)
		}
	}
}
