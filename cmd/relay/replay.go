package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/server"
)

// replayList is what replay prints with -o json.
type replayList struct {
	Replayed []server.Replayed `json:"replayed"`
	Skipped  int               `json:"skipped,omitempty"` // that filters choose, but were replayed already
}

func (a *app) replay() *cobra.Command {
	var f listFlags
	var on adminFlags
	var outcome, out *choice
	var to, key string
	var limit int
	var again bool
	cmd := &cobra.Command{
		Use:   "replay ID... | --outcome WORD and other filters",
		Short: "Send stored events through the routes again, or to one address",
		Long: "Send stored events through the routes as they are now, again to every address\nthat they name; with --to, only to that address, whatever the routes say. Access\nrules apply: a confidential event stays withheld.\n\n" +
			"Filters choose among what came from GitLab. They skip events whose replay was\ndelivered or is on its way; --again does not skip them.\n\n" +
			"Each is stored again as a new event, which relay explain and relay events show.\nIf the answer to the request is lost, the command repeats it with the same\n--idempotency-key, and nothing is posted twice.",
		Example: "  relay replay 1042-0\n  relay replay 1042-0 --to mm#reviews\n  relay replay --outcome unrouted --project acme/api --since 2h",
		RunE: func(cmd *cobra.Command, ids []string) error {
			query := f.filters()
			if outcome.word != anyOutcome {
				query["outcome"] = outcome.word
			}
			which := choosing{name: "replay", named: "ids", needs: "the ids of events", hint: "relay events lists them; --outcome unrouted --since 2h chooses some", filters: true}
			if err := which.check(cmd, ids, len(query)); err != nil {
				return err
			}
			switch {
			case len(ids) > 0 && again:
				return usage("what is named is replayed as often as it is asked for", "--again goes with filters")
			case limit < 1:
				return usage("0 replays nothing", "--limit %d is less than 1", limit)
			}
			for _, id := range ids {
				if err := eventID(id); err != nil {
					return err
				}
			}
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			skipped := 0
			if len(query) > 0 {
				if ids, skipped, err = r.chosen(cmd.Context(), query, again, limit); err != nil {
					return err
				}
			}
			if key == "" {
				key = newKey()
			}
			return a.replayAll(cmd.Context(), r, ids, skipped, to, key, out.word == "json")
		},
	}
	f.add(cmd, "that came")
	outcome = addChoice(cmd, "outcome", "", "only those that this became of", anyOutcome, eventOutcomes...)
	cmd.Flags().StringVar(&to, "to", "", "the one `address` that they go to; without it the routes say")
	cmd.Flags().BoolVar(&again, "again", false, "also those that filters choose and that were replayed already")
	cmd.Flags().IntVar(&limit, "limit", 100, "how `many` a filter may choose; more is an error")
	cmd.Flags().StringVar(&key, "idempotency-key", "", "`name` of this replay: given again within ten minutes, nothing is posted again; without it a new one")
	byHand(cmd)
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

// chosen are the ids of the events that match and are to be replayed, oldest
// first, and how many others were replayed already.
func (r *admin) chosen(ctx context.Context, query map[string]string, again bool, limit int) ([]string, int, error) {
	query["replayable"] = "new"
	if again {
		query["replayable"] = "again"
	}
	list, err := r.events(ctx, values(query), limit)
	if err != nil {
		return nil, 0, err
	}
	if list.Next != "" {
		return nil, 0, &exitError{exitFail, fmt.Sprintf("more than %d events match; nothing was replayed", limit), "narrow them by --since and --until, or raise --limit"}
	}
	var ids []string
	for _, e := range list.Events {
		ids = append(ids, e.ID)
	}
	slices.Reverse(ids)
	return ids, list.Skipped, nil
}

// replayAll replays events in order, and goes on past those that are refused. It
// says how many others were skipped.
func (a *app) replayAll(ctx context.Context, r *admin, ids []string, skipped int, to, key string, inJSON bool) error {
	list := replayList{Replayed: []server.Replayed{}, Skipped: skipped}
	var failure error
	far := a.progress(len(ids), "replaying")
	for _, id := range ids {
		if isInterrupted(ctx) {
			failure = interrupted(fmt.Sprintf("%d of %s were replayed", len(list.Replayed), count(len(ids), "event")), "repeat it with --idempotency-key "+key+" within ten minutes to continue: nothing is posted twice")
			break
		}
		var one server.Replayed
		if err := r.post(ctx, "/api/v1/events/"+id+"/replay", key, given(map[string]string{"to": to}), &one); err != nil {
			if isInterrupted(ctx) {
				continue
			}
			if len(ids) == 1 {
				return err
			}
			far.clear()
			fmt.Fprintf(a.stderr, "%s: %s\n", id, a.secrets.clean(err.Error()))
			failure = &exitError{code: exitFail, message: "not all events were replayed"}
			continue
		}
		list.Replayed = append(list.Replayed, one)
		if !inJSON {
			far.clear()
			if err := a.printReplayed(one); err != nil {
				return err
			}
		}
		far.add(1)
	}
	far.clear()
	if inJSON {
		if err := a.printJSON(list); err != nil {
			return err
		}
		return failure
	}
	if skipped > 0 {
		fmt.Fprintf(a.stdout, "%d skipped: replayed already\n", skipped)
	}
	switch {
	case len(list.Replayed) > 0:
		fmt.Fprintf(a.stderr, "hint: relay explain %s tells what becomes of it\n", list.Replayed[len(list.Replayed)-1].ID)
	case skipped > 0:
		fmt.Fprintln(a.stderr, "hint: --again replays these too; relay explain tells as what each was replayed")
	case len(ids) == 0:
		fmt.Fprintln(a.stdout, "no events")
	}
	return failure
}

func (a *app) printReplayed(r server.Replayed) error {
	line := r.ID + " replays " + r.ReplayOf
	if r.ReplayTo != "" {
		line += " to " + r.ReplayTo
	}
	if r.DeadLetter > 0 {
		line = fmt.Sprintf("dead letter %d: %s", r.DeadLetter, line)
	}
	_, err := fmt.Fprintln(a.stdout, line)
	return err
}
