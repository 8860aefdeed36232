package test

import (
	"bytes"
	"encoding/json"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// image is what the last stage of a Dockerfile says, and all stages' bases.
type image struct {
	from        []string
	user        string
	env         map[string]string
	expose      []string
	volume      []string
	entrypoint  []string
	command     []string
	healthcheck []string
	text        string
}

// dockerfile reads the instructions that are used here; another form of one of
// them (a shell's, say) is an error.
func dockerfile(t *testing.T) image {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	list := func(s string) (list []string) {
		if err := json.Unmarshal([]byte(s), &list); err != nil {
			t.Fatalf("not in exec form: %s", s)
		}
		return list
	}
	img := image{text: string(data), env: map[string]string{}}
	for line := range strings.Lines(strings.ReplaceAll(string(data), "\\\n", " ")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "FROM":
			fields := strings.Fields(rest)
			if strings.HasPrefix(fields[0], "--") {
				fields = fields[1:]
			}
			img.from = append(img.from, fields[0])
		case "USER":
			img.user = rest
		case "ENV":
			for _, pair := range strings.Fields(rest) {
				name, value, _ := strings.Cut(pair, "=")
				img.env[name] = value
			}
		case "EXPOSE":
			img.expose = strings.Fields(rest)
		case "VOLUME":
			img.volume = strings.Fields(rest)
		case "ENTRYPOINT":
			img.entrypoint = list(rest)
		case "CMD":
			img.command = list(rest)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, "CMD ")
			img.healthcheck = list(command)
		}
	}
	return img
}

// checkPinned refuses an image without a tag, and the tag that is every version.
func checkPinned(t *testing.T, what, name string) {
	t.Helper()
	_, tag, ok := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	if !ok || tag == "" || tag == "latest" {
		t.Errorf("%s: %q has no pinned tag", what, name)
	}
}

func TestDockerfile(t *testing.T) {
	img := dockerfile(t)
	for _, base := range img.from {
		checkPinned(t, "Dockerfile", base)
	}
	if len(img.from) != 2 {
		t.Fatalf("stages %q, want one that builds and one that runs", img.from)
	}
	if user, _, _ := strings.Cut(img.user, ":"); !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(user) {
		t.Errorf("USER %q: want a number, not root's, so that Kubernetes' runAsNonRoot can tell", img.user)
	}
	if diff := cmp.Diff([]string{"/relay"}, img.entrypoint); diff != "" {
		t.Errorf("ENTRYPOINT (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"serve"}, img.command); diff != "" {
		t.Errorf("CMD (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"RELAY_LISTEN": "0.0.0.0:8080", "RELAY_DATA": "/data"}, img.env); diff != "" {
		t.Errorf("ENV (-want +got):\n%s", diff)
	}
	if !slices.Contains(img.expose, "8080") || !slices.Contains(img.volume, img.env["RELAY_DATA"]) {
		t.Errorf("EXPOSE %q, VOLUME %q do not fit ENV %v", img.expose, img.volume, img.env)
	}
	if !strings.Contains(img.text, "COPY LICENSE cmd/relay/licenses.txt /licenses/\n") {
		t.Error("the image holds no licences")
	}
	if diff := cmp.Diff([]string{"/relay", "healthcheck", "--live"}, img.healthcheck); diff != "" {
		t.Errorf("HEALTHCHECK, which may restart the relay (-want +got):\n%s", diff)
	}
	for _, part := range []string{"CGO_ENABLED=0", "-trimpath", "-tags nomsgpack", "-X main.version=$VERSION"} {
		if !strings.Contains(img.text, part) {
			t.Errorf("the binary is built without %s", part)
		}
	}
}

// TestDockerfileBuildsWithEnoughGo: an older compiler in the image would fetch
// a toolchain, or fail where it may not.
func TestDockerfileBuildsWithEnoughGo(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	got := regexp.MustCompile(`^golang:(\d+\.\d+\.\d+)-`).FindStringSubmatch(dockerfile(t).from[0])
	if want == nil || got == nil {
		t.Fatalf("versions not found: go.mod %q, Dockerfile %q", want, got)
	}
	if version.Compare("go"+got[1], "go"+string(want[1])) < 0 {
		t.Errorf("the Dockerfile builds with Go %s, go.mod wants %s", got[1], want[1])
	}
}

// TestBuildsAgree: the same flags wherever a binary is built.
func TestBuildsAgree(t *testing.T) {
	for _, name := range []string{"Dockerfile", "Makefile"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(strings.ReplaceAll(string(data), "\\\n", ""), "\n", " ")
		for _, flag := range []string{"CGO_ENABLED=0", "-trimpath", "-tags nomsgpack", "-s -w -X main.version="} {
			if !strings.Contains(text, flag) {
				t.Errorf("%s lacks %s", name, flag)
			}
		}
	}
}

// TestRenovate: the file is JSON, and has the images pinned by digest. A digest
// that stands in the Dockerfile or the Compose file is a whole one.
func TestRenovate(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "renovate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var renovate struct{ Extends []string }
	if err := json.Unmarshal(data, &renovate); err != nil || !slices.Contains(renovate.Extends, "docker:pinDigests") {
		t.Errorf("renovate.json: %v, extends %q; want docker:pinDigests", err, renovate.Extends)
	}
	for _, name := range []string{"Dockerfile", "docker-compose.yml"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, digest := range regexp.MustCompile(`@sha256:\S*`).FindAllString(string(text), -1) {
			if !regexp.MustCompile(`^@sha256:[0-9a-f]{64}$`).MatchString(digest) {
				t.Errorf("%s: %s is no digest", name, digest)
			}
		}
	}
}

// TestIgnoredFiles: secrets get neither into a commit nor into an image.
func TestIgnoredFiles(t *testing.T) {
	for _, name := range []string{".gitignore", ".dockerignore"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		var patterns []string
		for line := range strings.Lines(string(data)) {
			patterns = append(patterns, strings.Trim(strings.TrimSpace(line), "/"))
		}
		for _, want := range []string{".env", "data"} {
			if !slices.Contains(patterns, want) {
				t.Errorf("%s does not name %s", name, want)
			}
		}
	}
}

// TestBinaryIsStatic reads the shipped binary; the one that the tests build for
// themselves is linked as the machine likes.
func TestBinaryIsStatic(t *testing.T) {
	if os.Getenv("RELAY_BINARY") == "" {
		t.Skip("RELAY_BINARY names no shipped binary")
	}
	data, err := os.ReadFile(relayBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("/ld-linux")) || bytes.Contains(data, []byte("/ld-musl")) {
		t.Error("the binary wants a dynamic linker: the image has none")
	}
}

func TestVersionIsLinkedIn(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), relayBinary(t), "version").CombinedOutput()
	if err != nil || !regexp.MustCompile(`^relay (v\d|ci)`).Match(out) {
		t.Errorf("relay version: %v, %q; want the version that was linked in", err, out)
	}
}

func TestShellScripts(t *testing.T) {
	for _, script := range []string{".ci/run", "configs/compose/setup.sh"} {
		path := filepath.Join(root, script)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		shell := "sh"
		if bytes.HasPrefix(data, []byte("#!/usr/bin/env bash\n")) {
			shell = "bash"
		}
		if out, err := exec.CommandContext(t.Context(), shell, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
	info, err := os.Stat(filepath.Join(root, ".ci/run"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&0o111 == 0 {
		t.Error(".ci/run is not executable")
	}
}
