// Package delivery owns how a message gets there: one lane per address, the
// POST to the incoming webhook, the verdict on its answer, retries, and the
// pausing and probing of what cannot take messages now. What has to wait longer
// is parked in the queue; what is given up becomes a dead letter.
//
// It does not decide who gets a message, nor how it reads.
package delivery
