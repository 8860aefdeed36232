//go:build man

// Built with the tag "man", this program writes the manual pages of packages:
//
//	go run -tags man ./cmd/relay FOLDER
//
// Their sources are the commands and the schema of relay.yaml. The program that is
// shipped holds nothing of it.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run -tags man ./cmd/relay FOLDER")
		os.Exit(exitUsage)
	}
	if err := writePages(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFail)
	}
}

// writePages writes relay(1), a page for each command, and relay.yaml(5).
func writePages(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	date := pageDate()
	a := &app{env: func(string) (string, bool) { return "", false }, stdout: os.Stdout, stderr: os.Stderr}
	root := a.root()
	walk(root, func(cmd *cobra.Command) { cmd.DisableAutoGenTag = true })
	header := &doc.GenManHeader{Section: "1", Source: "relay", Manual: "relay", Date: &date}
	if err := doc.GenManTree(root, header, folder); err != nil {
		return fmt.Errorf("write the pages of the commands: %w", err)
	}
	page, err := yamlPage(date)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "relay.yaml.5"), md2man.Render([]byte(page)), 0o644)
}

// pageDate is SOURCE_DATE_EPOCH, so that two builds of one commit are equal; without
// it, today.
func pageDate() time.Time {
	if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(s, 0).UTC()
	}
	return time.Now().UTC()
}

// yamlPage is relay.yaml(5) in Markdown.
func yamlPage(date time.Time) (string, error) {
	text, err := configs.Schema(events.Names())
	if err != nil {
		return "", err
	}
	var schema keyShape
	if err := json.Unmarshal(text, &schema); err != nil {
		return "", fmt.Errorf("read the schema of relay.yaml: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "RELAY.YAML 5 %q relay relay\n=====\n\n", date.Format("Jan 2006"))
	b.WriteString("# NAME\n\nrelay.yaml - which GitLab event goes to which channel\n\n# DESCRIPTION\n\n" +
		"relay loads this file at its start, on SIGHUP, and whenever it changes. A file with mistakes leaves the last good configuration in force. " +
		"**relay check** reports every mistake with its place, **relay explain** says where an event goes, **relay test** runs the tests of the file.\n\n" +
		"Every text can hold **${NAME}**, which is the environment variable of that name. A key that ends in **_file** names a file that holds the value. " +
		"NAME stands for a name of your own, [] for an item of a list.\n\n")
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		fmt.Fprintf(&b, "# %s\n\n", strings.ToUpper(name))
		schema.Properties[name].write(&b, name, schema.Definitions, 0)
	}
	b.WriteString("# FILES\n\n**./relay.yaml**, **/etc/relay/relay.yaml**: read in this order, unless **--config** names another file.\n\n# SEE ALSO\n\n**relay(1)**, **relay-check(1)**, **relay-explain(1)**, **relay-test(1)**\n")
	return b.String(), nil
}

// keyShape is what the page takes from a part of the schema.
type keyShape struct {
	Ref                  string               `json:"$ref"`
	Description          string               `json:"description"`
	Type                 any                  `json:"type"`
	Enum                 []any                `json:"enum"`
	AnyOf                []keyShape           `json:"anyOf"`
	Items                *keyShape            `json:"items"`
	Properties           map[string]*keyShape `json:"properties"`
	AdditionalProperties any                  `json:"additionalProperties"`
	Definitions          map[string]*keyShape `json:"definitions"`
}

// deepest is how many levels of keys are listed: conditions hold conditions.
const deepest = 3

// write lists a key with what is below it.
func (k *keyShape) write(b *strings.Builder, path string, definitions map[string]*keyShape, depth int) {
	fmt.Fprintf(b, "**%s**\n", path)
	text := k.Description
	if words := k.words(definitions); len(words) > 0 && len(words) <= 8 {
		text = strings.TrimPrefix(text+"; one of "+strings.Join(words, ", "), "; ")
	}
	fmt.Fprintf(b, ": %s\n\n", cmp.Or(escapeMarkdown(text), "see the keys below"))
	if depth == deepest {
		return
	}
	for _, below := range k.below(path, definitions) {
		below.shape.write(b, below.path, definitions, depth+1)
	}
}

func escapeMarkdown(s string) string {
	return strings.NewReplacer(`*`, `\*`, `_`, `\_`, `<`, `\<`, `>`, `\>`, "`", "").Replace(s)
}

// words are the values that a key is limited to.
func (k *keyShape) words(definitions map[string]*keyShape) (words []string) {
	k = k.resolved(definitions)
	for _, v := range k.Enum {
		if s, ok := v.(string); ok && s != "true" && s != "false" {
			words = append(words, s)
		}
	}
	return words
}

func (k *keyShape) resolved(definitions map[string]*keyShape) *keyShape {
	if name, ok := strings.CutPrefix(k.Ref, "#/definitions/"); ok && definitions[name] != nil {
		return definitions[name]
	}
	return k
}

type keyBelow struct {
	path  string
	shape *keyShape
}

// below are the keys under a key, each once, in order.
func (k *keyShape) below(path string, definitions map[string]*keyShape) (all []keyBelow) {
	k = k.resolved(definitions)
	for _, name := range slices.Sorted(maps.Keys(k.Properties)) {
		all = append(all, keyBelow{path + "." + name, k.Properties[name]})
	}
	if k.Items != nil {
		all = append(all, k.Items.below(path+"[]", definitions)...)
	}
	if more, ok := k.AdditionalProperties.(map[string]any); ok {
		text, _ := json.Marshal(more) // it was JSON
		var shape keyShape
		if json.Unmarshal(text, &shape) == nil {
			all = append(all, shape.below(path+".NAME", definitions)...)
		}
	}
	for i := range k.AnyOf {
		all = append(all, k.AnyOf[i].below(path, definitions)...)
	}
	slices.SortStableFunc(all, func(a, b keyBelow) int { return cmp.Compare(a.path, b.path) })
	return slices.CompactFunc(all, func(a, b keyBelow) bool { return a.path == b.path })
}
