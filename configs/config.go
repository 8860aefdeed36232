package configs

import "time"

// Config is a loaded relay.yaml: defaults filled in, secrets read, names
// resolved to places. It is never changed after [Load].
type Config struct {
	Sources      []Source      // in the file's order
	Destinations []Destination // in the file's order
	Defaults     Defaults
	Routes       []Route
	Unrouted     Unrouted

	// Files are the paths of all files that were read, secrets included.
	Files []string

	text *text // of the file, to show lines of it
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
	Insecure    bool     // accepts requests without any proof
	Paths       []string // default: /hooks/<name>
	Projects    []Pattern
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
	URL          Secret // empty for KindLog
	Channel      string // default channel; empty: the hook's own
	Look         Look
	Confidential Confidential
	Concurrency  int           // lanes' deliveries in flight; 1 keeps the order
	GiveUpAfter  time.Duration // age at which a delivery becomes a dead letter
}

// Confidential says which channels of a destination may get confidential
// events.
type Confidential struct {
	All      bool
	Channels []string // "" is never in it; "@name" for people
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
	for _, c := range d.Confidential.Channels {
		if channel != "" && c == channel {
			return true
		}
	}
	return false
}

// Look is how a message looks. Empty fields yield to the next wider place:
// route, destination, defaults, built-in.
type Look struct {
	Username string
	Icon     string // ":emoji:" or an http(s) URL
}

// Defaults is what destinations take when they say nothing.
type Defaults struct {
	Look Look
}

// Route is one entry of routes:.
type Route struct {
	Name   string // as written, or "routes[3]"
	Pos    Pos
	When   []Conditions // any of them; none means the standard events
	Except *Conditions
	To     []To
}

// To is an address as a route names it.
type To struct {
	Address Address
	Pos     Pos
}

// Conditions is one when or except: all keys that are there must match.
type Conditions struct {
	Pos      Pos
	Events   *List
	Projects *List
	Branches *List
	Also     *List // when only
}

// List is the values of one key, any of which may match.
type List struct {
	Key    string
	Pos    Pos // of the key
	Values []Pattern
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
