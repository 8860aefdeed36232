package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// naming is an address that an event completes.
type naming struct {
	written configs.Address
	parts   []configs.Part
	to      *configs.Destination
	fences  [2]*configs.Fence // both must permit what comes of it; nil does
}

// Unfilled is an address that an event could not complete.
type Unfilled struct {
	Address configs.Address // as the file writes it
	Route   string
	Because string
}

// ReasonChannels: the destination does not list the channel among those that events may name.
const ReasonChannels = "channels"

const (
	// maxName is how many characters the name of a channel has at most in its URL
	// (Mattermost, server/public/model/channel.go, ChannelNameMaxLength).
	maxName   = 64
	maxValue  = 1 << 10 // bytes of an event's text that are looked at
	hashChars = 6
)

// address completes the address. Without one it says why.
func (p *naming) address(s *subject) (configs.Address, string) {
	var name strings.Builder
	room := maxName
	for _, part := range p.parts {
		room -= len(part.Text)
	}
	for _, part := range p.parts {
		if part.Place == "" {
			name.WriteString(part.Text)
			continue
		}
		value := filling(part.Place, s)
		if value == "" {
			return configs.Address{}, fmt.Sprintf("{%s}: %s", part.Place, noValue(part.Place))
		}
		text, because := channelName(part.Place, value, room)
		if because != "" {
			return configs.Address{}, fmt.Sprintf("{%s}: %s", part.Place, because)
		}
		room -= len(text)
		name.WriteString(text)
	}
	channel := name.String()
	if why := unfit(channel); why != "" {
		return configs.Address{}, fmt.Sprintf("%q would %s", channel, why)
	}
	if channel == p.to.Channel {
		channel = "" // the destination's own
	}
	return configs.Address{Destination: p.written.Destination, Channel: channel}, ""
}

// filling is what an event has for a place; empty when it has nothing.
func filling(word string, s *subject) string {
	switch word {
	case configs.PlaceProjectName:
		return s.event.Project.Name
	case configs.PlaceProjectPath:
		return s.event.Project.Path
	case configs.PlaceGroup:
		return group(s.event)
	case configs.PlaceTopGroup:
		top, _, _ := strings.Cut(group(s.event), "/")
		return top
	case configs.PlaceBranch:
		return s.branch()
	}
	return s.environmentName()
}

// group is the full path of the group that an event belongs to.
func group(e *events.Event) string {
	if i := strings.LastIndexByte(e.Project.Path, '/'); i > 0 {
		return e.Project.Path[:i]
	}
	if e.Project.Path == "" {
		return e.Project.Group
	}
	return ""
}

func noValue(word string) string {
	switch word {
	case configs.PlaceBranch:
		return "the event has no branch"
	case configs.PlaceEnvironment:
		return "the event has no environment"
	}
	return "GitLab does not say it of this event"
}

var (
	notName   = regexp.MustCompile(`[^a-z0-9_-]+`)
	idShape   = regexp.MustCompile(`^[a-z0-9]{26}$`)
	idOfSlack = regexp.MustCompile(`^[cdguw][a-z0-9]{8,12}$`)
)

// channelName makes a text of the event a piece of a channel's name. Where letters were
// changed so that another text would be the same, or some were cut off, a hash tells the
// two apart. GitLab tells paths apart without regard to case, and / in them becomes -.
func channelName(word, value string, room int) (text, because string) {
	if len(value) > maxValue {
		return "", "its text is too long"
	}
	if strings.Contains(value, "__") {
		return "", "its text holds __, as the name of a direct conversation does"
	}
	low := strings.ToLower(value)
	plain := low
	switch word {
	case configs.PlaceProjectPath, configs.PlaceGroup, configs.PlaceTopGroup:
		plain = strings.ReplaceAll(low, "/", "-")
	case configs.PlaceBranch, configs.PlaceEnvironment:
		plain = value // whose case tells two apart
	}
	if idShape.MatchString(plain) || idOfSlack.MatchString(low) && strings.ContainsAny(value, "0123456789") && value == strings.ToUpper(value) {
		return "", "its text has the shape of an id"
	}
	text = strings.Trim(notName.ReplaceAllString(strings.ReplaceAll(low, "/", "-"), "-"), "-_")
	if text == plain && len(text) <= room {
		return text, ""
	}
	if room < hashChars {
		return "", "the name of the channel would be too long"
	}
	sum := sha256.Sum256([]byte(value))
	hash := hex.EncodeToString(sum[:])[:hashChars]
	if text = strings.TrimRight(text[:min(len(text), max(room-hashChars-1, 0))], "-_"); text != "" {
		text += "-"
	}
	return text + hash, ""
}

// unfit says why a chat would not take a name for that of a channel.
func unfit(channel string) string {
	switch {
	case strings.Contains(channel, "__"):
		return "hold __, as the name of a direct conversation does"
	case idShape.MatchString(channel):
		return "have the shape of an id"
	case channel == "" || len(channel) > maxName:
		return "be too long"
	case strings.Trim(channel, "-_.") != channel:
		return "begin or end with a dash"
	}
	return ""
}

// permitted says why the completed address may not get the event; "" if it may.
func (p *naming) permitted(s *subject, a configs.Address) (reason string) {
	for _, f := range p.fences {
		if f != nil && !f.Permits(a, p.to) {
			return ReasonFence
		}
	}
	switch {
	case !p.to.AllowsNaming(a.Channel):
		return ReasonChannels
	case s.event.Confidential && !p.to.AllowsPlaced(a.Channel):
		return ReasonConfidential
	}
	return ""
}

// addNamed is [Table.add] for an address that the event completes.
func (t *Table) addNamed(d *Decision, to *target, r *route, s *subject, seen []uint64) {
	a, because := to.naming.address(s)
	if because != "" {
		d.Unfilled = append(d.Unfilled, Unfilled{to.naming.written, r.name, because})
		return
	}
	here := *to
	here.delivery.Address, here.delivery.Placed = a, &to.naming.written
	id, written := t.addresses[a]
	known := written && seen[id/64]&(1<<(id%64)) != 0
	known = known || slices.ContainsFunc(d.Deliveries, func(x Delivery) bool { return x.Address == a }) ||
		slices.ContainsFunc(d.Withheld, func(x Withheld) bool { return x.Address == a })
	if !known {
		reason := to.naming.permitted(s, a)
		if reason == "" && !opens(to.only, s) {
			reason = ReasonOnly
		}
		if reason != "" {
			// What a route writes out is asked by itself, so that it is not seen.
			d.Withheld = append(d.Withheld, Withheld{Address: a, Route: r.name, Reason: reason, ByEvent: true})
			return
		}
		if written {
			seen[id/64] |= 1 << (id % 64)
		}
		d.Deliveries = append(d.Deliveries, here.delivery)
	}
	d.mention(&here, r, s)
}

// namedByEvent tells whether an event alone names an address, in a route of today, and no
// route writes it out.
func (t *Table) namedByEvent(s *subject, a configs.Address) bool {
	if _, written := t.addresses[a]; written {
		return false
	}
	return slices.ContainsFunc(t.namings, func(p *naming) bool {
		at, _ := p.address(s)
		return at == a
	})
}
