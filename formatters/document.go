package formatters

import (
	"path"
	"strconv"
	"strings"

	"github.com/gitlab-mattermost/relay/events"
)

// Document is a long text that somebody wrote in GitLab's Markdown: a
// description, a comment, release notes. It is shown by quote or prose; printed
// alone it is one line of text.
type Document struct {
	raw      string
	at       *events.Project // what its links and references are relative to
	audience *audience       // whom it may mention; nil: nobody

	oldUploads bool // as in [setting]
}

// document returns nil for a text without anything to see.
func document(raw string, at *events.Project) *Document {
	if blank(raw) {
		return nil
	}
	return &Document{raw: raw, at: at}
}

// What is read of a document, which is far more than a message shows of one.
// The parser's time grows faster than its input where brackets, emphasis or
// quotes are opened and never closed, so these are counted.
const (
	maxParsed   = 16 << 10 // bytes
	maxBrackets = 300
	maxMarks    = 1000
	maxNested   = 12 // quotes and lists in each other, at the start of one line
)

// String is the document's source as one line of text.
func (d *Document) String() string {
	if d == nil {
		return ""
	}
	return Text(d.raw[:min(len(d.raw), maxParsed)]).String()
}

// head returns what is read of the document, and whether that is all.
func (d *Document) head() (string, bool) {
	s := d.raw
	if len(s) > maxParsed {
		s = s[:maxParsed]
	}
	brackets, marks := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '[':
			brackets++
		case '*', '_', '~':
			marks++
		}
		if brackets > maxBrackets || marks > maxMarks {
			s = s[:i]
			break
		}
	}
	if len(s) == len(d.raw) {
		return flatten(s), true
	}
	// Whole lines, unless that leaves out a long one: then whole words.
	i := strings.LastIndexByte(s, '\n')
	if i < len(s)*3/4 {
		i = strings.LastIndexByte(s, ' ')
	}
	if i >= len(s)*3/4 {
		s = s[:i]
	}
	return flatten(strings.ToValidUTF8(s, "")), false
}

// flatten takes out the marks of quotes and lists that are nested too deep to
// be seen.
func flatten(s string) string {
	if len(s) < 2*maxNested {
		return s
	}
	var b strings.Builder
	kept := 0
	for at := 0; at < len(s); {
		from, to := surplusMarks(s, at)
		if from < to {
			b.WriteString(s[kept:from])
			kept = to
		}
		next := strings.IndexByte(s[to:], '\n')
		if next < 0 {
			break
		}
		at = to + next + 1
	}
	if kept == 0 {
		return s
	}
	b.WriteString(s[kept:])
	return b.String()
}

// surplusMarks finds the marks at the start of the line at s[at:] beyond those
// that are kept.
func surplusMarks(s string, at int) (from, to int) {
	marks, i := 0, at
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '>' || c == '-' || c == '+' || c == '*' || c == '.' || c == ')':
			if marks++; marks == maxNested {
				from = i
			}
		case c == ' ' || c == '\t' || isDigit(c):
		default:
			if marks <= maxNested {
				return i, i
			}
			return from, i
		}
	}
	if marks <= maxNested {
		return i, i
	}
	return from, i
}

// Plain returns the document if it is one line without any markup, at most n
// characters long, and otherwise "". Such a comment can stand in a sentence.
func (d *Document) Plain(n int) Text {
	if d == nil || len(d.raw) > 8*n {
		return ""
	}
	s := strings.TrimSpace(d.raw)
	if strings.ContainsAny(s, "\n\r") || longerThan(s, n) || !plainLine(s) {
		return ""
	}
	return Text(s)
}

// plainLine tells whether a line means the same with and without Markdown, but
// for references.
func plainLine(s string) bool {
	return !strings.ContainsAny(s, "\\`*_[]<>&~|$\t") && !awkwardStart(s) &&
		!strings.Contains(s, "://") && !strings.Contains(s, "www.") && !strings.Contains(s, "  ")
}

// line writes a plain line of the document as Markdown, with the references and
// mentions in it.
func (d *Document) line(s string) string {
	if _, ok := nextReference(s, 0, d.at); !ok {
		return Text(s).String()
	}
	w := writer{at: d.at, audience: d.audience, limit: extent{lines: 1}}
	w.room = 2 * len(s) // a mention may be longer
	if rightToLeft(s) {
		w.buf = append(w.buf, isolate...)
	}
	w.prose(s)
	if rightToLeft(s) {
		w.buf = append(w.buf, isolateEnd...)
	}
	return string(w.buf)
}

// idUploads is the GitLab whose addresses of uploaded files hold the project's
// number. GitLab 17.1 began to write them so (merge request 150939), and what is
// uploaded to 17.2 and later has no other address (156939). GitLab 16 and older
// know only the address below the project's page.
const idUploads = 17

// absolute makes a link of GitLab's Markdown one that works elsewhere, or
// returns "" for one that cannot.
func (w *writer) absolute(dest string) string {
	if at := w.at; at != nil && at.ID != 0 && at.Base() != "" && !w.oldUploads && strings.HasPrefix(dest, "/uploads/") {
		return at.Base() + "/-/project/" + strconv.FormatInt(at.ID, 10) + dest
	}
	return absolute(dest, w.at)
}

// absolute is the address of a link, whatever the version of the GitLab.
func absolute(dest string, at *events.Project) string {
	switch {
	case dest == "" || dest[0] == '#':
		return ""
	case hasSafeScheme(dest):
		return dest
	case strings.HasPrefix(dest, "//"):
		return "https:" + dest
	case hasScheme(dest) || at == nil || at.URL == "":
		return ""
	case strings.HasPrefix(dest, "/uploads/"):
		return at.URL + dest
	case dest[0] == '/':
		if at.Base() == "" {
			return ""
		}
		return at.Base() + dest
	case at.DefaultBranch == "":
		return ""
	}
	file, rest, _ := strings.Cut(dest, "#")
	if rest != "" {
		rest = "#" + rest
	}
	return at.URL + "/-/blob/" + pathEscape(at.DefaultBranch) + path.Clean("/"+file) + rest
}

// hasScheme tells whether an address starts with a scheme (RFC 3986, 3.1).
func hasScheme(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c):
		case i > 0 && (isDigit(c) || c == '+' || c == '.' || c == '-'):
		default:
			return i > 0 && c == ':'
		}
	}
	return false
}
