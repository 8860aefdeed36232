package formatters

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// URL is an address that came from GitLab. Printing it gives an address that
// Markdown shows and links as itself, or nothing if it is not safe to follow.
type URL string

// String is the address, made safe.
func (u URL) String() string { return safeURL(string(u)) }

// followable is safeURL for an address that somebody typed, which may be no
// address at all.
func followable(s string) string {
	s = safeURL(s)
	u, err := url.Parse(s)
	if err != nil || u.Host == "" && u.Opaque == "" {
		return ""
	}
	return s
}

// maxURL is the length in bytes beyond which an address is not linked: the
// longest that chat clients and browsers reliably follow.
const maxURL = 2048

// safeURL returns an http, https or mailto address with everything
// percent-encoded that means something to Markdown or to Slack's link form, or
// "" for any other address.
func safeURL(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxURL || !hasSafeScheme(s) || !utf8.ValidString(s) {
		return ""
	}
	if cleanURL(s) {
		return s
	}
	host := authority(s)
	if !safeAuthority(host) {
		return "" // nothing can be encoded there
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	b = append(b, host...)
	for i, r := range s {
		if i < len(host) {
			continue
		}
		if keepInURL(r) && (r != '%' || isEncoded(s[i:])) && (r != ';' || !endsReference(s[:i+1])) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, c := range []byte(s[i : i+utf8.RuneLen(r)]) {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	if len(b) > maxURL {
		return ""
	}
	return string(b)
}

// safeAuthority tells whether the part of an address up to its path can stand as
// it is. Brackets stand around an IPv6 address only.
func safeAuthority(s string) bool {
	for _, r := range s {
		if !keepInURL(r) && r != '[' && r != ']' || r == '%' || r == '&' || r == ';' {
			return false
		}
	}
	if !strings.ContainsAny(s, "[]") {
		return true
	}
	_, err := url.Parse(s)
	return err == nil && strings.Contains(s, "://[") && strings.Count(s, "[") == 1 && strings.Count(s, "]") == 1
}

func hasSafeScheme(s string) bool {
	for _, scheme := range [...]string{"https://", "http://", "mailto:"} {
		if len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// authority is the part of an address that says where it leads, up to its path.
func authority(s string) string {
	if i := strings.Index(s, "//"); i >= 0 {
		if j := strings.IndexAny(s[i+2:], "/?#"); j >= 0 {
			return s[:i+2+j]
		}
	}
	return s
}

func cleanURL(s string) bool {
	for i := range len(s) {
		if !cleanInURL[s[i]] {
			return false
		}
	}
	return true
}

// cleanInURL are the bytes that stand in an address as they are, wherever.
var cleanInURL = func() (clean [256]bool) {
	for c := range byte(utf8.RuneSelf) {
		clean[c] = c != '%' && c != ';' && keepInURL(rune(c))
	}
	return clean
}()

// endsReference tells whether a semicolon ends a character reference, which
// Markdown would decode.
func endsReference(s string) bool {
	i := strings.LastIndexByte(s, '&')
	if i < 0 {
		return false
	}
	_, n := charReference(s[i:])
	return n == len(s)-i
}

// isEncoded tells whether s starts with a percent-encoded byte.
func isEncoded(s string) bool { return len(s) > 2 && isHex(s[1]) && isHex(s[2]) }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func keepInURL(r rune) bool {
	switch r {
	case '"', '<', '>', '\\', '^', '`', '{', '|', '}', '(', ')', '[', ']', '*', '\'':
		return false
	}
	if r < utf8.RuneSelf {
		return r > ' ' && r < 0x7f
	}
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unwanted(r)
}

// linkTo writes a link with finished Markdown as its text. Without a safe
// address it is the text alone.
func linkTo(text, to string) string {
	to = safeURL(to)
	if to == "" || text == "" {
		return text
	}
	return "[" + inLinkText(text) + "](" + to + ")"
}

// inLinkText writes the escaped brackets of a link's text as character
// references: renderers differ on where a text ends that holds brackets.
func inLinkText(s string) string {
	if !strings.Contains(s, `\[`) {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '`':
			n := codeLength(s[i:])
			b = append(b, s[i:i+n]...)
			i += n - 1
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case s[i+1] == '[':
			b = append(b, "&#91;"...)
			i++
		default:
			b = append(b, s[i], s[i+1])
			i++
		}
	}
	return string(b)
}

// codeLength is the length of the code span that starts s; of the backticks
// alone if nothing closes it.
func codeLength(s string) int {
	n := len(s) - len(strings.TrimLeft(s, "`"))
	for i := n; i < len(s); {
		if s[i] != '`' {
			i++
			continue
		}
		run := len(s[i:]) - len(strings.TrimLeft(s[i:], "`"))
		if i += run; run == n {
			return i
		}
	}
	return n
}

// pathEscape escapes a ref or a path for the path of a URL, keeping its
// slashes.
func pathEscape(s string) string { return percentEscape(s, plainPath) }

// queryEscape escapes a value for the query of a URL.
func queryEscape(s string) string { return percentEscape(s, plainQuery) }

func percentEscape(s string, plain func(byte) bool) string {
	clean := true
	for i := range len(s) {
		if !plain(s[i]) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func plainPath(c byte) bool { return c == '/' || plainQuery(c) }

func plainQuery(c byte) bool {
	return isAlnum(c) || c == '-' || c == '_' || c == '.' || c == '~'
}
