package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/server"
)

// pageSize is how many events or dead letters are asked for at once.
const pageSize = 200

// anyOutcome chooses nothing.
const anyOutcome = "any"

// eventOutcomes are the words that events are chosen by.
var eventOutcomes = []string{anyOutcome, "delivered", "unrouted", "withheld", "repeat", "foreign", "parked", "dead", "waiting", "moved", "dropped"}

func (a *app) events() *cobra.Command {
	var f listFlags
	var to adminFlags
	var outcome, by, out *choice
	var actor string
	var limit int
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List what came from GitLab and what became of it, newest first",
		Long: "Ask a running relay what came from GitLab and what became of it, newest first.\n\n" +
			"delivered   every address has it\nwaiting     it is on its way\nparked      an address cannot take it now, so it waits on disk\n" +
			"dead        it was given up; a dead letter keeps it\nunrouted    no route takes it\nwithheld    an access rule (confidential, only) forbids it\n" +
			"repeat      the same event came before, in another webhook\nforeign     its source may not speak for its project\nmoved       relay parked move sent it to another address\ndropped     relay parked drop did so\n\nrelay explain ID says why.",
		Example: "  relay events\n  relay events --project 'acme/**' --outcome unrouted --since 2h\n  relay events --outcome dead -o json\n  relay events --by project --since 1h",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usage("0 shows nothing", "--limit %d is less than 1", limit)
			}
			r, err := a.admin(to)
			if err != nil {
				return err
			}
			query := f.filters()
			if outcome.word != anyOutcome {
				query["outcome"] = outcome.word
			}
			if actor != "" {
				query["actor"] = actor
			}
			if by.word != byNothing {
				return a.countEvents(cmd.Context(), r, values(query), by.word, limit, out.word == "json")
			}
			list, err := r.events(cmd.Context(), values(query), limit)
			if err != nil {
				return err
			}
			if out.word == "json" {
				return a.printJSON(list)
			}
			return a.printEvents(list)
		},
	}
	f.add(cmd, "that came")
	outcome = addChoice(cmd, "outcome", "", "only those that this became of", anyOutcome, eventOutcomes...)
	cmd.Flags().StringVar(&actor, "actor", "", "only those of the GitLab user of this `name`")
	by = addChoice(cmd, "by", "", "count them, and their messages, instead of listing them", byNothing, countedBy...)
	cmd.Flags().IntVar(&limit, "limit", 20, "how `many` at most")
	to.add(cmd)
	out = addOutput(cmd)
	return cmd
}

// byNothing counts nothing.
const byNothing = "none"

// countedBy is what events are counted by.
var countedBy = []string{byNothing, "project", "actor", "address"}

// countEvents asks for counts, and prints so many of them.
func (a *app) countEvents(ctx context.Context, r *admin, query url.Values, by string, most int, inJSON bool) error {
	query.Set("by", by)
	var all server.EventCounts
	if err := r.get(ctx, "/api/v1/events", query, &all); err != nil {
		return err
	}
	if inJSON {
		return a.printJSON(all)
	}
	if all.Events == 0 {
		_, err := fmt.Fprintln(a.stdout, "no events")
		return err
	}
	t := newTable(a, strings.ToUpper(by), "EVENTS", "DELIVERED", "NOT DELIVERED")
	for _, c := range all.Counts[:min(most, len(all.Counts))] {
		t.row(c.Name, strconv.Itoa(c.Events), strconv.Itoa(c.Delivered), strconv.Itoa(c.Undone))
	}
	if err := t.end(); err != nil {
		return err
	}
	if more := len(all.Counts) - most; more > 0 {
		fmt.Fprintf(a.stderr, "hint: %d more have fewer messages; --limit shows them\n", more)
	}
	if all.Incomplete {
		fmt.Fprintf(a.stderr, "hint: only the newest %s are counted; choose fewer with --since\n", count(all.Events, "event"))
	}
	return nil
}

// events asks for so many events, in as many pages as it takes.
func (r *admin) events(ctx context.Context, query url.Values, limit int) (server.EventList, error) {
	all := server.EventList{Events: []server.Event{}}
	for {
		query.Set("limit", strconv.Itoa(min(limit-len(all.Events), pageSize)))
		var page server.EventList
		if err := r.get(ctx, "/api/v1/events", query, &page); err != nil {
			return all, err
		}
		all.Events, all.Next = append(all.Events, page.Events...), page.Next
		all.Incomplete = all.Incomplete || page.Incomplete
		all.Skipped += page.Skipped
		if page.Next == "" || len(all.Events) >= limit {
			return all, nil
		}
		query.Set("page", page.Next)
	}
}

func (a *app) printEvents(list server.EventList) error {
	if len(list.Events) == 0 {
		_, err := fmt.Fprintln(a.stdout, "no events")
		return err
	}
	t := newTable(a, "ID", "RECEIVED", "OUTCOME", "EVENT", "PROJECT", "BY", "WHERE AND WHY")
	for _, e := range list.Events {
		t.row(e.ID, clock(e.Received), e.Outcome, e.Event, e.Project, e.Actor, whereAndWhy(e))
	}
	if err := t.end(); err != nil {
		return err
	}
	if list.Next != "" {
		fmt.Fprintln(a.stderr, "hint: there are older ones; --limit shows more")
	}
	if list.Incomplete {
		fmt.Fprintln(a.stderr, "hint: so many are undelivered that older ones may be missing; relay parked list counts them")
	}
	return nil
}

// whereAndWhy says in one line where an event went, or why nowhere.
func whereAndWhy(e server.Event) string {
	var parts []string
	for _, d := range e.Deliveries {
		part := d.Address
		switch {
		case d.State == "delivered" && e.Outcome == "delivered":
		case d.State == "dead":
			part += fmt.Sprintf(" (dead: %s; dead letter %d)", d.Reason, d.DeadLetter)
		case d.State == "delivered", d.Reason == "":
			part += " (" + d.State + ")"
		default:
			part += " (" + d.State + ": " + reason(d.Reason, d.Status) + ")"
		}
		parts = append(parts, part)
	}
	for _, w := range e.Withheld {
		parts = append(parts, "withheld from "+w.Address+" ("+w.Reason+")")
	}
	switch {
	case e.Nearest != "":
		parts = append(parts, "nearest "+e.Nearest+": "+e.Because)
	case e.Because != "":
		parts = append(parts, e.Because)
	}
	line := strings.Join(parts, ", ")
	if e.ReplayOf != "" {
		line = strings.TrimPrefix(line+", replays "+e.ReplayOf, ", ")
	}
	return line
}

// reason is why an attempt failed, with its status where there was one.
func reason(word string, status int) string {
	if status == 0 {
		return word
	}
	return fmt.Sprintf("%s, %d", word, status)
}

// clock is a time for people, in the time zone where they are, with its name.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format(time.DateTime + " MST")
}

// table prints rows in columns; the last one is as wide as it is.
type table struct{ w *tabwriter.Writer }

func newTable(a *app, head ...string) table {
	t := table{tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)}
	t.row(head...)
	return t
}

func (t table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
		if c == "" {
			cells[i] = "–"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t")) // an error comes with Flush
}

func (t table) end() error { return t.w.Flush() }
