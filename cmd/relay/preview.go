package main

import (
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
	var to string
	var as *choice
	cmd := &cobra.Command{
		Use:     "preview EVENT",
		Short:   "Show the message that an event makes, whatever the routes say",
		Long:    "Show the message that an event makes, whatever the routes say. Without a\nrelay.yaml it is the one for a Mattermost.\n\n" + eventHelp,
		Example: "  relay preview pipeline.failed\n  relay preview merge_request.open --to mm#reviews --as payload",
		Args:    oneEvent,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.loadOrNone(cmd)
			if err != nil {
				return err
			}
			event, dest, channel, err := a.choose(c, f, args[0], to)
			if err != nil {
				return err
			}
			post, err := render(cmd.Context(), c, event, dest, channel)
			if err != nil {
				return err
			}
			return a.printPost(post, dest.Kind, as.word)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "`address` whose look and dialect to use; without it Mattermost's")
	as = addChoice(cmd, "as", "", "markdown: the text, in Slack's own markup for a Slack; payload: the JSON exactly as it would be posted; html: a fragment for a page", "markdown", "markdown", "payload", "html")
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
	c, _, err := a.load(cmd)
	if errors.Is(err, errNoConfiguration) {
		set, err := formatters.New()
		if err != nil {
			return nil, fmt.Errorf("compile the built-in templates: %w", err)
		}
		cfg := &configs.Config{Sources: []configs.Source{{Name: "gitlab"}}}
		table, _ := routes.Compile(cfg, vocabulary()) // no routes, no findings
		return &configuration{cfg, table, set}, nil
	}
	return c, err
}

// choose finds the event and the address of preview and send.
func (a *app) choose(c *configuration, f eventFlags, name, to string) (*events.Event, *configs.Destination, string, error) {
	sample, err := a.webhook(f, name)
	if err != nil {
		return nil, nil, "", err
	}
	event, err := c.decode(f, sample)
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

// render writes the message as it would be posted to the destination now.
func render(ctx context.Context, c *configuration, e *events.Event, dest *configs.Destination, channel string) (formatters.Post, error) {
	post, err := c.formatter.Render(ctx, formatters.Request{Event: e, Kind: dest.Kind, Channel: channel, Look: c.table.Look(dest)})
	if err != nil {
		return formatters.Post{}, err
	}
	if !json.Valid(post.Body) {
		return formatters.Post{}, errors.New("the message is not valid JSON")
	}
	return post, nil
}
