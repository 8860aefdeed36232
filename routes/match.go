package routes

import "github.com/gitlab-mattermost/relay/configs"

// Delivery is one event for one address, and how it shall look there.
type Delivery struct {
	Address configs.Address
	Placed  *configs.Address // as the file writes it, where the event completed it; else nil
	Route   string           // name of the first route that took the event
	File    string           // where that route stands, if that is an included file with a fence
	Look    configs.Look

	// Mention is whom the routes mention, as the chat writes it ("@anna",
	// "@here", "<@U02ABCDEF>", "<!here>"), each once; nil for nobody.
	Mention []string
}

// Reasons why a delivery is withheld.
const (
	ReasonConfidential = "confidential" // the channel may not get confidential events
	ReasonOnly         = "only"         // the destination does not take such events
	ReasonFence        = "fence"        // the route's file may not route it there
	ReasonForeign      = "foreign"      // the source may not speak for the event's project
)

// Withheld is a delivery that a gate held back.
type Withheld struct {
	Address configs.Address
	Route   string
	Reason  string

	ByEvent bool // the event completed the address
}

// Decision is what the table says of one event.
type Decision struct {
	Deliveries []Delivery
	Withheld   []Withheld
	Unfilled   []Unfilled

	// Foreign: the source may not speak for the event's project; nothing is
	// delivered.
	Foreign bool

	// Nearest is the route that came closest when no route took the event, and
	// Because what kept it from matching: `branches: want main, got develop`.
	Nearest string
	Because string

	// Exceeded are routes that did not match because their conditions took too
	// many steps.
	Exceeded []string
}
