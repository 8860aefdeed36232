package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/routes"
)

func (a *app) explain() *cobra.Command {
	var f eventFlags
	var out output
	var expect string
	cmd := &cobra.Command{
		Use:   "explain EVENT",
		Short: "Say which addresses an event goes to, and why not to the others",
		Long:  "Say which addresses an event goes to, route by route and key by key.\n\n" + eventHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			sample, err := a.webhook(f, args[0])
			if err != nil {
				return err
			}
			event, err := c.decode(f, sample)
			if err != nil {
				return err
			}
			x := c.table.Explain(event)
			if out == "json" {
				err = a.printJSON(explained{describe(event), x})
			} else {
				err = a.printExplanation(event, x)
			}
			if err == nil && cmd.Flags().Changed("expect") {
				err = expected(x, expect)
			}
			return err
		},
	}
	f.add(cmd)
	out.flag(cmd)
	cmd.Flags().StringVar(&expect, "expect", "", `addresses that must get it, as a,mm#b in any order ("": none); exit 1 on a difference`)
	return cmd
}

type explained struct {
	Event eventDescription `json:"event"`
	routes.Explanation
}

// eventDescription is an event as -o json prints it.
type eventDescription struct {
	Name         string   `json:"name"`
	Kind         string   `json:"kind"`
	Action       string   `json:"action"`
	Source       string   `json:"source"`
	Project      string   `json:"project"`
	Actor        string   `json:"actor"`
	Title        string   `json:"title"`
	URL          string   `json:"url"`
	Ref          string   `json:"ref"`
	Branch       string   `json:"branch"`
	TargetBranch string   `json:"target_branch"`
	Labels       []string `json:"labels"`
	Confidential bool     `json:"confidential"`
	Draft        bool     `json:"draft"`
	Warnings     []string `json:"warnings"`
}

func describe(e *events.Event) eventDescription {
	return eventDescription{
		e.Name(), e.Kind, e.Action, e.Source, e.Project.Path, e.Actor.Username, e.Title, e.URL, e.Ref, e.Branch, e.TargetBranch,
		append([]string{}, e.Labels...), e.Confidential, e.Draft, append([]string{}, e.Warnings...),
	}
}

func (a *app) printExplanation(e *events.Event, x routes.Explanation) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.Name())
	for _, fact := range []struct{ word, value string }{
		{"in", e.Project.Path}, {"by", e.Actor.Username}, {"on", e.Branch}, {"into", e.TargetBranch},
	} {
		if fact.value != "" {
			fmt.Fprintf(&b, " %s %s", fact.word, printable(fact.value))
		}
	}
	b.WriteString("\n")
	for _, w := range e.Warnings {
		fmt.Fprintf(&b, "  could not be read: %s\n", printable(w))
	}
	for _, r := range x.Routes {
		printRoute(&b, r)
	}
	printDeliveries(&b, x)
	_, err := a.stdout.Write([]byte(b.String()))
	return err
}

func printRoute(b *strings.Builder, r routes.RouteExplanation) {
	fmt.Fprintf(b, "\n%s %s (%s:%d)\n", tick(r.Matched), r.Name, r.File, r.Line)
	for _, k := range r.Keys {
		got := strings.Join(k.Got, ", ")
		if got == "" {
			got = "nothing"
		}
		// In except a key that holds is what keeps the route from matching.
		ok := k.OK != (k.Part == "except")
		fmt.Fprintf(b, "  %s %s.%s: want %s, got %s\n", tick(ok), k.Part, k.Key, strings.Join(k.Want, ", "), printable(got))
	}
}

func printDeliveries(b *strings.Builder, x routes.Explanation) {
	b.WriteString("\n")
	for _, d := range x.Deliveries {
		fmt.Fprintf(b, "goes to %s (route %s)\n", address(d.Destination, d.Channel), d.Route)
	}
	for _, w := range x.Withheld {
		fmt.Fprintf(b, "withheld from %s (route %s): %s\n", address(w.Destination, w.Channel), w.Route, w.Reason)
	}
	switch {
	case x.Foreign:
		b.WriteString("goes nowhere: its source may not speak for this project\n")
	case len(x.Deliveries)+len(x.Withheld) == 0 && x.Nearest != "":
		fmt.Fprintf(b, "goes nowhere; nearest is %s: %s\n", x.Nearest, printable(x.Because))
	case len(x.Deliveries)+len(x.Withheld) == 0:
		b.WriteString("goes nowhere\n")
	}
}

func tick(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

func address(destination, channel string) string {
	return configs.Address{Destination: destination, Channel: channel}.String()
}

// printable makes text from a webhook fit for a terminal: one line, no control
// characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}

// expected compares the deliveries with a list of addresses.
func expected(x routes.Explanation, list string) error {
	var want, got []string
	for _, w := range strings.Split(list, ",") {
		if w = strings.TrimSpace(w); w != "" {
			want = append(want, w)
		}
	}
	for _, d := range x.Deliveries {
		got = append(got, address(d.Destination, d.Channel))
	}
	slices.Sort(want)
	slices.Sort(got)
	if slices.Equal(want, got) {
		return nil
	}
	return &exitError{code: exitFail, message: fmt.Sprintf("expected %s, got %s", orNone(want), orNone(got))}
}

func orNone(addresses []string) string {
	if len(addresses) == 0 {
		return "no delivery"
	}
	return strings.Join(addresses, ", ")
}
