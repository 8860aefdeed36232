package test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/test/chat"
)

const operationsPage = "docs/operations.md"

func operations(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, operationsPage))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// stages are what happens to the relay of the page before the commands below
// its comments are run.
var stages = map[string]func(*stagehand){
	"trouble": func(s *stagehand) {
		right := s.here.env
		s.here.env = append(slices.Clip(right), "RELAY_TOKEN=token-of-another-gitlab")
		if code, _, _ := s.here.run("send", "push", "--via", s.relay.hook); code == 0 {
			s.t.Fatal("a wrong token is accepted")
		}
		s.here.env = right
		s.here.write("relay.yaml", strings.Replace(s.yaml, "to: mm#", "to: mn#", 1))
		for ctx := soon(s.t); !strings.Contains(s.relay.stderr.String(), "relay.yaml cannot be loaded"); {
			if ctx.Err() != nil {
				s.t.Fatal("the mistake is not seen")
			}
			time.Sleep(10 * time.Millisecond)
		}
	},
	"events": func(s *stagehand) {
		s.here.write("relay.yaml", s.yaml)
		s.send("merge_request.open", "push", "issue.open~confidential")
		s.comes(`(?s)4-0 .* withheld .*3-0 .* unrouted .*2-0 .* delivered `, "events")
	},
	"parked": func(s *stagehand) {
		s.chat.Set("team", chat.Status(404, nil, `{"id":"web.incoming_webhook.channel.app_error","message":"Could not find the channel.","status_code":404}`))
		s.send("merge_request.merge", "merge_request.close")
		s.comes(`mm#reviews +parked +2 `, "parked", "list")
	},
	"healed": func(s *stagehand) { s.chat.Set("team", chat.OK()) },
	"renamed": func(s *stagehand) {
		if _, err := s.chat.WaitPosts(soon(s.t), "team", 3); err != nil {
			s.t.Fatal(err)
		}
		s.comes(`nothing is parked`, "parked", "list")
		s.chat.Set("team", chat.Status(404, nil, ""))
		s.send("merge_request.merge", "merge_request.close")
		s.comes(`mm#reviews +parked +2 `, "parked", "list")
		s.here.write("relay.yaml", strings.Replace(s.yaml, "mm#reviews", "mm#review", 1))
		s.comes(`mm#reviews +parked +2 .* no route names this address any more`, "parked", "list")
		s.chat.Set("team", chat.OK())
	},
	"dead": func(s *stagehand) {
		if _, err := s.chat.WaitPosts(soon(s.t), "team", 5); err != nil {
			s.t.Fatal(err)
		}
		s.here.write("relay.yaml", s.yaml)
		s.comes(`nothing is parked`, "parked", "list")
		s.chat.Set("team", chat.Status(404, nil, ""))
		s.send("issue.open")
		s.comes(`mm#reviews +parked +1 `, "parked", "list")
		s.here.write("relay.yaml", strings.NewReplacer("mm:", "chat:", "mm#", "chat#").Replace(s.yaml))
		s.comes(`no longer in relay.yaml`, "deadletters", "list")
		s.chat.Set("team", chat.OK())
	},
	"replay": func(s *stagehand) {
		if _, err := s.chat.WaitPosts(soon(s.t), "team", 6); err != nil {
			s.t.Fatal(err)
		}
	},
}

// stagehand runs the relay that the page tells of.
type stagehand struct {
	t     *testing.T
	chat  *chat.Server
	here  *installation
	relay *process
	yaml  string
}

func (s *stagehand) send(samples ...string) {
	s.t.Helper()
	for _, name := range samples {
		if code, _, text := s.here.run("send", name, "--via", s.relay.hook); code != 0 {
			s.t.Fatalf("send %s: %s", name, text)
		}
	}
}

func (s *stagehand) comes(want string, args ...string) { s.relay.comes(s.here, want, args...) }

var stageComment = regexp.MustCompile(`^<!-- stage: (\w+) -->$`)

