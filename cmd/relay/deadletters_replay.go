package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/server"
)

func (a *app) replayDeadLetters() *cobra.Command {
	var f deadFlags
	var on adminFlags
	var out *choice
	var to string
	var all bool
	cmd := &cobra.Command{
		Use:   "replay NUMBER... | --address ADDRESS and other filters | --all",
		Short: "Deliver dead letters after all, to their own address or another",
		Long: "Deliver dead letters after all: to their own address, or with --to to another\none. Each is stored again as a new event before it leaves the dead letters. You\ncan repeat the command: each is stored and posted once.\n\n" +
			"Access rules apply: a confidential event stays withheld. A dead letter that\ncannot go is named and kept; the others go.",
		Example: "  relay deadletters replay 17\n  relay deadletters replay --address mm#old-channel --to mm#reviews\n  relay deadletters replay --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			filters, err := f.chosen(cmd, args, all)
			if err != nil {
				return err
			}
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			return a.replayDead(cmd.Context(), r, args, filters, to, out.word == "json")
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	cmd.Flags().StringVar(&to, "to", "", "the `address` that they go to; without it their own")
	byHand(cmd)
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

// chosen is what a request says of the dead letters that are meant; nil if they
// are named by number.
func (f *deadFlags) chosen(cmd *cobra.Command, args []string, all bool) (map[string]any, error) {
	filters := map[string]any{}
	for name, value := range f.filters() {
		filters[name] = value
	}
	which := choosing{name: strings.TrimPrefix(cmd.CommandPath(), "relay "), named: "numbers", needs: "the number of a dead letter", hint: "relay deadletters list shows their numbers", filters: true, all: true}
	if err := which.check(cmd, args, len(filters)); err != nil {
		return nil, err
	}
	switch {
	case all:
		return map[string]any{"all": true}, nil
	case len(filters) > 0:
		return filters, nil
	}
	return nil, deadNumbers(cmd, args, len(args))
}

// deadReplayList is what deadletters replay prints with -o json.
type deadReplayList struct {
	Replayed []server.Replayed      `json:"replayed"`
	Refused  []server.RefusedReplay `json:"refused"`
}

// replayDead replays those of the numbers, or those that the filters choose, and
// prints what became of each; also of the first when the rest comes to nothing.
func (a *app) replayDead(ctx context.Context, r *admin, numbers []string, filters map[string]any, to string, inJSON bool) error {
	list := deadReplayList{[]server.Replayed{}, []server.RefusedReplay{}}
	total := -1
	if filters == nil {
		total = len(numbers)
	}
	far := a.progress(total, "replaying dead letters")
	add := func(some server.DeadLettersReplayed) error {
		list.Replayed, list.Refused = append(list.Replayed, some.Replayed...), append(list.Refused, some.Refused...)
		far.clear()
		defer func() { far.add(len(some.Replayed) + len(some.Refused)) }()
		for _, no := range some.Refused {
			fmt.Fprintf(a.stderr, "dead letter %d: %s\n", no.DeadLetter, a.secrets.clean(printable(no.Error)))
		}
		for _, one := range some.Replayed {
			if inJSON {
				continue
			}
			if err := a.printReplayed(one); err != nil {
				return err
			}
		}
		return nil
	}
	err := r.replayDead(ctx, numbers, filters, to, add)
	far.clear()
	if err != nil && isInterrupted(ctx) {
		err = interrupted(count(len(list.Replayed), "dead letter")+" replayed; the others are kept", repeatIt)
	}
	looked := len(list.Replayed) + len(list.Refused)
	switch {
	case inJSON && (err == nil || looked > 0):
		if err := a.printJSON(list); err != nil {
			return err
		}
	case err == nil && looked == 0:
		fmt.Fprintln(a.stdout, "no dead letters")
	}
	if err == nil && len(list.Refused) > 0 {
		return &exitError{code: exitFail, message: "not all dead letters were replayed"}
	}
	return err
}

// replayDead asks for it, and goes on past those that are refused.
func (r *admin) replayDead(ctx context.Context, numbers []string, filters map[string]any, to string, add func(server.DeadLettersReplayed) error) error {
	for _, n := range numbers {
		some, err := r.replayOneDead(ctx, n, to)
		if err != nil && (len(numbers) == 1 || ctx.Err() != nil) {
			return err
		}
		if err := add(some); err != nil {
			return err
		}
	}
	if filters == nil {
		return nil
	}
	if to != "" {
		filters["to"] = to
	}
	for {
		var some server.DeadLettersReplayed
		if err := r.post(ctx, "/api/v1/deadletters/replay", newKey(), filters, &some); err != nil {
			return err
		}
		for i := range some.Refused {
			some.Refused[i].Error = r.flag(some.Refused[i].Error)
		}
		if err := add(some); err != nil || !some.More {
			return err
		}
		filters["page"] = some.Next
	}
}

// replayOneDead replays the one of that number. An error is told as its refusal
// too.
func (r *admin) replayOneDead(ctx context.Context, number, to string) (some server.DeadLettersReplayed, err error) {
	var one server.Replayed
	if err = r.post(ctx, "/api/v1/deadletters/"+number+"/replay", newKey(), given(map[string]string{"to": to}), &one); err == nil {
		some.Replayed = []server.Replayed{one}
		return some, nil
	}
	seq, _ := strconv.ParseUint(number, 10, 64) // it was checked
	some.Refused = []server.RefusedReplay{{DeadLetter: seq, Error: strings.TrimPrefix(err.Error(), "dead letter "+number+": ")}}
	return some, err
}
