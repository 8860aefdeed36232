package configs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// ParseAddress reads an address as the file writes it: "mm", "mm#reviews" or
// "mm@alice". It checks the form, not whether the destination exists.
func ParseAddress(s string) (Address, error) {
	name, channel := s, ""
	if i := strings.IndexAny(s, "#@"); i >= 0 {
		name, channel = s[:i], s[i:]
		if problem := channelProblem(channel); problem != "" {
			return Address{}, fmt.Errorf("read address: %s", problem)
		}
		channel = strings.TrimPrefix(channel, "#")
	}
	if !namePattern.MatchString(name) {
		return Address{}, fmt.Errorf("read address: it is name, name#channel or name@user, and the name has only lower-case letters, digits, - and _")
	}
	return Address{Destination: name, Channel: channel}, nil
}

var (
	// A Mattermost channel's URL name, or a Slack channel's name or id: Slack
	// allows letters of all scripts in names, and upper case in ids. At most
	// maxChannel of them: a count in the pattern would take 4 MB of memory.
	channelPattern = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N}._-]*$`)
	slackID        = regexp.MustCompile(`^[CG][A-Z0-9]{7,}$`)
	userPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
)

// maxChannel is how many characters the name of a channel has at most.
const maxChannel = 80

// channelProblem tells what is wrong with "reviews", "#reviews" or "@alice".
func channelProblem(channel string) string {
	if user, ok := strings.CutPrefix(channel, "@"); ok {
		if !userPattern.MatchString(user) {
			return "a person is @ and a username: lower-case letters, digits, dots, - and _"
		}
		if CallsAll(user) {
			return "all, channel and here are nobody's names"
		}
		return ""
	}
	name := strings.TrimPrefix(channel, "#")
	switch {
	case !channelPattern.MatchString(name) || utf8.RuneCountInString(name) > maxChannel:
		return "a channel is named as in its URL: letters, digits, - and _, without spaces"
	case name != strings.ToLower(name) && !slackID.MatchString(name):
		return "a channel is named as in its URL: in lower case"
	}
	return ""
}

// channel reads "reviews", "#reviews" or "@alice" into what Address holds.
func (r *reader) channel(v value, what string) (string, bool) {
	if problem := channelProblem(v.text); problem != "" {
		hint := problem
		if low := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(v.text)), " ", "-"); channelProblem(low) == "" && v.text == v.node.Value {
			hint = fmt.Sprintf("did you mean %q? %s", low, problem)
		}
		r.errorf(v.node, hint, "%q is no channel, in %s", v.shown(), what)
		return "", false
	}
	return strings.TrimPrefix(v.text, "#"), true
}

// address reads an address and checks that its destination exists.
func (r *reader) address(v value, what string, destinations []string) (Address, bool) {
	if word, width := r.gluedComment(v); word != "" {
		tr := trap{
			line: v.node.Line - 1, from: v.node.Column - 1, to: v.node.Column - 1 + width,
			meant: v.node.Value + word, why: fmt.Sprintf("# after a space starts a comment in YAML, so that only %s is left", v.shown()),
		}
		r.add(tr.finding(r.text))
		return Address{}, false
	}
	a, err := ParseAddress(v.text)
	if err != nil {
		hint := strings.TrimPrefix(err.Error(), "read address: ")
		if HasPlaces(v.text) {
			hint = "only to of a route takes places such as {project.path}: write the name of the channel out"
		} else if strings.HasPrefix(v.text, "$") {
			hint = "lists are for conditions: write the addresses out"
		} else if several(v.text) {
			hint = "several addresses are a list: [a, b]"
		} else if bareChannel(v.text) && v.text == v.node.Value {
			hint = fmt.Sprintf("the name of a destination stands before it: %q", exampleOf(destinations)+v.text)
		} else if _, err := ParseAddress(strings.ReplaceAll(v.text, " ", "")); err == nil && v.text == v.node.Value {
			hint = fmt.Sprintf("did you mean %q?", strings.ReplaceAll(v.text, " ", ""))
		}
		r.errorf(v.node, hint, "%q is no address, in %s", v.shown(), what)
		return a, false
	}
	for _, d := range destinations {
		if d == a.Destination {
			return a, true
		}
	}
	if len(destinations) == 0 {
		return a, false // which is told already
	}
	shown := harmless(a.Destination)
	hint := "there is " + clip(strings.Join(destinations, ", "))
	if v.text != v.node.Value {
		shown = v.shown()
	} else if s := Suggest(a.Destination, destinations); s != "" {
		hint = fmt.Sprintf("did you mean %q?", Address{s, a.Channel})
	} else if a.Channel == "" {
		hint += fmt.Sprintf("; a channel is written %q", exampleOf(destinations)+"#"+harmless(a.Destination))
	}
	r.errorf(v.node, hint, "unknown destination %q in %s", shown, what)
	return a, false
}

// exampleOf is the destination that an example of an address shows.
func exampleOf(destinations []string) string {
	if len(destinations) == 0 {
		return "NAME"
	}
	return harmless(destinations[0])
}

// several tells whether a text is addresses with commas or spaces between.
func several(s string) bool {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	for _, w := range words {
		if _, err := ParseAddress(w); err != nil {
			return false
		}
	}
	return len(words) > 1
}

// gluedComment is the "#reviews" of `to: mm #reviews`, which YAML takes for a
// comment, and the width of value and comment together.
func (r *reader) gluedComment(v value) (word string, width int) {
	if v.node.Style != 0 {
		return "", 0
	}
	rest := r.text.after(v.node.Line-1, v.node.Column-1)
	if !startsWith(rest, v.node.Value) {
		return "", 0
	}
	length := utf8.RuneCountInString(v.node.Value)
	spaces := indent(rest[length:])
	if spaces == 0 {
		return "", 0
	}
	word = glued(rest[length+spaces:])
	return word, length + spaces + utf8.RuneCountInString(word)
}
