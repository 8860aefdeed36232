package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/routes"
)

// explanation is a decision for people: the event, every route with its keys
// in columns, and where the event goes.
func (c *configuration) explanation(e *events.Event, x routes.Explanation) string {
	var b strings.Builder
	b.WriteString(headline(e) + "\n")
	for _, w := range e.Warnings {
		fmt.Fprintf(&b, "  could not be read: %s\n", printable(w))
	}
	columns := widths(x.Routes)
	for _, r := range x.Routes {
		b.WriteString("\n" + title(r) + "\n")
		for _, k := range rows(r) {
			k.write(&b, columns)
		}
		for _, m := range r.Mention {
			b.WriteString("    " + mention(m) + "\n")
		}
	}
	b.WriteString("\n")
	for _, line := range c.outcome(e, x) {
		b.WriteString(line + "\n")
	}
	return b.String()
}

func headline(e *events.Event) string {
	line := e.Name()
	branch := e.Branch
	if e.Tag != "" {
		branch = ""
	}
	for _, fact := range []struct{ word, value string }{
		{"in", e.Project.Path}, {"by", e.Actor.Username}, {"on", branch}, {"on tag", e.Tag}, {"into", e.TargetBranch},
	} {
		if fact.value != "" {
			line += " " + fact.word + " " + printable(fact.value)
		}
	}
	return line
}

// title is the line above a route's keys.
func title(r routes.RouteExplanation) string {
	named := printable(r.Name) + " (" + place(r) + ")"
	switch {
	case !r.Read:
		return "– " + named + " is not read: a route before it stops"
	case r.Matched && r.Stop:
		return tick(true) + " " + named + " and stops"
	}
	return tick(r.Matched) + " " + named
}

func place(r routes.RouteExplanation) string {
	if r.Line == 0 {
		return r.File
	}
	return fmt.Sprintf("%s:%d", r.File, r.Line)
}

// row is one key of a route: what it wants in lines, what the event has got.
// Without lines, got is the whole sentence.
type row struct {
	ok   bool
	key  string
	word string // "want", or "not" in except
	want []string
	got  string
}

// wantWidth is how wide a list of what a key wants may be, in characters.
const wantWidth = 40

func rows(r routes.RouteExplanation) []row {
	if !r.Read {
		return nil
	}
	several := false // entries of when
	for _, k := range r.Keys {
		several = several || k.Index > 0
	}
	var out []row
	for _, k := range r.Keys {
		key := k.Part + "." + k.Key
		if several && k.Part == "when" {
			key = fmt.Sprintf("when[%d].%s", k.Index, k.Key)
		}
		switch {
		case k.Key == "also" && len(k.Got) == 0, k.Part == "ignore" && !k.OK: // of no account
		case k.Key == "also":
			out = append(out, row{ok: k.OK, key: key, got: "needs " + k.Got[0] + ": " + gated[k.Got[0]]})
		case k.Part == "when":
			out = append(out, row{k.OK, key, "want ", wrap(k.Want, wantWidth), got(k)})
		default: // in except and ignore a key that holds is what keeps the route from matching
			yields := k.OK && k.Note != ""
			out = append(out, row{!k.OK || yields, key, "not ", wrap(k.Want, wantWidth), got(k)})
		}
	}
	return out
}

func got(k routes.KeyExplanation) string {
	s := strings.Join(k.Got, ", ")
	if s == "" {
		s = "nothing"
	}
	if k.Note != "" {
		s += " (" + k.Note + ")"
	}
	return printable(s)
}

// gated says what is special about events that are posted only where `also`
// has the word.
var gated = map[string]string{
	configs.AlsoEditedNotes:       "the comment was edited",
	configs.AlsoSystemNotes:       "GitLab itself wrote the comment",
	configs.AlsoChildPipelines:    "it is a child pipeline",
	configs.AlsoImmaterialUpdates: "nothing changed that people would tell",
}

// wrap joins words with commas into lines of at most width characters; a word
// that is longer has a line of its own.
func wrap(words []string, width int) []string {
	lines := []string{""}
	for i, w := range words {
		if i < len(words)-1 {
			w += ","
		}
		last := len(lines) - 1
		switch {
		case lines[last] == "":
			lines[last] = w
		case utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(w) > width:
			lines = append(lines, w)
		default:
			lines[last] += " " + w
		}
	}
	return lines
}

// columnWidths are those of key and want over all routes, in characters.
type columnWidths struct{ key, want int }

func widths(all []routes.RouteExplanation) columnWidths {
	var w columnWidths
	for _, r := range all {
		for _, k := range rows(r) {
			w.key = max(w.key, utf8.RuneCountInString(k.key))
			for _, line := range k.want {
				if n := utf8.RuneCountInString(k.word + line); n <= wantWidth+len("want ") {
					w.want = max(w.want, n)
				}
			}
		}
	}
	return w
}

func (k row) write(b *strings.Builder, w columnWidths) {
	fmt.Fprintf(b, "  %s %-*s  ", tick(k.ok), w.key, k.key)
	if len(k.want) == 0 {
		b.WriteString(k.got + "\n")
		return
	}
	fmt.Fprintf(b, "%-*s  got %s\n", w.want, k.word+k.want[0], k.got)
	for _, line := range k.want[1:] {
		fmt.Fprintf(b, "%*s%s\n", 2+2+w.key+2+len(k.word), "", line)
	}
}

