// Package dispatch owns what happens next: it reads stored webhooks in order,
// decodes them, asks the routes, and hands each delivery to its lane. It knows
// how far everything is settled, which is what the journal calls the cursor.
//
// It never posts and never waits for a lane.
package dispatch
