package test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gitlab-mattermost/relay/queue"
)

// builds is where the binary under test is kept for all tests.
var builds string

// atOnce is how many tests run side by side: they wait, for timers and disks in
// other processes, far more than they compute.
const atOnce = 12

func TestMain(m *testing.M) {
	if !raceDetector { // which takes memory and processors
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil { // -parallel still wins
			panic(err) // the name is the testing package's
		}
	}
	// What the configurations of docs/scaling.md take from the environment.
	for name, value := range scalingVariables {
		if err := os.Setenv(name, value); err != nil {
			panic(err) // no such name
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "relay-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	builds = dir
	return m.Run()
}

// build compiles the relay once, with the settings of the tests themselves, so
// that both use what the other has compiled. RELAY_BINARY names one that is
// there already: the shipped one, say.
var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("RELAY_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(builds, "relay")
	args := []string{"build", "-ldflags", "-s -w -X main.version=v0.0.0-test", "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/relay")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the relay: %w\n%s", err, out)
	}
	return path, nil
})

func relayBinary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// helps are what the commands print about themselves, by their names, asked once.
var helps sync.Map

// help is what a command prints about itself.
func help(t *testing.T, args ...string) string {
	t.Helper()
	path, name := relayBinary(t), strings.Join(args, " ")
	ask, _ := helps.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		cmd := exec.Command(path, append(args, "--help")...)
		cmd.Env = []string{"NO_COLOR=1"}
		out, err := cmd.Output()
		return string(out), err
	}))
	out, err := ask.(func() (string, error))()
	if err != nil {
		t.Fatalf("relay %s --help: %v", name, err)
	}
	return out
}

var (
	flagLine    = regexp.MustCompile(`(?m)^\s+(?:-\w, )?--([a-z][a-z-]*)`)
	commandLine = regexp.MustCompile(`(?m)^  ([a-z]+) `)
)

// relayFlags are the flags that a command names in its help.
func relayFlags(t *testing.T, args ...string) map[string]bool {
	t.Helper()
	flags := map[string]bool{}
	for _, m := range flagLine.FindAllStringSubmatch(help(t, args...), -1) {
		flags[m[1]] = true
	}
	return flags
}

// relayCommands are the commands, and their commands, that the help names.
func relayCommands(t *testing.T, args ...string) [][]string {
	t.Helper()
	var commands [][]string
	_, list, found := strings.Cut(help(t, args...), "Available Commands:\n")
	if !found {
		return nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range commandLine.FindAllStringSubmatch(list, -1) {
		command := append(append([]string{}, args...), m[1])
		commands = append(commands, command)
		commands = append(commands, relayCommands(t, command...)...)
	}
	return commands
}

// relayVariables are all names with RELAY_ that mean something: every flag of
// every command, the secrets that are no flags, and the streams.
func relayVariables(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{
		"RELAY_TOKEN": true, "RELAY_SIGNING_KEY": true, "RELAY_DESTINATION": true,
		queue.Events: true, queue.ParkedStream: true, queue.DeadStream: true, queue.JournalStream: true,
	}
	for _, command := range append(relayCommands(t), nil) {
		for flag := range relayFlags(t, command...) {
			known["RELAY_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))] = true
		}
	}
	return known
}

func TestServeFlags(t *testing.T) {
	t.Parallel()
	flags := relayFlags(t, "serve")
	for _, want := range []string{
		"listen", "admin", "tls-cert", "tls-key", "data", "nats-url", "nats-creds", "replicas",
		"sync", "history", "max-body", "log-format", "log-level", "config", "demo", "stay",
	} {
		if !flags[want] {
			t.Errorf("relay serve --help does not name --%s", want)
		}
	}
}
