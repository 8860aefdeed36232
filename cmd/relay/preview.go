package main

import (
	"context"
	"encoding/json"
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
	var to, as string
	cmd := &cobra.Command{
		Use:   "preview EVENT",
		Short: "Show the message that an event makes, whatever the routes say",
		Long:  "Show the message that an event makes, whatever the routes say.\n\n" + eventHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if as != "markdown" && as != "payload" {
				return usage("--as takes markdown or payload", "%q is no way to show a message", as)
			}
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
			return a.printPost(post, as)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "address whose look and dialect to use (default: Mattermost)")
	cmd.Flags().StringVar(&as, "as", "markdown", "markdown, or payload: the JSON exactly as it would be posted")
	return cmd
}

func (a *app) printPost(post formatters.Post, as string) error {
	if post.Fault != "" {
		fmt.Fprintf(a.stderr, "warning: %s\n", post.Fault)
	}
	text := strings.TrimRight(post.Markdown, "\n")
	if as == "payload" {
		text = string(post.Body)
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

// loadOrNone loads the configuration where there is one; the built-in
// templates need none.
func (a *app) loadOrNone(cmd *cobra.Command) (*configuration, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, err
	}
	_, zero := a.env("RELAY_DESTINATION")
	if path == "" && firstExisting(places) == "" && !zero {
		set, err := formatters.New()
		if err != nil {
			return nil, fmt.Errorf("compile the built-in templates: %w", err)
		}
		table, _ := routes.Compile(&configs.Config{}, vocabulary())
		return &configuration{&configs.Config{Sources: []configs.Source{{Name: "gitlab"}}}, table, set}, nil
	}
	c, _, err := a.load(cmd)
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
	address, err := configs.ParseAddress(to)
	if err != nil {
		return nil, nil, "", usage("an address is a destination's name, mm#channel or mm@person", "--to: %s", err)
	}
	dest := c.Destination(address.Destination)
	if dest == nil {
		var names []string
		for _, d := range c.Destinations {
			names = append(names, d.Name)
		}
		return nil, nil, "", usage("the destinations are "+strings.Join(names, ", "), "there is no destination %q", address.Destination)
	}
	channel := address.Channel
	if channel == "" {
		channel = dest.Channel
	}
	return event, dest, channel, nil
}

// render writes the message as it would be posted to the destination now.
func render(ctx context.Context, c *configuration, e *events.Event, dest *configs.Destination, channel string) (formatters.Post, error) {
	post, err := c.formatter.Render(ctx, formatters.Request{Event: e, Kind: dest.Kind, Channel: channel, Look: c.table.Look(dest)})
	if err != nil {
		return formatters.Post{}, &exitError{code: exitFail, message: "write the message: " + err.Error()}
	}
	if !json.Valid(post.Body) {
		return formatters.Post{}, &exitError{code: exitFail, message: "the message is not valid JSON"}
	}
	return post, nil
}
