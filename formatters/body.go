package formatters

import "strings"

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
		b.Text = fit(m.markdown(), mattermostText, m.url)
		return encodeBody(b)
	}
	b.Text = fit(m.headline, mattermostText, m.url)
	short := fallback(m.body)
	room := maxMattermostProps - emptyProps - jsonCost(b.Username) - jsonCost(b.IconEmoji) -
		2*jsonCost(b.IconURL) - jsonCost(short)
	b.Attachments = []attachment{{Fallback: short, Color: m.color, Text: fit(m.body, limit{most: room, cost: jsonRune}, m.url)}}
	return encodeBody(b)
}

func slackBody(m message, r Request) []byte {
	b := newHookBody(r)
	if !m.isCard() {
		b.Text = fit(mrkdwn(m.markdown()), slackText, m.url)
		return encodeBody(b)
	}
	b.Text = fit(mrkdwn(m.headline), slackText, m.url)
	b.Attachments = []attachment{{
		Fallback: fallback(m.body),
		Color:    m.color,
		Text:     fit(mrkdwn(m.body), slackText, m.url),
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
