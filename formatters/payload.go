package formatters

import (
	"bytes"
	"encoding/json"
)

// masked stands for what must not be shown.
const masked = Text("[redacted]")

// decodePayload decodes a JSON object into maps, slices, [Text], json.Number
// and bool. A null is an empty Text, which prints nothing; what is no object is
// an empty one.
func decodePayload(body []byte) map[string]any {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v map[string]any
	if dec.Decode(&v) != nil || v == nil {
		return map[string]any{}
	}
	wrap(v)
	return v
}

// wrap makes every string a Text.
func wrap(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "variables" {
				v[k] = maskValues(e)
			} else {
				v[k] = wrap(e)
			}
		}
	case []any:
		for i, e := range v {
			v[i] = wrap(e)
		}
	case string:
		return Text(v)
	case nil:
		return Text("")
	}
	return v
}

// maskValues masks the values of CI variables, where people keep passwords:
// GitLab sends a list of {key, value}; an object is taken as names and values.
func maskValues(v any) any {
	switch v := v.(type) {
	case nil:
		return Text("")
	case map[string]any:
		for k := range v {
			v[k] = masked
		}
		return v
	case []any:
		for i, e := range v {
			v[i] = maskVariable(e)
		}
		return v
	}
	return masked
}

func maskVariable(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return masked
	}
	for k, e := range m {
		if name, ok := e.(string); ok && (k == "key" || k == "variable_type") {
			m[k] = Text(name)
		} else {
			m[k] = masked
		}
	}
	return m
}
