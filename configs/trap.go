package configs

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A trap is a value that YAML does not take for text although it looks like
// it: `channel: #dev`, `[*/api]`, `{dev: ${X}}`. Some stop YAML, at the trap
// or at a later place; [repairTrap] finds these in the text. The others give
// another value than was meant; reading the nodes finds those.
type trap struct {
	line, from, to int // what was meant as one value: characters from 0 of the repaired text
	meant          string
	why            string
	key            string // the key before it, if it stands on the line
	owner          string // the key of the list it stands in, alike
	destination    string // of the file, for an example of an address; empty: not known yet
}

// finding is the trap's own sentence. Of a secret it shows nothing but a
// ${VAR}.
func (tr trap) finding(t *text) Finding {
	why, meant := tr.why, quote(tr.meant)
	if tr.secret(t) && !onlyVariable.MatchString(tr.meant) {
		why, meant = "YAML does not take this value for text", `"…"`
	}
	hint := "quote it: "
	if takesAddress(tr.key, tr.owner) && bareChannel(tr.meant) {
		hint = "quote it, with the name of a destination before it: "
		meant = quote(cmp.Or(tr.destination, exampleOf(nil)) + tr.meant)
	}
	if tr.key != "" {
		meant = tr.key + ": " + meant
	}
	return Finding{
		Pos: t.pos(tr.line+1, tr.from+1), Width: tr.to - tr.from,
		Message: why, Hint: hint + meant,
	}
}

// takesAddress tells whether one of these keys does.
func takesAddress(keys ...string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return k == "to" || k == "unrouted" || k == "report" })
}

// bareChannel tells of "#dev" and "@anna", which lack the destination.
func bareChannel(s string) bool {
	return len(s) > 1 && (s[0] == '#' || s[0] == '@') && channelProblem(s) == ""
}

var onlyVariable = regexp.MustCompile(`^\$\{\w+\}$`)

func (tr trap) secret(t *text) bool {
	return isSecretKey(tr.key) || isSecretKey(tr.owner) || anyURL.MatchString(tr.meant) || tr.key == "" && t.underSecretKey(tr.line) ||
		t.shortForm(tr.line, tr.from)
}

