package formatters

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
)

// This is a port of what the receivers do to a message. TestReceiver holds it
// against what a Mattermost 5.38 did, measured. These rules were only read, and
// have no measured row:
//   - the server's words of a mention: which characters join and which end one
//     (server app/mention_parser_standard.go), beyond the rows;
//   - <!everyone> is let alone by that server, and a fault here;
//   - a channel link that a backslash does not hide (webapp utils/markdown);
//   - tables, block quotes, lists, rules and indented code, for which CommonMark
//     stands in for Mattermost's marked;
//   - everything that Slack does (docs.slack.dev, "Formatting message text"):
//     control sequences between < and >, marks at the ends of words, quotes.

// receiverMarkdown reads more than Mattermost does: HTML, too, which Mattermost
// shows as text, must not be in a message.
var receiverMarkdown = extend(parser.DefaultBlockParsers(), parser.DefaultInlineParsers(), extension.GFM)

// seen is what a chat server would make of a message.
type seen struct {
	counts map[string]int // of headings, images, lists, …
	hosts  map[string]bool
	texts  []string // raw text outside code and addresses
	faults []string // what must never be
}

// look reads a text as Mattermost does: first the Slack forms in all of it,
// then the Markdown, then mentions and the like in its text.
func look(markdown string) seen { return lookAt(markdown, false) }

func lookAt(markdown string, attachment bool) seen {
	s := seen{counts: map[string]int{}, hosts: map[string]bool{}}
	if stored := store(markdown, attachment); stored != markdown {
		s.fault("is rewritten as a Slack form: %s", firstDifference(stored, markdown))
	}
	if strings.Contains(strings.ToLower(markdown), "<!everyone") {
		s.fault("has <!everyone")
	}
	if !utf8.ValidString(markdown) {
		s.fault("is not UTF-8")
	}
	for _, r := range markdown {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || r >= '\u202a' && r <= '\u202e' {
			s.fault("has the character %U", r)
		}
	}
	src := []byte(markdown)
	if err := ast.Walk(parse(receiverMarkdown, src), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			s.node(n, src)
		}
		return ast.WalkContinue, nil
	}); err != nil {
		s.fault("cannot be walked: %v", err)
	}
	s.scan()
	return s
}

func firstDifference(a, b string) string {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return fmt.Sprintf("%.60q", b[max(0, n-20):])
}

func (s *seen) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// Server app/slack.go and model/message_attachment.go.
var (
	slackBroadcast      = regexp.MustCompile(`(?i)<!(channel|here|all)>`)
	slackUser           = regexp.MustCompile(`<@([a-z0-9]{26})>`)
	slackLink           = regexp.MustCompile(`<([^\n<\|>]+)\|([^\n>]+)>`)
	slackAttachmentLink = regexp.MustCompile(`<([^<\|]+)\|([^>]+)>`)
)

// store is what the server makes of a text before it stores it. A person is
// named alice here.
func store(text string, attachment bool) string {
	text = slackBroadcast.ReplaceAllString(text, "@$1")
	text = slackUser.ReplaceAllString(text, "@alice")
	if attachment {
		return slackAttachmentLink.ReplaceAllString(text, "[$2]($1)")
	}
	return slackLink.ReplaceAllString(text, "[$2]($1)")
}

// notifies tells whether a text raises the mention count of alice, by her name
// or with all others. @here does not: it is for those who are there.
func notifies(markdown string) bool {
	s := look(store(markdown, false))
	for _, raw := range s.texts {
		for _, m := range mentionedIn(raw) {
			if !strings.EqualFold(m, "@here") {
				return true
			}
		}
	}
	return false
}

func (s *seen) node(n ast.Node, src []byte) {
	switch n := n.(type) {
	case *ast.Heading:
		s.counts["heading"]++
	case *ast.List:
		s.counts["list"]++
	case *ast.Blockquote:
		s.counts["quote"]++
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		s.counts["code block"]++
	case *ast.CodeSpan:
		s.counts["code"]++
	case *ast.Emphasis:
		s.counts["emphasis"]++
	case *east.Strikethrough:
		s.counts["strikethrough"]++
	case *east.Table:
		s.counts["table"]++
	case *ast.ThematicBreak:
		s.counts["rule"]++
	case *ast.Image:
		s.fault("has an image")
	case *ast.RawHTML, *ast.HTMLBlock:
		s.fault("has HTML")
	case *ast.LinkReferenceDefinition:
		s.fault("has a link definition, which is not shown")
	case *ast.Link:
		s.counts["link"]++
		s.address(string(n.Destination))
	case *ast.AutoLink:
		s.autoLink(n, src)
	case *ast.Text:
		s.text(n, src)
	}
}

