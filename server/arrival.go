package server

import "net/http"

// Arrival is what became of a request that looks like GitLab's. Nothing of it is
// proved, where it was refused.
type Arrival struct {
	Source string // "": no source has its path
	Hook   string // which of GitLab's webhooks sent it; "" when GitLab is older than 16.2
	Result string // as relay_webhooks_received_total has it
	Err    error  // why it was refused, without a secret
}

// Accepted is the result of a webhook that was stored.
const Accepted = "accepted"

// arrived tells of a request. Scanners send no X-Gitlab-Event.
func (d *Door) arrived(h http.Header, a Arrival) {
	if d.opt.Arrived == nil || h.Get("X-Gitlab-Event") == "" {
		return
	}
	a.Hook = bounded(h.Get("X-Gitlab-Webhook-UUID"))
	d.opt.Arrived(a)
}
