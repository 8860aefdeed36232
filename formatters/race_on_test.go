//go:build race

package formatters

// underRace tells that the race detector is on, under which pools keep nothing.
const underRace = true
