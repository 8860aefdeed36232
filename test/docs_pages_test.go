package test

import (
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

func docPage(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestCIPage does what docs/ci.md says: its relay.yaml is right, the job of its
// .gitlab-ci.yml passes and leaves its reports, and its commands print what it shows.
func TestCIPage(t *testing.T) {
	t.Parallel()
	page := docPage(t, "docs/ci.md")
	d := &desk{t: t, dir: t.TempDir(), env: []string{"PATH=" + filepath.Dir(relayBinary(t)) + ":" + os.Getenv("PATH")}, loaded: map[string]bool{}}
	var deploys int
	for _, b := range fences(page, "yaml") {
		switch {
		case isRelayYAML(b.text):
			d.write(step{block: b, file: "relay.yaml"})
		case strings.Contains(b.text, "relay check"):
			_, jobs, _ := strings.Cut(b.text, "]\n") // after the list of stages
			d.write(step{block: block{b.line, jobs}, file: ".gitlab-ci.yml"})
		default:
			var jobs map[string]struct {
				Stage  string
				Rules  []map[string]string
				Script []string
			}
			if err := yaml.Unmarshal([]byte(b.text), &jobs); err != nil || jobs["deploy"].Stage != "deploy" || len(jobs["deploy"].Rules) != 1 {
				t.Errorf("docs/ci.md:%d: not the job that deploys: %v", b.line, err)
			}
			deploys++
		}
	}
	if deploys != 1 || len(d.written) != 2 {
		t.Fatalf("docs/ci.md: %d jobs that deploy, files %v", deploys, d.written)
	}
	d.pipeline(d.written[".gitlab-ci.yml"])
	for _, b := range fences(page, "console") {
		for part := range strings.SplitSeq(strings.TrimPrefix("\n"+b.text, "\n$ "), "\n$ ") {
			command, want, _ := strings.Cut(part+"\n", "\n")
			got, code := d.run(command)
			if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" || code != 0 {
				t.Errorf("docs/ci.md:%d: %s: exit %d (-page +printed):\n%s", b.line, command, code, diff)
			}
		}
	}
}

// TestOmnibusPage: the page's relay.yaml is right, and its nginx passes webhooks on as
// that of operations.md does, which is run by a test.
func TestOmnibusPage(t *testing.T) {
	t.Parallel()
	page := docPage(t, "docs/omnibus.md")
	d := &desk{t: t, dir: t.TempDir(), env: []string{"PATH=" + filepath.Dir(relayBinary(t)) + ":" + os.Getenv("PATH"), "RELAY_TOKEN=" + gitlabToken}}
	for _, b := range fences(page, "yaml") {
		if err := os.WriteFile(filepath.Join(d.dir, "relay.yaml"), []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := d.run("relay check"); code != 0 {
			t.Errorf("docs/omnibus.md:%d: %s", b.line, out)
		}
	}
	port := regexp.MustCompile(`--listen 127\.0\.0\.1:(\d+)`).FindStringSubmatch(page)
	ours, tested := fences(page, "nginx"), fences(operations(t), "nginx")
	if port == nil || len(ours) != 1 || len(tested) == 0 {
		t.Fatalf("docs/omnibus.md: port %v, %d blocks of nginx", port, len(ours))
	}
	plain := func(text string) string {
		text = regexp.MustCompile(`ssl_certificate(_key)? +\S+`).ReplaceAllString(text, "ssl_certificate$1 FILE")
		return strings.ReplaceAll(text, "127.0.0.1:"+port[1], "127.0.0.1:8080")
	}
	if diff := cmp.Diff(plain(tested[0].text), plain(ours[0].text)); diff != "" {
		t.Errorf("docs/omnibus.md:%d: nginx (-operations.md +omnibus.md):\n%s", ours[0].line, diff)
	}
	if n := strings.Count(page, ":"+port[1]); n < 5 {
		t.Errorf("docs/omnibus.md: the port %s is there %d times", port[1], n)
	}
}

// TestContainerCommands: what the pages run in a container is the program of the image,
// by the path that it has there; and a container alone has what it needs.
func TestContainerCommands(t *testing.T) {
	img := dockerfile(t)
	inside := regexp.MustCompile(`docker (?:compose )?exec (?:-\S+ )*relay (\S+)`)
	found := 0
	texts := map[string]string{"docker-compose.yml": docPage(t, "docker-compose.yml")}
	for _, d := range documents(t) {
		texts[d.path] = strings.Join(d.lines, "\n")
	}
	for path, text := range texts {
		for _, m := range inside.FindAllStringSubmatch(text, -1) {
			if found++; strings.Trim(m[1], "`") != img.entrypoint[0] {
				t.Errorf("%s: %s: the image has only %s", path, m[0], img.entrypoint[0])
			}
		}
		if strings.Contains(text, "compose restart relay") {
			t.Errorf("%s: a restart is not needed after a change of relay.yaml", path)
		}
	}
	if found < 5 {
		t.Errorf("only %d commands run in a container", found)
	}
	_, alone, _ := strings.Cut(strings.ReplaceAll(readme(t), "\\\n", " "), "docker run --detach ")
	alone, _, _ = strings.Cut(alone, "\n")
	words := strings.Fields(alone)
	volume := slices.ContainsFunc(words, func(w string) bool { return strings.HasSuffix(w, ":"+img.volume[0]) })
	configuration := slices.ContainsFunc(words, func(w string) bool { return strings.HasSuffix(w, ":/etc/relay:ro") })
	port := slices.ContainsFunc(words, func(w string) bool { return strings.HasSuffix(w, ":"+img.expose[0]) })
	if !volume || !configuration || !port {
		t.Errorf("README.md: docker run %s: volume %t, configuration %t, port %t", alone, volume, configuration, port)
	}
	if owner := "chown -R " + img.user + " "; !strings.Contains(readme(t), owner) {
		t.Errorf("README.md: the image's user cannot read the secrets: it lacks %q", owner)
	}
}

// TestComposeIsQuiet: the Mattermost of docker-compose.yml reports to nobody, and shows
// the icon that the relay sends.
func TestComposeIsQuiet(t *testing.T) {
	service := compose(t).Services["mattermost"]
	for name, want := range map[string]string{
		"MM_LOGSETTINGS_ENABLEDIAGNOSTICS": "false", "MM_SERVICESETTINGS_ENABLESECURITYFIXALERT": "false", "MM_SERVICESETTINGS_ENABLEPOSTICONOVERRIDE": "true",
	} {
		if got := service.Environment[name]; got == nil || *got != want {
			t.Errorf("docker-compose.yml: %s is not %s", name, want)
		}
	}
	if !regexp.MustCompile(`(?m)^  icon: `).MatchString(docPage(t, "configs/compose/relay/relay.yaml")) {
		t.Error("configs/compose/relay/relay.yaml sets no icon")
	}
}

// TestScreenshot: the picture of the README is a small PNG.
func TestScreenshot(t *testing.T) {
	const most, least = 200_000, 1000 // bytes, pixels across
	path := filepath.Join(root, "docs/messages.png")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.DecodeConfig(f)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() > most || picture.Width < least {
		t.Errorf("%s: %d bytes, at most %d; %d pixels across, at least %d: %v", path, info.Size(), most, picture.Width, least, err)
	}
}
