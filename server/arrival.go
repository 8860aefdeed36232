package server

import "net/http"

// Arrival is the result of a request that looks like GitLab's. If it was refused,
// anybody may have sent it.
type Arrival struct {
	Source string // "": no source has its path
	Hook   string // which of GitLab's webhooks sent it; "" when GitLab is older than 16.2
	Result string // as relay_webhooks_received_total has it
	Err    error  // why it was refused, without a secret
}

// Accepted is the result of a webhook that was stored.
const Accepted = "accepted"

// arrived reports a request to Options.Arrived, unless it has no X-Gitlab-Event:
// scanners send none.
func (d *Door) arrived(h http.Header, a Arrival) {
	if d.opt.Arrived == nil || h.Get("X-Gitlab-Event") == "" {
		return
	}
	a.Hook = bounded(h.Get("X-Gitlab-Webhook-UUID"))
	d.opt.Arrived(a)
}