// quote is a text as YAML takes it for text.
func quote(s string) string {
	if strings.ContainsAny(s, `"\`) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return `"` + s + `"`
}

// repairTrap looks for the trap that made YAML stop, and puts quotes around
// what was meant.
func repairTrap(t *text, err *yaml.LoadError) (Finding, bool) {
	first, last := err.Mark.Line-1, err.Mark.Line-1
	depth := 0
	if strings.Contains(err.ContextMsg, "flow") && err.ContextMark.Line > 0 {
		first = err.ContextMark.Line - 1
	}
	for i := max(first, 0); i <= last && i < len(t.fixed); i++ {
		s := lineScanner{line: t.fixed[i], depth: depth, anchors: t}
		tr, ok := ifTrap(t.fixed[i], depth > 0)
		if !ok {
			tr, ok = s.trap()
		}
		if ok {
			tr.line = i
			f := tr.finding(t)
			t.repair(i, tr.from, tr.to, quote(tr.meant))
			return f, true
		}
		depth = s.depth
	}
	return Finding{}, false
}

var ifKey = regexp.MustCompile(`(^|[\s{,])if:\s+`)

// ifTrap finds an `if` whose expression has to stand in quotes as a whole: it
// begins with one of its own, or, in YAML's brackets, holds a comma or brace.
func ifTrap(line []rune, inside bool) (trap, bool) {
	s := string(line)
	m := ifKey.FindStringIndex(s)
	if m == nil {
		return trap{}, false
	}
	before := strings.TrimSpace(s[:m[0]+1])
	inside = inside || strings.HasSuffix(before, "{") || strings.HasSuffix(before, ",")
	from := utf8.RuneCountInString(s[:m[1]])
	to, inner := expressionEnd(line, from, inside)
	expression := strings.TrimRight(string(line[from:to]), " \t")
	if expression == "" {
		return trap{}, false
	}
	if first := line[from]; first == '"' || first == '\'' {
		quoted := lineScanner{line: line[:to], at: from}
		if !quoted.skipQuoted(first) || strings.TrimSpace(string(line[quoted.at:to])) == "" {
			return trap{}, false
		}
	} else if !inside || !inner {
		return trap{}, false
	}
	return trap{
		from: from, to: from + len([]rune(expression)), meant: expression, key: "if",
		why: "YAML takes only a part of this expression for the value of if",
	}, true
}

var nextKey = regexp.MustCompile(`^,\s*\w+:\s`)

// expressionEnd is where an expression ends that starts at from: at a comment,
// and inside brackets before the one that closes them or the next key. It also
// tells whether there is a comma or brace in it.
func expressionEnd(line []rune, from int, inside bool) (end int, inner bool) {
	depth := 0
	for i := from; i < len(line); i++ {
		switch r := line[i]; r {
		case '"', '\'':
			q := lineScanner{line: line, at: i}
			if q.skipQuoted(r) {
				i = q.at - 1
			}
		case '(', '[', '{':
			depth++
			inner = inner || r == '{'
		case ')', ']', '}':
			if depth--; depth < 0 && inside {
				return i, inner
			}
		case ',':
			if inside && depth <= 0 && nextKey.MatchString(string(line[i:])+" ") {
				return i, inner
			}
			inner = true
		case '#':
			if depth <= 0 && i > from && (line[i-1] == ' ' || line[i-1] == '\t') {
				return i, inner
			}
		}
	}
	return len(line), inner
}

// lineScanner reads one line as its writer meant it.
type lineScanner struct {
	line    []rune
	at      int
	depth   int    // of [ and {
	key     string // of the value that comes next
	owner   string // of the list that is open
	anchors *text
}

// trap is the first trap of the line.
func (s *lineScanner) trap() (trap, bool) {
	for {
		spaces := s.skipSpaces()
		if s.at >= len(s.line) {
			return trap{}, false
		}
		switch r := s.line[s.at]; {
		case r == '#' && (spaces > 0 || s.at == 0 || strings.ContainsRune("[{,", s.line[s.at-1])):
			return s.hash()
		case r == '"' || r == '\'':
			if !s.skipQuoted(r) {
				return trap{}, false
			}
		case r == '[' || r == '{':
			s.depth++
			s.at++
			s.key, s.owner = "", s.key
		case r == ']' || r == '}':
			s.depth = max(0, s.depth-1)
			s.at++
		case r == ',', r == ':' && s.iconEnd() == 0, (r == '-' || r == '?') && s.blankAt(s.at+1):
			s.at++
			if r != ':' {
				s.key = ""
			}
		default:
			if tr, ok := s.plain(); ok {
				return tr, true
			}
		}
	}
}

func (s *lineScanner) skipSpaces() int {
	from := s.at
	for s.at < len(s.line) && (s.line[s.at] == ' ' || s.line[s.at] == '\t') {
		s.at++
	}
	return s.at - from
}

func (s *lineScanner) blankAt(i int) bool {
	return i >= len(s.line) || s.line[i] == ' ' || s.line[i] == '\t'
}

// skipQuoted skips a quoted text, if it ends on this line.
func (s *lineScanner) skipQuoted(q rune) bool {
	for s.at++; s.at < len(s.line); s.at++ {
		switch {
		case q == '"' && s.line[s.at] == '\\':
			s.at++
		case s.line[s.at] == q && q == '\'' && s.at+1 < len(s.line) && s.line[s.at+1] == q:
			s.at++
		case s.line[s.at] == q:
			s.at++
			return true
		}
	}
	return false
}

// hash judges a # that starts a comment: glued to a word where a value was
// due, it was meant as a channel.
func (s *lineScanner) hash() (trap, bool) {
	end := s.at + 1
	for end < len(s.line) && isChannelRune(s.line[end]) {
		end++
	}
	before := strings.TrimRight(string(s.line[:s.at]), " \t")
	due := strings.HasSuffix(before, ":") || s.depth > 0 && (strings.HasSuffix(before, ",") || strings.HasSuffix(before, "["))
	if end == s.at+1 || !due {
		return trap{}, false
	}
	return trap{
		from: s.at, to: end, meant: string(s.line[s.at:end]), key: s.key, owner: s.owner,
		why: "# starts a comment in YAML, so that the value is missing",
	}, true
}

func isChannelRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' || r == '.'
}

// plain reads a value without quotes to where its writer meant it to end.
func (s *lineScanner) plain() (trap, bool) {
	from := s.at
	s.at = s.plainEnd()
	word := strings.TrimRight(string(s.line[from:s.at]), " \t")
	to := from + len([]rune(word))
	if tr, ok := s.judge(word); ok {
		tr.from, tr.to, tr.key, tr.owner = from, to, s.key, s.owner
		if tr.meant == "" {
			tr.meant = word
		}
		return tr, true
	}
	if tr, ok := s.gluedHash(from, to, word); ok {
		return tr, true
	}
	if tr, ok := s.secondColon(from, word); ok {
		return tr, true
	}
	if s.at < len(s.line) && s.line[s.at] == ':' {
		s.key = word
	}
	return trap{}, false
}

// plainEnd is the end of the value: ": ", " #", and inside brackets the comma
// or the bracket that closes them; ${…}, {1,2} and [a-z] stay together.
func (s *lineScanner) plainEnd() int {
	inner := 0
	regex := s.line[s.at] == '/'
	for i := s.at; i < len(s.line); i++ {
		r := s.line[i]
		switch {
		case i > s.at && r == ':' && s.blankAt(i+1) && inner == 0 && !(s.line[s.at] == ':' && s.iconEnd() == i+1):
			return i
		case r == ':' && s.depth > 0 && s.line[s.at] == ':' && s.iconEnd() == i+1:
			return i + 1
		case i > s.at && r == '#' && s.blankAt(i-1):
			return i
		case r == '{' && (i > s.at && s.line[i-1] == '$' || regex || s.depth > 0 && i > s.at):
			inner++
		case r == '[' && i > s.at && s.depth > 0:
			inner++
		case (r == '}' || r == ']') && inner > 0:
			inner--
		case s.depth > 0 && inner == 0 && (r == ',' || r == ']' || r == '}'):
			return i
		}
	}
	return len(s.line)
}

// iconEnd is the end of an :icon: that starts here, or 0.
func (s *lineScanner) iconEnd() int {
	i := s.at + 1
	for i < len(s.line) && (isChannelRune(s.line[i]) || s.line[i] == '+') {
		i++
	}
	if i > s.at+1 && i < len(s.line) && s.line[i] == ':' {
		return i + 1
	}
	return 0
}

// judge tells why YAML does not take a word for text.
func (s *lineScanner) judge(word string) (trap, bool) {
	why := ""
	switch r := word[0]; {
	case r == '*' && !s.anchors.hasAnchor(word[1:]):
		why = "* starts an alias in YAML, and no anchor has that name"
	case r == '@' || r == '`':
		why = fmt.Sprintf("a YAML value cannot start with %c", r)
	case r == '%':
		why = "a YAML value cannot start with %"
	case r == '!':
		why = fmt.Sprintf("! starts a tag in YAML, so that %s is no text", clip(word))
	case r == ':' && strings.HasSuffix(word, ":") && len(word) > 2:
		why = fmt.Sprintf("YAML takes %s for a key", clip(word))
	case s.depth > 0 && strings.ContainsAny(word, "{}["):
		why = "{, }, [ and ] end a value inside YAML's brackets"
	}
	return trap{why: why}, why != ""
}

// gluedHash finds `mm #reviews` inside brackets, where the comment swallows
// what closes them.
func (s *lineScanner) gluedHash(from, to int, word string) (trap, bool) {
	if s.depth == 0 || s.at >= len(s.line) || s.line[s.at] != '#' || s.at+1 >= len(s.line) || !isChannelRune(s.line[s.at+1]) {
		return trap{}, false
	}
	end := s.at + 1
	for end < len(s.line) && isChannelRune(s.line[end]) {
		end++
	}
	return trap{
		from: from, to: end, key: s.key, owner: s.owner, meant: word + string(s.line[s.at:end]),
		why: fmt.Sprintf("# after a space starts a comment in YAML, so that only %s is left", clip(word)),
	}, true
}

// secondColon finds `name: Main: broken`.
func (s *lineScanner) secondColon(from int, word string) (trap, bool) {
	if s.key == "" || s.depth > 0 || s.at >= len(s.line) || s.line[s.at] != ':' || word == "" {
		return trap{}, false
	}
	end := len(s.line)
	if i := slices.Index(s.line[from:], '#'); i > 0 && s.blankAt(from+i-1) {
		end = from + i
	}
	meant := strings.TrimRight(string(s.line[from:end]), " \t")
	return trap{
		from: from, to: from + len([]rune(meant)), meant: meant, key: s.key,
		why: "a second colon on the line makes YAML look for another key",
	}, true
}

// hasAnchor tells whether the file defines that anchor.
func (t *text) hasAnchor(name string) bool {
	return name != "" && slices.ContainsFunc(t.fixed, func(line []rune) bool {
		return slices.Contains(strings.FieldsFunc(string(line), func(r rune) bool {
			return r == ' ' || r == ',' || r == '[' || r == ']' || r == '{' || r == '}'
		}), "&"+name)
	})
}

// clip shortens a text for a sentence.
func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}
