package configs

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// shipped is the schema as editors get it.
func shipped(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile("relay.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("relay.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("relay.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// instance is a file as a schema sees it; not ok for what is no YAML.
func instance(t *testing.T, file string) (any, bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &v); err != nil {
		return nil, false
	}
	return datesAsText(v), true
}

// datesAsText makes 2027-05-01 the text that it is for editors, which read YAML 1.2.
func datesAsText(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = datesAsText(v[k])
		}
	case []any:
		for i := range v {
			v[i] = datesAsText(v[i])
		}
	case time.Time:
		return v.Format(time.DateOnly)
	}
	return v
}

// TestSchemaAllowsGood: what loads without an error has the right shape.
func TestSchemaAllowsGood(t *testing.T) {
	schema := shipped(t)
	var files []string
	for _, pattern := range []string{"relay.yaml", "examples/*.yaml", "examples/*/*.yaml", "examples/*/*/*.yaml", "testdata/good/*.yaml", "testdata/good/*/*.yaml"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 20 {
		t.Fatalf("%d files", len(files))
	}
	for _, file := range files {
		v, ok := instance(t, file)
		if !ok {
			t.Errorf("%s is no YAML", file)
			continue
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// unseen are the bad files whose shape is right: what is wrong with them takes
// the environment, other files, other parts of the file, or the words
// themselves.
var unseen = []string{
	"address_syntax", "ca_file", "destination_channel", "destination_log_with_url", "destination_name", "destination_two_urls",
	"destination_url_scheme", "destination_without_url", "destinations_missing", "destinations_same_place", "if_long", "include", "include_env", "long_line",
	"mention", "merge_key", "negation", "places", "routes_empty", "routes_missing", "secret_file", "secret_text", "several_documents", "slack_person", "source_name",
	"source_paths", "source_signing_key", "source_two_tokens", "source_without_proof", "templates", "trap_address", "trap_negation",
	"unknown_destination", "unrouted", "unrouted_address", "unrouted_report", "unset_variable", "variable_syntax", "wide_and_tabs",
}

// TestSchemaRefusesBad: what is of a wrong shape is so for the schema too.
func TestSchemaRefusesBad(t *testing.T) {
	schema := shipped(t)
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	refused := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		v, ok := instance(t, file)
		if !ok {
			continue
		}
		wrong := schema.Validate(v) != nil
		if wrong {
			refused++
		}
		if wrong == slices.Contains(unseen, name) {
			t.Errorf("%s: the schema refuses it: %v", name, wrong)
		}
	}
	if refused < 25 {
		t.Errorf("the schema refuses %d files", refused)
	}
}
