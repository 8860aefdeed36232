package events

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpusRow is a payload that others published, and what a person who reads it
// finds in it.
type corpusRow struct {
	path, sum                         string
	event, project, actor, title, url string
}

// TestCorpus reads the payloads that others published, where they lie beside
// the checkout, and compares with what a person read: testdata/corpus.tsv. A
// project is its path, a group has "(group)" behind it; an actor is the name
// with the username.
func TestCorpus(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "corpus")
	headers := corpusHeaders(t, dir)
	rows := corpusRows(t)
	if len(rows) != len(headers) {
		t.Errorf("%d payloads were read by a person, %d are there", len(rows), len(headers))
	}
	for _, row := range rows {
		t.Run(row.path, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join(dir, row.path))
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != row.sum {
				t.Fatal("not the payload that the person read")
			}
			if err := CheckObject(body); err != nil {
				t.Errorf("CheckObject: %v", err)
			}
			e := Decode(Input{Header: headers[row.path], Body: body})
			for _, f := range []expect{
				{"event", e.Name(), row.event}, {"project", projectOf(e), row.project}, {"actor", actorOf(e), row.actor},
				{"title", e.Title, row.title}, {"url", e.URL, row.url}, {"warnings", strings.Join(e.Warnings, "; "), ""},
			} {
				if f.got != f.want {
					t.Errorf("%s: %q, want %q", f.field, f.got, f.want)
				}
			}
		})
	}
}

func projectOf(e *Event) string {
	if e.Project.Group != "" {
		return e.Project.Group + " (group)"
	}
	return e.Project.Path
}

func actorOf(e *Event) string {
	if e.Actor.Username == "" {
		return e.Actor.Name
	}
	return e.Actor.Name + " @" + e.Actor.Username
}

// corpusHeaders are the X-Gitlab-Event headers that the payloads are sent with.
func corpusHeaders(t *testing.T, dir string) map[string]string {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.tsv"))
	if err != nil {
		t.Skip("no corpus beside the checkout")
	}
	headers := map[string]string{}
	for _, columns := range tableRows(t, manifest, 4) {
		headers[columns[0]] = columns[1]
	}
	return headers
}

func corpusRows(t *testing.T) []corpusRow {
	t.Helper()
	table, err := os.ReadFile(filepath.Join("testdata", "corpus.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []corpusRow
	for _, c := range tableRows(t, table, 7) {
		rows = append(rows, corpusRow{c[0], c[1], c[2], c[3], c[4], c[5], c[6]})
	}
	return rows
}

// tableRows are the rows of a table of tab-separated columns, without its head.
func tableRows(t *testing.T, table []byte, columns int) [][]string {
	t.Helper()
	var rows [][]string
	for line := range strings.Lines(string(table)) {
		row := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(row) != columns {
			t.Fatalf("%d columns, want %d: %q", len(row), columns, line)
		}
		rows = append(rows, row)
	}
	return rows[1:]
}
