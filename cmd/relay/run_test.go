package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// environment is a process's environment of these variables alone.
func environment(variables map[string]string) configs.Env {
	return func(name string) (string, bool) {
		v, ok := variables[name]
		return v, ok
	}
}

// loadText compiles a relay.yaml that must have no errors.
func loadText(t *testing.T, text string, variables map[string]string) (*configuration, []configs.Finding) {
	t.Helper()
	c, findings := compile(configs.LoadBytes("relay.yaml", []byte(text), environment(variables)))
	for _, f := range findings {
		if f.Severity == configs.Error {
			t.Fatalf("the file has an error:\n%s", f.Text())
		}
	}
	return c, findings
}

// goodFile and badFile are relay.yaml files.
func writeFiles(t *testing.T) (good, bad string) {
	t.Helper()
	dir := t.TempDir()
	good, bad = filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	for path, text := range map[string]string{
		good: "sources: {gitlab: {insecure: true}}\ndestinations: {screen: {kind: log}}\nroutes: [{to: screen}]\n",
		bad:  "routes: [{to: nowhere}]\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return good, bad
}

func TestExitCodes(t *testing.T) {
	good, bad := writeFiles(t)
	tests := []struct {
		args []string
		want int
	}{
		{nil, exitOK},
		{[]string{"--help"}, exitOK},
		{[]string{"help", "completion", "zsh"}, exitOK},
		{[]string{"version"}, exitOK},
		{[]string{"check", good}, exitOK},
		{[]string{"check", bad}, exitFail},
		{[]string{"check", good, bad}, exitFail},
		{[]string{"check", bad, "nowhere.yaml"}, exitUsage},
		{[]string{"explain", "push", "--config", good}, exitOK},
		{[]string{"explain", "push", "--config", bad}, exitUsage},
		{[]string{"explain", "push", "--config", good, "--expect", "screen"}, exitOK},
		{[]string{"explain", "push", "--config", good, "--expect", "other"}, exitFail},
		{[]string{"explain", "posh", "--config", good}, exitUsage},
		{[]string{"preview", "push", "--config", good}, exitOK},
		{[]string{"preview", "push", "--config", good, "--to", "nobody"}, exitUsage},
		{[]string{"send", "push", "--config", good, "--to", "screen"}, exitOK},
		{[]string{"send", "push"}, exitUsage},
		{[]string{"send", "push", "--via", "http://127.0.0.1:1/hooks/gitlab"}, exitFail},
		{[]string{"healthcheck", "--admin", "127.0.0.1:1"}, exitFail},
		{[]string{"healthcheck", "--admin", "nonsense"}, exitUsage},
		{[]string{"serve", "--config", bad}, exitUsage},
		{[]string{"serve", "--config", good, "--listen", "nonsense"}, exitUsage},
		{[]string{"serve", "--config", good, "--data", filepath.Join(good, "data")}, exitFail},
		{[]string{"serve", "--nonsense"}, exitUsage},
		{[]string{"nonsense"}, exitUsage},
		{[]string{"version", "1.2"}, exitUsage},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var out, diagnostics bytes.Buffer
			got := run(t.Context(), tt.args, environment(nil), strings.NewReader(""), &out, &diagnostics)
			if got != tt.want {
				t.Errorf("exit code %d, want %d\n%s%s", got, tt.want, &out, &diagnostics)
			}
			if got == exitOK && out.Len() == 0 {
				t.Error("it ended well and printed nothing")
			}
			checkWords(t, diagnostics.String())
		})
	}
}

// checkWords: an error is lower case, without a full stop, and says things in
// this program's words.
func checkWords(t *testing.T, diagnostics string) {
	t.Helper()
	for line := range strings.Lines(diagnostics) {
		text, isError := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "relay: ")
		if !isError {
			continue
		}
		if strings.HasSuffix(text, ".") || strings.Contains(text, "failed to") || text != "" && text[0] >= 'A' && text[0] <= 'Z' {
			t.Errorf("not how errors are written here: %q", text)
		}
	}
}

