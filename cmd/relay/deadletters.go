package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/server"
)

// deadFlags choose dead letters.
type deadFlags struct {
	listFlags
	address, eventID string
}

func (f *deadFlags) add(cmd *cobra.Command) {
	f.listFlags.add(cmd, "given up")
	cmd.Flags().StringVar(&f.address, "address", "", "only those for this `address`; a destination's name means all of its")
	cmd.Flags().StringVar(&f.eventID, "event-id", "", "only those of the event of this `id`")
}

func (f *deadFlags) filters() map[string]string {
	all := f.listFlags.filters()
	all["address"], all["event_id"] = f.address, f.eventID
	return given(all)
}

func (a *app) deadletters() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletters",
		Short: "Show deliveries that were given up, deliver them after all, or drop them",
		Long:  "Ask a running relay for its dead letters: deliveries that were given up, each\nkept with the reason and the webhook.",
	}
	cmd.AddCommand(a.listDeadLetters(), a.showDeadLetter(), a.replayDeadLetters(), a.purgeDeadLetters())
	return cmd
}

func (a *app) listDeadLetters() *cobra.Command {
	var f deadFlags
	var on adminFlags
	var out *choice
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List dead letters, newest first",
		Example: "  relay deadletters list\n  relay deadletters list --address mm#reviews --since 1d",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usage("0 shows nothing", "--limit %d is less than 1", limit)
			}
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			list, err := r.deadLetters(cmd.Context(), f.filters(), limit)
			if err != nil {
				return err
			}
			if out.word == "json" {
				return a.printJSON(list)
			}
			return a.printDeadLetters(list)
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "how `many` at most")
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

// deadLetters asks for so many dead letters, in as many pages as it takes.
func (r *admin) deadLetters(ctx context.Context, filters map[string]string, limit int) (server.DeadLetterList, error) {
	all := server.DeadLetterList{DeadLetters: []server.DeadLetter{}}
	for query := values(filters); ; query.Set("page", all.Next) {
		query.Set("limit", strconv.Itoa(min(limit-len(all.DeadLetters), pageSize)))
		var page server.DeadLetterList
		if err := r.get(ctx, "/api/v1/deadletters", query, &page); err != nil {
			return all, err
		}
		all.DeadLetters, all.Next = append(all.DeadLetters, page.DeadLetters...), page.Next
		if page.Next == "" || len(all.DeadLetters) >= limit {
			return all, nil
		}
	}
}

func (a *app) printDeadLetters(list server.DeadLetterList) error {
	if len(list.DeadLetters) == 0 {
		_, err := fmt.Fprintln(a.stdout, "no dead letters")
		return err
	}
	t := newTable(a, "ID", "EVENT ID", "GIVEN UP", "ADDRESS", "EVENT", "PROJECT", "REASON")
	for _, d := range list.DeadLetters {
		t.row(strconv.FormatUint(d.ID, 10), d.EventID, clock(d.Time), d.Address, d.Event, d.Project, d.Why)
	}
	if err := t.end(); err != nil {
		return err
	}
	if list.Next != "" {
		fmt.Fprintln(a.stderr, "hint: there are older ones; --limit shows more")
	}
	return nil
}

func (a *app) showDeadLetter() *cobra.Command {
	var on adminFlags
	var out *choice
	cmd := &cobra.Command{
		Use:     "show NUMBER",
		Short:   "Show one dead letter with its webhook",
		Example: "  relay deadletters show 17\n  relay deadletters show 17 -o json | jq .webhook.body",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := deadNumbers(cmd, args, 1); err != nil {
				return err
			}
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			var d server.DeadLetter
			if err := r.get(cmd.Context(), "/api/v1/deadletters/"+args[0], nil, &d); err != nil {
				return err
			}
			if out.word == "json" {
				return a.printJSON(d)
			}
			return a.printDeadLetter(shownDeadLetter{d})
		},
	}
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

// deadNumbers is the Args of commands that take dead letters, at most so many.
func deadNumbers(cmd *cobra.Command, args []string, most int) error {
	name := strings.TrimPrefix(cmd.CommandPath(), "relay ")
	for _, arg := range args {
		if _, err := strconv.ParseUint(arg, 10, 64); err != nil {
			return usage("relay deadletters list shows their numbers", "%q is no dead letter", arg)
		}
	}
	switch {
	case len(args) == 0:
		return usage("relay deadletters list shows their numbers", "%s needs the number of a dead letter", name)
	case len(args) > most:
		return usage("see "+cmd.CommandPath()+" --help", "%s takes one dead letter, not %d", name, len(args))
	}
	return nil
}

