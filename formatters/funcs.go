package formatters

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// functions are what templates may call, beside text/template's own and, or,
// not, eq, ne, lt, le, gt, ge, len, index and slice. What they return is safe
// to print.
var functions = template.FuncMap{
	// Pieces of a message, from the whole event.
	"ref":        ref,        // {{ref .}}: the branch or tag, as linked code
	"onWhat":     onWhat,     // {{onWhat .}}: " on <branch> in <project>", or " for <merge request> in <project>"
	"facts":      facts,      // {{facts .}}: branches, people, labels and dates of a merge request or issue, on one line
	"changes":    changes,    // {{changes .}}: what an update changed, on one line; empty if it changed one thing
	"onlyChange": onlyChange, // {{onlyChange .}}: the one thing that an update changed: "added label P1"; empty if it changed several
	"workItem":   workItem,   // {{workItem .}}: "issue", "confidential task", …
	"profile":    profile,    // {{profile .}}: the actor's user name, linked to the profile
	"target":     target,     // {{target .Note}}: what a comment is on: "an issue", "a merge request"
	"byOther":    byOther,    // {{byOther .Commit .Actor}}: the name of the commit's author; empty if that is the actor
	"expires":    expires,    // {{expires . $date}}: "expires in 7 days (29 Nov)"
	"get":        get,        // {{get . "object_attributes.id"}}: a value of the payload; empty if the payload does not have it

	// Markup.
	"link":       link,   // {{link .Title .URL}}: a link; without an address only the text
	"bold":       bold,   // {{bold .Title .URL}}: bold and linked, at most 120 characters
	"code":       code,   // {{code .Push.After}}: the text as code, as it came, at most 300 characters; also works on what print, link and other functions return
	"branch":     branch, // {{branch .Branch}}: a branch as code; longer than 48 characters it is cut in the middle
	"quote":      quote,  // {{quote 6 500 .Note.Body .URL}}: a quote of at most 6 lines and 500 characters, with a link to the rest
	"prose":      prose,  // {{prose .Issue.Description .URL}}: a quote of the first prose only: no headings, tables or checklists
	"inSentence": aside,  // {{inSentence .Note.Body}}: a comment that is one short line without markup; empty for any other
	"raw":        raw,    // {{raw .Title}}: the text as it came, with its markup and its mentions
	"emoji":      emoji,  // {{emoji "thumbsup"}}: 👍; an unknown name stays between colons

	// Words; a cut counts characters before they are escaped.
	"cut":    cut,        // {{cut 120 .Title}}: at most 120 characters; cuts at the end
	"short":  short,      // {{short 48 .Branch}}: at most 48 characters; cuts in the middle
	"path":   folders,    // {{path .Note.File}}: the last folder and the file: …/impl/Bucket.java
	"text":   words,      // {{text .Stage "/" .Name}}: joins texts with spaces; leaves out empty ones
	"words":  plainWords, // {{words "script_failure"}}: script failure
	"title":  capital,    // {{title "high"}}: High
	"status": status,     // {{status .Action}}: "failed", "was canceled", "is running", …
	"line":   lineNumber, // {{line .Note.Line}}: ":88"; empty for 0
	"suffix": suffix,     // {{suffix .URL "/failures"}}: adds to the end of an address

	// Lists.
	"join":   join,   // {{join ", " .Labels}}: joins a list; leaves out what is empty
	"people": people, // {{people .MergeRequest.Reviewers}}: at most three names, then "and 2 others"
	"labels": labels, // {{labels .Labels}}: at most five labels, then "+3"
	"list":   list,   // {{list 1 2 3}}: makes a list, for join and range
	"dict":   dict,   // {{dict "name" .Title "n" 3}}: passes several values to one {{template}}

	// Numbers and times.
	"plural":   plural,   // {{plural 2 "commit"}}, {{plural 2 "branch" "branches"}}: 2 commits, 2 branches
	"duration": duration, // {{duration .Job.Duration}}: 4m 12s
	"date":     date,     // {{date .Issue.DueDate .Today}}: 1 Dec; 1 Dec 2027 if that is another year than today's
	"ago":      ago,      // {{ago .Time .Now}}: 2 h ago

	"default": either, // {{default "nobody" .Actor.Name}}: the second value; the first if the second is empty

	// text/template's own, with a bound.
	"print":   sprint,
	"println": sprintln,
	"printf":  sprintf,
}