// TestServeEndsWhenItIsTold: an interrupt while it starts, and after, is no
// failure.
func TestServeEndsWhenItIsTold(t *testing.T) {
	good, _ := writeFiles(t)
	args := []string{"serve", "--config", good, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, diagnostics bytes.Buffer
	if got := run(ctx, args, environment(nil), strings.NewReader(""), &out, &diagnostics); got != exitOK {
		t.Errorf("exit code %d\n%s%s", got, &out, &diagnostics)
	}
}

// flagValues are values of flags that are not their defaults, by the type that
// the help names.
func flagValue(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true"
	case "int":
		return "3"
	case "float64":
		return "0.5"
	case "duration":
		return (90 * time.Minute).String()
	case "size":
		return "3MiB"
	case "string":
		return "something"
	case "event":
		return "issue.open"
	case "stringArray":
		return "branch=main"
	}
	if c, ok := f.Value.(*choice); ok {
		return c.words[len(c.words)-1]
	}
	return ""
}

// TestEveryFlagIsAVariable: each flag of each command is set by the variable
// that its help names, unless it was given, or is one for the command line alone.
func TestEveryFlagIsAVariable(t *testing.T) {
	tested := 0
	forEachFlag(t, func(t *testing.T, a *app, cmd *cobra.Command, f *pflag.Flag) {
		tested++
		name := flagVariable(f.Name)
		if isByHand(f) {
			before := f.Value.String()
			a.env = environment(map[string]string{name: "something"})
			if err := a.fromEnvironment(cmd.Flags()); err != nil || f.Changed || f.Value.String() != before || strings.Contains(f.Usage, "$") {
				t.Errorf("%s=something made it %q, error %v, help %q", name, f.Value, err, f.Usage)
			}
			return
		}
		if !strings.Contains(f.Usage, "[$"+name+"]") {
			t.Errorf("its help does not name %s: %q", name, f.Usage)
		}
		want := flagValue(f)
		if want == "" {
			t.Fatalf("no value to try for a flag of type %s", f.Value.Type())
		}
		a.env = environment(map[string]string{name: want})
		if err := a.fromEnvironment(cmd.Flags()); err != nil {
			t.Fatalf("%s=%s: %v", name, want, err)
		}
		if !f.Changed || f.Value.String() != flagString(f, want) {
			t.Errorf("%s=%s made it %q", name, want, f.Value)
		}
	})
	if tested < 30 {
		t.Errorf("only %d flags were found", tested)
	}
}

// flagString is how a flag prints a value that was set.
func flagString(f *pflag.Flag, value string) string {
	if f.Value.Type() == "duration" {
		d, _ := time.ParseDuration(value)
		return d.String()
	}
	if f.Value.Type() == "stringArray" {
		return "[" + value + "]"
	}
	return value
}

// TestByHand: whatever drops messages or posts them again takes none of its own
// flags from the environment.
func TestByHand(t *testing.T) {
	shared := []string{"admin-url", "admin-token-file", "output", "config"}
	forEachFlag(t, func(t *testing.T, _ *app, cmd *cobra.Command, f *pflag.Flag) {
		switch path := cmd.CommandPath(); {
		case !slices.Contains([]string{"relay replay", "relay deadletters replay", "relay deadletters purge", "relay parked retry"}, path), slices.Contains(shared, f.Name):
		case !isByHand(f):
			t.Errorf("%s --%s can be set by the environment", path, f.Name)
		}
	})
}

func TestAFlagWinsOverItsVariable(t *testing.T) {
	forEachFlag(t, func(t *testing.T, a *app, cmd *cobra.Command, f *pflag.Flag) {
		given := f.Value.String()
		if f.Value.Type() == "stringArray" {
			given = "labels=bug"
		}
		if err := cmd.Flags().Set(f.Name, given); err != nil && given != "" {
			t.Fatal(err)
		}
		before := f.Value.String()
		a.env = environment(map[string]string{flagVariable(f.Name): flagValue(f)})
		if err := a.fromEnvironment(cmd.Flags()); err != nil {
			t.Fatal(err)
		}
		if f.Value.String() != before {
			t.Errorf("the variable made it %q, though %q was given", f.Value, before)
		}
	})
}

