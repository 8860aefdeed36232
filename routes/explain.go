package routes

import "github.com/gitlab-mattermost/relay/events"

// Explanation is a decision with its reasons, in the shape of
// `explain -o json` (whose "event" the command adds).
type Explanation struct {
	Routes     []RouteExplanation    `json:"routes"`
	Deliveries []DeliveryExplanation `json:"deliveries"`
	Withheld   []WithheldExplanation `json:"withheld"`

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
}

// KeyExplanation is one key of a route against the event.
type KeyExplanation struct {
	Part  string   `json:"part"`  // "when" or "except"
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
}

// WithheldExplanation is one delivery that a gate held back.
type WithheldExplanation struct {
	Destination string `json:"destination"`
	Channel     string `json:"channel"`
	Route       string `json:"route"`
	Reason      string `json:"reason"`
}

const (
	partWhen   = "when"
	partExcept = "except"
)

// Explain is [Table.Match] with its reasons: every route, every key. The
// decision is the same one, made on the same way.
func (t *Table) Explain(e *events.Event) Explanation {
	s := newSubject(e)
	x := Explanation{Routes: make([]RouteExplanation, 0, len(t.routes)), Deliveries: []DeliveryExplanation{}, Withheld: []WithheldExplanation{}}
	x.Decision = t.decide(s, &x)
	for _, d := range x.Decision.Deliveries {
		x.Deliveries = append(x.Deliveries, DeliveryExplanation{
			Destination: d.Address.Destination, Channel: d.Address.Channel, Route: d.Route, Mention: []string{},
		})
	}
	for _, w := range x.Decision.Withheld {
		x.Withheld = append(x.Withheld, WithheldExplanation{
			Destination: w.Address.Destination, Channel: w.Address.Channel, Route: w.Route, Reason: w.Reason,
		})
	}
	x.Foreign, x.Nearest, x.Because = x.Decision.Foreign, x.Decision.Nearest, x.Decision.Because
	return x
}

// route starts the notes on a route. Notes are taken only for an explanation:
// on a nil receiver these methods do nothing.
func (x *Explanation) route(r *route) *RouteExplanation {
	if x == nil {
		return nil
	}
	x.Routes = append(x.Routes, RouteExplanation{
		Name: r.name, File: r.pos.File, Line: r.pos.Line, Read: true, Keys: []KeyExplanation{},
	})
	return &x.Routes[len(x.Routes)-1]
}

func (x *RouteExplanation) key(part string, index int, k *key, s *subject, ok bool) {
	if x == nil {
		return
	}
	got := k.got(s)
	if k.name == keyAlso && len(got) == 0 && len(k.want) == 0 {
		return // neither asked for nor needed
	}
	e := KeyExplanation{Part: part, Index: index, Key: k.name, Want: append([]string{}, k.want...), Got: append([]string{}, got...), OK: ok}
	if k.note != nil && !ok {
		e.Note = k.note(s)
	}
	x.Keys = append(x.Keys, e)
}

func (x *RouteExplanation) matched(ok bool) {
	if x != nil {
		x.Matched = ok
	}
}
