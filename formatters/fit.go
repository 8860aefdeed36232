package formatters

import (
	"strings"
	"unicode/utf8"
)

// limit is how much a receiver takes of a text.
type limit struct {
	most  int
	cost  func(rune) int
	slack bool // the text is Slack's mrkdwn
}

var (
	mattermostText = limit{most: maxMattermostText, cost: oneEach}
	slackText      = limit{most: maxSlackText, cost: oneEach, slack: true}
)

func (l limit) of(s string) int { return costOf(s, l.cost) }

// more is what tells that something was cut off, with a link to the whole.
func (l limit) more(url string) string {
	link := linkTo("read on", url)
	if link == "read on" {
		return "…"
	}
	if l.slack {
		link = "<" + string(appendSlack(nil, safeURL(url))) + "|read on>"
	}
	if link = "… " + link; l.of(link)*4 > l.most {
		return "…"
	}
	return link
}

// fit cuts a message to a limit: at the end of a line, or in it if much would
// be lost otherwise. It closes code fences, keeps links whole, and tells where
// to read on.
func fit(s string, l limit, url string) string {
	if len(s)*6 <= l.most || l.of(s) <= l.most {
		return s
	}
	f := fitted{limit: l, end: l.more(url)}
	for line := range strings.SplitSeq(s, "\n") {
		if !f.add(line) {
			break
		}
	}
	return f.String()
}

// fitted is the part of a message that fits.
type fitted struct {
	limit
	end string // what tells that there is more

	lines          []string
	used           int
	fence, closing string // of the code that is open
	inLine         bool   // the last line is cut
}

// add adds a line; it returns false if only a part of it fits, or nothing.
func (f *fitted) add(line string) bool {
	next, closing := nextFence(f.fence, line), f.closing
	switch {
	case next == "":
		closing = ""
	case f.fence == "":
		closing = closingLine(line, next)
	}
	need := f.of(line) + f.cost('\n')
	if f.used+need+f.of(f.tail(line, closing)) <= f.most {
		f.lines, f.used = append(f.lines, line), f.used+need
		f.fence, f.closing = next, closing
		return true
	}
	switch {
	case f.fence != "" && next != "":
		f.addPart(f.code(line, f.most-f.used-f.of("\n"+f.tail(line, closing))), false)
	case f.fence == "" && next == "" && !isRow(line):
		f.addPart(f.text(line, f.most-f.used-f.of(f.rest())), true)
	}
	return false
}

// addPart adds the start of a line, unless that says next to nothing.
func (f *fitted) addPart(part string, inLine bool) {
	if len(f.lines) > 0 && !longerThan(part, longWord) || part == "" {
		return
	}
	f.lines, f.inLine = append(f.lines, part), inLine
}

// tail is what follows the last line, if that is whole: the marks that close its
// fence, and what tells that there is more, on a line of its own in the same
// quote.
func (f *fitted) tail(last, closing string) string {
	marks, out := quoteMarks(last), ""
	if closing != "" {
		out = closing + "\n"
	}
	if isRow(last) {
		out += strings.TrimRight(marks, " ") + "\n" // a table would take the line for a row
	}
	return out + marks + f.end
}

// rest is what follows a line that is cut.
func (f *fitted) rest() string {
	if f.end == "…" {
		return f.end
	}
	return " " + f.end
}

func (f *fitted) String() string {
	if len(f.lines) == 0 {
		return f.end
	}
	out := strings.Join(f.lines, "\n")
	if f.inLine {
		return out + f.rest()
	}
	return out + "\n" + f.tail(f.lines[len(f.lines)-1], f.closing)
}

// isRow tells whether a line is a row of a table.
func isRow(line string) bool { return strings.HasPrefix(line[blockMarks(line):], "|") }

// quoteMarks are the marks of the quotes that a line stands in.
func quoteMarks(line string) string {
	if !strings.HasPrefix(line, ">") {
		return ""
	}
	n := 0
	for n < len(line) && line[n] == '>' {
		if n++; n < len(line) && line[n] == ' ' {
			n++
		}
	}
	return line[:n]
}

// closingLine is the line that closes the fence that line l opens: behind the
// same quotes, and as far in as the list that it stands in.
func closingLine(l, fence string) string {
	b := make([]byte, 0, len(l))
	for _, r := range l[:blockMarks(l)] {
		if r != '>' {
			r = ' '
		}
		b = append(b, byte(r))
	}
	return string(append(b, fence...))
}

// code is the start of a line of code.
func (l limit) code(line string, room int) string {
	used := 0
	for i, r := range line {
		if used += l.cost(r); used > room {
			line = line[:i]
			break
		}
	}
	if amp := strings.LastIndexByte(line, '&'); l.slack && amp >= 0 && amp > len(line)-len("&amp;") && !strings.Contains(line[amp:], ";") {
		line = line[:amp]
	}
	return line
}

// text is the start of a line of text: whole words, if they are not long. What
// is bold or the like is closed.
func (l limit) text(line string, room int) string {
	c := cutter{limit: l, line: line, room: room - strings.Count(line, isolate)*l.cost('\u2069')}
	c.run()
	cut := c.far
	if c.space.at > 0 && !longerThan(line[c.space.at:c.far.at], longWord) {
		cut = c.space
	}
	part := strings.TrimRight(line[:cut.at], " ")
	if c.rest != "" {
		part = line[:c.far.at] + c.rest
		cut = c.far
	}
	if part == "" || part == strings.TrimRight(quoteMarks(line), " ") {
		return l.plain(line, room)
	}
	for n := len(cut.open); n > 0; n-- {
		mark := cut.open[n-1]
		if bare, ok := strings.CutSuffix(part, mark); ok && c.rest == "" { // nothing stands in it
			part = strings.TrimRight(bare, " ")
			continue
		}
		part += mark
	}
	for n := strings.Count(part, isolate) - strings.Count(part, isolateEnd); n > 0; n-- {
		part += isolateEnd
	}
	return part
}

