package configs

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Part is a piece of an address that an event completes: a text, or a place for one of
// the event's.
type Part struct {
	Text  string
	Place string // one of the Place words; empty for a text
}

// Places that an event fills in the name of a channel.
const (
	PlaceProjectName = "project.name"
	PlaceProjectPath = "project.path"
	PlaceGroup       = "group"     // the full path of the project's group
	PlaceTopGroup    = "top_group" // its first part
	PlaceBranch      = "branch"
	PlaceEnvironment = "environment"
)

var placeWords = []string{PlaceProjectName, PlaceProjectPath, PlaceGroup, PlaceTopGroup, PlaceBranch, PlaceEnvironment}

// narrowPlaces are named by whoever pushes, so that only channels that the destination
// lists take them.
var narrowPlaces = []string{PlaceBranch, PlaceEnvironment}

const (
	minPrefix = 3 // characters before the first place
	maxPlaces = 5 // of an address
)

// otherPlaces are what people write for a place.
var otherPlaces = map[string]string{
	"project": PlaceProjectPath, "path": PlaceProjectPath, "project_path": PlaceProjectPath, "project.path_with_namespace": PlaceProjectPath,
	"name": PlaceProjectName, "project_name": PlaceProjectName, "repo": PlaceProjectName, "repository": PlaceProjectName, "project.group": PlaceGroup, "namespace": PlaceGroup,
	"project.namespace": PlaceGroup, "root_group": PlaceTopGroup, "topgroup": PlaceTopGroup, "ref": PlaceBranch, "env": PlaceEnvironment,
	"deployment.environment": PlaceEnvironment, "job.environment": PlaceEnvironment,
}

// HasPlaces tells whether a text is an address that an event completes.
func HasPlaces(s string) bool { return strings.ContainsAny(s, "{}") }

// placed reads an address with places. It has told what is wrong when it is not ok.
func (r *reader) placed(v value, where string) (To, bool) {
	name, channel, ok := strings.Cut(v.text, "#")
	to := To{Address: Address{Destination: name, Channel: channel}, Pos: r.pos(v.node)}
	if !ok || HasPlaces(name) {
		r.errorf(v.node, `write "mm#gl-{project.path}": the name of a destination, and of a channel with places in it`, "%q is no address: an event completes only the name of a channel, in %s", v.shown(), where)
		return to, false
	}
	parts, message, hint := partsOf(channel)
	if message != "" {
		r.errorf(v.node, hint, "%q %s, in %s", v.shown(), message, where)
		return to, false
	}
	to.Parts = parts
	plain := value{text: name + "#" + withoutPlaces(parts), node: v.node}
	if _, ok := r.address(plain, where, r.destinationNames()); !ok {
		return to, false
	}
	d := r.cfg.Destination(name)
	return to, r.narrow(d, to, v, where)
}

// partsOf reads "gl-{project.path}".
func partsOf(channel string) (parts []Part, message, hint string) {
	rest, places := channel, 0
	for rest != "" {
		text, after, open := strings.Cut(rest, "{")
		if strings.Contains(text, "}") {
			return nil, "has a } without a {", "a place is written {project.path}"
		}
		if text != "" {
			parts = append(parts, Part{Text: text})
		}
		if !open {
			break
		}
		word, after, closed := strings.Cut(after, "}")
		if !closed {
			return nil, "has a { that is never closed", "a place is written {project.path}"
		}
		if !slices.Contains(placeWords, word) {
			message, hint := unknownPlace(word)
			return nil, message, hint
		}
		if places++; places > maxPlaces {
			return nil, fmt.Sprintf("has more than %d places", maxPlaces), "use fewer"
		}
		parts = append(parts, Part{Place: word})
		rest = after
	}
	return parts, "", ""
}

func unknownPlace(word string) (message, hint string) {
	bare := strings.ToLower(strings.Trim(word, " .{}$"))
	hint = "there is {" + strings.Join(placeWords, "}, {") + "}"
	switch s := Suggest(bare, placeWords); {
	case slices.Contains(placeWords, bare):
		hint = fmt.Sprintf("did you mean {%s}?", bare)
	case otherPlaces[bare] != "":
		hint = fmt.Sprintf("did you mean {%s}?", otherPlaces[bare])
	case s != "":
		hint = fmt.Sprintf("did you mean {%s}?", s)
	}
	return fmt.Sprintf("has the unknown place {%s}", harmless(word)), hint
}

