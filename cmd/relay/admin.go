package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

const (
	// askTimeout is how long the relay that dispatches may take to answer
	// another one.
	askTimeout = 3 * time.Second

	// tryPatience is how long somebody who asks for a try waits for its result: as
	// long as an attempt usually takes at most, and a little more.
	tryPatience = 12 * time.Second
	// adminTimeout is for one answer of a running relay.
	adminTimeout = 40 * time.Second
	// adminTries is how often a request is sent whose answer was lost.
	adminTries = 3
)

// adminFlags name a running relay.
type adminFlags struct {
	url, tokenFile string
	all            *pflag.FlagSet // of the command
}

func (f *adminFlags) add(cmd *cobra.Command) {
	f.all = cmd.Flags()
	cmd.Flags().StringVar(&f.url, "admin-url", "http://127.0.0.1:8081", "`URL` of the running relay's admin listener")
	cmd.Flags().StringVar(&f.tokenFile, "admin-token-file", "", "`file` with the token that the admin listener wants, if it wants one")
}

// admin is a running relay, asked by its admin listener.
type admin struct {
	base  *url.URL
	token string
	http  http.Client
	flags *pflag.FlagSet // of the command that asks
}

// admin is the relay that the flags name. Where they name none, it is the one
// that RELAY_ADMIN, relay serve's own variable, has listen.
func (a *app) admin(f adminFlags) (*admin, error) {
	if own, _ := a.env("RELAY_ADMIN"); own != "" && !f.all.Changed("admin-url") {
		if err := checkAddress("RELAY_ADMIN", own); err != nil {
			return nil, err
		}
		f.url = "http://" + asked(own)
	}
	u, err := url.Parse(f.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usage("it looks like http://127.0.0.1:8081", "--admin-url is no http or https URL")
	}
	r := adminAt(u, f.all)
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, usage("it names a file that holds the token of relay serve --admin-token-file", "--admin-token-file: %s cannot be read", f.tokenFile)
		}
		if r.token, err = adminSecret(text); err != nil {
			return nil, err
		}
		a.secrets.add(r.token)
	}
	return r, nil
}

