// Package events owns what GitLab says: it proves the sender of a webhook
// ([Proof]), checks that its body is safe to read ([CheckObject]), decodes any
// payload into one [Event] ([Decode]), knows who is a bot ([User].Bot), and has the
// vocabulary ([Names]) and a sample of every event ([Samples]). It reads every
// JSON object that GitLab has ever been seen to send, and never refuses one for
// being unknown.
//
// It does not know routes, destinations or configuration files, does no I/O,
// and keeps nothing.
package events
