package configs

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// text is a file's lines and where its secrets stand in them. All numbers
// count characters, from 0.
type text struct {
	name    string
	data    []byte // as it was read
	clear   bool   // a secret is in clear text in it
	lines   [][]rune
	fixed   [][]rune // lines with traps repaired, which is what gets parsed
	edits   map[int][]edit
	secret  map[int][]span // by line: what a shown line must not hold
	below   map[int]int    // by indent: the line after the last one that hide has hidden
	public  map[int][]span // by line: URLs that are no secret
	mute    bool           // no line is shown
	guarded bool           // the file could not be read as YAML: guess at secrets
	covered map[int][]span // by line: what annotate hides; see seal
}

// span is the columns [from, to) of one line.
type span struct{ from, to int }

// edit is a repair in one line: old characters at col of the file's line became
// new ones.
type edit struct{ col, old, new int }

const wholeLine = 1 << 30

const (
	showAtMost = 160 // longest source line that a finding shows, in characters
	nearby     = 400 // characters to both sides of a place that are looked at for it
)

// lineBreaks are what YAML 1.1 takes for one.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func newText(name string, data []byte) *text {
	t := &text{name: name, edits: map[int][]edit{}, secret: map[int][]span{}, below: map[int]int{}, public: map[int][]span{}}
	for line := range strings.SplitSeq(lineBreaks.Replace(string(data)), "\n") {
		t.lines = append(t.lines, []rune(line))
	}
	t.fixed = slices.Clone(t.lines)
	return t
}

// line is the line of that number, nil beyond the end.
func (t *text) line(i int) []rune {
	if i < 0 || i >= len(t.lines) {
		return nil
	}
	return t.lines[i]
}

// source is the repaired text.
func (t *text) source() string {
	var b strings.Builder
	for i, l := range t.fixed {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(string(l))
	}
	return b.String()
}

// after is the rest of a repaired line from a column on.
func (t *text) after(line, col int) []rune {
	if line < 0 || line >= len(t.fixed) || col < 0 || col > len(t.fixed[line]) {
		return nil
	}
	return t.fixed[line][col:]
}

// startsWith tells whether a text starts with another.
func startsWith(text []rune, s string) bool {
	i := 0
	for _, r := range s {
		if i >= len(text) || text[i] != r {
			return false
		}
		i++
	}
	return true
}

// repair replaces the characters [from, to) of a repaired line.
func (t *text) repair(line, from, to int, by string) {
	col := t.column(line, from)
	t.fixed[line] = slices.Concat(t.fixed[line][:from], []rune(by), t.fixed[line][to:])
	t.edits[line] = append(t.edits[line], edit{col, to - from, len([]rune(by))})
	slices.SortFunc(t.edits[line], func(a, b edit) int { return a.col - b.col })
}

// column is where a column of a repaired line stands in the file's line.
func (t *text) column(line, col int) int {
	shift := 0
	for _, e := range t.edits[line] {
		at := e.col + shift
		if col < at {
			break
		}
		if col < at+e.new {
			return e.col + min(col-at, e.old)
		}
		shift += e.new - e.old
	}
	return col - shift
}

// pos is the place of a line and column of the repaired text, from 1. What YAML
// places behind the end stands at the end of the last line with any text.
func (t *text) pos(line, col int) Pos {
	line, col = max(line, 1), max(col, 1)
	for line > 1 && (line > len(t.fixed) || col == 1 && len(t.fixed[line-1]) == 0) {
		line--
		col = 1
		if line <= len(t.fixed) {
			col = len(t.fixed[line-1]) + 1
		}
	}
	return Pos{File: t.name, Line: line, Col: t.column(line-1, col-1) + 1}
}

// seal settles what is hidden; after it the text does not change. Of a file
// that is no YAML only the lines with findings can be shown.
func (t *text) seal(found []Finding) {
	t.covered = map[int][]span{}
	if !t.guarded {
		for i, line := range t.lines {
			t.covered[i] = t.hidden(i, line)
		}
		return
	}
	for _, f := range found {
		if line := t.line(f.Pos.Line - 1); line != nil {
			t.covered[f.Pos.Line-1] = t.hidden(f.Pos.Line-1, line)
		}
	}
}

// around is the part of a line near a column, what is hidden of it, and where
// it starts.
func (t *text) around(i, col int) (line []rune, hidden []span, from int) {
	line = t.lines[i]
	from = min(max(col-nearby, 0), len(line))
	to := min(col+nearby, len(line))
	if to < from {
		to = from
	}
	for _, s := range t.covered[i] {
		if s.to > from && s.from < to {
			hidden = append(hidden, span{max(s.from-from, 0), s.to - from})
		}
	}
	return line[from:to], hidden, from
}

