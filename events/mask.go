package events

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"
)

// masked stands for what must not be shown.
const masked = `"[redacted]"`

// Mask is a payload as it may be shown: the values of CI variables, where
// people keep passwords, are replaced, and clean has taken what it knows to be
// secret out of every text. GitLab sends a list of {key, value} under
// "variables"; an object there is taken as names and values. The payload must be
// what [CheckObject] accepts.
func Mask(payload []byte, clean func(string) string) string {
	m := masker{in: payload, clean: clean}
	m.out.Grow(len(payload))
	for m.at < len(m.in) {
		m.step()
	}
	return m.out.String()
}

// What a value in a payload is to a masker.
type maskRole byte

const (
	plain     maskRole = iota
	variables          // the value of "variables"
	listed             // an element of a list there
	secret
)

// maskLevel is an object or array that a masker is in.
type maskLevel struct {
	role   maskRole
	object bool
	key    string // of the value that comes next
	value  bool   // a value comes next, not a key
}

// masker copies JSON in one pass, whatever its depth.
type masker struct {
	in     []byte
	at     int
	out    strings.Builder
	levels []maskLevel
	clean  func(string) string
}

// step copies one token, or replaces one value.
func (m *masker) step() {
	switch c := m.in[m.at]; c {
	case ' ', '\t', '\r', '\n', ',', ':':
		m.copy(1)
	case '}', ']':
		m.copy(1)
		if n := len(m.levels); n > 0 {
			m.levels = m.levels[:n-1]
		}
	default:
		if top := m.top(); top != nil && top.object && !top.value {
			top.key, top.value = m.text(), true
			return
		}
		m.value(c)
	}
}

func (m *masker) top() *maskLevel {
	if len(m.levels) == 0 {
		return nil
	}
	return &m.levels[len(m.levels)-1]
}

func (m *masker) copy(n int) {
	m.out.Write(m.in[m.at : m.at+n])
	m.at += n
}

// value copies the beginning of a container, or a whole scalar, or replaces
// what is secret.
func (m *masker) value(c byte) {
	role := plain
	if top := m.top(); top != nil {
		role = top.next(c)
		top.value = false
	}
	scalar := c != '{' && c != '['
	switch {
	case role == secret, role == variables && scalar && c != 'n': // null stays
		m.out.WriteString(masked)
		m.at += valueEnd(m.in[m.at:])
	case c == '"':
		m.text()
	case scalar:
		m.copy(valueEnd(m.in[m.at:]))
	default:
		m.levels = append(m.levels, maskLevel{role: role, object: c == '{'})
		m.copy(1)
	}
}

// text copies a string without what is secret in it, and returns what it said.
func (m *masker) text() string {
	n := stringEnd(m.in[m.at:])
	said := gjson.ParseBytes(m.in[m.at : m.at+n]).Str
	if shown := m.clean(said); shown != said {
		quoted, _ := json.Marshal(shown) // a string always can be
		m.out.Write(quoted)
		m.at += n
		return said
	}
	m.copy(n)
	return said
}

// next is the role of the value that comes next in a container.
func (l *maskLevel) next(begin byte) maskRole {
	switch {
	case l.role == plain && l.object && l.key == "variables":
		return variables
	case l.role == plain:
		return plain
	case l.role == variables && !l.object && begin == '{':
		return listed
	case l.role == listed && l.object && (l.key == "key" || l.key == "variable_type") && begin == '"':
		return plain
	}
	return secret
}

// stringEnd is the length of the JSON string that a text begins with.
func stringEnd[T string | []byte](s T) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// valueEnd is the length of the JSON value that a text begins with.
func valueEnd[T string | []byte](s T) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i += stringEnd(s[i:]) - 1
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				return i + 1 + min(depth, 0) // of a scalar the end of what it stands in
			}
		case ' ', '\t', '\r', '\n', ',', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(s)
}
