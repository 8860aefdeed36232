package formatters

import (
	"strconv"
	"strings"
	"time"
)

// bold is a title, bold, linked if there is somewhere to go.
func bold(title, url any) Markdown {
	s, finished := source(title)
	to := plainOf(url)
	if finished && blank(s) {
		return ""
	}
	if finished {
		return Markdown("**" + linkTo(s, to) + "**")
	}
	return boldLink(Text(s), URL(to))
}

// words puts those of its arguments that are not empty into one text.
func words(parts ...any) Text {
	var out []string
	for _, p := range parts {
		if s := plainOf(p); !blank(s) {
			out = append(out, oneLine(s))
		}
	}
	return Text(strings.Join(out, " "))
}

// plainWords reads one of GitLab's identifiers as words.
func plainWords(v any) Text {
	return Text(cutEnd(oneLine(strings.ReplaceAll(plainOf(v), "_", " ")), maxName))
}

// capital starts a phrase with a capital letter.
func capital(v any) Markdown {
	s := strings.TrimSpace(markdownOf(v))
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return Markdown(s)
}

// statuses says in words what GitLab's CI statuses mean.
var statuses = map[string]Markdown{
	"created":              "was created",
	"preparing":            "is preparing",
	"waiting_for_resource": "waits for a resource",
	"pending":              "is pending",
	"running":              "is running",
	"success":              "passed",
	"failed":               "failed",
	"canceling":            "is being canceled",
	"canceled":             "was canceled",
	"skipped":              "was skipped",
	"manual":               "waits for a manual action",
	"scheduled":            "is scheduled",
}

func status(v any) Markdown {
	if words, ok := statuses[plainOf(v)]; ok {
		return words
	}
	return Markdown("is " + plainWords(v).String())
}

func lineNumber(n int) string {
	if n <= 0 {
		return ""
	}
	return ":" + strconv.Itoa(n)
}

func suffix(url, end any) URL {
	to := plainOf(url)
	if to == "" {
		return ""
	}
	return URL(to + plainOf(end))
}

// inSentence is a comment short and plain enough to stand in a sentence.
func inSentence(d *Document) Text { return d.Plain(80) }

// aside is the same, with live mentions.
func aside(d *Document) Markdown {
	s := inSentence(d)
	if s == "" {
		return ""
	}
	return Markdown(d.line(string(s)))
}

// expires says when something ends, counted in days when it is known how late
// it is now.
func expires(d *Data, v any) (Markdown, error) {
	seen := d.Now
	if seen.IsZero() {
		seen = d.Time
	}
	day, err := date(v, seen)
	if err != nil || day == "" {
		return "expires soon", err
	}
	s := plainOf(v)
	end, err := time.Parse(time.DateOnly, s[:min(len(s), len(time.DateOnly))])
	if err != nil || d.Now.IsZero() {
		return "expires on " + day, nil
	}
	today := d.Now.UTC().Truncate(24 * time.Hour)
	switch days := int(end.Sub(today) / (24 * time.Hour)); {
	case days < 0:
		return "expired on " + day, nil
	case days == 0:
		return "expires today", nil
	default:
		return "expires in " + plural(days, "day") + " (" + day + ")", nil
	}
}

// get finds a value of the payload by its path: names and indexes, separated
// by dots. What is not there is an empty Text.
func get(d *Data, path any) any {
	var v any = d.Payload()
	for key := range strings.SplitSeq(plainOf(path), ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(at) {
				return Text("")
			}
			v = at[i]
		default:
			return Text("")
		}
	}
	if v == nil {
		return Text("")
	}
	return v
}
