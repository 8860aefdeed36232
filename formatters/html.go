package formatters

import (
	"encoding/json"
	"html"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// HTML is the post as a fragment of HTML, about as Mattermost shows it. It
// needs nothing else and loads nothing: no scripts, no images, no styles but
// its own. All links lead to http, https or mailto.
func (p Post) HTML() string {
	headline, body, _ := strings.Cut(p.Markdown, "\n")
	color := p.color()
	if color == "" {
		headline, body = p.Markdown, ""
	}
	var h htmlWriter
	h.b.WriteString(`<div style="font-family:system-ui,sans-serif;line-height:1.4;overflow-wrap:break-word">` + "\n")
	h.markdown(headline)
	if body != "" {
		h.b.WriteString(`<div style="border-left:4px solid ` + color + `;padding-left:12px">` + "\n")
		h.markdown(body)
		h.b.WriteString("</div>\n")
	}
	h.b.WriteString("</div>\n")
	return h.b.String()
}

// color is the color of the post's card as CSS, or "" if it has none.
func (p Post) color() string {
	var b hookBody
	if json.Unmarshal(p.Body, &b) != nil || len(b.Attachments) == 0 {
		return ""
	}
	switch c := b.Attachments[0].Color; {
	case c == "good":
		return "#3db887"
	case c == "warning":
		return "#ffbc1f"
	case c == "danger":
		return "#d24b4e"
	case isColor(c):
		return c
	}
	return "#c4c4c4"
}

// isColor tells whether s is #rrggbb.
func isColor(s string) bool {
	if len(s) != len("#rrggbb") || s[0] != '#' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if !isHex(s[i]) {
			return false
		}
	}
	return true
}

// htmlWriter writes a parsed message as HTML. Whatever comes from the message
// goes through text or link.
type htmlWriter struct {
	b   strings.Builder
	src []byte
}

func (h *htmlWriter) markdown(s string) {
	h.src = []byte(s)
	h.blocks(parse(markdownParser, h.src))
}

func (h *htmlWriter) text(s string) { h.b.WriteString(html.EscapeString(s)) }

// in writes the blocks in n between tags.
func (h *htmlWriter) in(open, end string, n ast.Node) {
	h.b.WriteString(open)
	h.blocks(n)
	h.b.WriteString(end + "\n")
}

// around writes the inline content of n between tags.
func (h *htmlWriter) around(open, end string, n ast.Node) {
	h.b.WriteString(open)
	h.inlines(n)
	h.b.WriteString(end)
}

func (h *htmlWriter) blocks(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		h.block(n)
	}
}

func (h *htmlWriter) block(n ast.Node) {
	switch n := n.(type) {
	case *ast.Paragraph:
		h.around("<p>", "</p>\n", n)
	case *ast.TextBlock:
		h.around("", "\n", n)
	case *ast.Heading:
		level := strconv.Itoa(n.Level)
		h.around("<h"+level+">", "</h"+level+">\n", n)
	case *ast.Blockquote:
		h.in(`<blockquote style="margin-left:0;border-left:3px solid #ccc;padding-left:12px">`+"\n", "</blockquote>", n)
	case *ast.List:
		if n.IsOrdered() {
			h.in(`<ol start="`+strconv.Itoa(n.Start)+`">`+"\n", "</ol>", n)
		} else {
			h.in("<ul>\n", "</ul>", n)
		}
	case *ast.ListItem:
		h.in("<li>", "</li>", n)
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		h.code(n.Lines())
	case *ast.ThematicBreak:
		h.b.WriteString("<hr>\n")
	case *east.Table:
		h.in("<table>\n", "</table>", n)
	case *east.TableHeader:
		h.row(n, "th")
	case *east.TableRow:
		h.row(n, "td")
	default:
		h.blocks(n)
	}
}

func (h *htmlWriter) code(lines *text.Segments) {
	h.b.WriteString(`<pre style="background:#f4f4f4;padding:8px;overflow:auto"><code>`)
	for i := range lines.Len() {
		seg := lines.At(i)
		h.text(string(seg.Value(h.src)))
	}
	h.b.WriteString("</code></pre>\n")
}

func (h *htmlWriter) row(row ast.Node, cell string) {
	h.b.WriteString("<tr>")
	for c := row.FirstChild(); c != nil; c = c.NextSibling() {
		align := "left"
		if t, ok := c.(*east.TableCell); ok && t.Alignment != east.AlignNone {
			align = t.Alignment.String()
		}
		h.around("<"+cell+` style="text-align:`+align+`">`, "</"+cell+">", c)
	}
	h.b.WriteString("</tr>\n")
}

func (h *htmlWriter) inlines(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		h.inline(n)
	}
}

func (h *htmlWriter) inline(n ast.Node) {
	switch n := n.(type) {
	case *ast.Text:
		h.text(unescape(n.Segment.Value(h.src)))
		if n.SoftLineBreak() || n.HardLineBreak() {
			h.b.WriteString("<br>\n")
		}
	case *ast.String:
		h.text(unescape(n.Value))
	case *ast.CodeSpan:
		var b strings.Builder
		appendPlain(&b, n, h.src)
		h.b.WriteString("<code>")
		h.text(b.String())
		h.b.WriteString("</code>")
	case *ast.Emphasis:
		if n.Level > 1 {
			h.around("<strong>", "</strong>", n)
		} else {
			h.around("<em>", "</em>", n)
		}
	case *east.Strikethrough:
		h.around("<del>", "</del>", n)
	case *ast.Link:
		h.link(n, decodeReferences(string(n.Destination)))
	case *ast.Image:
		h.link(n, decodeReferences(string(n.Destination)))
	case *ast.AutoLink:
		h.autoLink(n)
	case *east.TaskCheckBox:
		h.b.WriteString(map[bool]string{true: "☑ ", false: "☐ "}[n.IsChecked])
	default:
		h.inlines(n)
	}
}

// link writes a link, and an image as one.
func (h *htmlWriter) link(n ast.Node, to string) {
	if to = safeURL(to); to == "" {
		h.inlines(n)
		return
	}
	h.around(anchor(to), "</a>", n)
}

func (h *htmlWriter) autoLink(n *ast.AutoLink) {
	to := safeURL(string(n.URL(h.src)))
	if to == "" || n.AutoLinkType == ast.AutoLinkEmail {
		h.text(string(n.Label(h.src)))
		return
	}
	h.b.WriteString(anchor(to))
	h.text(string(n.Label(h.src)))
	h.b.WriteString("</a>")
}

// anchor is the tag that opens a link to a safe address.
func anchor(to string) string {
	return `<a href="` + html.EscapeString(to) + `" rel="noopener noreferrer">`
}