// withoutPlaces is the name with a letter for each place, to check what is written out.
func withoutPlaces(parts []Part) string {
	var b strings.Builder
	for _, p := range parts {
		if b.WriteString(p.Text); p.Place != "" {
			b.WriteString("x")
		}
	}
	return b.String()
}

// narrow checks that nobody who names a project or branch can name any channel: the
// address begins with a text of its own, or the destination lists the channels.
func (r *reader) narrow(d *Destination, to To, v value, where string) bool {
	for _, p := range to.Parts {
		if slices.Contains(narrowPlaces, p.Place) && len(d.Channels) == 0 {
			r.errorf(v.node, channelsHint(d, to), "{%s} may name any channel, since whoever pushes chooses it, in %s", p.Place, where)
			return false
		}
	}
	if len(d.Channels) == 0 && utf8.RuneCountInString(to.prefix()) < minPrefix {
		better := Address{to.Address.Destination, "gl-" + to.Address.Channel}
		r.errorf(v.node, fmt.Sprintf("begin with %d characters of your own, %q, or %s", minPrefix, better, channelsHint(d, to)),
			"%q may name any channel, since whoever creates a project chooses it, in %s", v.shown(), where)
		return false
	}
	return true
}

func channelsHint(d *Destination, to To) string {
	glob := to.prefix() + "*"
	if glob == "*" {
		glob = "team-*"
	}
	return fmt.Sprintf("list the channels that it may name: destinations: {%s: {url: …, channels: [%q]}}", d.Name, glob)
}

// prefix is what an address with places always begins with, after the #.
func (t To) prefix() string {
	if len(t.Parts) == 0 || t.Parts[0].Place != "" {
		return ""
	}
	return t.Parts[0].Text
}

// Placed tells whether an event completes the address.
func (t To) Placed() bool { return t.Parts != nil }

// channels reads `channels`: globs over the channels that events may name.
func (r *reader) channels(o object) []Pattern {
	values, _ := r.patterns(o, "channels")
	var out []Pattern
	for _, p := range values {
		p.Text = strings.TrimPrefix(p.Text, "#")
		bare := strings.Map(func(c rune) rune {
			if strings.ContainsRune(`*?[]\^`, c) {
				return 'x'
			}
			return c
		}, p.Text)
		if _, err := path.Match(p.Text, ""); err != nil || channelProblem(bare) != "" || strings.HasPrefix(p.Text, "@") {
			r.add(Finding{
				Pos: p.Pos, Message: fmt.Sprintf("%q is no glob over channels, in channels of %s", harmless(p.Text), o.where), Hint: `for example "gl-*"`,
				Width: utf8.RuneCountInString(p.Text),
			})
			continue
		}
		out = append(out, p)
	}
	return out
}

func anyGlob(globs []Pattern, channel string) bool {
	return slices.ContainsFunc(globs, func(p Pattern) bool { ok, _ := path.Match(p.Text, channel); return ok })
}

// AllowsNaming tells whether an event may name the channel.
func (d *Destination) AllowsNaming(channel string) bool {
	if channel == "" {
		channel = d.Channel
	}
	return (len(d.Channels) == 0 || anyGlob(d.Channels, channel)) && (len(d.ChannelsToo) == 0 || anyGlob(d.ChannelsToo, channel))
}

// AllowsPlaced is [Destination.Allows] for a channel that an event named: only true, or a
// glob, allows it. A name alone means the address that a route writes out.
func (d *Destination) AllowsPlaced(channel string) bool {
	if channel == "" {
		channel = d.Channel
	}
	return d.Confidential.All || channel != "" && d.Confidential.glob(channel)
}

func isGlob(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// glob tells whether a glob of the list matches a channel.
func (c Confidential) glob(channel string) bool {
	return slices.ContainsFunc(c.Channels, func(entry string) bool {
		ok, _ := path.Match(entry, channel)
		return ok && isGlob(entry) && channel[0] != '@'
	})
}

// mayPermit tells whether the fence may permit an address that an event completes.
func (f *Fence) mayPermit(to To) bool {
	begins := to.Address.Destination + "#" + to.prefix()
	return len(f.To) == 0 || slices.ContainsFunc(f.To, func(p Pattern) bool {
		text := p.Text
		if i := strings.IndexAny(text, `*?[\`); i >= 0 {
			text = text[:i]
		} else if !strings.HasPrefix(text, begins) {
			return false
		}
		return strings.HasPrefix(text, begins) || strings.HasPrefix(begins, text)
	})
}
