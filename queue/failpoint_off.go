//go:build !failpoints

package queue

// HasFailpoints tells whether this relay was built with failpoints.
const HasFailpoints = false

// Failpoint does nothing: this relay was built without failpoints.
func Failpoint(string) {}
