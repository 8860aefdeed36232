// Package queue owns what survives: webhooks as they came in, deliveries
// parked because their address cannot take them, dead letters, and the journal
// of everything that was decided, tried and settled. All of it stands in four
// append-only JetStream streams, on a NATS server in this process or on an
// external one.
//
// Progress lives in one place, the journal: there are no consumers, no
// acknowledgements and no state per message. A reader asks for the next
// message above the one it has seen.
//
// It does not know what a webhook says: bodies, event names and addresses are
// opaque here.
package queue