// autoLink counts an address that stands for itself. With http or https it is
// no more than it seems.
func (s *seen) autoLink(n *ast.AutoLink, src []byte) {
	to := string(n.URL(src))
	if n.AutoLinkType == ast.AutoLinkEmail || !hasSafeScheme(to) || to != string(n.Label(src)) {
		s.counts["link"]++
	}
	s.address(to)
}

func (s *seen) text(n *ast.Text, src []byte) {
	if n.Parent().Kind() == ast.KindCodeSpan {
		return
	}
	raw := string(n.Segment.Value(src))
	if prev, ok := n.PreviousSibling().(*ast.Text); ok && prev.Segment.Stop == n.Segment.Start && len(s.texts) > 0 {
		s.texts[len(s.texts)-1] += raw
		return
	}
	s.texts = append(s.texts, raw)
}

func (s *seen) address(dest string) {
	u, err := url.Parse(decodeReferences(dest))
	if err != nil {
		s.fault("links to %q: %v", dest, err)
		return
	}
	if u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" {
		s.fault("links to %q", dest)
	}
	s.hosts[u.Host] = true
}

// Webapp utils/text_formatting and utils/emoticons; server
// model/channel_mentions.go.
var (
	hashtag   = regexp.MustCompile(`(?:^|[^\pL\pN_&])#\pL[\pL\pN_.-]*`)
	shortcode = regexp.MustCompile(`:[A-Za-z_+-][\w+-]*:|:\d{3,}:`)
	channel   = regexp.MustCompile(`(?:^|\W)~[a-zA-Z0-9]`)

	// strayMark matches an asterisk that CommonMark shows. Mattermost reads
	// emphasis where no mark ends it, too.
	strayMark = regexp.MustCompile(`(?:^|[^\\])\*`)

	// visibleBackslash matches a backslash that Mattermost shows, because it
	// escapes nothing there.
	visibleBackslash = regexp.MustCompile("\\\\[\"$%&',/:;<=?@^]")
)

func (s *seen) scan() {
	for _, raw := range s.texts {
		for _, m := range mentionedIn(raw) {
			s.fault("mentions %s in %q", m, raw)
		}
		s.counts["hashtag"] += len(hashtag.FindAllString(strings.ReplaceAll(raw, `\#`, "#"), -1))
		s.counts["stray mark"] += len(strayMark.FindAllString(raw, -1))
		s.counts["emoji"] += len(shortcode.FindAllString(raw, -1))
		s.counts["channel link"] += len(channel.FindAllString(strings.ReplaceAll(raw, `\~`, "~"), -1))
	}
}

// mentionedIn finds the mentions in a piece of a message's text: escaping the @
// hides none.
func mentionedIn(raw string) []string {
	found := mentions(raw)
	if text := unescape([]byte(raw)); text != raw {
		found = append(found, mentions(text)...)
	}
	return found
}

// mentions is a port of Mattermost's mention parser (server
// app/mention_parser_standard.go) for the keywords that everybody has, and a
// user name.
func mentions(s string) (found []string) {
	if !strings.Contains(s, "@") {
		return nil
	}
	keywords := []string{"@channel", "@all", "@here", "@alice"}
	check := func(word string) bool {
		if slices.Contains(keywords, strings.ToLower(word)) {
			found = append(found, word)
			return true
		}
		return false
	}
	for _, word := range strings.FieldsFunc(s, func(c rune) bool {
		return !(c == ':' || c == '.' || c == '-' || c == '_' || c == '@' || unicode.IsLetter(c) || unicode.IsNumber(c))
	}) {
		if word[0] == ':' && word[len(word)-1] == ':' {
			continue
		}
		word = strings.TrimLeft(word, ":.-_")
		if check(word) {
			continue
		}
		short := word
		for short != "" && strings.LastIndexAny(short, ".-:_") == len(short)-1 {
			if short = short[:len(short)-1]; check(short) {
				break
			}
		}
		if !strings.HasPrefix(word, "@") && strings.ContainsAny(word, ".-:") {
			for _, part := range strings.FieldsFunc(word, func(c rune) bool { return c == '.' || c == '-' || c == ':' }) {
				check(part)
			}
		}
	}
	return found
}

// lookAll looks at the parts of one message: its text, then those of its
// attachments.
func lookAll(parts []string) seen {
	all := seen{counts: map[string]int{}, hosts: map[string]bool{}}
	for i, part := range parts {
		one := lookAt(part, i > 0)
		for what, n := range one.counts {
			all.counts[what] += n
		}
		maps.Copy(all.hosts, one.hosts)
		all.faults = append(all.faults, one.faults...)
	}
	return all
}