// adminAt is the relay at a URL; flags are those of the command that asks.
func adminAt(base *url.URL, flags *pflag.FlagSet) *admin {
	return &admin{base: base, flags: flags, http: http.Client{
		Transport:     &http.Transport{}, // no proxy is asked
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// newKey makes an Idempotency-Key.
func newKey() string { return rand.Text() }

// get asks for a page.
func (r *admin) get(ctx context.Context, path string, query url.Values, into any) error {
	u := r.base.JoinPath(path)
	u.RawQuery = query.Encode()
	text, err := r.send(ctx, http.MethodGet, u, nil, "")
	if err != nil {
		return err
	}
	return r.read(text, into)
}

// post asks for something to be done. Where the answer is lost it is sent
// again, under the same key.
func (r *admin) post(ctx context.Context, path, key string, question, into any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	text, err := r.send(ctx, http.MethodPost, r.base.JoinPath(path), body, key)
	if err != nil {
		return err
	}
	return r.read(text, into)
}

func (r *admin) read(text []byte, into any) error {
	if json.Unmarshal(text, into) != nil {
		return r.stranger()
	}
	return nil
}

func (r *admin) stranger() error {
	return &exitError{exitFail, "what answers at " + r.base.Host + " is no relay's --admin address", "is that its --listen address, or another program's?"}
}

func (r *admin) send(ctx context.Context, method string, u *url.URL, body []byte, key string) ([]byte, error) {
	for try := 1; ; try++ {
		res, text, err := r.once(ctx, method, u, body, key)
		if err == nil {
			return text, r.refused(res, text)
		}
		if isInterrupted(ctx) {
			return nil, &exitError{code: exitFail, message: "interrupted"}
		}
		if try == adminTries || ctx.Err() != nil || errors.Is(err, syscall.ECONNREFUSED) {
			return nil, &exitError{exitFail, noRelayAnswers + r.base.Host + ": " + netReason(err), "is it running, and is this its --admin address? name it with --admin-url"}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// noRelayAnswers begins the error of a relay that cannot be reached.
const noRelayAnswers = "no relay answers at "

func (r *admin) once(ctx context.Context, method string, u *url.URL, body []byte, key string) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := r.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 2*queue.MaxBodyLimit))
	return res, text, err
}

// refused is the relay's own words when it did not answer what was asked.
func (r *admin) refused(res *http.Response, text []byte) error {
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return nil
	}
	var no struct{ Error string }
	if json.Unmarshal(text, &no) != nil || no.Error == "" {
		return r.stranger()
	}
	e := &exitError{code: exitFail, message: printable(no.Error)}
	switch res.StatusCode {
	case http.StatusBadRequest:
		e.code, e.message = exitUsage, r.flag(e.message)
	case http.StatusUnauthorized:
		e.message, e.hint = "the relay at "+r.base.Host+" wants another token", "name the file that relay serve has as --admin-token-file with --admin-token-file"
	case http.StatusForbidden:
		e.message = "the relay at " + r.base.Host + " refuses: " + e.message
	case http.StatusNotFound:
		if no.Error == "no such page" {
			return r.stranger()
		}
	}
	return e
}

// flag names the flag in a message about the parameter that it sets: "since: …" is
// "--since: …" on the command line.
func (r *admin) flag(message string) string {
	message = strings.Replace(message, "say where to with to", "say where to with --to", 1)
	parameter, what, ok := strings.Cut(message, ": ")
	name := strings.ReplaceAll(parameter, "_", "-")
	if !ok || r.flags.Lookup(name) == nil {
		return message
	}
	return "--" + name + ": " + what
}

// isEventID tells the id of a stored event from a sample's or a file's name.
func isEventID(s string) bool {
	_, err := queue.ParseID(s)
	if err != nil {
		return false
	}
	_, err = os.Stat(s)
	return err != nil
}

// eventID checks the id of a stored event.
func eventID(s string) error {
	if _, err := queue.ParseID(s); err != nil {
		return usage("it is the id that GitLab shows under Recent events > View details, and relay events lists", "%q is no event id", s)
	}
	return nil
}

// listFlags choose events or dead letters.
type listFlags struct {
	project, source, since, until string
	event                         eventName
}

func (f *listFlags) add(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&f.project, "project", "", "only those of projects that match the `pattern`, such as acme/**")
	cmd.Flags().Var(&f.event, "event", "only those of this `name`: issue.open, or issue for all of a kind")
	cmd.Flags().StringVar(&f.source, "source", "", "only those of the source of this `name`")
	cmd.Flags().StringVar(&f.since, "since", "", fmt.Sprintf("only those %s since this `time`: 90m, 2h, 3d ago, or 2026-01-31T14:00:00Z", what))
	cmd.Flags().StringVar(&f.until, "until", "", fmt.Sprintf("only those %s before this `time`", what))
}

// eventName is a flag that takes the name of an event, or of a kind. An action that
// is not known may be one that a newer GitLab sends, unless it is misspelt.
type eventName string

func (n *eventName) String() string { return string(*n) }

func (n *eventName) Type() string { return "event" }

func (n *eventName) Set(name string) error {
	kind, action, _ := strings.Cut(strings.TrimSuffix(name, ".*"), ".")
	hint := ""
	switch actions := events.Actions(kind); {
	case name == "", slices.Contains(events.Kinds(), kind) && (action == "" || slices.Contains(actions, action)):
	case !slices.Contains(events.Kinds(), kind):
		hint = didYouMean(strings.ToLower(kind), "kind", events.Kinds())
		if near := configs.Suggest(name, slices.Concat(events.Kinds(), events.Names())); near != "" {
			hint = "did you mean " + near + "?"
		}
	default:
		if near := configs.Suggest(action, actions); near != "" {
			hint = "did you mean " + kind + "." + near + "?"
		}
	}
	if hint != "" {
		return usage(hint, "there is no event %q", name)
	}
	*n = eventName(name)
	return nil
}

// filters are the parameters that were given.
func (f *listFlags) filters() map[string]string {
	return given(map[string]string{"project": f.project, "event": string(f.event), "source": f.source, "since": f.since, "until": f.until})
}

func given(all map[string]string) map[string]string {
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

func values(all map[string]string) url.Values {
	v := url.Values{}
	for name, value := range all {
		v.Set(name, value)
	}
	return v
}
