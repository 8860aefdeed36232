package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/server"
)

func (a *app) parked() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parked",
		Short: "Show the addresses whose messages wait on disk; try, move or drop them",
		Long:  "Ask a running relay which addresses take no messages now. What is for them waits\non disk, in order; the first of it is tried again and again.",
	}
	cmd.AddCommand(a.listParked(), a.retryParked(), a.moveParked(), a.dropParked())
	return cmd
}

func (a *app) listParked() *cobra.Command {
	var on adminFlags
	var out *choice
	cmd := &cobra.Command{
		Use:   "list [ADDRESS]",
		Short: "List the addresses that take no messages now, and why",
		Args:  atMostOneAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			var list server.LaneList
			if err := r.get(cmd.Context(), "/api/v1/parked", values(given(map[string]string{"address": strings.Join(args, "")})), &list); err != nil {
				return err
			}
			if out.word == "json" {
				return a.printJSON(list)
			}
			return a.printLanes(list)
		},
	}
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

// atMostOneAddress is the Args of commands that take an ADDRESS, or mean all.
func atMostOneAddress(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("a destination's name means all of its", "%s takes one address, not %d", strings.TrimPrefix(cmd.CommandPath(), "relay "), len(args))
	}
	return nil
}

func (a *app) printLanes(list server.LaneList) error {
	if list.Note != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", list.Note)
	}
	if len(list.Lanes)+len(list.Destinations) == 0 {
		_, err := fmt.Fprintln(a.stdout, "nothing is parked")
		return err
	}
	t := newTable(a, "ADDRESS", "STATE", "HOLDS", "OLDEST", "SINCE", "NEXT PROBE", "WHY")
	for _, d := range list.Destinations {
		t.row("destination "+d.Name, d.State, "", "", "", nextProbe(d.Next, list.Live, time.Now()), d.Why)
	}
	for _, l := range list.Lanes {
		holds := strconv.Itoa(l.Count)
		if !list.Live {
			holds = "?"
		}
		t.row(l.Address, l.State, holds, clock(l.Oldest), clock(l.Since), nextProbe(l.Next, list.Live, time.Now()), why(l, list.Destinations))
	}
	return t.end()
}

func nextProbe(t time.Time, live bool, now time.Time) string {
	switch {
	case !live:
		return "?"
	case t.IsZero() || !t.After(now):
		return "now"
	}
	return "in " + t.Sub(now).Round(time.Second).String()
}

// why is why an address takes nothing. What is wrong with the whole of its destination
// has a line of its own.
func why(l server.Lane, destinations []server.Destination) string {
	if l.Unrouted {
		l.Unrouted = false
		return why(l, destinations) + "; no route names this address any more"
	}
	at, _ := configs.ParseAddress(l.Address) // the relay says it
	for _, d := range destinations {
		if l.Destination && d.Name == at.Destination && (l.Error == d.Error || l.Error == "") {
			return "its destination is " + d.State
		}
	}
	return l.Why
}

func (a *app) retryParked() *cobra.Command {
	var on adminFlags
	var out *choice
	cmd := &cobra.Command{
		Use:     "retry ADDRESS | --all",
		Short:   "Try an address now, without waiting for its next probe",
		Long:    "Try an address now, without waiting for its next probe, because the chat server\nor the channel works again. The name of a destination means all its addresses.\nThe command prints the result. If it fails, the next probe comes at its usual\ntime.",
		Example: "  relay parked retry mm#reviews\n  relay parked retry --all",
		Args:    atMostOneAddress,
		RunE: func(cmd *cobra.Command, args []string) error {
			which := choosing{name: "parked retry", named: "an address", needs: "an address", hint: "relay parked list shows the addresses", all: true}
			if err := which.check(cmd, args, 0); err != nil {
				return err
			}
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			var done server.Retried
			if err := r.post(cmd.Context(), "/api/v1/parked/retry", "", given(map[string]string{"address": strings.Join(args, "")}), &done); err != nil {
				return err
			}
			if out.word == "json" {
				return a.printJSON(done)
			}
			return a.printTried(done)
		},
	}
	cmd.Flags().Bool("all", false, "all of them")
	byHand(cmd)
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

// printTried says what came of a try, one line a lane.
func (a *app) printTried(done server.Retried) error {
	if done.Retried == 0 {
		_, err := fmt.Fprintln(a.stdout, "nothing is parked there")
		return err
	}
	for _, l := range done.Lanes {
		line := l.Address + " takes messages again"
		switch l.Result {
		case delivery.TriedFailed:
			line = fmt.Sprintf("%s still fails: %s; the next try is %s", l.Address, cmp.Or(l.Why, l.Error), nextProbe(l.Next, true, time.Now()))
		case delivery.TriedWaiting:
			line = l.Address + " has not answered yet; relay parked list shows its state"
		}
		if _, err := fmt.Fprintln(a.stdout, printable(line)); err != nil {
			return err
		}
	}
	return nil
}
