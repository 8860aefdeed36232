package server

import (
	"encoding/json"
	"time"
)

// Event is one event in a list.
type Event struct {
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	Decided  time.Time `json:"decided,omitzero"`
	Source   string    `json:"source"`
	Event    string    `json:"event"`
	Project  string    `json:"project"`
	Title    string    `json:"title"`
	Actor    string    `json:"actor,omitempty"` // who did it

	// Outcome is the worst that became of it.
	Outcome    string     `json:"outcome"`
	Deliveries []Delivery `json:"deliveries"`
	Withheld   []Planned  `json:"withheld"`
	Repeats    []Planned  `json:"repeats"`
	Nearest    string     `json:"nearest_route,omitempty"`
	Because    string     `json:"because,omitempty"`

	ReplayOf string `json:"replay_of,omitempty"`
	ReplayTo string `json:"replay_to,omitempty"`
}

// Delivery is one event for one address, with its state.
type Delivery struct {
	Address    string    `json:"address"`
	Route      string    `json:"route"`
	State      string    `json:"state"` // delivered, waiting, parked, dead, withheld
	Attempts   int       `json:"attempts"`
	Status     int       `json:"status,omitempty"` // HTTP, of the last attempt
	Reason     string    `json:"reason,omitempty"` // of the last attempt
	Error      string    `json:"error,omitempty"`
	Why        string    `json:"why,omitempty"`              // the error in words
	Time       time.Time `json:"time,omitzero"`              // of the last attempt, or of its end
	Delay      float64   `json:"delay_seconds,omitempty"`    // from the webhook to then
	Duration   float64   `json:"duration_seconds,omitempty"` // of the last attempt
	DeadLetter uint64    `json:"dead_letter,omitempty"`
}

// Planned is a delivery that was not made.
type Planned struct {
	Address string `json:"address"`
	Route   string `json:"route"`
	Reason  string `json:"reason"`
}

// Attempt is one try that did not get through.
type Attempt struct {
	Address  string    `json:"address"`
	Number   int       `json:"number"`
	Time     time.Time `json:"time"`
	Status   int       `json:"status,omitempty"`
	Reason   string    `json:"reason"`
	Error    string    `json:"error,omitempty"`
	Why      string    `json:"why,omitempty"` // the error in words
	Delay    float64   `json:"delay_seconds"`
	Duration float64   `json:"duration_seconds"`
}

// Webhook is what GitLab sent, as it is kept.
type Webhook struct {
	Source        string    `json:"source"`
	Received      time.Time `json:"received"`
	FirstReceived time.Time `json:"first_received,omitzero"` // of a replay: when it came from GitLab
	Headers       []Header  `json:"headers"`
	Size          int       `json:"size"` // of the body, in bytes

	// Body is the payload, with the values of CI variables masked; absent when
	// it is large. BodyPath has it in any case. Of a damaged message, what is left
	// is no payload, and there is neither.
	Body     json.RawMessage `json:"body,omitempty"`
	BodyPath string          `json:"body_path,omitempty"`
}

// Header is one header that was kept.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// EventList is a page of events, newest first.
type EventList struct {
	Events []Event `json:"events"`
	Next   string  `json:"next,omitempty"` // page of the older ones

	// Incomplete: so many are undelivered that older ones of them may be
	// missing.
	Incomplete bool `json:"incomplete,omitempty"`

	// Skipped is how many are left out because they were replayed already.
	Skipped int `json:"skipped,omitempty"`
}

// EventDetail is all that is known of one event.
type EventDetail struct {
	Event
	Webhook  *Webhook  `json:"webhook"` // null when it is not kept any more
	Tries    []Attempt `json:"attempts"`
	Earlier  []Event   `json:"earlier_decisions,omitempty"` // before a restart
	Replays  []string  `json:"replays"`
	Complete bool      `json:"complete"` // false: the oldest attempts, or the newest replays, are left out
}

// Replayed says what a replay was stored as.
type Replayed struct {
	ID         string `json:"id"`
	Status     string `json:"status"`
	ReplayOf   string `json:"replay_of"`
	ReplayTo   string `json:"replay_to,omitempty"`
	DeadLetter uint64 `json:"dead_letter,omitempty"`
}
