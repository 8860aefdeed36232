package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
)

func (a *app) send() *cobra.Command {
	var f eventFlags
	var via, to, tokenFile string
	cmd := &cobra.Command{
		Use:   "send EVENT (--via URL | --to ADDRESS)",
		Short: "Send an event to a running relay as GitLab would, or its message to an address",
		Long: "With --via, post an event to a running relay as GitLab would; the token is\nRELAY_TOKEN or --token-file. With --to, write its message and post it to an\naddress of relay.yaml, whatever the routes say: this tries a webhook URL out.\n\n" +
			eventHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 15*time.Second)
			defer cancel()
			switch {
			case (via == "") == (to == ""):
				return usage("--via http://localhost:8080/hooks/gitlab, or --to mm#channel", "give either --via or --to")
			case via != "":
				sample, err := a.webhook(f, args[0])
				if err != nil {
					return err
				}
				return a.sendVia(ctx, sample, via, tokenFile)
			}
			c, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			event, dest, channel, err := a.choose(c, f, args[0], to)
			if err != nil {
				return err
			}
			return a.sendTo(ctx, c, event, dest, channel)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&via, "via", "", "hook URL of a running relay")
	cmd.Flags().StringVar(&to, "to", "", "address to post the message to")
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "file that holds the secret token, for --via (default: RELAY_TOKEN)")
	return cmd
}

// sendVia posts a webhook the way GitLab does.
func (a *app) sendVia(ctx context.Context, s events.Sample, via, tokenFile string) error {
	token, _ := a.env("RELAY_TOKEN")
	if tokenFile != "" {
		b, err := os.ReadFile(tokenFile)
		if err != nil {
			return &exitError{code: exitUsage, message: err.Error()}
		}
		token = strings.TrimSpace(string(b))
	}
	u, err := url.Parse(via)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usage("the URL that GitLab has, such as http://localhost:8080/hooks/gitlab", "--via is no http or https URL")
	}
	status, answer, err := postWebhook(ctx, via, token, s)
	if err != nil {
		return &exitError{exitFail, "no relay answers at " + u.Host, "is it running, and is this its --listen address?"}
	}
	fmt.Fprintf(a.stdout, "%d %s\n", status, printable(answer))
	if status != http.StatusAccepted {
		return &exitError{code: exitFail, message: "the relay did not accept it"}
	}
	return nil
}

// postWebhook sends one webhook and returns the answer's status and body.
func postWebhook(ctx context.Context, to, token string, s events.Sample) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(s.Body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "relay/"+versionString())
	if s.Header != "" {
		req.Header.Set("X-Gitlab-Event", s.Header)
	}
	if token != "" {
		req.Header.Set("X-Gitlab-Token", token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	return res.StatusCode, string(answer), err
}

// sendTo posts the event's message to one address.
func (a *app) sendTo(ctx context.Context, c *configuration, e *events.Event, dest *configs.Destination, channel string) error {
	post, err := render(ctx, c, e, dest, channel)
	if err != nil {
		return err
	}
	if dest.Kind == configs.KindLog {
		return a.printPost(post, "markdown")
	}
	text, err := delivery.Once(ctx, dest, post.Body, versionString())
	if err != nil {
		return &exitError{exitFail, "not delivered: " + err.Error(), "nothing is retried here; a running relay would"}
	}
	_, err = fmt.Fprintf(a.stdout, "delivered: %s\n", text)
	return err
}
