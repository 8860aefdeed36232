package formatters

import (
	"strings"
	"unicode/utf8"
)

// The lengths that receivers take. Mattermost counts characters and cuts a
// longer text in the middle of whatever stands there (server app/webhook.go,
// splitWebhookPost); the properties of a post, attachments among them, may have
// 7600 characters as JSON in old servers (model/post.go,
// PostPropsMaxUserRunes). Slack asks for at most 4000
// (docs.slack.dev, "Truncating really long messages").
const (
	maxMattermostText  = 16383
	maxMattermostProps = 7600
	maxSlackText       = 4000
	maxFallback        = 300
)

// emptyProps is what the properties of a post with one empty attachment and
// without name and icon cost, measured, and a margin.
const emptyProps = 217 + 110 + 73

// hookBody is what an incoming webhook takes, in Mattermost and in Slack.
type hookBody struct {
	Text        string       `json:"text"`
	Channel     string       `json:"channel,omitempty"`
	Username    string       `json:"username,omitempty"`
	IconEmoji   string       `json:"icon_emoji,omitempty"`
	IconURL     string       `json:"icon_url,omitempty"`
	Attachments []attachment `json:"attachments,omitempty"`
}

type attachment struct {
	Fallback string `json:"fallback"`
	Color    string `json:"color,omitempty"`
	Text     string `json:"text"`
}

func newHookBody(r Request) hookBody {
	b := hookBody{Channel: r.Channel, Username: cutName(r.Look.Username)}
	if strings.HasPrefix(r.Look.Icon, ":") {
		b.IconEmoji = cutName(r.Look.Icon)
	} else {
		b.IconURL = safeURL(r.Look.Icon)
	}
	return b
}

// cutName keeps a name within what fits beside an attachment.
func cutName(s string) string { return cutEnd(oneLine(s), 100) }

func mattermostBody(m message, r Request) []byte {
	b := newHookBody(r)
	if !m.isCard() {
		b.Text = fit(m.markdown(), maxMattermostText, oneEach)
		return encodeBody(b)
	}
	b.Text = fit(m.headline, maxMattermostText, oneEach)
	short := fallback(m.body)
	room := maxMattermostProps - emptyProps - jsonCost(b.Username) - jsonCost(b.IconEmoji) -
		2*jsonCost(b.IconURL) - jsonCost(short)
	b.Attachments = []attachment{{Fallback: short, Color: m.color, Text: fit(m.body, room, jsonRune)}}
	return encodeBody(b)
}

func slackBody(m message, r Request) []byte {
	b := newHookBody(r)
	if !m.isCard() {
		b.Text = fit(mrkdwn(m.markdown()), maxSlackText, oneEach)
		return encodeBody(b)
	}
	b.Text = fit(mrkdwn(m.headline), maxSlackText, oneEach)
	b.Attachments = []attachment{{
		Fallback: fallback(m.body),
		Color:    m.color,
		Text:     fit(mrkdwn(m.body), maxSlackText, oneEach),
	}}
	return encodeBody(b)
}

// encodeBody is the JSON of a body. What is empty is left out, but for the
// texts.
func encodeBody(b hookBody) []byte {
	size := 256 + len(b.Text) + len(b.Text)/8
	for _, a := range b.Attachments {
		size += 128 + len(a.Fallback) + len(a.Text) + len(a.Text)/8
	}
	out := appendJSON(append(make([]byte, 0, size), `{"text":`...), b.Text)
	out = appendMember(out, `,"channel":`, b.Channel)
	out = appendMember(out, `,"username":`, b.Username)
	out = appendMember(out, `,"icon_emoji":`, b.IconEmoji)
	out = appendMember(out, `,"icon_url":`, b.IconURL)
	for i, a := range b.Attachments {
		before := `,"attachments":[{"fallback":`
		if i > 0 {
			before = `,{"fallback":`
		}
		out = appendJSON(append(out, before...), a.Fallback)
		out = appendMember(out, `,"color":`, a.Color)
		out = append(appendJSON(append(out, `,"text":`...), a.Text), '}')
	}
	if len(b.Attachments) > 0 {
		out = append(out, ']')
	}
	return append(out, '}')
}

// appendMember writes a member of an object, if it has a value.
func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendJSON(append(dst, name...), value)
}

// jsonRune is what a character costs in the JSON that Mattermost stores, which
// escapes for HTML.
func jsonRune(r rune) int {
	switch r {
	case '<', '>', '&', '\u2028', '\u2029':
		return 6
	case '"', '\\', '\n', '\t', '\r':
		return 2
	}
	if r < ' ' {
		return 6
	}
	return 1
}

