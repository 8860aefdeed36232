package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
)

// eventFlags choose the event that explain, preview and send work on.
type eventFlags struct {
	source string
	header string
}

const eventHelp = `EVENT is the name of a built-in sample (merge_request.open), a file that holds
a payload as GitLab sent it, or - for standard input.`

func (f *eventFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.source, "source", "", "source that the event comes from (default: the first one)")
	cmd.Flags().StringVar(&f.header, "header", "", `X-Gitlab-Event of a payload file, such as "X-Gitlab-Event: System Hook"`)
}

// webhook finds what EVENT names: a sample, a file, or standard input.
func (a *app) webhook(f eventFlags, event string) (events.Sample, error) {
	header, err := f.event()
	if err != nil {
		return events.Sample{}, err
	}
	if s, ok := events.SampleNamed(event); ok {
		if header != "" {
			s.Header = header
		}
		return s, nil
	}
	body, err := a.payload(event)
	if err != nil {
		return events.Sample{}, err
	}
	if err := events.CheckObject(body); err != nil {
		return events.Sample{}, &exitError{exitUsage, event + ": " + err.Error(), "a payload is one JSON object, as GitLab shows it under Recent events > View details"}
	}
	return events.Sample{Name: event, Header: header, Body: body}, nil
}

// event is the header's value, with or without its name before it.
func (f *eventFlags) event() (string, error) {
	name, value, ok := strings.Cut(f.header, ":")
	if !ok {
		return strings.TrimSpace(f.header), nil
	}
	if !strings.EqualFold(strings.TrimSpace(name), "X-Gitlab-Event") {
		return "", usage(`give it as --header "X-Gitlab-Event: Push Hook"`, "--header %q is not X-Gitlab-Event", name)
	}
	return strings.TrimSpace(value), nil
}

func (a *app) payload(event string) ([]byte, error) {
	if event == "-" {
		return readBounded(a.stdin, "standard input")
	}
	f, err := os.Open(event)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unknownEvent(event)
	}
	if err != nil {
		return nil, &exitError{code: exitUsage, message: err.Error()}
	}
	defer f.Close()
	return readBounded(f, event)
}

func readBounded(r io.Reader, name string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, queue.MaxBodyLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(body) > queue.MaxBodyLimit {
		return nil, usage("GitLab sends 25 MiB at most", "%s is too large", name)
	}
	return body, nil
}

func unknownEvent(event string) error {
	var names []string
	for _, s := range events.Samples() {
		names = append(names, s.Name)
	}
	hint := "the samples are " + strings.Join(names, " ")
	if near := configs.Suggest(event, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return &exitError{exitUsage, fmt.Sprintf("%q is neither a built-in sample nor a file", event), hint}
}

// decode decodes the webhook as the named source would.
func (c *configuration) decode(f eventFlags, s events.Sample) (*events.Event, error) {
	source := f.source
	if source == "" && len(c.Sources) > 0 {
		source = c.Sources[0].Name
	}
	if c.Source(source) == nil {
		var names []string
		for _, s := range c.Sources {
			names = append(names, s.Name)
		}
		return nil, usage("the sources are "+strings.Join(names, ", "), "there is no source %q", source)
	}
	return events.Decode(events.Input{Source: source, Header: s.Header, Body: s.Body}), nil
}
