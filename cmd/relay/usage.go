package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gitlab-mattermost/relay/configs"
)

// usage is a mistake on the command line, with what to do.
func usage(hint, format string, args ...any) error {
	return &exitError{exitUsage, fmt.Sprintf(format, args...), hint}
}

// wrongFlag puts cobra's words about flags into ours.
func wrongFlag(cmd *cobra.Command, err error) error {
	see := "see " + cmd.CommandPath() + " --help"
	var unknown *pflag.NotExistError
	var noValue *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &invalid):
		return wrongValue("--"+invalid.GetFlag().Name, err)
	case errors.As(err, &noValue):
		return usage(see, "--%s needs a value", noValue.GetFlag().Name)
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := configs.Suggest(unknown.GetSpecifiedName(), names); near != "" {
			see = "did you mean --" + near + "?"
		}
		return usage(see, "unknown flag --%s", unknown.GetSpecifiedName())
	}
	return usage(see, "%s", err)
}

// wrongValue says what a flag, or the variable in its place, takes.
func wrongValue(name string, err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return usage("", "%s: %s", name, err)
	}
	value := invalid.GetValue()
	switch v := invalid.GetFlag().Value; v.Type() {
	case "duration":
		return usage("it takes a number and a unit, such as 72h or 30m", "%s: %q is no duration", name, value)
	case "size":
		return usage("it takes a number and B, KiB, MiB or GiB, such as 25MiB", "%s: %q is no size", name, value)
	case "int":
		return usage("", "%s: %q is no whole number", name, value)
	case "bool":
		return usage("it takes true or false", "%s: %q is neither true nor false", name, value)
	default:
		if c, ok := v.(*choice); ok {
			return usage("it takes "+or(c.words), "%s: there is no %q", name, value)
		}
		if said := (*exitError)(nil); errors.As(invalid.Unwrap(), &said) {
			return usage(said.hint, "%s: %s", name, said.message)
		}
		return usage("", "%s: %s", name, invalid.Unwrap())
	}
}

// or lists words as a sentence does.
func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// didYouMean is the hint for a name that is not among those that exist.
func didYouMean(word, what string, names []string) string {
	switch near := configs.Suggest(word, names); {
	case near != "":
		return fmt.Sprintf("did you mean %s?", near)
	case len(names) == 1:
		return fmt.Sprintf("the only %s is %s", what, names[0])
	case len(names) > 1:
		return fmt.Sprintf("the %ss are %s", what, strings.Join(names, ", "))
	}
	return ""
}

// choice is a flag that takes one of a few words.
type choice struct {
	word  string
	words []string
}

// addChoice adds a flag of that kind.
func addChoice(cmd *cobra.Command, name, shorthand, help, value string, words ...string) *choice {
	c := &choice{value, words}
	cmd.Flags().VarP(c, name, shorthand, help)
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (c *choice) String() string {
	if c == nil {
		return ""
	}
	return c.word
}

func (c *choice) Type() string { return strings.Join(c.words, "|") }

func (c *choice) Set(v string) error {
	v = strings.ToLower(v)
	if !slices.Contains(c.words, v) {
		return errors.New("it takes " + or(c.words))
	}
	c.word = v
	return nil
}

// noArguments is the Args of commands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage("see "+cmd.CommandPath()+" --help", "%s takes no arguments, and %q is one", strings.TrimPrefix(cmd.CommandPath(), "relay "), args[0])
}

// group makes a command that only holds others refuse what is none of them.
func group(cmd *cobra.Command) {
	if !cmd.HasSubCommands() {
		if cmd.HasParent() && cmd.Parent().Name() == "completion" {
			cmd.Args = noArguments
		}
		return
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := "see " + cmd.CommandPath() + " --help"
		if near := configs.Suggest(args[0], names); near != "" {
			hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), near)
		}
		return usage(hint, "there is no command %q", cmd.CommandPath()+" "+args[0])
	}
	if cmd.HasParent() { // the program itself shows its help
		cmd.RunE = func(*cobra.Command, []string) error {
			return usage("see "+cmd.CommandPath()+" --help", "%s needs one of %s", cmd.Name(), or(names))
		}
	}
}

func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show what a command does and takes",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return root.Args(root, args)
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}
