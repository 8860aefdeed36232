package configs

import (
	"slices"
	"time"
)

// Config is a loaded relay.yaml: defaults filled in, secrets read, names
// resolved to places. It is never changed after [Load].
type Config struct {
	Sources      []Source      // in the file's order
	Destinations []Destination // in the file's order
	Defaults     Defaults
	Usernames    string      // "same": GitLab's usernames are the chat's; else empty
	Users        []User      // of all files but those of a fence, in their order
	Ignore       *Conditions // an except for every route; may be nil
	Bots         Bots
	Egress       string // EgressPrivate or EgressPublic

	// Templates are what message templates are read from, later ones winning:
	// the words "standard" and "classic", and paths of folders, which always
	// hold a slash. None: the standard set. TemplatesPos are their places.
	Templates    []string
	TemplatesPos []Pos

	Routes   []Route // the file's own, then each included file's, as they are asked
	Unrouted Unrouted
	Report   *To // where the relay tells its own troubles; may be nil
	Tests    []Test

	// Files are the paths of everything that was read: secrets, CA files,
	// included files, and folders of templates too.
	Files []string

	// Missing is the number of secrets, and of files with certificates, that
	// are not at hand and have a placeholder. Only [Inspect] allows any.
	Missing int

	// Own are the users of fenced files, by path. They hold for the routes of their
	// file alone, where they come before Users.
	Own map[string][]User

	// Fences are the included files that a fence bounds, by path. A mistake in
	// one of them is that file's alone: see [Reading.Instead].
	Fences map[string]*Fence

	texts []*text // of the file and those that it includes, to show lines of them
}

// Source returns the source of that name, or nil.
func (c *Config) Source(name string) *Source {
	for i := range c.Sources {
		if c.Sources[i].Name == name {
			return &c.Sources[i]
		}
	}
	return nil
}

// Destination returns the destination of that name, or nil.
func (c *Config) Destination(name string) *Destination {
	for i := range c.Destinations {
		if c.Destinations[i].Name == name {
			return &c.Destinations[i]
		}
	}
	return nil
}

// Source is a GitLab that may send.
type Source struct {
	Name        string
	Pos         Pos
	Tokens      []Secret // X-Gitlab-Token; several while rotating
	SigningKeys []Secret // "whsec_…"
	Basic       *Basic   // user name and password in the hook's URL
	Require     string   // "any" or "signature"
	Insecure    bool     // accepts requests without authentication
	Paths       []string // default: /hooks/<name>
	Projects    []Pattern
	API         *API   // how the relay asks this GitLab; may be nil
	Hooks       *Hooks // the webhooks that it shall have; may be nil
}

// Basic is HTTP Basic authentication.
type Basic struct {
	Username string
	Password Secret
}

// Pattern is a string of the file that will be compiled as a pattern, with its
// place.
type Pattern struct {
	Text string
	Pos  Pos

	// Written is the text as the file has it, where the environment gave it
	// another value; else empty. Sentences show it in place of Text.
	Written string
}

// Kinds of destinations.
const (
	KindMattermost = "mattermost"
	KindSlack      = "slack"
	KindLog        = "log"
)

// Destination is one incoming-webhook URL and how to speak to it.
type Destination struct {
	Name         string
	Pos          Pos
	Kind         string
	KindGuessed  bool   // the URL is not at hand, and the file does not say
	URL          Secret // empty for KindLog
	Channel      string // default channel; empty: the hook's own
	Look         Look
	Confidential Confidential
	Channels     []Pattern     // globs over the channels that events may name; none: all with a prefix
	ChannelsToo  []Pattern     // the same of another version of the file; see [Config.Restrict]
	Only         []Conditions  // any of them must match, whatever a route says; none: no gate
	OnlyToo      []Conditions  // the same of another version of the file; see [Config.Restrict]
	RateLimit    Rate          // zero: none
	Concurrency  int           // lanes' deliveries in flight; 1 keeps the order
	Mentions     string        // MentionsNone, MentionsRoute or MentionsMapped
	CAFile       string        // path of certificates to trust in place of the system's; may be empty
	GiveUpAfter  time.Duration // age at which a delivery becomes a dead letter
	Timeout      time.Duration // of a whole attempt, the answer's body included
}

// Confidential says which channels of a destination may get confidential
// events.
type Confidential struct {
	All      bool
	Channels []string // "" is never in it; "@name" for people; globs too
}

// Allows tells whether the channel ("" for the destination's own) may get
// confidential events. The destination's own channel is known by its name when
// the file says it.
func (d *Destination) Allows(channel string) bool {
	if d.Confidential.All {
		return true
	}
	if channel == "" {
		channel = d.Channel
	}
	return channel != "" && (slices.Contains(d.Confidential.Channels, channel) || d.Confidential.glob(channel))
}

// What a destination's messages may mention.
const (
	MentionsNone   = "none"
	MentionsRoute  = "route"  // only what a route's mention adds
	MentionsMapped = "mapped" // also the people that somebody wrote to
)

// Where the relay may connect to.
const (
	EgressPrivate = "private" // loopback and private networks too
	EgressPublic  = "public"
)

// UsernamesSame says that GitLab's usernames are the chat's.
const UsernamesSame = "same"

// Defaults is what destinations take when they say nothing.
type Defaults struct {
	Look     Look
	Mentions string // as of [Destination]; empty when the file does not say
}

// Unrouted says what happens to the standard events that no route took.
type Unrouted struct {
	Mode    string // "drop", "log" or "address"
	Address Address
	Pos     Pos
}

// Address is a destination with a channel.
type Address struct {
	Destination string
	Channel     string // "" (the destination's own), "reviews", or "@alice"
}

// String is the address as the file writes it: "mm", "mm#reviews", "mm@alice".
func (a Address) String() string {
	switch {
	case a.Channel == "":
		return a.Destination
	case a.Channel[0] == '@':
		return a.Destination + a.Channel
	default:
		return a.Destination + "#" + a.Channel
	}
}
