package configs

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shape is what a value may look like, as JSON Schema says it (draft 7, which
// all editors know). It is never changed once made.
type shape map[string]any

// reference is any text with a ${VAR}, which may stand for every scalar.
var reference = shape{"type": "string", "pattern": `\$\{`}

var (
	anyText = shape{"type": []string{"string", "number", "boolean"}}

	// anyTexts is one text or a list of some.
	anyTexts = oneOrMore(anyText)

	// listName is the name of a list where only some words may stand.
	listName = shape{"type": "string", "pattern": `^\$[a-z0-9][a-z0-9_-]*$`}

	anyTruth = shape{"anyOf": []shape{{"type": "boolean"}, {"enum": []string{"true", "false"}}, reference}}

	rateShape     = shape{"anyOf": []shape{{"type": "string", "pattern": ratePattern.String()}, reference}}
	durationShape = shape{"anyOf": []shape{{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}, reference}}
)

// oneOrMore is one value or a list of at least one.
func oneOrMore(of shape) shape {
	return of.or(shape{"type": "array", "items": of, "minItems": 1})
}

func listOf(of shape) shape { return shape{"type": "array", "items": of} }

// mapOf is a map whose keys are names of the file's own.
func mapOf(of shape) shape {
	return shape{"type": "object", "additionalProperties": of, "minProperties": 1}
}

func word(words ...string) shape {
	return shape{"anyOf": []shape{{"enum": words}, reference}}
}

func whole(low, high int) shape {
	return shape{"anyOf": []shape{{"type": "integer", "minimum": low, "maximum": high}, {"type": "string", "pattern": `^[0-9]+$`}, reference}}
}

func ref(name string) shape { return shape{"$ref": "#/definitions/" + name} }

// conditionsShape is one map of conditions or a list of them.
func conditionsShape(name string) shape { return oneOrMore(ref(name)) }

func (s shape) or(others ...shape) shape {
	if any, ok := s["anyOf"].([]shape); ok && len(s) == 1 {
		return shape{"anyOf": slices.Concat(any, others)}
	}
	return shape{"anyOf": append([]shape{s}, others...)}
}

func (s shape) orNull() shape { return s.or(shape{"type": "null"}) }

// orEmpty is a list that may be empty too.
func (s shape) orEmpty() shape { return s.or(shape{"type": "array", "maxItems": 0}) }

// shape is a map with these keys alone.
func (t keyTable) shape() shape {
	properties := shape{}
	for _, k := range t {
		s := maps.Clone(k.shape)
		if _, isRef := s["$ref"]; isRef {
			s = shape{"allOf": []shape{s}} // beside $ref nothing else is read
		}
		s["description"] = k.about
		properties[k.name] = s
	}
	return shape{"type": "object", "properties": properties, "additionalProperties": false}
}

// required is the same with keys that must be there.
func (s shape) required(keys ...string) shape {
	s = maps.Clone(s)
	s["required"] = keys
	return s
}

// Schema is the JSON Schema of relay.yaml, for editors and for checks without
// the relay; included files fit it too. The events are the names that `events`
// may use ("push", "merge_request.open"); kinds and sets are added. It knows
// the shape of the file only: [Load] finds more.
func Schema(events []string) ([]byte, error) {
	top := topKeys.shape()
	top["$schema"] = "http://json-schema.org/draft-07/schema#"
	top["title"] = "relay.yaml: which GitLab events go to which Mattermost and Slack channels"
	names := shape{"enum": eventWords(events)}
	top["definitions"] = shape{
		"events": oneOrMore(names.or(
			shape{"type": "string", "pattern": "^/.+/$"},
			shape{"type": "string", "pattern": `^[a-z][a-z0-9_]*\.[a-z0-9_]+$`},
			listName, reference,
		)),
		"when":   whenKeys.shape().atLeastOne(),
		"only":   ignoreKeys.shape().atLeastOne(),
		"ignore": ignoreKeys.shape().atLeastOne(),
		"except": exceptKeys.shape().atLeastOne(),
	}
	out, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(out, '\n'), nil
}

func (s shape) atLeastOne() shape {
	s = maps.Clone(s)
	s["minProperties"] = 1
	return s
}

// eventWords are all plain words of `events`: sets, kinds, kinds with a star,
// names.
func eventWords(names []string) []string {
	out := []string{"standard", "classic", "all"}
	for _, name := range names {
		kind, _, _ := strings.Cut(name, ".")
		for _, w := range []string{kind, kind + ".*", name} {
			if !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}
