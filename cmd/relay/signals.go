package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// catchSignals takes over what would end the process. The context that it returns
// is done after INT or TERM. HUP does nothing until [hangups] asks for it:
// supervisors send it whenever they like.
func catchSignals() context.Context {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	ends := make(chan os.Signal, 2)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-ends
		cancel()
		<-ends // the second one does not wait: nothing that was accepted is lost
		os.Exit(1)
	}()
	return ctx
}

// hangups are the SIGHUPs from now on; of several that nobody has taken yet it
// holds one. It is never stopped: a SIGHUP would end the process then.
func hangups() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c
}

// signalsOf leaves SIGHUP, and writing to a closed pipe, their usual effect on a
// command that runs in a terminal: they end it. They do not end relay serve: a
// supervisor sends SIGHUP, and who reads the log may go away.
func signalsOf(cmd *cobra.Command) {
	if cmd.Name() == "serve" {
		signal.Ignore(syscall.SIGPIPE)
		return
	}
	signal.Reset(syscall.SIGHUP)
}
