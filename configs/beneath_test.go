package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree makes a folder with files and, where the text starts with "-> ", links.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const teamRoutes = "routes: [{to: mm}]\n"

// TestFencedFiles: the files of a fenced include are those below the main file,
// and no link leads elsewhere.
func TestFencedFiles(t *testing.T) {
	outside := tree(t, map[string]string{"team.yaml": teamRoutes, "secret": "canary: canary\n"})
	files := map[string]string{
		"secrets/token": "canary: canary\n", "secrets/deep/token": "canary: canary\n",
		"teams/plain.yaml": teamRoutes,
		"teams/link.yaml":  "-> ../secrets/token",
		"teams/near.yaml":  "-> plain.yaml",
		"teams/abs.yaml":   "-> " + filepath.Join(outside, "secret"),
		"teams/folder":     "-> ../secrets",
		"teams/data.yaml":  "-> ..data/data.yaml", "teams/..data": "-> ..2026", "teams/..2026/data.yaml": teamRoutes,
		"other/token": "-> ..data/token", "other/..data": "-> ../secrets",
		"third/token": "-> ..data/token", "third/..data": "-> ..",
		"fourth/a.yaml": "-> ..data/a.yaml", "fourth/..data": "-> ..1", "fourth/..1/a.yaml": "-> ../../secrets/token",
	}
	dir := tree(t, files)
	link, out := "is reached through a link", "is outside the main file's folder"
	for name, want := range map[string]string{
		"teams/plain.yaml": "", "teams/data.yaml": "", "./teams/../teams/plain.yaml": "", filepath.Join(dir, "teams/plain.yaml"): "",
		"teams/link.yaml": link, "teams/near.yaml": link, "teams/abs.yaml": link, "teams/folder/token": link, "teams/folder/deep/token": link,
		"other/token": link, "third/token": link, "fourth/a.yaml": link,
		filepath.Join(outside, "team.yaml"): out, "../x.yaml": out, "..": out,
		"teams/plain*.yaml": "", "teams/l*.yaml": link, "teams/fold*/token": "no file matches", filepath.Join(outside, "*.yaml"): out, "../*.yaml": out,
	} {
		yaml := "destinations: {mm: {kind: log}}\ninclude: [{files: '" + name + "', to: mm}]\n"
		cfg, found := LoadBytes(filepath.Join(dir, "relay.yaml"), []byte(yaml), testEnv)
		text := printed(t, found)
		if strings.Contains(text, "canary") {
			t.Errorf("%s: a secret is shown:\n%s", name, text)
		}
		if want == "" && (len(found) > 0 || len(cfg.Routes) != 1) || want != "" && !strings.Contains(text, want) {
			t.Errorf("%s: want %q, got %d routes and\n%s", name, want, len(cfg.Routes), text)
		}
	}
}

// TestFencedPayloads: the payload files of a fenced file's tests are as near.
func TestFencedPayloads(t *testing.T) {
	dir := tree(t, map[string]string{"secrets/token": "{}", "teams/here.json": "{}", "teams/link.json": "-> ../secrets/token"})
	for event, want := range map[string]bool{"here.json": true, "not-yet.json": true, "../secrets/token": true, "link.json": false, "../../x.json": false, "/etc/passwd": false} {
		team := "routes: [{to: mm}]\ntests: [{event: '" + event + "', expect: {to: []}}]\n"
		if err := os.WriteFile(filepath.Join(dir, "teams/a.yaml"), []byte(team), 0o600); err != nil {
			t.Fatal(err)
		}
		yaml := "destinations: {mm: {kind: log}}\ninclude: [{files: teams/a.yaml, to: mm}]\n"
		if _, found := LoadBytes(filepath.Join(dir, "relay.yaml"), []byte(yaml), testEnv); HasErrors(found) == want {
			t.Errorf("%s: %s", event, printed(t, found))
		}
	}
}

// TestLinkedFiles: a plain include may follow a link, and shows nothing of a file
// that has no routes.
func TestLinkedFiles(t *testing.T) {
	dir := tree(t, map[string]string{
		"secrets/token": "canary", "secrets/env": "canary: canary\n", "secrets/bad": "a: [canary", "sites/a.yaml": teamRoutes,
		"sites/b.yaml": "routes: [{to: mm, canary: canary}] # canary\n",
		"teams/token":  "-> ../secrets/token", "teams/env": "-> ../secrets/env", "teams/bad": "-> ../secrets/bad",
		"teams/a.yaml": "-> ../sites/a.yaml", "teams/b.yaml": "-> ../sites/b.yaml",
	})
	for name, want := range map[string]string{
		"token": "is no YAML with users, routes or tests", "env": "is no YAML with users, routes or tests", "bad": "is no YAML with users, routes or tests",
		"a.yaml": "", "b.yaml": `unknown key "canary" in routes[0]`,
	} {
		yaml := "destinations: {mm: {kind: log}}\ninclude: teams/" + name + "\n"
		_, found := LoadBytes(filepath.Join(dir, "relay.yaml"), []byte(yaml), testEnv)
		text := printed(t, found)
		if want == "" && len(found) > 0 || !strings.Contains(text, want) || len(found) > 0 && found[0].Line != "" {
			t.Errorf("%s: want %q, got\n%s", name, want, text)
		}
		if strings.Contains(strings.ReplaceAll(text, `"canary"`, ""), "canary") {
			t.Errorf("%s: a secret is shown:\n%s", name, text)
		}
	}
}

// TestWideGlobs: a glob that would search the disk is told soon.
func TestWideGlobs(t *testing.T) {
	begin := time.Now()
	for glob, want := range map[string]string{
		"/**": "more than 20000 files", "/**/*.yaml": "more than 20000 files", "/proc/*/*": " files",
		"{a,b}" + strings.Repeat("{a,a}", 30): "more than 100 globs", "teams/{a,b,c}/{x,y}.yaml": "no file matches",
	} {
		yaml := "destinations: {mm: {kind: log}}\ninclude: ['" + glob + "', '" + glob + "']\n"
		_, found := LoadBytes(filepath.Join(t.TempDir(), "relay.yaml"), []byte(yaml), testEnv)
		if len(found) == 0 || !strings.Contains(found[0].Message, want) {
			t.Errorf("%s: %s", glob, printed(t, found))
		}
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("%v", took)
	}
}