// plain is the start of a line as people read it, for one that begins with a
// link too long to keep.
func (l limit) plain(line string, room int) string {
	if l.slack {
		return ""
	}
	s := Text(plainText(line))
	for n := room; n > 0; n -= 1 + n/4 {
		if out := Text(cutEnd(string(s), n+1)).String(); l.of(strings.TrimSuffix(out, "…")) <= room {
			return strings.TrimSuffix(out, "…")
		}
	}
	return ""
}

// place is where a line may be cut, and which marks are open there.
type place struct {
	at   int
	open []string
}

// cutter goes through a line of finished Markdown or mrkdwn as far as there is
// room.
type cutter struct {
	limit
	line string
	room int

	far, space place  // as far as it came, and the last space before that
	rest       string // what follows far: the start of code or of a link
	lost       int    // brackets that nothing closes
}

func (c *cutter) run() {
	used, open := 0, []string(nil)
	for i := 0; i < len(c.line); {
		n := c.token(i)
		token := c.line[i : i+n]
		closers := c.of(strings.Join(open, ""))
		if used+c.of(token)+closers+c.of(token)*c.opens(i, n, open) > c.room {
			c.split(token, c.room-used-closers)
			return
		}
		used += c.of(token)
		switch {
		case len(open) > 0 && open[len(open)-1] == token:
			open = open[: len(open)-1 : len(open)-1]
		case c.opens(i, n, open) > 0:
			open = append(open[:len(open):len(open)], token)
		}
		if i += n; token == " " {
			c.space = place{i, open}
		}
		c.far = place{i, open}
	}
}

// token is the length of what stands together at line[i:].
func (c *cutter) token(i int) int {
	s := c.line[i:]
	_, size := utf8.DecodeRuneInString(s)
	switch ch := s[0]; {
	case ch == '`':
		return codeLength(s)
	case ch == '\\' && !c.slack && len(s) > 1 && isPunct(s[1]):
		return 2
	case ch == '&':
		if _, n := charReference(s); n > 0 {
			return n
		}
	case ch == '[' && !c.slack:
		return c.link(s)
	case ch == '<':
		if n := strings.IndexByte(s, '>'); n > 0 {
			return n + 1
		}
	case ch == '*' || ch == '_' || ch == '~':
		return len(s) - len(strings.TrimLeft(s, s[:1]))
	case c.slack && strings.HasPrefix(s, zeroWidth) && len(s) > 2*len(zeroWidth) && strings.HasPrefix(s[len(zeroWidth)+1:], zeroWidth):
		return 2*len(zeroWidth) + 1 // a mark that is none
	}
	return size
}

// link is the length of the link that starts s, or of its bracket. Brackets that
// nothing closes are looked at a few times only, because each is looked for up
// to the end.
func (c *cutter) link(s string) int {
	if c.lost < 20 {
		n := linkLength(s)
		if n > 0 {
			return n
		}
		if n < 0 {
			c.lost++
		}
	}
	return 1
}

// opens is 1 if a mark of emphasis opens at line[i:i+n], else 0.
func (c *cutter) opens(i, n int, open []string) int {
	mark := c.line[i : i+n]
	if strings.Trim(mark, mark[:1]) != "" || strings.IndexByte("*_~", mark[0]) < 0 || mark == "~" && !c.slack || n > 3 {
		return 0
	}
	for _, m := range open {
		if m == mark {
			return 0
		}
	}
	if i+n == len(c.line) || c.line[i+n] == ' ' || i > 0 && isAlnum(c.line[i-1]) {
		return 0
	}
	return 1
}

// split keeps the start of a code span, or of a link's text, that does not fit,
// if there is room for much of it.
func (c *cutter) split(token string, room int) {
	var before, inside, after string
	marks := token[:len(token)-len(strings.TrimLeft(token, "`"))]
	switch {
	case marks != "" && marks != token:
		before, inside, after = marks, strings.Trim(token, "`"), marks
		if len(marks) > 1 {
			after = " " + marks
		}
	case c.slack && token[0] == '<':
		url, text, _ := strings.Cut(strings.TrimSuffix(token, ">"), "|")
		before, inside, after = url+"|", text, ">"
	case !c.slack && strings.HasPrefix(token, "["):
		end := strings.LastIndex(token, "](")
		before, inside, after = "[", token[1:max(1, end)], token[max(1, end):]
	}
	if room -= c.of(before + after); inside == "" || room < longWord {
		return
	}
	if part := c.start(inside, room, before == "["); strings.TrimSpace(part) != "" {
		c.rest, c.space = before+part+after, place{}
	}
}

// start is the start of what stands in code or, as people read it, in a link.
func (c *cutter) start(inside string, room int, link bool) string {
	if !link {
		return strings.TrimRight(c.code(inside, room), " ")
	}
	for n := room; n > 0; n -= 1 + n/4 {
		if part := inLinkText(c.plain(inside, n)); c.of(part) <= room {
			return part
		}
	}
	return ""
}

// linkLength is the length of the link that starts s, [text](address); 0 if it
// is none, -1 if its text does not end.
func linkLength(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '`':
			i += codeLength(s[i:]) - 1
		case '[':
			depth++
		case ']':
			if depth--; depth > 0 {
				continue
			}
			if !strings.HasPrefix(s[i+1:], "(") {
				return 0
			}
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				return 0
			}
			return i + end + 1
		}
	}
	return -1
}
