package formatters

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// seen is what a chat server would make of a message.
type seen struct {
	counts map[string]int // of headings, images, lists, …
	hosts  map[string]bool
	texts  []string // raw text outside code and addresses
	faults []string // what must never be
}

// look reads Mattermost Markdown as the receiver does: first the Slack forms in
// all of it, then the Markdown, then mentions and the like in its text.
func look(markdown string) seen {
	s := seen{counts: map[string]int{}, hosts: map[string]bool{}}
	for _, form := range slackForms {
		if m := form.FindString(markdown); m != "" {
			s.fault("is rewritten as a Slack form: %q", m)
		}
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
	root := markdownParser.Parse(text.NewReader(src))
	if err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
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

func (s *seen) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// slackForms are server app/slack.go's and model/message_attachment.go's, and
// the mentions that newer servers know.
var slackForms = []*regexp.Regexp{
	regexp.MustCompile(`<([^\n<\|>]+)\|([^\n>]+)>`),
	regexp.MustCompile(`<([^<\|]+)\|([^>]+)>`),
	regexp.MustCompile(`(?i)<!(channel|here|all|everyone)>`),
	regexp.MustCompile(`<@\w+>`),
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
		s.counts["link"]++
		s.address(string(n.URL(src)))
	case *ast.Text:
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

var (
	hashtag   = regexp.MustCompile(`(?:^|[^\pL\pN_&])#\pL[\pL\pN_.-]*`)
	shortcode = regexp.MustCompile(`:[A-Za-z_+-][\w+-]*:|:\d{3,}:`)
	channel   = regexp.MustCompile(`(?:^|\W)~[a-zA-Z0-9]`)
	bareURL   = regexp.MustCompile(`(?i)\b(?:https?|ftp)://|\bwww\.`)
)

func (s *seen) scan() {
	for _, raw := range s.texts {
		for _, t := range []string{raw, unescape([]byte(raw))} {
			for _, m := range mentions(t) {
				s.fault("mentions %s in %q", m, t)
			}
		}
		s.counts["hashtag"] += len(hashtag.FindAllString(raw, -1))
		s.counts["emoji"] += len(shortcode.FindAllString(raw, -1))
		s.counts["channel link"] += len(channel.FindAllString(raw, -1))
		s.counts["bare address"] += len(bareURL.FindAllString(raw, -1))
	}
}

// mentions is a port of Mattermost's mention parser (server
// app/mention_parser_standard.go) for the keywords that everybody has, and a
// user name.
func mentions(s string) (found []string) {
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

// lookAll looks at the parts of one message.
func lookAll(parts []string) seen {
	all := seen{counts: map[string]int{}, hosts: map[string]bool{}}
	for _, part := range parts {
		one := look(part)
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
		always := what == "heading" || what == "rule" || what == "channel link" || what == "hashtag"
		if n > harmless.counts[what] && (always || !document) {
			out = append(out, fmt.Sprintf("%d more %s", n-harmless.counts[what], what))
		}
	}
	for host := range s.hosts {
		if !harmless.hosts[host] && !document && !address {
			out = append(out, "links to "+host)
		}
	}
	slices.Sort(out)
	return out
}

var slackControl = regexp.MustCompile(`<([^>]*)>`)

// lookSlack finds what Slack would take for control sequences.
func lookSlack(mrkdwn string) (hosts map[string]bool, faults []string) {
	hosts = map[string]bool{}
	rest := mrkdwn
	for _, m := range slackControl.FindAllStringSubmatch(mrkdwn, -1) {
		address, _, _ := strings.Cut(m[1], "|")
		u, err := url.Parse(strings.ReplaceAll(address, "&amp;", "&"))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" {
			faults = append(faults, "has the control sequence "+m[0])
			continue
		}
		hosts[u.Host] = true
		rest = strings.Replace(rest, m[0], "", 1)
	}
	if strings.Contains(rest, "<") {
		faults = append(faults, "has a < that is no link")
	}
	return hosts, faults
}
