//go:build !race

package formatters

const underRace = false
