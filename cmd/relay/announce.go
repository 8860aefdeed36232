package main

import (
	"fmt"
	"net"
	"os"

	"github.com/gitlab-mattermost/relay/configs"
)

// triggers are the boxes to tick in GitLab for the events that routes take
// when they say nothing, and for those of jobs.
const triggers = "push, tag push, comments, issues, merge requests, jobs, pipelines, wiki pages, deployments, releases"

// announce prints what to paste into GitLab, one line a source.
func (r *relay) announce() {
	scheme := "http"
	if r.f.cert != "" {
		scheme = "https"
	}
	for _, s := range r.live.Load().Sources {
		fmt.Fprintf(r.stdout, "paste into GitLab > Settings > Webhooks: URL %s://%s%s · %s · Trigger: %s\n",
			scheme, publicHost(r.public.Addr()), s.Paths[0], secretPlace(s), triggers)
	}
}

// publicHost is the address as GitLab may reach it: an address that listens
// everywhere is named by the machine's own name.
func publicHost(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

// secretPlace says which field takes which secret, never the secret.
func secretPlace(s configs.Source) string {
	signed := len(s.SigningKeys) > 0 && (s.Require == "signature" || len(s.Tokens) == 0)
	fromEnvironment := s.Pos.Line == 0
	switch {
	case s.Insecure:
		return "Secret token: none (insecure: true)"
	case signed && fromEnvironment:
		return "Signing token: the value of RELAY_SIGNING_KEY"
	case signed:
		return "Signing token: the signing_key of source " + s.Name
	case len(s.Tokens) > 0 && fromEnvironment:
		return "Secret token: the value of RELAY_TOKEN"
	case len(s.Tokens) > 0:
		return "Secret token: the token of source " + s.Name
	default:
		return "Secret token: none; the URL needs user name and password, the basic of source " + s.Name
	}
}

// loopback tells whether an address to listen on is reached from this machine
// only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	return onThisMachine(host)
}
