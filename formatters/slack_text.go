package formatters

import (
	"bytes"
	"strings"
)

// appendSlack writes text that holds no markup.
func appendSlack[T string | []byte](dst []byte, s T) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// zeroWidth (U+200B ZERO WIDTH SPACE) beside a mark keeps Slack from reading
// it as one; there is no other way to write it.
const zeroWidth = "\u200b"

// lookalike (U+02CB MODIFIER LETTER GRAVE ACCENT) stands for a backtick, which
// starts code wherever it is.
const lookalike = "\u02cb"

// text writes a piece of text. What was escaped in Markdown must not be taken
// for markup; what was not, like the colons of an emoji, stays as it is.
func (s *slackWriter) text(seg []byte) {
	for i := 0; i < len(seg); i++ {
		switch c := seg[i]; {
		case c == '\\' && i+1 < len(seg) && isPunct(seg[i+1]):
			i++
			s.literal(string(seg[i]), seg[i+1:])
		case c == '&':
			char, n := charReference(string(seg[i:min(len(seg), i+40)]))
			if n == 0 {
				s.buf = append(s.buf, "&amp;"...)
				continue
			}
			s.literal(char, seg[i+n:])
			i += n - 1
		case c == '<':
			if n := slackMentionLength(seg[i:]); n > 0 {
				s.buf = append(s.buf, seg[i:i+n]...)
				i += n - 1
				continue
			}
			s.buf = append(s.buf, "&lt;"...)
		case c == '>':
			s.buf = append(s.buf, "&gt;"...)
		default:
			s.buf = append(s.buf, c)
		}
	}
}

// literal writes a character that stands for itself; rest is what follows.
func (s *slackWriter) literal(c string, rest []byte) {
	switch c {
	case "*", "_", "~":
		s.buf = append(append(append(s.buf, zeroWidth...), c...), zeroWidth...)
	case "`":
		s.buf = append(s.buf, lookalike...)
	case ">":
		s.buf = append(append(s.buf, zeroWidth...), "&gt;"...)
	case ":":
		s.buf = append(s.buf, ':')
		if !bytes.HasPrefix(rest, []byte("//")) {
			s.buf = append(s.buf, zeroWidth...)
		}
	default:
		s.buf = appendSlack(s.buf, c)
	}
}

// slackMentionLength is the length of the mention that starts s, as the relay
// or a template's author wrote it: <@U02ABC>, <!here>, <!subteam^S1>. Text from
// GitLab holds none, because its < is written &lt;.
func slackMentionLength(s []byte) int {
	end := bytes.IndexByte(s[:min(len(s), 64)], '>')
	if end < 0 {
		return 0
	}
	word := string(s[1:end])
	id, ok := strings.CutPrefix(word, "@")
	if !ok {
		id, ok = strings.CutPrefix(word, "!subteam^")
	}
	switch {
	case word == "!here", word == "!channel", word == "!everyone", ok && isSlackID(id):
		return end + 1
	}
	return 0
}

// isSlackID tells whether s is one of Slack's ids: capital letters and digits.
func isSlackID(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && (s[i] < 'A' || s[i] > 'Z') {
			return false
		}
	}
	return s != ""
}