// TestWrongVariables: what a flag does not take, its variable does not either,
// and the error names the variable.
func TestWrongVariables(t *testing.T) {
	forEachFlag(t, func(t *testing.T, a *app, cmd *cobra.Command, f *pflag.Flag) {
		name := flagVariable(f.Name)
		a.env = environment(map[string]string{name: "no such thing"})
		err := a.fromEnvironment(cmd.Flags())
		if f.Value.Type() == "string" || f.Value.Type() == "stringArray" || isByHand(f) {
			if err != nil {
				t.Errorf("%v", err)
			}
			return
		}
		exit, ok := err.(*exitError)
		if !ok || exit.code != exitUsage || !strings.HasPrefix(exit.message, name+": ") {
			t.Errorf("got %#v, want wrong usage of %s", err, name)
		}
	})
}

// forEachFlag visits every flag of every command, each in a program of its own.
func forEachFlag(t *testing.T, visit func(*testing.T, *app, *cobra.Command, *pflag.Flag)) {
	t.Helper()
	for _, path := range commandPaths(t) {
		var names []string
		_, cmd := commandAt(t, path)
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		for _, name := range names {
			if name != "help" {
				t.Run(strings.Join(append(path, "--"+name), " "), func(t *testing.T) {
					a, cmd := commandAt(t, path)
					visit(t, a, cmd, cmd.Flags().Lookup(name))
				})
			}
		}
	}
}

func commandPaths(t *testing.T) [][]string {
	t.Helper()
	a := &app{env: environment(nil)}
	var paths [][]string
	walk(a.root(), func(c *cobra.Command) {
		paths = append(paths, strings.Fields(c.CommandPath())[1:])
	})
	if !slices.ContainsFunc(paths, func(p []string) bool { return slices.Equal(p, []string{"serve"}) }) {
		t.Fatalf("serve is not among the commands: %q", paths)
	}
	return paths
}

// commandAt makes the program anew and finds a command, all its flags merged.
func commandAt(t *testing.T, path []string) (*app, *cobra.Command) {
	t.Helper()
	a := &app{env: environment(nil)}
	cmd, _, err := a.root().Find(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.ParseFlags(nil); err != nil {
		t.Fatal(err)
	}
	return a, cmd
}

func TestFlagVariable(t *testing.T) {
	for in, want := range map[string]string{"listen": "RELAY_LISTEN", "log-format": "RELAY_LOG_FORMAT", "max-body": "RELAY_MAX_BODY", "as": "RELAY_AS"} {
		if got := flagVariable(in); got != want {
			t.Errorf("flagVariable(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestHelpFits: help is read in terminals; what a person wrote in it is at most
// 80 characters wide.
func TestHelpFits(t *testing.T) {
	for _, path := range commandPaths(t) {
		_, cmd := commandAt(t, path)
		if len(path) > 0 && path[0] == "completion" {
			continue // cobra's own words
		}
		for _, text := range []string{cmd.Long, cmd.Example, cmd.Short} {
			for line := range strings.Lines(text) {
				if len([]rune(line)) > 81 {
					t.Errorf("%s: %d characters: %s", cmd.CommandPath(), len([]rune(line)), line)
				}
			}
		}
	}
}

func TestSampleListNamesAll(t *testing.T) {
	var want []string
	for _, s := range events.Samples() {
		want = append(want, s.Name)
	}
	list := sampleList()
	if diff := cmp.Diff(want, strings.Fields(list)); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(list) {
		if len(line) > 81 {
			t.Errorf("too wide: %s", line)
		}
	}
}
