//go:build !man

// Command relay takes GitLab's webhooks and posts readable messages to the
// right Mattermost or Slack channel.
//
// This package owns the command line: flags, the wiring of the parts, what is
// printed, exit codes. What the parts do is theirs.
package main

import (
	"os"
)

func main() {
	ctx := catchSignals()
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}
