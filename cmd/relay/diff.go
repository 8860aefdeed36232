package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/routes"
)

func (a *app) diff() *cobra.Command {
	var f listFlags
	var on adminFlags
	var out *choice
	var limit int
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say which events would go elsewhere with another relay.yaml",
		Long: "Say which events would go elsewhere with another relay.yaml: what a reviewer of\na change asks. Without --since, the events are the built-in samples. With\n--since or another filter, they are those that a running relay has stored, and\ncount at the times at which they came.\n\nNothing is posted, and no secrets are needed.\n\n" +
			"Exit code 0: nothing changes; 1: something does; 2: a file cannot be loaded.",
		Example: "  relay diff /etc/relay/relay.yaml relay.yaml\n  relay diff old.yaml new.yaml --since 3d --project 'acme/**'",
		Args:    twoFiles,
		RunE: func(cmd *cobra.Command, files []string) error {
			if limit < 1 {
				return usage("0 compares nothing", "--limit %d is less than 1", limit)
			}
			before, err := a.inspected(files[0])
			if err != nil {
				return err
			}
			after, err := a.inspected(files[1])
			if err != nil {
				return err
			}
			if query := f.filters(); len(query) > 0 {
				return a.diffStored(cmd.Context(), before, after, on, query, limit, out.word)
			}
			return a.printDiff(diffSamples(before, after), out.word)
		},
	}
	f.add(cmd, "that came")
	cmd.Flags().IntVar(&limit, "limit", 200, "how `many` stored events at most, the newest")
	on.add(cmd)
	out = addOutput(cmd)
	return cmd
}

func twoFiles(_ *cobra.Command, files []string) error {
	if len(files) != 2 {
		return usage("name the old relay.yaml and the new one", "diff takes two files, not %d", len(files))
	}
	return nil
}

// diffReport is what diff prints with -o json.
type diffReport struct {
	Compared int           `json:"compared"`
	Skipped  []string      `json:"skipped"` // ids of events whose webhooks are not kept any more
	More     bool          `json:"more"`    // there are older events, which were not compared
	Changed  []changedPath `json:"changed"`
}

// changedPath is an event that goes elsewhere, or with another message.
type changedPath struct {
	Event   string    `json:"event"`
	Project string    `json:"project"`
	ID      string    `json:"id,omitempty"` // of a stored event
	Came    time.Time `json:"received,omitzero"`
	Only    struct {
		Before []string `json:"before"`
		After  []string `json:"after"`
	} `json:"only"`
	Message []string `json:"other_message"` // addresses that get another message
}

// diffSamples compares what two configurations do with the built-in samples.
func diffSamples(before, after *configuration) diffReport {
	r := diffReport{Skipped: []string{}, Changed: []changedPath{}}
	for _, s := range events.Samples() {
		of := func(c *configuration) routes.Decision {
			source := ""
			if len(c.Sources) > 0 {
				source = c.Sources[0].Name
			}
			return c.table.MatchAt(events.Decode(s.Input(source)), time.Time{})
		}
		r.Compared++
		if c, changed := comparePaths(of(before), of(after)); changed {
			c.Event, c.Project = s.Name, events.Decode(s.Input("")).Project.Path
			r.Changed = append(r.Changed, c)
		}
	}
	return r
}

// diffStored compares what two configurations do with events that a relay has stored.
func (a *app) diffStored(ctx context.Context, before, after *configuration, on adminFlags, query map[string]string, limit int, out string) error {
	relay, err := a.admin(on)
	if err != nil {
		return err
	}
	query["replayable"] = "again" // replays stand for what they replay
	list, err := relay.events(ctx, values(query), limit)
	if err != nil {
		return err
	}
	r := diffReport{Skipped: []string{}, More: list.Next != "", Changed: []changedPath{}}
	for _, listed := range list.Events {
		s := &storedEvent{relay: relay}
		if err := relay.get(ctx, "/api/v1/events/"+listed.ID, nil, &s.EventDetail); err != nil {
			return err
		}
		if s.Webhook == nil {
			r.Skipped = append(r.Skipped, s.ID)
			continue
		}
		c, changed, err := s.compare(ctx, before, after)
		if err != nil {
			return err
		}
		if r.Compared++; changed {
			r.Changed = append(r.Changed, c)
		}
	}
	return a.printDiff(r, out)
}

// compare compares what two configurations do with a stored event, at its time.
func (s *storedEvent) compare(ctx context.Context, before, after *configuration) (changedPath, bool, error) {
	e, err := s.decode(ctx, eventFlags{})
	if err != nil {
		return changedPath{}, false, err
	}
	c, changed := comparePaths(before.table.MatchAt(e, s.Received), after.table.MatchAt(e, s.Received))
	c.ID, c.Came, c.Event, c.Project = s.ID, s.Received, e.Name(), e.Project.Path
	return c, changed, nil
}

// comparePaths compares two decisions: the addresses, and how and for whom their
// messages are written.
func comparePaths(before, after routes.Decision) (c changedPath, changed bool) {
	c.Only.Before, c.Only.After, c.Message = []string{}, []string{}, []string{}
	at := func(all []routes.Delivery, one routes.Delivery) int {
		return slices.IndexFunc(all, func(d routes.Delivery) bool { return d.Address == one.Address })
	}
	for _, d := range before.Deliveries {
		i := at(after.Deliveries, d)
		if i < 0 {
			c.Only.Before = append(c.Only.Before, d.Address.String())
		} else if now := after.Deliveries[i]; d.Look != now.Look || !slices.Equal(d.Mention, now.Mention) {
			c.Message = append(c.Message, d.Address.String())
		}
	}
	for _, d := range after.Deliveries {
		if at(before.Deliveries, d) < 0 {
			c.Only.After = append(c.Only.After, d.Address.String())
		}
	}
	return c, len(c.Only.Before)+len(c.Only.After)+len(c.Message) > 0
}

func (a *app) printDiff(r diffReport, out string) error {
	var err error
	if out == "json" {
		err = a.printJSON(r)
	} else {
		err = a.printDiffText(r)
	}
	if err == nil && len(r.Changed) > 0 {
		err = &exitError{code: exitFail}
	}
	return err
}

func (a *app) printDiffText(r diffReport) error {
	if len(r.Changed) > 0 {
		t := newTable(a, "EVENT", "PROJECT", "ONLY BEFORE", "ONLY AFTER", "OTHER MESSAGE")
		for _, c := range r.Changed {
			name := c.Event
			if c.ID != "" {
				name = c.ID + " " + c.Event
			}
			t.row(name, c.Project, strings.Join(c.Only.Before, ", "), strings.Join(c.Only.After, ", "), strings.Join(c.Message, ", "))
		}
		if err := t.end(); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stdout, "%d of %s would go elsewhere, or with another message\n", len(r.Changed), count(r.Compared, "event"))
	if len(r.Skipped) > 0 {
		fmt.Fprintf(a.stderr, "note: %s not compared: the webhooks are not kept any more\n", are(len(r.Skipped), "event"))
	}
	if r.More {
		fmt.Fprintln(a.stderr, "hint: there are older events; --limit compares more")
	}
	return nil
}
