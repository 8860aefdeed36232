// Package routes owns who wants to know: it compiles the routes of relay.yaml
// into a [Table] and answers, for one event, which addresses get it and why.
// The live path, explain, test and check all ask this one matcher.
//
// It is pure: no I/O, no clock, no state between events. It neither renders
// nor delivers.
package routes
