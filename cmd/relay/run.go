package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gitlab-mattermost/relay/configs"
)

// Exit codes.
const (
	exitOK    = 0
	exitFail  = 1 // errors were found, or it went wrong
	exitUsage = 2 // wrong usage, or the configuration cannot be loaded
)

// app is what every command works with, in place of the process's own.
type app struct {
	env    configs.Env
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// exitError ends the program with a code. An empty message means that all was
// said.
type exitError struct {
	code    int
	message string
	hint    string
}

func (e *exitError) Error() string { return e.message }

func usage(hint, format string, args ...any) error {
	return &exitError{exitUsage, fmt.Sprintf(format, args...), hint}
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, env configs.Env, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env, stdin, stdout, stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	exit := &exitError{code: exitFail, message: err.Error()}
	errors.As(err, &exit)
	if exit.message != "" {
		fmt.Fprintf(stderr, "relay: %s\n", exit.message)
	}
	if exit.hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", exit.hint)
	}
	return exit.code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "relay",
		Short:         "GitLab webhooks in, the right Mattermost or Slack channel out",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.fromEnvironment(cmd.Flags()) },
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().String("config", "", "relay.yaml to load (default ./relay.yaml, then /etc/relay/relay.yaml)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("see relay "+cmd.Name()+" --help", "%s", err)
	})
	root.AddCommand(a.serve(), a.check(), a.explain(), a.preview(), a.send(), a.healthcheck(), a.version())
	for _, c := range root.Commands() {
		args := c.Args
		c.Args = func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return usage("see relay "+cmd.Name()+" --help", "%s", err)
			}
			return nil
		}
	}
	return root
}

// fromEnvironment sets every flag that was not given from RELAY_<FLAG>.
func (a *app) fromEnvironment(flags *pflag.FlagSet) error {
	var wrong error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" {
			return
		}
		name := flagVariable(f.Name)
		value, ok := a.env(name)
		if !ok || value == "" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil && wrong == nil {
			wrong = usage("see --help for what --"+f.Name+" takes", "%s: %s", name, err)
		}
	})
	return wrong
}

// flagVariable is the environment variable of a flag.
func flagVariable(flag string) string {
	return "RELAY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
