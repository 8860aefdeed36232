package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const byHandMark = "by hand"

// byHand has the flags that a command has so far be given on the command line
// alone. What drops messages or posts them again must not depend on a variable that
// somebody set for another command.
func byHand(cmd *cobra.Command) {
	cmd.Flags().VisitAll(markByHand)
}

func markByHand(f *pflag.Flag) { f.Annotations = map[string][]string{byHandMark: nil} }

func isByHand(f *pflag.Flag) bool {
	_, marked := f.Annotations[byHandMark]
	return marked
}

// choosing is how a command that drops messages, or posts them again, may be told
// which: by naming them, by filters, or with --all.
type choosing struct {
	name    string // of the command
	named   string // "numbers"
	needs   string // "the number of a dead letter"
	hint    string // where to find them
	filters bool   // it has filters
	all     bool   // it has --all
}

// check makes sure that a command was told in one way which ones are meant. What
// was given as nothing, as by a variable of the shell that is not set, is refused:
// it would mean more than whoever wrote it wants.
func (c choosing) check(cmd *cobra.Command, named []string, filters int) error {
	var empty string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if isByHand(f) && f.Value.String() == "" {
			empty = "--" + f.Name
		}
	})
	for _, arg := range named {
		if arg == "" {
			empty = "an argument"
		}
	}
	all := cmd.Flags().Lookup("all")
	ways := 0
	for _, given := range []bool{len(named) > 0, filters > 0, all != nil && all.Value.String() == "true"} {
		if given {
			ways++
		}
	}
	words := []string{c.named}
	if c.filters {
		words = append(words, "filters")
	}
	if c.all {
		words = append(words, "--all")
	}
	switch {
	case empty != "":
		return usage("is a variable of the shell not set?", "%s: %s is empty", c.name, empty)
	case ways > 1:
		return usage("name some, or choose in one other way", "%s takes %s, one of these", c.name, or(words))
	case ways == 0:
		return usage(c.hint, "%s needs %s", c.name, strings.Join(append([]string{c.needs}, words[1:]...), ", or "))
	}
	return nil
}
