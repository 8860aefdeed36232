package formatters

import (
	"regexp"
	"strings"
)

// codeSpan writes s as code on one line. The backticks around it are more than
// any run of them inside (CommonMark 6.1), because nothing escapes inside code.
func codeSpan(s string) string {
	s = inCode(oneLine(s))
	if s == "" {
		return ""
	}
	n := longestRun(s, '`') + 1
	if n == 1 {
		return "`" + s + "`"
	}
	marks := strings.Repeat("`", n)
	return marks + " " + s + " " + marks
}

// maxBackticks is the longest run of backticks that is kept; longer ones would
// need marks longer than the code.
const maxBackticks = 8

// inCode defuses what Mattermost rewrites even inside code before it reads any
// Markdown (server app/slack.go, model/message_attachment.go): <url|text>,
// <!channel> and <@id>. Nothing can be escaped there, so the characters
// themselves change.
func inCode(s string) string {
	if strings.Contains(s, "``") && longestRun(s, '`') > maxBackticks {
		s = tooManyBackticks.ReplaceAllString(s, strings.Repeat("`", maxBackticks))
	}
	if !strings.Contains(s, "<") {
		return s
	}
	s = slackMention.ReplaceAllString(s, "<"+joiner+"$1")
	return widenPipes(s)
}

var (
	tooManyBackticks = regexp.MustCompile("`{9,}")
	slackMention     = regexp.MustCompile(`(?i)<(!(?:channel|here|all|everyone|subteam)|[@#]\w)`)
)

// widenPipes replaces the bar of every <a|b> on one line by one that looks like
// it, U+2502.
// It is also run over finished messages, where < and > may come from different
// pieces of code.
func widenPipes(s string) string {
	if !strings.Contains(s, "<") || !strings.Contains(s, "|") {
		return s
	}
	var b strings.Builder
	for line := range strings.SplitAfterSeq(s, "\n") {
		b.WriteString(widen(line, true))
	}
	return b.String()
}

// widenAllPipes is widenPipes for the text of attachments, where <a|b> may span
// lines, and > may stand in a.
func widenAllPipes(s string) string {
	if !strings.Contains(s, "<") || !strings.Contains(s, "|") {
		return s
	}
	return widen(s, false)
}

// widen replaces the bars between a < and the last >; closed says that a > ends
// what the < began.
func widen(s string, closed bool) string {
	last := strings.LastIndexByte(s, '>')
	if last < 0 {
		return s
	}
	b := make([]byte, 0, len(s)+8)
	open := false
	for i := range len(s) {
		switch s[i] {
		case '<':
			open = true
		case '>':
			open = open && !closed
		case '|':
			if open && i < last {
				b = append(b, "\u2502"...)
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// longestRun is the length of the longest run of c in s.
func longestRun(s string, c byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}
