package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/routes"
)

func (a *app) explain() *cobra.Command {
	var f eventFlags
	var out *choice
	var expect string
	cmd := &cobra.Command{
		Use:     "explain EVENT",
		Short:   "Say which addresses an event goes to, and why not to the others",
		Long:    "Say which addresses an event goes to, and why not to the others: route by\nroute, key by key, what the route wants and what the event has got.\n\nFor a stored event (1042-0) also show the decision when it came, and every\nattempt. \"now\" is the relay.yaml that is found here, or the relay's own if there\nis none.\n\n" + eventHelp,
		Example: "  relay explain merge_request.open\n  relay explain 1042-0\n  relay explain payload.json --header \"System Hook\"\n  relay explain pipeline.failed --expect ops,mm#reviews",
		RunE: func(cmd *cobra.Command, args []string) error {
			if isEventID(f.name(args)) {
				c, x, err := a.explainStored(cmd, f, f.name(args), out.word == "json")
				if err == nil && cmd.Flags().Changed("expect") {
					err = c.expected(x, expect)
				}
				return err
			}
			c, err := a.loadWithoutSecrets(cmd)
			if err != nil {
				return err
			}
			event, err := a.eventFor(cmd.Context(), c, f, f.name(args))
			if err != nil {
				return err
			}
			at, err := f.moment(time.Time{})
			if err != nil {
				return err
			}
			x := c.table.ExplainAt(event, at)
			if out.word == "json" {
				err = a.printJSON(explained{describe(event), x})
			} else {
				_, err = a.stdout.Write([]byte(c.explanation(event, x)))
			}
			if err == nil && cmd.Flags().Changed("expect") {
				err = c.expected(x, expect)
			}
			return err
		},
	}
	f.add(cmd)
	f.addAt(cmd)
	out = addOutput(cmd)
	cmd.Flags().StringVar(&expect, "expect", "", `the `+"`addresses`"+` that must get it, as a,mm#b in any order ("": none); exit 1 on a difference`)
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

// expected compares the deliveries with a list of addresses. Without a
// configuration it knows of no mistakes in the list.
func (c *configuration) expected(x routes.Explanation, list string) error {
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
	e := &exitError{code: exitFail, message: fmt.Sprintf("expected %s, got %s", orNone(want), orNone(got))}
	for _, w := range want {
		var usage *exitError
		if c == nil {
			break
		}
		if _, _, err := c.address(w); errors.As(err, &usage) {
			e.hint = usage.message + ": " + usage.hint
		}
	}
	return e
}

func orNone(addresses []string) string {
	if len(addresses) == 0 {
		return "no delivery"
	}
	return strings.Join(addresses, ", ")
}

func address(destination, channel string) string {
	return configs.Address{Destination: destination, Channel: channel}.String()
}
