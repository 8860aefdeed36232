package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
	"github.com/gitlab-mattermost/relay/routes"
)

func (a *app) preview() *cobra.Command {
	var f eventFlags
	var to, route string
	var as *choice
	cmd := &cobra.Command{
		Use:   "preview EVENT",
		Short: "Show the message that an event makes, also where no route sends it",
		Long: "Show the message of an event, also if no route sends it.\n\nWith --to, it looks as at that address: as the first route says that sends the\nevent there, otherwise as the destination says; a note on standard error names\nwhich. With --route, it looks as that route says. Without both, or without a\nrelay.yaml, it is the message for a Mattermost.\n\n" +
			eventHelp,
		Example: "  relay preview pipeline.failed\n  relay preview merge_request.open --to mm#reviews --as payload\n  relay preview push --route \"Docs changed\"\n  relay preview tag_push --with tag=nightly --as webhook >nightly.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.loadOrNone(cmd)
			if err != nil {
				return err
			}
			if route != "" && to == "" {
				if to, err = c.firstAddress(route); err != nil {
					return err
				}
			}
			event, dest, channel, err := a.choose(cmd.Context(), c, f, f.name(args), to)
			if err != nil {
				return err
			}
			if as.word == "webhook" {
				return a.printPayload(event)
			}
			d, err := a.delivery(c, event, dest, to, route)
			if err != nil {
				return err
			}
			post, err := render(cmd.Context(), c, event, dest, channel, d)
			if err != nil {
				return err
			}
			return a.printPost(post, dest.Kind, as.word)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "`address` whose look and dialect to use; without it Mattermost's")
	cmd.Flags().StringVar(&route, "route", "", "`name` of the route whose look to use, also where it does not take the event; without --to for its first address")
	as = addChoice(cmd, "as", "", "markdown: the text, in Slack's own markup for a Slack; payload: the JSON exactly as it would be posted; html: a fragment for a page; webhook: the payload that GitLab sends, as --with changes it", "markdown", "markdown", "payload", "html", "webhook")
	return cmd
}

func (a *app) printPost(post formatters.Post, kind, as string) error {
	if post.Fault != "" {
		fmt.Fprintf(a.stderr, "warning: %s\n", post.Fault)
	}
	text := post.Markdown
	switch {
	case as == "payload":
		text = string(post.Body)
	case as == "html":
		text = post.HTML()
	case kind == configs.KindSlack:
		text = slackText(post.Body)
	}
	_, err := fmt.Fprintln(a.stdout, strings.TrimRight(text, "\n"))
	return err
}

// slackText is the text of a payload for Slack, attachments below it.
func slackText(payload []byte) string {
	var p struct {
		Text        string
		Attachments []struct{ Text string }
	}
	_ = json.Unmarshal(payload, &p) // render has seen that it is JSON
	lines := []string{p.Text}
	for _, a := range p.Attachments {
		lines = append(lines, a.Text)
	}
	return strings.Join(lines, "\n")
}

// loadOrNone loads the configuration where there is one; the built-in
// templates need none.
func (a *app) loadOrNone(cmd *cobra.Command) (*configuration, error) {
	c, err := a.loadWithoutSecrets(cmd)
	if errors.Is(err, errNoConfiguration) {
		set, err := formatters.New()
		if err != nil {
			return nil, fmt.Errorf("compile the built-in templates: %w", err)
		}
		cfg := &configs.Config{Sources: []configs.Source{{Name: "gitlab"}}}
		table, _ := routes.Compile(cfg, vocabulary()) // no routes, no findings
		return &configuration{Config: cfg, table: table, formatter: set}, nil
	}
	return c, err
}

// choose finds the event and the address of preview and send.
func (a *app) choose(ctx context.Context, c *configuration, f eventFlags, name, to string) (*events.Event, *configs.Destination, string, error) {
	event, err := a.eventFor(ctx, c, f, name)
	if err != nil {
		return nil, nil, "", err
	}
	if to == "" {
		return event, &configs.Destination{Kind: configs.KindMattermost}, "", nil
	}
	dest, channel, err := c.address(to)
	return event, dest, channel, err
}