// TestOperationsPage runs every command of the page against a relay to which
// happens what the page tells of, and compares what it prints.
func TestOperationsPage(t *testing.T) {
	t.Parallel()
	page := operations(t)
	s := &stagehand{t: t, chat: chatServer(t), yaml: fences(page, "yaml")[0].text}
	s.here = install(t, s.yaml)
	s.here.env = append(s.here.env,
		"GITLAB_TOKEN="+gitlabToken, "RELAY_TOKEN="+gitlabToken, "MM_URL="+s.chat.URL("team"),
		"TZ=UTC", "PATH="+filepath.Dir(relayBinary(t))+":"+os.Getenv("PATH"))
	s.relay = s.here.start()
	s.here.env = append(s.here.env, "RELAY_ADMIN_URL=http://"+s.relay.admin)

	lines := strings.Split(page, "\n")
	printed := map[int]string{}
	consoles := fences(page, "console")
	var played []string
	at := 0
	for _, b := range consoles {
		for ; at < b.line; at++ {
			if m := stageComment.FindStringSubmatch(lines[at]); m != nil {
				play := stages[m[1]]
				if play == nil {
					t.Fatalf("%s:%d: there is no stage %s", operationsPage, at+1, m[1])
				}
				play(s)
				played = append(played, m[1])
			}
		}
		d := &desk{t: t, dir: s.here.dir, env: s.here.env}
		var out strings.Builder
		for _, part := range strings.Split("\n"+b.text, "\n$ ")[1:] {
			command, _, _ := strings.Cut(part, "\n")
			got, code := d.run(command)
			if code != 0 {
				t.Errorf("%s:%d: %s: exit %d", operationsPage, b.line, command, code)
			}
			fmt.Fprintf(&out, "$ %s\n%s", command, got)
		}
		printed[b.line] = out.String()
		if diff := cmp.Diff(timeless(b.text), timeless(out.String())); diff != "" && !*update {
			t.Errorf("%s:%d: (-page +printed):\n%s", operationsPage, b.line, diff)
		}
	}
	if len(played) != len(stages) || len(consoles) < len(stages) {
		t.Errorf("the page plays %v, in %d blocks", played, len(consoles))
	}
	if *update {
		c := chapter{}
		for _, b := range consoles {
			c.steps = append(c.steps, step{block: b})
		}
		if err := os.WriteFile(filepath.Join(root, operationsPage), []byte(replaceConsoles(page, []chapter{c}, printed)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.relay.terminate()
}

var (
	anyTime     = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)
	anyDuration = regexp.MustCompile(`in \d[\dms]+ +`)
	anyDelay    = regexp.MustCompile(`\b\d+(\.\d+)?m?s (after|late)`)
	anyAge      = regexp.MustCompile(`\b\d[\dhms]* ago|\bup \d[\dhms]*:`)
	anyRoom     = regexp.MustCompile(`\d+ [MG]iB (free|webhooks)|grow by \d+ MiB`)
	anyVersion  = regexp.MustCompile(`\brelay(?:/| {9})\S+`)
)

// timeless is a text without what is another at every time and in every build.
func timeless(s string) string {
	s = anyTime.ReplaceAllString(s, "DATE")
	s = anyVersion.ReplaceAllString(s, "relay/VERSION")
	s = anyAge.ReplaceAllString(s, "AGE")
	s = anyRoom.ReplaceAllString(s, "ROOM")
	s = anyDelay.ReplaceAllString(s, "DELAY $2")
	return anyDuration.ReplaceAllString(s, "in DURATION ")
}

func TestTimeless(t *testing.T) {
	got := timeless("1-0  2026-11-22 15:26:03 UTC  in 4m52s    x, 26ms after it")
	if want := "1-0  DATE  in DURATION x, DELAY after it"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOperationsMetrics: the page names no metric that there is not.
func TestOperationsMetrics(t *testing.T) {
	known := sourceMetrics(t)
	page := operations(t)
	unknown := map[string]bool{}
	for _, name := range regexp.MustCompile(`\brelay_[a-z_]+`).FindAllString(page, -1) {
		if base := strings.TrimSuffix(name, "_bucket"); !known[base] {
			unknown[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		t.Errorf("%s: there is no metric %s", operationsPage, name)
	}
}

// sourceMetrics are the metrics that the program's code names.
func sourceMetrics(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	name := regexp.MustCompile(`"(relay_[a-z_]+)"`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			known[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// TestOperationsWords: the page names only flags, commands, variables and log
// messages that there are.
func TestOperationsWords(t *testing.T) {
	t.Parallel()
	page := operations(t)
	known := relayVariables(t)
	for _, name := range regexp.MustCompile(`RELAY_[A-Z][A-Z_]*`).FindAllString(page, -1) {
		if !known[name] {
			t.Errorf("%s: the relay reads no %s", operationsPage, name)
		}
	}
	for _, m := range regexp.MustCompile("`(--[a-z-]+)").FindAllStringSubmatch(page, -1) {
		if !known["RELAY_"+strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(m[1], "--"), "-", "_"))] {
			t.Errorf("%s: no command takes %s", operationsPage, m[1])
		}
	}
	var source strings.Builder
	for _, pattern := range []string{"server/*.go", "dispatch/*.go", "delivery/*.go", "queue/*.go", "cmd/relay/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	_, logs, _ := strings.Cut(page, "## Log lines")
	logs, _, _ = strings.Cut(logs, "\n## ")
	messages := 0
	for line := range strings.Lines(logs) {
		cell, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !ok {
			continue
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			messages++
			if !strings.Contains(source.String(), `"`+m[1]+`"`) {
				t.Errorf("%s: nothing logs %q", operationsPage, m[1])
			}
		}
	}
	if messages < 8 {
		t.Errorf("%s names %d log messages", operationsPage, messages)
	}
}
