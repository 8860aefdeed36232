package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLicenses: the file that is shipped holds the licence and the notices of each
// module that is linked. After a change of go.mod, -update writes it.
func TestLicenses(t *testing.T) {
	if _, err := os.ReadFile("../../go.mod"); err != nil { // and the test is run again when it changes
		t.Fatal(err)
	}
	byText := map[string][]string{}
	for name, folders := range linked(t) {
		text := licensesIn(t, folders)
		if text == "" {
			t.Errorf("%s has no licence that could be shipped", name)
		}
		byText[text] = append(byText[text], name)
	}
	want := printLicenses(byText)
	if *update {
		if err := os.WriteFile("licenses.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != licenses {
		t.Error("licenses.txt is not that of the modules that are linked: go test ./cmd/relay -run TestLicenses -update")
	}
}

// linked are the modules whose packages the shipped binary holds, with the folders
// of these and that of the module, first.
func linked(t *testing.T) map[string][]string {
	t.Helper()
	modules := map[string][]string{}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/arm64"} {
		system, processor, _ := strings.Cut(platform, "/")
		cmd := exec.Command("go", "list", "-deps", "-tags", "nomsgpack", "-json=Dir,Module", ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+processor)
		var wrong bytes.Buffer
		cmd.Stderr = &wrong
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, &wrong)
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				Dir    string
				Module *struct {
					Path, Dir string
					Main      bool
				}
			}
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if p.Module == nil || p.Module.Main {
				continue
			}
			for _, dir := range []string{p.Module.Dir, p.Dir} {
				if !slices.Contains(modules[p.Module.Path], dir) {
					modules[p.Module.Path] = append(modules[p.Module.Path], dir)
				}
			}
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	modules["Go's standard library"] = []string{strings.TrimSpace(string(root))}
	return modules
}

var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([._-].*)?$`)

// licensesIn are the texts of all files of licences in some folders, each once.
func licensesIn(t *testing.T, folders []string) string {
	t.Helper()
	var texts []string
	for _, folder := range folders {
		files, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.IsDir() || !licenseFile.MatchString(f.Name()) || strings.HasSuffix(f.Name(), ".go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(folder, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			clean := strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
			if !slices.Contains(texts, clean) {
				texts = append(texts, clean)
			}
		}
	}
	return strings.Join(texts, "\n\n")
}

// printLicenses prints each text once, below the names of those that it is of.
func printLicenses(byText map[string][]string) string {
	byNames := map[string]string{}
	for text, names := range byText {
		slices.Sort(names)
		byNames[strings.Join(names, "\n")] = text
	}
	var b strings.Builder
	b.WriteString("The relay holds the works of others, under these licences.\n")
	for _, names := range slices.Sorted(maps.Keys(byNames)) {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 78), names, byNames[names])
	}
	return b.String()
}
