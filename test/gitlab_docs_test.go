package test

import (
	"os"
	"path/filepath"
	"testing"
)

const gitlabPage = "docs/gitlab.md"

// TestGitLabPage: every relay.yaml of the page is right.
func TestGitLabPage(t *testing.T) {
	t.Parallel()
	d := &desk{t: t, dir: t.TempDir(), env: []string{"PATH=" + filepath.Dir(relayBinary(t)) + ":" + os.Getenv("PATH")}}
	blocks := fences(docPage(t, gitlabPage), "yaml")
	for _, b := range blocks {
		if err := os.WriteFile(filepath.Join(d.dir, "relay.yaml"), []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := d.run("relay check"); code != 0 {
			t.Errorf("%s:%d: %s", gitlabPage, b.line, out)
		}
	}
	if len(blocks) == 0 {
		t.Errorf("%s has no relay.yaml", gitlabPage)
	}
}