func oneEach(rune) int { return 1 }

func jsonCost(s string) int { return costOf(s, jsonRune) }

func costOf(s string, cost func(rune) int) int {
	n := 0
	for _, r := range s {
		n += cost(r)
	}
	return n
}

// plainText is Markdown as people read it, on one line.
func plainText(markdown string) string {
	if s, ok := simpleText(markdown); ok {
		return s
	}
	return parsedText(markdown)
}

// parsedText is plainText of any Markdown.
func parsedText(markdown string) string {
	src := []byte(markdown)
	var b strings.Builder
	appendPlain(&b, parse(markdownParser, src), src)
	return oneLine(b.String())
}

// fallback is what a notification shows of a card's body. It is no Markdown, but
// nothing in it may look like one of Slack's forms.
func fallback(body string) string {
	var l line
	for s := range strings.SplitSeq(body, "\n") {
		s = plainText(s)
		if rest, ok := strings.CutSuffix(s, "… read on"); ok {
			s = strings.TrimSuffix(rest, " ") + "…" // no link, nothing to read on
		}
		l.list("", Markdown(s))
	}
	return widenAllPipes(inCode(cutEnd(l.String(), maxFallback)))
}

// fit cuts a message to a limit, at the end of a line if there is one. Code
// fences are closed, links stay whole.
func fit(s string, limit int, cost func(rune) int) string {
	if len(s)*6 <= limit || costOf(s, cost) <= limit {
		return s
	}
	const more = "…"
	fence, closing, out := "", "", make([]byte, 0, len(s))
	used := 0
	for l := range strings.SplitSeq(s, "\n") {
		next, end := nextFence(fence, l), closing
		switch {
		case next == "":
			end = ""
		case fence == "":
			end = closingLine(l, next)
		}
		// Room for this line, for the marks that would close its fence, and
		// for the line that says that there is more.
		need := costOf(l, cost) + cost('\n')
		reserve := 2*cost('\n') + cost('…') + costOf(end, cost)
		if used+need+reserve > limit {
			break
		}
		if len(out) > 0 {
			out = append(out, '\n')
		}
		out = append(out, l...)
		used += need
		fence, closing = next, end
	}
	if len(out) == 0 {
		first, _, _ := strings.Cut(s, "\n")
		return cutLine(first, limit-cost('…'), cost) + more
	}
	if closing != "" {
		out = append(append(out, '\n'), closing...)
	}
	return string(out) + "\n" + more
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

// cutLine cuts a single line at a space that stands neither in a link nor in
// code nor between marks; without one, nothing of it is kept but its plain
// text.
func cutLine(s string, limit int, cost func(rune) int) string {
	used, safe := 0, 0
	var in nesting
	for i, r := range s {
		if used += cost(r); used > limit {
			break
		}
		if r == ' ' && in.outside() {
			safe = i
		}
		in.next(s, i, r)
	}
	if safe > 0 {
		return s[:safe]
	}
	plain := escape(oneLine(plainText(s)))
	return cutRunes(plain, limit, cost)
}

// cutRunes keeps as many characters as fit, without half an escape at the end.
func cutRunes(s string, limit int, cost func(rune) int) string {
	used := 0
	for i, r := range s {
		if used += cost(r); used > limit {
			s = s[:i]
			if amp := strings.LastIndexByte(s, '&'); amp >= 0 && amp > len(s)-8 {
				s = s[:amp]
			}
			return strings.TrimRight(s, `\`)
		}
	}
	return s
}

// nesting follows a line of Markdown or mrkdwn through links, code and bold.
type nesting struct {
	brackets, parens, angles int
	code, bold, skip         bool
}

func (n *nesting) outside() bool {
	return n.brackets == 0 && n.parens == 0 && n.angles == 0 && !n.code && !n.bold
}

func (n *nesting) next(s string, i int, r rune) {
	if n.skip {
		n.skip = false
		return
	}
	switch {
	case r == '`':
		n.code = !n.code
	case n.code:
	case r == '\\':
		n.skip = true
	case r == '[':
		n.brackets++
	case r == ']':
		n.brackets = max(0, n.brackets-1)
		if strings.HasPrefix(s[i+1:], "(") {
			n.parens = 1
		}
	case r == ')':
		n.parens = 0
	case r == '<':
		n.angles = 1
	case r == '>':
		n.angles = 0
	case r == '*' && !strings.HasPrefix(s[i+utf8.RuneLen(r):], "*"):
		n.bold = !n.bold
	}
}
