// Package server owns the two listeners: the public one, which takes GitLab's
// webhooks, and the admin one, for those who run the relay. A webhook is answered
// with 2xx only after the queue has stored it.
//
// It does not decode webhooks: it only checks that each is one JSON object. It does
// not know where they are delivered.
package server