// most is what is in s or in the other message.
func (s seen) most(other seen) seen {
	out := seen{counts: maps.Clone(other.counts), hosts: maps.Clone(other.hosts)}
	for what, n := range s.counts {
		out.counts[what] = max(out.counts[what], n)
	}
	maps.Copy(out.hosts, s.hosts)
	return out
}

// beyond lists what is in s but not in the harmless message. A document may
// have its own markup and links, an address may lead anywhere.
func (s seen) beyond(harmless seen, document, address bool) []string {
	out := slices.Clone(s.faults)
	for what, n := range s.counts {
		always := what == "heading" || what == "rule" || what == "channel link" || what == "hashtag" || what == "stray mark"
		if n > harmless.counts[what] && (always || !document) {
			out = append(out, fmt.Sprintf("%d more %s", n-harmless.counts[what], what))
		}
	}
	for host := range s.hosts {
		if !harmless.hosts[host] && !document && !address && s.counts["link"] > harmless.counts["link"] {
			out = append(out, "links to "+host)
		}
	}
	slices.Sort(out)
	return out
}

// Slack's markup: marks count at the ends of words.
var (
	slackControl = regexp.MustCompile(`<([^>]*)>`)
	slackMarks   = map[string]*regexp.Regexp{
		"bold":   regexp.MustCompile(`(?:^|[\s(\pP])\*[^\s*](?:[^*\n]*[^\s*])?\*(?:$|[\s\pP])`),
		"italic": regexp.MustCompile(`(?:^|[\s(\pP])_[^\s_](?:[^_\n]*[^\s_])?_(?:$|[\s\pP])`),
		"struck": regexp.MustCompile(`(?:^|[\s(\pP])~[^\s~](?:[^~\n]*[^\s~])?~(?:$|[\s\pP])`),
		"quote":  regexp.MustCompile(`(?m)^(?:>|&gt;)`),
		"emoji":  regexp.MustCompile(`:[a-z0-9_+-]+:`),
	}
	slackFence = regexp.MustCompile("(?s)```.*?```")
	slackCode  = regexp.MustCompile("`[^`\n]+`")
)

// lookSlack looks at a text as Slack does.
func lookSlack(mrkdwn string) seen {
	s := seen{counts: map[string]int{}, hosts: map[string]bool{}}
	rest := slackControl.ReplaceAllStringFunc(mrkdwn, func(control string) string {
		address, label, _ := strings.Cut(strings.Trim(control, "<>"), "|")
		address = html.UnescapeString(address)
		if !hasSafeScheme(address) {
			s.fault("has the control sequence %s", control)
			return ""
		}
		if u, err := url.Parse(address); err == nil {
			s.hosts[u.Host] = true
		}
		if label != "" {
			s.counts["link"]++
		}
		return cmp.Or(label, "link")
	})
	if strings.Contains(rest, "<") {
		s.fault("has a < that is no link")
	}
	if strings.Count(rest, "```")%2 != 0 {
		s.fault("has an open fence")
	}
	s.counts["fence"] = len(slackFence.FindAllString(rest, -1))
	rest = slackFence.ReplaceAllString(rest, "fence")
	s.counts["code"] = len(slackCode.FindAllString(rest, -1))
	rest = slackCode.ReplaceAllString(rest, "code")
	for what, mark := range slackMarks {
		s.counts[what] = len(mark.FindAllString(rest, -1))
	}
	return s
}

// lookSlackAll looks at the parts of one message.
func lookSlackAll(parts []string) seen {
	all := seen{counts: map[string]int{}, hosts: map[string]bool{}}
	for _, part := range parts {
		one := lookSlack(part)
		for what, n := range one.counts {
			all.counts[what] += n
		}
		maps.Copy(all.hosts, one.hosts)
		all.faults = append(all.faults, one.faults...)
	}
	return all
}

var (
	htmlTag     = regexp.MustCompile(`<[^>]*>`)
	htmlAllowed = regexp.MustCompile(`^</?(?:p|h[1-6]|blockquote|ol|ul|li|pre|code|hr|table|tr|td|th|strong|em|del|br|div|a)(?: (?:style="[a-z0-9:;#,. -]*"|start="\d+"|href="(?i:https?://|mailto:)[^"<>]*" rel="noopener noreferrer"))?>$`)
)

// lookHTML finds what must not be in the page.
func lookHTML(page string) (faults []string) {
	for _, tag := range htmlTag.FindAllString(page, -1) {
		if !htmlAllowed.MatchString(tag) {
			faults = append(faults, "has the tag "+tag)
		}
	}
	if strings.Contains(htmlTag.ReplaceAllString(page, ""), "<") {
		faults = append(faults, "has a < that is no tag")
	}
	return faults
}
