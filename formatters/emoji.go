package formatters

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark-emoji/definition"
)

// emojiNamed is the character of GitLab's emoji of that name, which are those of
// GitHub; "" for an unknown name, such as that of an emoji which people have
// uploaded.
func emojiNamed(name string) string {
	e, ok := definition.Github().Get(name)
	if !ok || !e.IsUnicode() {
		return ""
	}
	return string(e.Unicode)
}

// maxEmojiName is longer than the longest name, in bytes.
const maxEmojiName = 64

// emojiAt finds the emoji that s[i:] starts with, ":tada:", and returns its
// character and the length of what was written. GitLab takes one only where no
// letter, digit or colon touches it (lib/banzai/filter/emoji_filter.rb), and
// none whose colon is [escaped].
func emojiAt(s string, i int) (char string, length int) {
	rest := s[i+1:]
	n := strings.IndexByte(rest[:min(len(rest), maxEmojiName)], ':')
	if n < 1 || !emojiName.MatchString(rest[:n]) {
		return "", 0
	}
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	after, _ := utf8.DecodeRuneInString(rest[n+1:])
	if touchesEmoji(before) || touchesEmoji(after) {
		return "", 0
	}
	if char = emojiNamed(rest[:n]); char == "" {
		return "", 0
	}
	return char, n + len("::")
}

// withEmoji replaces the names of emoji by their characters.
func withEmoji(s string) string {
	var b strings.Builder
	done := 0
	for i := strings.IndexByte(s, ':'); i >= 0 && i < len(s); i++ {
		if s[i] != ':' {
			continue
		}
		if char, n := emojiAt(s, i); n > 0 {
			b.WriteString(s[done:i])
			b.WriteString(char)
			done = i + n
			i = done - 1
		}
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

func touchesEmoji(r rune) bool {
	return r == ':' || r == 0 || unicode.IsLetter(r) || unicode.IsDigit(r)
}

var emojiName = regexp.MustCompile(`^[a-z0-9+-](?:[a-z0-9_+-]{0,62}[a-z0-9+-])?$`)

// emoji is the emoji of that name. An unknown name stays between its colons:
// the chat may have it.
func emoji(v any) Markdown {
	s := plainOf(v)
	if char := emojiNamed(s); char != "" {
		return Markdown(char)
	}
	if !emojiName.MatchString(s) {
		return Markdown(Text(cutEnd(oneLine(s), maxName)).String())
	}
	return Markdown(":" + s + ":")
}