// address finds the destination and the channel that --to names.
func (c *configuration) address(to string) (*configs.Destination, string, error) {
	if len(c.Destinations) == 0 {
		return nil, "", errNoConfiguration
	}
	address, err := configs.ParseAddress(to)
	if err != nil {
		return nil, "", usage(strings.TrimPrefix(err.Error(), "read address: "), "%q is no address", to)
	}
	dest := c.Destination(address.Destination)
	if dest == nil {
		var names []string
		for _, d := range c.Destinations {
			names = append(names, d.Name)
		}
		return nil, "", usage(didYouMean(address.Destination, "destination", names), "there is no destination %q", address.Destination)
	}
	channel := address.Channel
	if channel == "" {
		channel = dest.Channel
	}
	return dest, channel, nil
}

// firstAddress is the first that a route sends to.
func (c *configuration) firstAddress(route string) (string, error) {
	var names []string
	for _, r := range c.Routes {
		for _, to := range r.To {
			if r.Name == route && !to.Placed() {
				return to.Address.String(), nil
			}
		}
		if r.Name == route && len(r.To) > 0 {
			return "", usage("name it with --to, as relay explain shows it", "an event completes the address of route %q", route)
		}
		names = append(names, r.Name)
	}
	return "", usage(didYouMean(route, "route", names), "there is no route %q", route)
}

// delivery is how the event is posted to an address: as the route that was
// named does it, else the first that sends the event there, else as the
// destination does by itself. Which of these it was is told on standard error.
func (a *app) delivery(c *configuration, e *events.Event, dest *configs.Destination, to, route string) (routes.Delivery, error) {
	own := routes.Delivery{Look: c.table.Look(dest)}
	if to == "" {
		return own, nil
	}
	at, _ := configs.ParseAddress(to) // choose has read it
	if route != "" {
		d, ok := c.table.ByRoute(e, route, at)
		if _, err := c.firstAddress(route); !ok && err != nil {
			return own, err
		} else if !ok {
			return own, usage("leave --to out, or name an address of its to", "route %q does not send to %s", route, at)
		}
		return d, nil
	}
	decided := c.table.Match(e)
	for _, d := range decided.Deliveries {
		if d.Address == at {
			fmt.Fprintf(a.stderr, "note: as %s sends it there\n", by(d.Route))
			return d, nil
		}
	}
	for _, w := range decided.Withheld {
		if d, ok := c.table.ByRoute(e, w.Route, at); ok && w.Address == at {
			fmt.Fprintf(a.stderr, "note: as %s would send it there, but it is withheld (%s)\n", by(w.Route), w.Reason)
			return d, nil
		}
	}
	fmt.Fprintf(a.stderr, "note: no route sends this event to %s, so this is the destination's own look\n", at)
	if len(c.table.Direct(e, at).Withheld) > 0 {
		fmt.Fprintf(a.stderr, "note: such an event is %s\n", c.closed(e, at))
	}
	return own, nil
}

// printPayload prints the event's webhook, indented.
func (a *app) printPayload(e *events.Event) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(e.Payload), "", "  "); err != nil {
		return fmt.Errorf("print the webhook: %w", err)
	}
	_, err := fmt.Fprintln(a.stdout, b.String())
	return err
}

// request is an event's message for a channel of a destination.
func (c *configuration) request(e *events.Event, dest *configs.Destination, channel string, d routes.Delivery) formatters.Request {
	return formatters.Request{
		Event: e, Kind: dest.Kind, Channel: channel, Look: d.Look, Mention: d.Mention,
		People: c.table.People(dest.Name, d.File), Call: c.table.Calls(dest.Name, d.File),
	}
}

// render writes the message as it would be posted to the destination now.
func render(ctx context.Context, c *configuration, e *events.Event, dest *configs.Destination, channel string, d routes.Delivery) (formatters.Post, error) {
	post, err := c.formatter.Render(ctx, c.request(e, dest, channel, d))
	if err != nil {
		return formatters.Post{}, err
	}
	if !json.Valid(post.Body) {
		return formatters.Post{}, errors.New("the message is not valid JSON")
	}
	return post, nil
}
