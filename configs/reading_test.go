package configs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// teams is a folder with a main file that fences two teams' files, and a template
// folder.
func teams(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"relay.yaml": "sources: {gitlab: {token: \"${TOKEN}\"}}\ndestinations: {mm: \"${MM_URL}\"}\ntemplates: ./looks\n" +
			"include:\n  - {files: \"teams/*.yaml\", to: \"mm#*\"}\nroutes: [{to: mm}]\n",
		"looks/push.md.tmpl": "{{define \"headline\"}}a push{{end}}",
		"teams/a.yaml":       "routes: [{to: \"mm#a\"}]\n",
		"teams/b.yaml":       "routes: [{to: \"mm#b\"}]\n",
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func targets(c *Config) []string {
	var all []string
	for _, r := range c.Routes {
		for _, to := range r.To {
			all = append(all, to.Address.String())
		}
	}
	return all
}

// TestReadingInstead: a team's file can be replaced, and left out.
func TestReadingInstead(t *testing.T) {
	dir := teams(t, map[string]string{"teams/a.yaml": "routes: [{to: \"mm#a\"\n"})
	a, b := filepath.Join(dir, "teams/a.yaml"), filepath.Join(dir, "teams/b.yaml")
	for _, tt := range []struct {
		name    string
		instead map[string][]byte
		wrong   bool
		want    []string
	}{
		{"nothing", nil, true, []string{"mm", "mm#b"}},
		{"another text", map[string][]byte{a: []byte("routes: [{to: \"mm#old\"}]")}, false, []string{"mm", "mm#old", "mm#b"}},
		{"left out", map[string][]byte{a: nil}, false, []string{"mm", "mm#b"}},
		{"against the fence", map[string][]byte{a: nil, b: []byte("routes: [{to: mm}]")}, true, []string{"mm", "mm"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, found := Reading{Env: testEnv, Instead: tt.instead}.Load(filepath.Join(dir, "relay.yaml"))
			if HasErrors(found) != tt.wrong {
				t.Errorf("found\n%s", printed(t, found))
			}
			if diff := cmp.Diff(tt.want, targets(cfg)); diff != "" {
				t.Error(diff)
			}
			if cfg.Fences[a] == nil || cfg.Fences[b] == nil || len(cfg.Fences) != 2 {
				t.Errorf("fences %v", cfg.Fences)
			}
		})
	}
}

// TestFencedFilesErrors: what stops a fenced file from being read is an error at
// that file, and a folder without any is no error.
func TestFencedFilesErrors(t *testing.T) {
	dir := teams(t, nil)
	a := filepath.Join(dir, "teams/a.yaml")
	if err := os.Remove(a); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../relay.yaml", a); err != nil {
		t.Fatal(err)
	}
	_, found := Load(filepath.Join(dir, "relay.yaml"), testEnv)
	for _, f := range found {
		if f.Severity == Error && f.Pos.File != a {
			t.Errorf("an error elsewhere: %s", f.Text())
		}
	}
	if !HasErrors(found) {
		t.Error("a link to the main file is included")
	}
	if err := os.RemoveAll(filepath.Join(dir, "teams")); err != nil {
		t.Fatal(err)
	}
	cfg, found := Load(filepath.Join(dir, "relay.yaml"), testEnv)
	if HasErrors(found) || len(found) == 0 || len(cfg.Routes) != 1 {
		t.Errorf("without any file of a team:\n%s", printed(t, found))
	}
}

// TestReadingCopies: copies are read in the files' place, under the files' names;
// secrets come from where they are.
func TestReadingCopies(t *testing.T) {
	dir := teams(t, map[string]string{"secret": "https://chat.example/hooks/abc"})
	main := filepath.Join(dir, "relay.yaml")
	text := "sources: {gitlab: {token: \"${TOKEN}\"}}\ndestinations: {mm: {url_file: secret}}\ntemplates: ./looks\ninclude: {files: \"teams/*.yaml\", to: \"mm#*\"}\nroutes: [{to: mm}]\n"
	if err := os.WriteFile(main, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	copies := t.TempDir()
	for _, name := range []string{"relay.yaml", "teams/a.yaml", "teams/b.yaml", "looks/push.md.tmpl"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(copies, dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range []string{"relay.yaml", "teams", "looks"} {
		if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{main, "relay.yaml"} {
		t.Chdir(dir)
		cfg, found := Reading{Env: testEnv, Copies: copies}.Load(name)
		if HasErrors(found) {
			t.Fatalf("found\n%s", printed(t, found))
		}
		if diff := cmp.Diff([]string{"mm", "mm#a", "mm#b"}, targets(cfg)); diff != "" {
			t.Error(diff)
		}
		if got, want := cfg.Routes[1].Pos.File, filepath.Join(filepath.Dir(name), "teams/a.yaml"); got != want {
			t.Errorf("the route is in %s, want %s", got, want)
		}
		if got := cfg.Destinations[0].URL.Reveal(); got != "https://chat.example/hooks/abc" {
			t.Errorf("url %s", got)
		}
		if diff := cmp.Diff([]string{filepath.Join(copies, dir, "looks")}, cfg.Templates); diff != "" {
			t.Error(diff)
		}
	}
}
