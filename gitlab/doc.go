// Package gitlab owns GitLab's own side: it asks GitLab's API which webhooks there
// are, and gives it those that relay.yaml names.
//
// It takes no webhooks and knows no routes: which events are wanted is told to it.
// GitLab's client library is used in client.go alone.
package gitlab