// maxOutput is the most that a template, or one function in it, may write, in
// bytes.
const maxOutput = 64 << 10

var errTooMuch = errors.New("more than 64 KiB of output")

// source returns a value's string as it came, and whether it is Markdown
// already. Plain strings are the template's own words.
func source(v any) (s string, finished bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case Text:
		return string(v), false
	case *Document:
		if v == nil {
			return "", false
		}
		return v.raw, false
	case URL:
		return string(v), false
	case User:
		return v.shown(), false
	case string:
		return v, true
	case printed:
		return string(v), true
	case Markdown:
		return string(v), true
	}
	return fmt.Sprint(v), false
}

// markdownOf returns a value as Markdown.
func markdownOf(v any) string {
	s, finished := source(v)
	if finished {
		return s
	}
	return Text(s).String()
}

func link(text, url any) Markdown {
	return Markdown(linkTo(markdownOf(text), plainOf(url)))
}

func code(v any) Markdown {
	return Markdown(codeSpan(cutMiddle(oneLine(plainOf(v)), maxCode)))
}

// maxCode is the most that is shown of a text as code, in characters.
const maxCode = 300

func branch(v any) Markdown {
	return Markdown(codeSpan(cutMiddle(oneLine(plainOf(v)), maxBranch)))
}

func raw(v any) Markdown {
	s, _ := source(v)
	return Markdown(s)
}

func cut(n int, v any) (Text, error) {
	if _, finished := v.(Markdown); finished {
		return "", errors.New("cut: finished Markdown cannot be cut; cut the text that goes into it")
	}
	return Text(cutEnd(oneLine(plainOf(v)), n)), nil
}

// cutEnd cuts a line to n characters, at a word if one ends nearby.
func cutEnd(s string, n int) string {
	if n < 1 || !longerThan(s, n) {
		return s
	}
	s = s[:runesUpTo(s, n-1)]
	if i := strings.LastIndexByte(s, ' '); i > len(s)*3/4 {
		s = s[:i]
	}
	return strings.TrimRight(s, " ,;:.-") + "…"
}

func short(n int, v any) (Text, error) {
	if _, finished := v.(Markdown); finished {
		return "", errors.New("short: finished Markdown cannot be cut; cut the text that goes into it")
	}
	return Text(cutMiddle(oneLine(plainOf(v)), n)), nil
}

// cutMiddle cuts a line to n characters by leaving out its middle.
func cutMiddle(s string, n int) string {
	count := utf8.RuneCountInString(s)
	if n < 3 || count <= n {
		return s
	}
	head := (n - 1) * 2 / 3
	tail := n - 1 - head
	return s[:runesUpTo(s, head)] + "…" + s[runesUpTo(s, count-tail):]
}

// folders keeps a path of at most two folders, and of a longer one the last
// folder: …/impl/Bucket.java.
func folders(v any) Text {
	s := oneLine(plainOf(v))
	if strings.Count(s, "/") <= 2 {
		return Text(cutMiddle(s, maxPath))
	}
	at := strings.LastIndexByte(s, '/')
	at = strings.LastIndexByte(s[:at], '/')
	return Text("…" + cutMiddle(s[at:], maxPath))
}

// maxPath is the most that is shown of a path, in characters.
const maxPath = 80

