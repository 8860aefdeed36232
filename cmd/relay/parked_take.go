package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/server"
)

func (a *app) moveParked() *cobra.Command {
	var on adminFlags
	var out *choice
	cmd := &cobra.Command{
		Use:   "move ADDRESS TO",
		Short: "Send what waits for an address to another one, such as a renamed channel",
		Long: "Send what waits for an address to another one, because the channel was renamed\nor removed. The messages keep their order. Each is stored again as a new event\nfor the new address before it leaves the old one.\n\n" +
			"Access rules apply: a message that may not go to the new address is named and\nstays. New events go where the routes say: correct relay.yaml too. A message\nthat is being posted at this moment may also arrive at its old address.",
		Example: "  relay parked move mm#old mm#new",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("relay parked list shows the addresses", "parked move takes two addresses, from where and where to, not %d", len(args))
			}
			which := choosing{name: "parked move", named: "addresses", needs: "two addresses", hint: "relay parked list shows the addresses"}
			if err := which.check(cmd, args, 0); err != nil {
				return err
			}
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			return a.takeParked(cmd.Context(), r, "/api/v1/parked/move", server.Take{Address: args[0], To: args[1]}, out.word == "json")
		},
	}
	byHand(cmd)
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

func (a *app) dropParked() *cobra.Command {
	var on adminFlags
	var out *choice
	cmd := &cobra.Command{
		Use:     "drop ADDRESS",
		Short:   "Drop what waits for an address: nobody wants it any more",
		Long:    "Drop what waits for an address: nobody wants it any more. The events stay in the\nhistory, and relay replay can send them again.",
		Example: "  relay parked drop mm#old",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("drop them one after the other", "parked drop takes one address, not %d", len(args))
			}
			which := choosing{name: "parked drop", named: "an address", needs: "an address", hint: "relay parked list shows the addresses"}
			if err := which.check(cmd, args, 0); err != nil {
				return err
			}
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			return a.takeParked(cmd.Context(), r, "/api/v1/parked/drop", server.Take{Address: args[0]}, out.word == "json")
		},
	}
	byHand(cmd)
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

// takeParked asks for it in as many requests as it takes, and prints what became of the
// messages, also of the first ones when the rest fails.
func (a *app) takeParked(ctx context.Context, r *admin, path string, t server.Take, inJSON bool) error {
	all := server.TakenParked{Moved: []server.MovedMessage{}, Dropped: []string{}, Kept: []server.KeptMessage{}}
	far := a.progress(-1, "taking messages")
	question := given(map[string]string{"address": t.Address, "to": t.To})
	var failure error
	for {
		var some server.TakenParked
		if failure = r.post(ctx, path, newKey(), question, &some); failure != nil {
			break
		}
		all.Moved, all.Dropped, all.Kept = append(all.Moved, some.Moved...), append(all.Dropped, some.Dropped...), append(all.Kept, some.Kept...)
		far.clear()
		for _, one := range some.Kept {
			fmt.Fprintf(a.stderr, "event %s stays: %s\n", one.EventID, a.secrets.clean(printable(one.Error)))
		}
		far.add(len(some.Moved) + len(some.Dropped) + len(some.Kept))
		if some.Next == "" {
			break
		}
		question["page"] = some.Next
	}
	far.clear()
	if failure != nil && isInterrupted(ctx) {
		failure = interrupted("the other messages still wait", repeatIt)
	}
	done := len(all.Moved) + len(all.Dropped)
	var err error
	switch {
	case failure != nil && done+len(all.Kept) == 0:
	case inJSON:
		err = a.printJSON(all)
	default:
		_, err = fmt.Fprintln(a.stdout, takenText(t, done, len(all.Kept)))
	}
	switch {
	case failure != nil:
		return failure
	case err == nil && len(all.Kept) > 0:
		return &exitError{code: exitFail, message: "not all messages were moved"}
	}
	return err
}

func takenText(t server.Take, done, kept int) string {
	switch {
	case done+kept == 0:
		return "nothing is parked for " + t.Address
	case t.To == "":
		return fmt.Sprintf("%s for %s dropped", count(done, "message"), t.Address)
	}
	return fmt.Sprintf("%s moved from %s to %s", count(done, "message"), t.Address, t.To)
}
