package routes

import (
	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// Explanation is a decision with its reasons, in the shape of
// `explain -o json` (whose "event" the command adds).
type Explanation struct {
	Fields     any                   `json:"fields"` // what an `if` sees of the event, without what is empty
	Routes     []RouteExplanation    `json:"routes"`
	Deliveries []DeliveryExplanation `json:"deliveries"`
	Withheld   []WithheldExplanation `json:"withheld"`

	// Unfilled are addresses that the event could not complete.
	Unfilled []UnfilledExplanation `json:"unfilled,omitempty"`

	Foreign bool   `json:"foreign,omitempty"`
	Nearest string `json:"nearest,omitempty"`
	Because string `json:"because,omitempty"`

	Decision Decision `json:"-"` // what Match says
}

// RouteExplanation is what one route says of the event.
type RouteExplanation struct {
	Name    string           `json:"name"`
	File    string           `json:"file"`
	Line    int              `json:"line"`
	Matched bool             `json:"matched"`
	Read    bool             `json:"read"` // an earlier route's stop did not end the reading before it
	Stop    bool             `json:"stop"`
	Keys    []KeyExplanation `json:"keys"`

	// Mention is whom the route's mention found; only of routes that matched.
	Mention []MentionExplanation `json:"mention,omitempty"`
}

// MentionExplanation is one word of a route's mention against the event.
type MentionExplanation struct {
	Word  string   `json:"word"`  // "author", "@anna"
	Found []string `json:"found"` // GitLab usernames; of here, channel and names the word itself
	Note  string   `json:"note,omitempty"`
}

// KeyExplanation is one key of a route against the event.
type KeyExplanation struct {
	Part  string   `json:"part"`  // "when", "except" or "ignore"
	Index int      `json:"index"` // entry of a when list
	Key   string   `json:"key"`
	Want  []string `json:"want"` // as the file writes it
	Got   []string `json:"got"`  // what the event has; empty: nothing
	OK    bool     `json:"ok"`   // the test's own truth, in except too
	Note  string   `json:"note,omitempty"`
}

// DeliveryExplanation is one delivery.
type DeliveryExplanation struct {
	Destination string   `json:"destination"`
	Channel     string   `json:"channel"` // "", "reviews" or "@alice"
	Route       string   `json:"route"`
	Mention     []string `json:"mention"`
	Written     string   `json:"written,omitempty"` // the address in the file, where the event completed it

	// How it looks there, where that is not the built-in look.
	Detail   string `json:"detail,omitempty"`
	Layout   string `json:"layout,omitempty"`
	Template string `json:"template,omitempty"`
}

// WithheldExplanation is one delivery that a gate held back.
type WithheldExplanation struct {
	Destination string `json:"destination"`
	Channel     string `json:"channel"`
	Route       string `json:"route"`
	Reason      string `json:"reason"`            // ReasonConfidential, ReasonOnly, ReasonFence or ReasonChannels
	Because     string `json:"because,omitempty"` // `visibility: want public, got private`
}

// UnfilledExplanation is an address that the event could not complete.
type UnfilledExplanation struct {
	Address string `json:"address"` // as the file writes it
	Route   string `json:"route"`
	Because string `json:"because"`
}

const (
	partWhen   = "when"
	partExcept = "except"
	partIgnore = "ignore"
	partOnly   = "only"
)

// Explain is [Table.Match] with its reasons: every route, every key. The
// decision is the same one, made on the same way.
func (t *Table) Explain(e *events.Event) Explanation { return t.explain(t.subject(e)) }

func (t *Table) explain(s *subject) Explanation {
	x := Explanation{Fields: s.environment().whole(), Routes: make([]RouteExplanation, 0, len(t.routes)), Deliveries: []DeliveryExplanation{}, Withheld: []WithheldExplanation{}}
	x.Decision = t.decide(s, &x)
	for i := range x.Routes {
		if x.Routes[i].Matched {
			x.Routes[i].Mention = t.explainMention(&t.routes[i], s)
		}
	}
	for _, d := range x.Decision.Deliveries {
		x.Deliveries = append(x.Deliveries, explainDelivery(d))
	}
	for _, w := range x.Decision.Withheld {
		x.Withheld = append(x.Withheld, WithheldExplanation{
			Destination: w.Address.Destination, Channel: w.Address.Channel, Route: w.Route, Reason: w.Reason, Because: t.gateBecause(w, s),
		})
	}
	for _, u := range x.Decision.Unfilled {
		x.Unfilled = append(x.Unfilled, UnfilledExplanation{u.Address.String(), u.Route, u.Because})
	}
	x.Foreign, x.Nearest, x.Because = x.Decision.Foreign, x.Decision.Nearest, x.Decision.Because
	return x
}

func explainDelivery(d Delivery) DeliveryExplanation {
	out := DeliveryExplanation{
		Destination: d.Address.Destination, Channel: d.Address.Channel, Route: d.Route, Mention: append([]string{}, d.Mention...),
		Template: d.Look.Template,
	}
	if d.Placed != nil {
		out.Written = d.Placed.String()
	}
	if d.Look.Detail != configs.DetailFull {
		out.Detail = d.Look.Detail
	}
	if d.Look.Layout != configs.LayoutAuto {
		out.Layout = d.Look.Layout
	}
	return out
}

// route starts the notes on a route. Notes are taken only for an explanation:
// on a nil receiver these methods do nothing.
func (x *Explanation) route(r *route, read bool) *RouteExplanation {
	if x == nil {
		return nil
	}
	x.Routes = append(x.Routes, RouteExplanation{
		Name: r.name, File: r.pos.File, Line: r.pos.Line, Read: read, Stop: r.stop, Keys: []KeyExplanation{},
	})
	return &x.Routes[len(x.Routes)-1]
}

func (x *RouteExplanation) key(part string, index int, k *key, s *subject, ok bool, note string) {
	if x == nil {
		return
	}
	got := k.got(s)
	if k.name == keyAlso && len(got) == 0 && len(k.want) == 0 {
		return // neither asked for nor needed
	}
	e := KeyExplanation{Part: part, Index: index, Key: k.name, Want: append([]string{}, k.want...), Got: append([]string{}, got...), OK: ok, Note: note}
	if note == "" && k.note != nil && (!ok || k.name == keyTimes) {
		e.Note = k.note(s)
	}
	x.Keys = append(x.Keys, e)
}

func (x *RouteExplanation) matched(ok bool) {
	if x != nil {
		x.Matched = ok
	}
}

const yieldsNote = "yields: the route names it"

// explainIgnore notes the keys of ignore, of which some yield to the route.
func (t *Table) explainIgnore(s *subject, x *RouteExplanation, yields uint32) {
	for i := range t.ignore {
		note := ""
		if yields&(1<<i) != 0 {
			note = yieldsNote
		}
		x.key(partIgnore, 0, &t.ignore[i], s, s.ignored&(1<<i) != 0, note)
	}
}

func (t *Table) explainMention(r *route, s *subject) []MentionExplanation {
	var out []MentionExplanation
	for _, word := range r.mention {
		people, note := r.chat.found(word, s)
		m := MentionExplanation{Word: word, Found: []string{}, Note: note}
		for _, p := range people {
			if p.username != "" {
				m.Found = append(m.Found, p.username)
			}
		}
		if word == configs.MentionHere || word == configs.MentionChannel || word[0] == '@' {
			m.Found = append(m.Found, word)
		}
		out = append(out, m)
	}
	return out
}

// gateBecause is what kept a destination's gate closed.
func (t *Table) gateBecause(w Withheld, s *subject) string {
	if w.Reason != ReasonOnly {
		return ""
	}
	if d := t.destinations[w.Address.Destination]; d != nil {
		return closedBy(d.only, s)
	}
	return ""
}

// closedBy is the first key of a gate's last entry that does not match.
func closedBy(only []conditions, s *subject) string {
	because := ""
	for i := range only {
		for j := range only[i].keys {
			if k := &only[i].keys[j]; !k.match(s) {
				because = k.text(s, partWhen)
				break
			}
		}
	}
	return because
}
