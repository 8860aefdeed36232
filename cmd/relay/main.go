// Command relay takes GitLab's webhooks and posts readable messages to the
// right Mattermost or Slack channel.
//
// This package owns the command line: flags, the wiring of the parts, what is
// printed, exit codes. What the parts do is theirs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // the second one does not wait: nothing that was accepted is lost
		os.Exit(1)
	}()
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}