// mention says whom a word of a route's mention found.
func mention(m routes.MentionExplanation) string {
	line := "mentions " + m.Word
	switch {
	case len(m.Found) == 0:
		line += ": nobody"
	case !slices.Equal(m.Found, []string{m.Word}):
		line += ": " + strings.Join(m.Found, ", ")
	}
	if m.Note != "" {
		line += " (" + m.Note + ")"
	}
	return printable(line)
}

func tick(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

// outcome says where the event goes, and if nowhere, why.
func (c *configuration) outcome(e *events.Event, x routes.Explanation) []string {
	if x.Foreign {
		return []string{fmt.Sprintf("goes nowhere: source %s may not speak for this project", e.Source), "  " + printable(x.Because)}
	}
	var lines []string
	if word := missing(x); word != "" {
		lines = append(lines, fmt.Sprintf("only a route that says also: %s takes it: %s", word, gated[word]))
	}
	if x.Nearest != "" && len(x.Unfilled) == 0 {
		lines = append(lines, fmt.Sprintf("no route takes it; nearest is %s: %s", printable(x.Nearest), printable(x.Because)))
	}
	for _, d := range x.Deliveries {
		line := fmt.Sprintf("goes to %s (%s)", address(d.Destination, d.Channel), by(d.Route)+written(d.Written))
		for _, look := range []struct{ key, value string }{{"template", d.Template}, {"detail", d.Detail}, {"layout", d.Layout}} {
			if look.value != "" {
				line += ", " + look.key + " " + look.value
			}
		}
		if len(d.Mention) > 0 {
			line += ", mentioning " + printable(strings.Join(d.Mention, ", "))
		}
		lines = append(lines, line)
	}
	for _, w := range x.Withheld {
		lines = append(lines, fmt.Sprintf("withheld from %s (%s): %s", address(w.Destination, w.Channel), by(w.Route), c.withheld(w)))
	}
	for _, u := range x.Unfilled {
		lines = append(lines, fmt.Sprintf("cannot go to %s (%s): %s", u.Address, by(u.Route), printable(u.Because)))
	}
	if len(x.Deliveries)+len(x.Withheld) > 0 {
		return lines
	}
	if c.Unrouted.Mode == configs.UnroutedAddress {
		return append(lines, "goes nowhere: "+notUnrouted(x))
	}
	return append(lines, "goes nowhere")
}

// notUnrouted is why unrouted does not take an event that no route takes.
func notUnrouted(x routes.Explanation) string {
	if missing(x) != "" {
		return "unrouted takes nothing that a route has to ask for with also"
	}
	for _, r := range x.Routes {
		for _, k := range r.Keys {
			if k.Part == "ignore" && k.OK {
				return "ignore keeps it from unrouted too"
			}
		}
	}
	if slices.ContainsFunc(x.Routes, atOtherTimes) {
		return "a route takes it at other times, so that unrouted does not"
	}
	return "unrouted takes standard events only"
}

// atOtherTimes tells whether nothing but the time keeps a route from an event.
func atOtherTimes(r routes.RouteExplanation) bool {
	kept := false
	for _, k := range r.Keys {
		if k.OK != (k.Part == "when") {
			if k.Key != "times" {
				return false
			}
			kept = true
		}
	}
	return kept
}

// missing is the word of also without which no route takes the event.
func missing(x routes.Explanation) string {
	word := ""
	for _, r := range x.Routes {
		if r.Matched {
			return ""
		}
		for _, k := range r.Keys {
			if k.Key == "also" && !k.OK {
				word = k.Got[0]
			}
		}
	}
	return word
}

// written is how the file writes an address that the event completed.
func written(address string) string {
	if address == "" {
		return ""
	}
	return ": " + address
}

func by(route string) string {
	if route == "unrouted" {
		return route
	}
	return "route " + printable(route)
}

// withheld says why a gate held a delivery back, and how to open it.
func (c *configuration) withheld(w routes.WithheldExplanation) string {
	switch w.Reason {
	case routes.ReasonChannels:
		return "channels of destination " + w.Destination + " does not list it among those that events may name"
	case routes.ReasonFence:
		return "the include of the route's file does not let it route there"
	case routes.ReasonOnly:
		return "destination " + w.Destination + " does not take it (only): " + printable(w.Because)
	}
	channel := w.Channel
	d := c.Destination(w.Destination)
	if channel == "" && d != nil {
		channel = d.Channel
	}
	open := fmt.Sprintf("set confidential: true on destination %s", w.Destination)
	switch {
	case d != nil && d.Pos.Line == 0:
		open = "write a relay.yaml and set confidential: true on the destination"
	case strings.HasPrefix(channel, "@"):
		open = fmt.Sprintf("add %q to confidential of destination %s", channel, w.Destination)
	case channel != "":
		open = fmt.Sprintf("add %s to confidential of destination %s", channel, w.Destination)
	}
	return "the event is confidential; if it may go there, " + open
}

// printable makes text from a webhook fit for a terminal: one line, no control
// characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}
