package formatters

import (
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
)

// message is what the templates wrote: Mattermost Markdown.
type message struct {
	headline string
	body     string
	color    string // only with a body
	layout   string // as in [configs.Look]
	url      string // where to read what is cut off
	whole    string // headline and body, once it is finished
}

func (m message) markdown() string {
	if m.body == "" {
		return m.headline
	}
	if m.whole != "" {
		return m.whole
	}
	return m.headline + "\n" + m.body
}

// isCard tells whether the body is sent as an attachment.
func (m message) isCard() bool {
	switch m.layout {
	case configs.LayoutPlain:
		return false
	case configs.LayoutCard:
		return m.body != ""
	}
	return m.color != "" && m.body != ""
}

// reduce leaves out what a look does not want to see.
func (m *message) reduce(look configs.Look) {
	m.layout = look.Layout
	switch look.Detail {
	case configs.DetailTitle:
		m.body = ""
	case configs.DetailBrief:
		m.body = withoutQuotes(m.body)
	}
}

// withoutQuotes is a body without the lines that are quotes.
func withoutQuotes(body string) string {
	var kept []string
	fence := ""
	for l := range strings.SplitSeq(body, "\n") {
		if fence == "" && strings.HasPrefix(strings.TrimLeft(l, " "), ">") {
			continue
		}
		fence = nextFence(fence, l)
		kept = append(kept, l)
	}
	return tidyBody(strings.Join(kept, "\n"))
}

// withoutQuoteMarks is the body of a card, whose frame tells already that it is
// quoted. A blank line keeps what was a quote apart from what stands before it.
func withoutQuoteMarks(body string) string {
	if !strings.Contains(body, ">") {
		return body
	}
	var kept []string
	fence, quote := "", false
	for l := range strings.SplitSeq(body, "\n") {
		isQuote := strings.HasPrefix(l, ">") && (fence == "" || quote)
		if isQuote && !quote && len(kept) > 0 && kept[len(kept)-1] != "" {
			kept = append(kept, "")
		}
		fence = nextFence(fence, l)
		if quote = isQuote; quote {
			l = strings.TrimPrefix(l[1:], " ")
		}
		kept = append(kept, l)
	}
	return strings.Join(kept, "\n")
}

// finish makes the last changes, for which whole lines are needed.
func (m *message) finish() {
	m.headline = markDirection(widenPipes(m.headline))
	if m.isCard() {
		m.body = widenAllPipes(withoutQuoteMarks(m.body))
	}
	m.body = markDirection(widenPipes(m.body))
	m.whole = m.markdown()
}

// lateAfter is how long after its webhook a message is posted that says so.
const lateAfter = 10 * time.Minute

// lateness is what a headline ends with if the message is posted late: "
// (posted 2 h late)".
func lateness(r Request) string {
	if r.Now.IsZero() || r.Received.IsZero() {
		return ""
	}
	age := r.Now.Sub(r.Received)
	if age <= lateAfter {
		return ""
	}
	return " (posted " + roughly(age) + " late)"
}

// foldLines makes one line of a template's output.
func foldLines(s string) string {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, "\n\r") {
		return s
	}
	lines := strings.Split(s, "\n")
	kept := lines[:0]
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, " ")
}

// tidyBody drops blank lines at the ends, runs of them, and spaces at the ends
// of lines; and it ends every quote, which would otherwise swallow the next
// line. Code stays as it is.
func tidyBody(s string) string {
	if strings.TrimSpace(s) == "" {
		return ""
	}
	var out strings.Builder
	out.Grow(len(s) + 4)
	fence, blank, quote := "", false, false
	for l := range strings.SplitSeq(s, "\n") {
		inFence := fence != ""
		fence = nextFence(fence, l)
		if !inFence {
			l = strings.TrimRight(l, " \t\r")
		}
		if l == "" && !inFence {
			blank = out.Len() > 0
			continue
		}
		isQuote := strings.HasPrefix(strings.TrimLeft(l, " "), ">")
		if blank || quote && !isQuote {
			out.WriteByte('\n')
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(l)
		blank, quote = false, isQuote
	}
	return out.String()
}

// nextFence returns the marks of the code fence that is open after a line,
// given those open before it; "" for none.
func nextFence(open, line string) string {
	line = line[blockMarks(line):]
	if line == "" || line[0] != '`' && line[0] != '~' {
		return open
	}
	mark, n := line[0], 1
	for n < len(line) && line[n] == mark {
		n++
	}
	rest := line[n:]
	switch {
	case n < 3:
		return open
	case open == "":
		if mark == '`' && strings.Contains(rest, "`") {
			return ""
		}
		return line[:n]
	case mark == open[0] && n >= len(open) && strings.TrimSpace(rest) == "":
		return ""
	}
	return open
}

// markDirection starts every line that holds right-to-left text with a
// left-to-right mark, behind what makes the line a quote, a list or a heading,
// and behind the marks of emphasis: these count only at the start of a word.
// Every cell of a table has its own direction.
func markDirection(s string) string {
	if !rightToLeft(s) {
		return s
	}
	lines := strings.Split(s, "\n")
	fence := ""
	for i, l := range lines {
		inFence := fence != ""
		fence = nextFence(fence, l)
		if inFence || fence != "" || !rightToLeft(l) {
			continue
		}
		rest := l[blockMarks(l):]
		if strings.HasPrefix(rest, "|") {
			continue
		}
		if text := strings.TrimLeft(rest, "#"); strings.HasPrefix(text, " ") {
			rest = text[1:]
		}
		rest = strings.TrimLeft(rest, "*_~")
		lines[i] = l[:len(l)-len(rest)] + ltrMark + rest
	}
	return strings.Join(lines, "\n")
}

// blockMarks is the length of the marks of quotes and lists that start a line.
func blockMarks(l string) int {
	n := 0
	for n < len(l) {
		rest := l[n:]
		switch {
		case rest[0] == ' ' || rest[0] == '>':
			n++
		case strings.HasPrefix(rest, "- [ ] "), strings.HasPrefix(rest, "- [x] "):
			n += len("- [ ] ")
		case strings.HasPrefix(rest, "- "), strings.HasPrefix(rest, "* "), strings.HasPrefix(rest, "+ "):
			n += len("- ")
		case strings.HasPrefix(rest, slackBullet):
			n += len(slackBullet)
		case listNumber(rest) > 0:
			n += listNumber(rest) + 1
		default:
			return n
		}
	}
	return n
}
