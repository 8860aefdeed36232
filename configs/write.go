package configs

import (
	"fmt"
	"io"
	"strings"
)

// WriteText prints findings for people: the place and the sentence, the source
// line with a caret below it, and the hint.
func WriteText(w io.Writer, fs []Finding) error {
	for _, f := range fs {
		if _, err := io.WriteString(w, f.Text()); err != nil {
			return fmt.Errorf("write findings: %w", err)
		}
	}
	return nil
}

// Text is the finding for people, over one to four lines.
func (f Finding) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s\n", f.Pos, f.Severity, f.Message)
	if f.Brief && f.Hint != "" {
		return fmt.Sprintf("%s: %s: %s; %s\n", f.Pos, f.Severity, f.Message, f.Hint)
	}
	if f.Line != "" {
		fmt.Fprintf(&b, "%s\n%s%s\n", f.Line, blank(f.Line, f.Caret-1), strings.Repeat("^", max(f.Width, 1)))
	}
	if f.Hint != "" {
		fmt.Fprintf(&b, "hint: %s\n", f.Hint)
	}
	return b.String()
}

// blank is the first characters of a line as spaces, tabs left as they are, so
// that what comes after stands below the next one.
func blank(line string, n int) string {
	var b strings.Builder
	for _, r := range line {
		if n--; n < 0 {
			break
		}
		switch {
		case r == '\t':
		case wide(r):
			r = '\u3000' // a space as wide as such a character
		default:
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// wide tells of characters that terminals show two cells wide: the bulk of
// East Asian scripts and emoji (Unicode Standard Annex 11).
func wide(r rune) bool {
	for _, w := range [][2]rune{
		{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
		{0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f9ff}, {0x20000, 0x3fffd},
	} {
		if w[0] <= r && r <= w[1] {
			return true
		}
	}
	return false
}
