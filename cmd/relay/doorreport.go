package main

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/gitlab-mattermost/relay/server"
)

// doorReports reports what is refused at the door, and when that ends.
type doorReports struct {
	reports *reporter
	open    atomic.Int32 // kinds of trouble that go on

	mu      sync.Mutex
	refused map[string]map[string]bool // by source: which of GitLab's webhooks are refused; none is left when that has ended
	lost    bool                       // webhooks could not be stored
}

// maxHooks is how many webhooks of a source are told apart; anybody can make them up.
const maxHooks = 256

func newDoorReports(r *reporter) *doorReports {
	return &doorReports{reports: r, refused: map[string]map[string]bool{}}
}

// arrived is called with what became of each request.
func (d *doorReports) arrived(a server.Arrival) {
	switch a.Result {
	case server.Accepted:
		if d.open.Load() > 0 {
			d.accepted(a)
		}
	case "unauthorized":
		d.refuse(a)
		d.reports.trouble("unauthorized "+a.Source, fmt.Sprintf("❌ Webhooks for source `%s` are refused (401): their secret token or signature is missing or wrong. GitLab disables a webhook that fails four times in a row. "+
			"Enter the source's token in GitLab under Settings > Webhooks, or the new one in relay.yaml.", a.Source))
	case "down", "full", "unstored", "busy", "error":
		d.lose()
		d.reports.trouble("store", fmt.Sprintf("❌ Webhooks are refused and lost (%s): %s. GitLab does not send them again by itself: afterwards, resend them under Settings > Webhooks > Edit > Recent events.", statusOf[a.Result], codeSpan(a.Err.Error())))
	case "not_found":
		d.reports.trouble("not_found", "❌ Webhooks come to a path that no source has, and are refused (404). The log line `webhook` has the path; correct the URL in GitLab.")
	default:
		d.reports.trouble("refused "+a.Result+" "+a.Source, fmt.Sprintf("⚠️ A webhook for source `%s` was refused (%s): %s. Its message will not come.", a.Source, statusOf[a.Result], codeSpan(a.Err.Error())))
	}
}

// statusOf is what GitLab was answered.
var statusOf = map[string]string{
	"down": "503", "full": "503", "unstored": "503", "busy": "503", "error": "500",
	"method": "405", "encoding": "415", "too_large": "413", "malformed": "400", "incomplete": "400",
}

// refuse remembers which webhook's proof was wrong.
func (d *doorReports) refuse(a server.Arrival) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hooks := d.refused[a.Source]
	if hooks == nil {
		hooks = map[string]bool{}
		d.refused[a.Source] = hooks
		d.open.Add(1)
	}
	if len(hooks) < maxHooks {
		hooks[a.Hook] = true
	}
}

func (d *doorReports) lose() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.lost {
		d.lost = true
		d.open.Add(1)
	}
}

// accepted ends what a stored webhook shows to be over: nothing can be stored, and the
// trouble of its source when all that were refused have been accepted since.
func (d *doorReports) accepted(a server.Arrival) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost {
		d.lost = false
		d.open.Add(-1)
		d.reports.relief("✅ Webhooks are stored again.", "store")
	}
	hooks := d.refused[a.Source]
	if !hooks[a.Hook] {
		return
	}
	if delete(hooks, a.Hook); len(hooks) == 0 {
		delete(d.refused, a.Source)
		d.open.Add(-1)
		d.reports.relief(fmt.Sprintf("✅ Webhooks for source `%s` are accepted again.", a.Source), "unauthorized "+a.Source)
	}
}
