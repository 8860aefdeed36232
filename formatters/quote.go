package formatters

import "strings"

// quote is somebody's text as a quote: at most so many lines or characters,
// then a link to the rest.
func quote(lines, chars int, v, url any) (Markdown, error) {
	return quoted(v, url, extent{lines: lines, chars: chars})
}

// prose is the first prose of somebody's text as a quote: at most 3 lines or
// 280 characters.
func prose(v, url any) (Markdown, error) {
	return quoted(v, url, extent{lines: 3, chars: 280, prose: true})
}

func quoted(v, url any, limit extent) (Markdown, error) {
	d, ok := v.(*Document)
	if !ok {
		s, _ := source(v)
		d = document(s, nil)
	}
	if d == nil {
		return "", nil
	}
	if s := d.plainQuote(limit); s != "" {
		return Markdown(s), nil
	}
	lines, left, open := rewrite(d, limit)
	return Markdown(asQuote(lines, left, open, plainOf(url))), nil
}

// asQuote puts the mark of a quote before every line, and after the last what
// tells that there is more.
func asQuote(lines []string, left, open bool, url string) string {
	if len(lines) == 0 {
		if link := linkTo("read on", url); left && link != "read on" {
			return "> " + link
		}
		return ""
	}
	var b strings.Builder
	size := len(" … [read on]()") + len(url)
	for _, s := range lines {
		size += len("\n> ") + len(s)
	}
	b.Grow(size)
	for i, s := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteByte('>')
		if s != "" {
			b.WriteByte(' ')
			b.WriteString(s)
		}
	}
	if !left {
		return b.String()
	}
	switch {
	case open:
		b.WriteString(" … ")
	case strings.HasSuffix(lines[len(lines)-1], "|"):
		b.WriteString("\n>\n> … ") // a table would take the line for a row
	default:
		b.WriteString("\n> … ")
	}
	b.WriteString(linkTo("read on", url))
	return strings.TrimRight(b.String(), " ")
}

// plainQuote is the quote of a short text without any markup, for which no
// parser is needed; "" for any other.
func (d *Document) plainQuote(limit extent) string {
	if len(d.raw) > limit.chars {
		return ""
	}
	s := strings.TrimSpace(d.raw)
	if strings.ContainsAny(s, "\n\r") || !plainLine(s) {
		return ""
	}
	return "> " + d.line(s)
}
