// Package server owns the door: the public listener that takes GitLab's
// webhooks, and the admin listener for those who run the relay. A webhook is
// answered with 2xx only after the queue has said that it is stored.
//
// It does not decode webhooks, beyond asking that each is one JSON object, and
// does not know what becomes of them.
package server
