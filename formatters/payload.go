package formatters

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// masked stands for what must not be shown.
const masked = Text("[redacted]")

// decodePayload decodes a JSON object into maps, slices, [Text], json.Number
// and bool. A null is an empty Text, which prints nothing; what is no object is
// an empty one. Names that are more than a word are escaped, for a template may
// print them.
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
		return each(v, func(name string, e any) any {
			if name == "variables" {
				return maskValues(e)
			}
			return wrap(e)
		})
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

// each replaces every value of an object, and escapes the names that need it.
func each(m map[string]any, replace func(name string, v any) any) map[string]any {
	var odd []string
	for name, v := range m {
		m[name] = replace(name, v)
		if Text(name).String() != name {
			odd = append(odd, name)
		}
	}
	for _, name := range odd {
		v := m[name]
		delete(m, name)
		m[Text(name).String()] = v
	}
	return m
}

// maskValues masks the values of CI variables, where people keep passwords:
// GitLab sends a list of {key, value}; an object is taken as names and values.
func maskValues(v any) any {
	switch v := v.(type) {
	case nil:
		return Text("")
	case map[string]any:
		return each(v, func(string, any) any { return masked })
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
	return each(m, func(field string, e any) any {
		if name, ok := e.(string); ok && (field == "key" || field == "variable_type") {
			return Text(name)
		}
		return masked
	})
}

// appendJSON writes a JSON string as encoding/json does without escaping for
// HTML: what is no UTF-8 becomes U+FFFD, U+2028 and U+2029 are escaped.
func appendJSON(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	kept := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		n := 1
		switch r, size := utf8.DecodeRuneInString(s[i:]); {
		case c == '"' || c == '\\':
			dst = append(append(dst, s[kept:i]...), '\\', c)
		case c == '\n':
			dst = append(append(dst, s[kept:i]...), `\n`...)
		case c == '\t':
			dst = append(append(dst, s[kept:i]...), `\t`...)
		case c == '\r':
			dst = append(append(dst, s[kept:i]...), `\r`...)
		case c == '\b':
			dst = append(append(dst, s[kept:i]...), `\b`...)
		case c == '\f':
			dst = append(append(dst, s[kept:i]...), `\f`...)
		case c < ' ':
			dst = append(append(dst, s[kept:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[kept:i]...), `\ufffd`...)
		case r == '\u2028' || r == '\u2029':
			dst = append(append(dst, s[kept:i]...), '\\', 'u', '2', '0', '2', hex[r&15])
			n = size
		default:
			i += size
			continue
		}
		i += n
		kept = i
	}
	return append(append(dst, s[kept:]...), '"')
}
