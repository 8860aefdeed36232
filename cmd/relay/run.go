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
	exitStuck = 3 // dispatch stood still with an event, which the next start tries in a process of its own
)

// app is what every command works with, in place of the process's own.
type app struct {
	env     configs.Env
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	secrets redactor // of the configuration, once it is loaded
}

// exitError ends the program with a code. An empty message means that all was
// said.
type exitError struct {
	code    int
	message string
	hint    string
}

func (e *exitError) Error() string { return e.message }

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, env configs.Env, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env: env, stdin: stdin}
	printed, told := &cleanWriter{out: stdout, r: &a.secrets}, &cleanWriter{out: stderr, r: &a.secrets}
	a.stdout, a.stderr = printed, told
	defer printed.flush()
	defer told.flush()
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	exit := &exitError{code: exitFail, message: err.Error()}
	errors.As(err, &exit)
	if exit.message != "" {
		fmt.Fprintf(told, "relay: %s\n", exit.message)
	}
	if exit.hint != "" {
		fmt.Fprintf(told, "hint: %s\n", exit.hint)
	}
	return exit.code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "relay",
		Short:         "GitLab webhooks in, the right Mattermost or Slack channel out",
		Example:       "  relay serve --demo                 see it work; needs nothing\n  relay preview merge_request.open   see one message\n  relay check                        find the mistakes in relay.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			signalsOf(cmd)
			return a.fromEnvironment(cmd.Flags())
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(wrongFlag)
	root.PersistentFlags().String("config", "", "relay.yaml `file` to load; without it ./relay.yaml, then /etc/relay/relay.yaml")
	root.AddCommand(a.serve(), a.init(), a.check(), a.test(), a.diff(), a.schema(), a.explain(), a.preview(), a.send(), a.events(), a.replay(), a.deadletters(), a.parked(), a.templates(), a.status(), a.healthcheck(), a.version(), a.try())
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Short = "Print the completion script of a shell"
	}
	root.SetHelpCommand(helpCommand(root))
	root.InitDefaultHelpCmd()
	walk(root, group)
	walk(root, nameVariables)
	return root
}

// walk visits a command and all below it.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		walk(c, visit)
	}
}

// nameVariables tells in the help which environment variable sets a flag.
func nameVariables(cmd *cobra.Command) {
	name := func(f *pflag.Flag) {
		if !isByHand(f) {
			f.Usage += " [$" + flagVariable(f.Name) + "]"
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(name)
	cmd.PersistentFlags().VisitAll(name)
}

// fromEnvironment sets every flag that was not given from RELAY_<FLAG>.
func (a *app) fromEnvironment(flags *pflag.FlagSet) error {
	var wrong error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || isByHand(f) || wrong != nil {
			return
		}
		name := flagVariable(f.Name)
		if value, _ := a.env(name); value != "" {
			if err := flags.Set(f.Name, value); err != nil {
				wrong = wrongValue(name, err)
			}
		}
	})
	return wrong
}

// flagVariable is the environment variable of a flag.
func flagVariable(flag string) string {
	return "RELAY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