func join(sep, items any) (Markdown, error) {
	var b strings.Builder
	between := markdownOf(sep)
	add := func(v any) {
		if s := markdownOf(v); s != "" {
			if b.Len() > 0 {
				b.WriteString(between)
			}
			b.WriteString(s)
		}
	}
	switch items := items.(type) {
	case []Text:
		for _, t := range items {
			add(t)
		}
	case []User:
		for _, u := range items {
			add(u)
		}
	case values:
		for _, v := range items {
			add(v)
		}
	case []any:
		for _, v := range items {
			add(v)
		}
	default:
		return "", fmt.Errorf("join: want a list, got %T", items)
	}
	if b.Len() > maxOutput {
		return "", errTooMuch
	}
	return Markdown(b.String()), nil
}

func people(list []User) Markdown {
	const most = 3
	var b strings.Builder
	b.Grow(16 * min(len(list), most))
	for i, u := range list[:min(len(list), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(Text(cutEnd(oneLine(u.shown()), maxName)).String())
	}
	if more := len(list) - most; more > 0 {
		b.WriteString(" and " + string(plural(more, "other")))
	}
	return Markdown(b.String())
}

func labels(list []Text) Markdown {
	const most = 5
	var b strings.Builder
	b.Grow(16 * min(len(list), most))
	for i, t := range list[:min(len(list), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(Text(cutEnd(t.plain(), 60)).String())
	}
	if more := len(list) - most; more > 0 {
		b.WriteString(" +")
		b.WriteString(strconv.Itoa(more))
	}
	return Markdown(b.String())
}

// plural counts things: "1 commit", "12 commits". The plural adds an s unless
// it is given.
func plural(n, one any, many ...any) Markdown {
	s := fmt.Sprint(n)
	switch {
	case s == "1":
		return Markdown(s + nbsp + markdownOf(one))
	case len(many) > 0:
		return Markdown(s + nbsp + markdownOf(many[0]))
	}
	return Markdown(s + nbsp + markdownOf(one) + "s")
}

// duration is a duration as 8s, 4m 12s, 2h 5m or 3d 4h; nothing for zero.
func duration(d time.Duration) Markdown {
	d = d.Round(time.Second)
	if d <= 0 {
		return ""
	}
	const day = 24 * time.Hour
	two := func(a time.Duration, unit string, b time.Duration, smaller string) Markdown {
		out := strconv.Itoa(int(a)) + unit
		if b > 0 {
			out += nbsp + strconv.Itoa(int(b)) + smaller
		}
		return Markdown(out)
	}
	switch {
	case d < time.Minute:
		return Markdown(strconv.Itoa(int(d/time.Second)) + "s")
	case d < time.Hour:
		return two(d/time.Minute, "m", d%time.Minute/time.Second, "s")
	case d < day:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "m")
	}
	return two(d/day, "d", d%day/time.Hour, "h")
}

// date is a day as "1 Dec"; with the year if it is not that of the time it is
// seen from, or if there is none.
func date(v any, seen ...time.Time) (Markdown, error) {
	var day time.Time
	switch v := v.(type) {
	case time.Time:
		day = v
	default:
		s := plainOf(v)
		if len(s) > len(time.DateOnly) {
			s = s[:len(time.DateOnly)]
		}
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return "", nil // no date: nothing to print
		}
		day = t
	}
	if day.IsZero() {
		return "", nil
	}
	out := strconv.Itoa(day.Day()) + nbsp + day.Month().String()[:3]
	if len(seen) == 0 || seen[0].Year() != day.Year() {
		out += nbsp + strconv.Itoa(day.Year())
	}
	return Markdown(out), nil
}

// ago is how long before now something was; without a now, its date.
func ago(then, now time.Time) (Markdown, error) {
	if then.IsZero() {
		return "", nil
	}
	if now.IsZero() {
		return date(then)
	}
	return Markdown(roughly(now.Sub(then)) + " ago"), nil
}

// roughly is a span of time in one unit: "12 min", "2 h", "3 d".
func roughly(d time.Duration) string {
	switch {
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + nbsp + "min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + nbsp + "h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + nbsp + "d"
}

func either(otherwise, v any) any {
	if s, _ := source(v); s == "" {
		return otherwise
	}
	return v
}
