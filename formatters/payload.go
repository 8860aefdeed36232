package formatters

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/events"
)

// decodePayload decodes a JSON object into maps, slices, [Text], json.Number
// and bool; values of CI variables are masked. A null is an empty Text, which
// prints nothing; what is no object is an empty one. Names that are more than a
// word are escaped, for a template may print them.
func decodePayload(body []byte) map[string]any {
	if !json.Valid(body) {
		return map[string]any{}
	}
	dec := json.NewDecoder(strings.NewReader(events.Mask(body, func(s string) string { return s })))
	dec.UseNumber()
	var v map[string]any
	if dec.Decode(&v) != nil || v == nil {
		return map[string]any{}
	}
	wrap(v)
	return v
}

// wrap makes every string a Text, and escapes the names that need it.
func wrap(v any) any {
	switch v := v.(type) {
	case map[string]any:
		var odd []string
		for name, e := range v {
			v[name] = wrap(e)
			if Text(name).String() != name {
				odd = append(odd, name)
			}
		}
		for _, name := range odd {
			e := v[name]
			delete(v, name)
			v[Text(name).String()] = e
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
