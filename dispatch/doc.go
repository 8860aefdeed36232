// Package dispatch owns what happens next: it reads stored webhooks in order,
// decodes them, asks the routes, and passes each delivery to its lane. It knows
// up to which event everything is settled: the journal calls that the cursor.
//
// It never posts and never waits for a lane.
package dispatch