// annotate fills in a finding's source line.
func (t *text) annotate(f Finding) Finding {
	if f.Brief || t.mute {
		return f
	}
	if _, ok := t.covered[f.Pos.Line-1]; t.name != f.Pos.File || !ok {
		return f
	}
	line, hidden, start := t.around(f.Pos.Line-1, f.Pos.Col-1)
	shown, caret, width := redact(line, hidden, f.Pos.Col-1-start, max(f.Width, 1))
	from := 0
	if len(shown) > showAtMost {
		from = min(max(caret-showAtMost/2, 0), len(shown)-showAtMost)
		cutEnd := from+showAtMost < len(shown) || start+len(line) < len(t.lines[f.Pos.Line-1])
		shown = slices.Clone(shown[from : from+showAtMost])
		if from > 0 || start > 0 {
			shown[0] = '…'
		}
		if cutEnd {
			shown[len(shown)-1] = '…'
		}
	}
	for i, r := range shown {
		if r != '\t' && !unicode.IsPrint(r) {
			shown[i] = unicode.ReplacementChar
		}
	}
	f.Line, f.Caret = string(shown), max(caret-from, 0)+1
	f.Width = max(1, min(width, len(shown)+1-f.Caret))
	return f
}

// redact replaces the spans, which are in order and do not overlap, and moves
// a mark of some width along.
func redact(line []rune, spans []span, col, width int) (shown []rune, caret, caretWidth int) {
	at := 0
	caret, caretWidth = col, width
	for _, s := range spans {
		to := min(s.to, len(line))
		if s.from >= to {
			continue
		}
		shown = append(shown, line[at:s.from]...)
		switch {
		case col >= to:
			caret += len(redacted) - (to - s.from)
		case col >= s.from:
			caret, caretWidth = len(shown), len(redacted)
		}
		shown = append(shown, []rune(redacted)...)
		at = to
	}
	return append(shown, line[at:]...), min(caret, len(shown)+len(line)-at), caretWidth
}

var (
	anyURL    = regexp.MustCompile(`(?i)https?://[^\s"',\]}]+`)
	secretKey = regexp.MustCompile(`(?i)["']?[\w-]*(?:url|token|secret|password|signing_key|whsec)[\w-]*["']?\s*:\s*\S`)
)

// hidden is what a shown line must not hold: known secrets, and every URL that
// is not known to be harmless, which catches those in comments.
func (t *text) hidden(i int, line []rune) []span {
	spans := slices.Clone(t.secret[i])
	s := string(line)
	at, col := 0, 0
	runes := func(b int) int {
		col += utf8.RuneCountInString(s[at:b])
		at = b
		return col
	}
	for _, m := range anyURL.FindAllStringIndex(s, -1) {
		from := runes(m[0])
		found := span{from, runes(m[1])}
		if !slices.ContainsFunc(t.public[i], func(p span) bool { return p.from <= found.from && found.from < p.to }) {
			spans = append(spans, found)
		}
	}
	if t.guarded {
		if from, ok := secretValue(s); ok {
			spans = append(spans, span{from, wholeLine})
		} else if t.underSecretKey(i) {
			spans = append(spans, span{indent(line), wholeLine})
		} else if colon := slices.Index(line, ':'); colon >= 0 && t.shortForm(i, colon+1) {
			spans = append(spans, span{colon + 1, wholeLine})
		}
	}
	return merge(spans)
}

var aVariable = regexp.MustCompile(`^["']?\$\{\w+\}["']?\s*(?:[,}\]#]|$)`)

// secretValue is the column at which the first value of a secret key begins
// that is no ${VAR}.
func secretValue(s string) (from int, ok bool) {
	for at := 0; ; {
		m := secretKey.FindStringIndex(s[at:])
		if m == nil {
			return 0, false
		}
		at += m[1] - 1
		if !aVariable.MatchString(s[at:]) {
			return utf8.RuneCountInString(s[:at]), true
		}
	}
}

var oneKey = regexp.MustCompile(`^[^:{\[]*:$`)

var shortForms = regexp.MustCompile(`^["']?(?:destinations?|sources?)["']?\s*:\s*(\{[^{}]*)?$`)

// shortForm tells whether a value may be a destination in its short form, or
// stands where a source does.
func (t *text) shortForm(i, col int) bool {
	line := t.line(i)
	before := strings.TrimSpace(string(line[:min(col, len(line))]))
	if shortForms.MatchString(before) {
		return true
	}
	if !oneKey.MatchString(before) {
		return false
	}
	for j := i - 1; j >= 0; j-- {
		if above := t.line(j); indent(above) < indent(line) && strings.TrimSpace(string(above)) != "" {
			return shortForms.MatchString(strings.TrimSpace(string(above)))
		}
	}
	return false
}

// underSecretKey tells whether the line continues the value of a secret key
// further up: as an item of a list, or of a text over several lines.
func (t *text) underSecretKey(i int) bool {
	depth := indent(t.line(i))
	for j := i - 1; j >= 0 && j > i-200; j-- {
		line := t.line(j)
		s := strings.TrimSpace(string(line))
		if s == "" || s[0] == '#' {
			continue
		}
		if secretKeyOnly.MatchString(s) && indent(line) <= depth {
			return true
		}
		if indent(line) < depth {
			depth = indent(line)
		} else if !strings.HasPrefix(s, "-") && strings.Contains(s, ":") {
			return false
		}
	}
	return false
}

var secretKeyOnly = regexp.MustCompile(`(?i)^(?:- )?["']?[\w-]*(?:url|token|secret|password|signing_key)[\w-]*["']?\s*:`)

func indent(line []rune) int {
	i := 0
	for i < len(line) && line[i] == ' ' {
		i++
	}
	return i
}

// merge sorts spans and joins those that overlap.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.from < out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}
