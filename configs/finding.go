package configs

import (
	"cmp"
	"fmt"
	"slices"
)

// Pos is a place in a file. Line and Col count from 1, Col in characters.
type Pos struct {
	File string
	Line int
	Col  int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Severity of a finding. Warnings never refuse a file.
type Severity int

// The severities.
const (
	Error Severity = iota
	Warning
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Finding is one mistake in a file: where, what, and what to do.
type Finding struct {
	Pos      Pos
	Severity Severity
	Message  string // lower case, no full stop
	Hint     string // what to do; may be empty

	// The line as it may be shown: secrets redacted, control characters
	// replaced, cut when long. Caret counts from 1 in Line, in characters, and
	// may differ from Pos.Col; Width is at least 1. All zero without a line.
	Line  string
	Caret int
	Width int

	Brief bool // the sentence says it all: no line is shown, and the hint stands beside it
}

// ErrorsFirst orders for people: the errors, then the warnings, each as they
// stood.
func ErrorsFirst(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) })
}

// SortFindings orders by file, line and column, keeping the order of those at
// one place.
func SortFindings(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
}

// HasErrors tells whether any finding is an error.
func HasErrors(fs []Finding) bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Severity == Error })
}