func (a *app) printDeadLetter(d shownDeadLetter) error {
	text := d.text
	if d.Damaged {
		text = d.remains
	}
	_, err := io.WriteString(a.stdout, text())
	return err
}

// shownDeadLetter is a dead letter as it is shown alone.
type shownDeadLetter struct{ server.DeadLetter }

func (d shownDeadLetter) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dead letter %d: %s for %s\n", d.ID, headlineOf(d.Event, d.Project, d.Title), d.Address)
	fmt.Fprintf(&b, "  given up   %s after %s: %s\n", clock(d.Time), count(d.Attempts, "attempt"), printable(d.Why))
	fmt.Fprintf(&b, "  event      %s, came %s from source %s\n", d.EventID, clock(d.Received), printable(d.Source))
	d.headers(&b)
	fmt.Fprintf(&b, "  body       %s; -o json shows it\n", count(d.Webhook.Size, "byte"))
	fmt.Fprintf(&b, "  next       relay explain %s tells what was tried; relay deadletters replay %d delivers it after all\n", d.EventID, d.ID)
	return b.String()
}

// remains is what is known of one that is damaged.
func (d shownDeadLetter) remains() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dead letter %d: what is left of a damaged message", d.ID)
	if d.Address != "" {
		fmt.Fprintf(&b, " for %s", d.Address)
	}
	fmt.Fprintf(&b, "\n  set aside  %s: %s\n", clock(d.Time), printable(d.Why))
	if d.EventID != "" {
		fmt.Fprintf(&b, "  event      %s\n", d.EventID)
	}
	d.headers(&b)
	fmt.Fprintf(&b, "  body       %s, which are no payload and are not shown\n", count(d.Webhook.Size, "byte"))
	return b.String()
}

func (d shownDeadLetter) headers(b *strings.Builder) {
	word := "headers"
	for _, h := range d.Webhook.Headers {
		fmt.Fprintf(b, "  %-9s  %s: %s\n", word, h.Name, printable(h.Value))
		word = ""
	}
}

// headlineOf names an event in one line.
func headlineOf(event, project, title string) string {
	line := printable(event)
	if project != "" {
		line += " in " + printable(project)
	}
	if title != "" {
		line += fmt.Sprintf(" %q", printable(title))
	}
	return line
}

func (a *app) purgeDeadLetters() *cobra.Command {
	var f deadFlags
	var on adminFlags
	var out *choice
	var all bool
	cmd := &cobra.Command{
		Use:     "purge NUMBER... | --address ADDRESS and other filters | --all",
		Short:   "Drop dead letters for good",
		Example: "  relay deadletters purge 17\n  relay deadletters purge --project acme/sandbox --until 7d\n  relay deadletters purge --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			filters, err := f.chosen(cmd, args, all)
			if err != nil {
				return err
			}
			r, err := a.admin(on)
			if err != nil {
				return err
			}
			far := a.progress(-1, "dropping dead letters")
			purged, failure := r.purgeDead(cmd.Context(), args, filters, far.add)
			far.clear()
			if failure != nil && isInterrupted(cmd.Context()) {
				failure = interrupted(count(len(purged), "dead letter")+" dropped; the others are kept", repeatIt)
			}
			switch {
			case failure != nil && len(purged) == 0:
			case out.word == "json":
				err = a.printJSON(map[string]any{"purged": purged})
			default:
				_, err = fmt.Fprintf(a.stdout, "%s dropped\n", count(len(purged), "dead letter"))
			}
			return cmp.Or(failure, err)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	byHand(cmd)
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

func (r *admin) purgeDead(ctx context.Context, numbers []string, filters map[string]any, add func(int)) ([]uint64, error) {
	purged := []uint64{}
	for _, n := range numbers {
		var one server.DeadLettersPurged
		if err := r.post(ctx, "/api/v1/deadletters/"+n+"/purge", newKey(), nil, &one); err != nil {
			return purged, err
		}
		purged = append(purged, one.Purged...)
		add(len(one.Purged))
	}
	for filters != nil {
		var some server.DeadLettersPurged
		if err := r.post(ctx, "/api/v1/deadletters/purge", newKey(), filters, &some); err != nil {
			return purged, err
		}
		add(len(some.Purged))
		if purged = append(purged, some.Purged...); !some.More {
			break
		}
	}
	return purged, nil
}
