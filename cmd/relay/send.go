package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/events"
)

// maxAnswer is how much of an answer is shown, in bytes: the relay's own are
// shorter.
const maxAnswer = 300

// sendTimeout is for one webhook or message, its answer included.
const sendTimeout = 15 * time.Second

func (a *app) send() *cobra.Command {
	var f eventFlags
	var via, to, tokenFile string
	cmd := &cobra.Command{
		Use:   "send EVENT (--via URL | --to ADDRESS)",
		Short: "Send an event to a running relay as GitLab would, or its message to an address",
		Long: "With --via, post an event to a running relay as GitLab would. The token is in\n--token-file or RELAY_TOKEN. For a relay on this machine it can also be that of\nthe source in relay.yaml.\n\n" +
			"With --to, write the message of the event and post it to an address of\nrelay.yaml, whatever the routes say: this tries a webhook URL out. The access\nrules of the address apply: a confidential event is withheld. A built-in sample\nis made up, and goes to every address.\n\n" +
			eventHelp,
		Example: "  RELAY_TOKEN=… relay send push --via http://localhost:8080/hooks/gitlab\n  relay send pipeline.failed --to mm#reviews",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), sendTimeout)
			defer cancel()
			switch {
			case via == "" && to == "":
				return usage("--via http://localhost:8080/hooks/gitlab, or --to mm#channel", "send needs --via or --to")
			case via != "" && to != "":
				return usage("--via posts to a relay, --to past it", "send takes --via or --to, not both")
			case via != "":
				sample, err := a.webhook(ctx, f, f.name(args))
				if err != nil {
					return err
				}
				event, err := f.changed(events.Decode(sample.Input("")))
				if err != nil {
					return err
				}
				sample.Body = event.Payload
				return a.sendVia(ctx, cmd, sample, via, tokenFile)
			}
			c, _, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.sendTo(ctx, c, f, f.name(args), to)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&via, "via", "", "hook `URL` of a running relay")
	cmd.Flags().StringVar(&to, "to", "", "`address` to post the message to")
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "`file` that holds the secret token, for --via; without it RELAY_TOKEN, or the token in relay.yaml")
	return cmd
}

// sendVia posts a webhook the way GitLab does.
func (a *app) sendVia(ctx context.Context, cmd *cobra.Command, s events.Sample, via, tokenFile string) error {
	u, err := url.Parse(via)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usage("the URL that GitLab has, such as http://localhost:8080/hooks/gitlab", "--via is no http or https URL")
	}
	token, err := a.token(cmd, tokenFile, u)
	if err != nil {
		return err
	}
	if _, builtin := events.SampleNamed(s.Name); builtin {
		s.Body = fresh(s.Body, time.Now())
	}
	status, answer, err := postWebhook(ctx, via, token, s)
	if err != nil {
		return &exitError{exitFail, "no relay answers at " + u.Host + ": " + netReason(err), "is it running, and is this its --listen address?"}
	}
	fmt.Fprintf(a.stdout, "%d %s\n", status, printable(answer[:min(len(answer), maxAnswer)]))
	if status == http.StatusAccepted {
		return nil
	}
	no := &exitError{code: exitFail, message: "the relay did not accept it"}
	switch {
	case status == http.StatusUnauthorized && token == "":
		no.hint = "set RELAY_TOKEN, or name a --token-file"
	case status == http.StatusUnauthorized:
		no.hint = "RELAY_TOKEN or --token-file must hold the token of that source"
	case status == http.StatusNotFound:
		no.hint = "the path is /hooks/ and the name of a source, unless relay.yaml says otherwise"
	}
	return no
}

// token is the secret token for a webhook to a URL: that of the file, else RELAY_TOKEN,
// else that of relay.yaml.
func (a *app) token(cmd *cobra.Command, file string, via *url.URL) (string, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", usage("", "--token-file: %s", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	if token, _ := a.env("RELAY_TOKEN"); strings.TrimSpace(token) != "" {
		return strings.TrimSpace(token), nil
	}
	return a.tokenOf(cmd, via), nil
}

// tokenOf is the token of the source in relay.yaml that has the path of a URL of this
// machine, or "". It is sent to no other machine, because nobody named it.
func (a *app) tokenOf(cmd *cobra.Command, via *url.URL) string {
	if !onThisMachine(via.Hostname()) {
		return ""
	}
	path, err := a.find(cmd)
	if err != nil {
		return ""
	}
	c, _ := a.read(path) // what is wrong with the rest of the file does not matter here
	a.secrets.add((&configuration{Config: c}).secrets()...)
	for _, s := range c.Sources {
		if slices.Contains(s.Paths, via.Path) && len(s.Tokens) > 0 {
			return s.Tokens[0].Reveal()
		}
	}
	return ""
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// postWebhook sends one webhook and returns the answer's status and body. It
// follows no redirects, which would carry the token elsewhere.
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
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	return res.StatusCode, string(answer), err
}

// netReason is why nobody answered, without the URL: it may hold a password.
func netReason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "it took too long"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err.Error()
}

// sendTo posts the event's message to one address, looking as preview shows it.
// Nobody is mentioned: this is for trying out.
func (a *app) sendTo(ctx context.Context, c *configuration, f eventFlags, name, to string) error {
	plain := f
	plain.with = nil
	event, dest, channel, err := a.choose(ctx, c, plain, name, to)
	if err != nil {
		return err
	}
	changed, err := f.changed(event)
	if err != nil {
		return err
	}
	if err := c.mayHave(to, name, event, changed); err != nil {
		return err
	}
	look, err := a.delivery(c, changed, dest, to, "")
	if err != nil {
		return err
	}
	look.Mention = nil
	post, err := render(ctx, c, changed, dest, channel, look)
	if err != nil {
		return err
	}
	if dest.Kind == configs.KindLog {
		return a.printPost(post, dest.Kind, "markdown")
	}
	reachable, err := delivery.NewClients(versionString()).Prepare([]configs.Destination{*dest}, c.Egress)
	if err != nil {
		return &exitError{code: exitUsage, message: err.Error()}
	}
	text, err := delivery.Once(ctx, &reachable[0], post.Body)
	if err != nil {
		return &exitError{exitFail, "not delivered: " + err.Error(), "this was one attempt; a running relay would try again"}
	}
	_, err = fmt.Fprintf(a.stdout, "delivered to %s: %s\n", configs.Address{Destination: dest.Name, Channel: channel}, text)
	return err
}

// mayHave refuses to send to an address what is withheld from it, both as it came
// and as --with changes it, which could say that it is not confidential. A
// built-in sample gives nothing away.
func (c *configuration) mayHave(to, name string, asItIs ...*events.Event) error {
	if _, builtin := events.SampleNamed(name); builtin && !isEventID(name) {
		return nil
	}
	at, err := configs.ParseAddress(to)
	if err != nil {
		return err // choose has read it
	}
	for _, e := range asItIs {
		if err := c.closed(e, at); err != nil {
			return &exitError{code: exitFail, message: err.Error()}
		}
	}
	return nil
}
