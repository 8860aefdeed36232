package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

// eventFlags choose the event that explain, preview and send work on.
type eventFlags struct {
	source string
	header string
	with   []string // key=value
	named  string   // the EVENT, where it is no argument
	at     string   // when its webhook comes
	on     adminFlags
}

const eventHelp = `EVENT is a built-in sample (the names are below), a file that holds a
payload as GitLab sent it, - for standard input, or the id of an event, as
GitLab shows it under Recent events (1042-0). A running relay is asked for that.`

func (f *eventFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.source, "source", "", "`name` of the source that the event comes from; without it the first one")
	cmd.Flags().StringVar(&f.header, "header", "", "`value` of X-Gitlab-Event that a payload file came with, such as \"System Hook\"")
	cmd.Flags().StringArrayVar(&f.with, "with", nil, "`key=value` that the payload is changed to say; again for more. Keys: "+strings.Join(routes.WithKeys(), " "))
	cmd.Flags().StringVar(&f.named, "event", "", "the `EVENT`, in place of the argument")
	markByHand(cmd.Flags().Lookup("event"))
	_ = cmd.RegisterFlagCompletionFunc("event", cobra.FixedCompletions(sampleNames(), cobra.ShellCompDirectiveDefault)) // there is that flag
	cmd.Args = f.oneEvent
	f.on.add(cmd)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := slices.DeleteFunc(sampleNames(), func(name string) bool { return !strings.HasPrefix(name, begun) })
		return names, cobra.ShellCompDirectiveDefault // and files
	}
	cmd.SetUsageTemplate(cmd.UsageTemplate() + "\nSamples:\n" + sampleList() + "\n")
}

// addAt adds the flag for the times of routes.
func (f *eventFlags) addAt(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.at, "at", "", "the `moment` at which its webhook comes, with a zone: \"2026-12-05 22:30 Europe/Berlin\". Without it the times of routes do not matter, except for a stored event")
}

// moment is when the webhook comes; otherwise, if the flag does not say it.
func (f *eventFlags) moment(otherwise time.Time) (time.Time, error) {
	if f.at == "" {
		return otherwise, nil
	}
	at, err := configs.ParseMoment(f.at)
	if err != nil {
		return at, usage("", "--at: %s", err)
	}
	return at, nil
}

// oneEvent is the Args of commands that take an EVENT: as an argument or a flag.
func (f *eventFlags) oneEvent(cmd *cobra.Command, args []string) error {
	asFlag := cmd.Flags().Changed("event")
	switch {
	case asFlag && len(args) > 0:
		return usage("name it once", "%s takes one EVENT, as an argument or with --event", cmd.Name())
	case asFlag && f.named != "", len(args) == 1:
		return nil
	case len(args) == 0:
		return usage("name a sample such as merge_request.open, a payload file, or - for standard input", "%s needs an EVENT", cmd.Name())
	}
	return usage("a file name with spaces needs quotes", "%s takes one EVENT, not %d", cmd.Name(), len(args))
}

// name is the EVENT that was given.
func (f *eventFlags) name(args []string) string {
	if len(args) == 0 {
		return f.named
	}
	return args[0]
}

func sampleNames() []string {
	var names []string
	for _, s := range events.Samples() {
		names = append(names, s.Name)
	}
	return names
}

// sampleList is the samples for people, the kinds on lines of their own.
func sampleList() string {
	var lines []string
	last := ""
	for _, name := range sampleNames() {
		kind := kindOf(name)
		if end := len(lines) - 1; kind != last || len(lines[end])+len(name) > 78 {
			lines, last = append(lines, "  "+name), kind
		} else {
			lines[end] += " " + name
		}
	}
	return strings.Join(lines, "\n")
}

// kindOf is the kind in the name of an event or sample.
func kindOf(name string) string {
	if i := strings.IndexAny(name, ".~"); i >= 0 {
		return name[:i]
	}
	return name
}

// webhook finds what EVENT names: a stored event, a sample, a file, or standard
// input.
func (a *app) webhook(ctx context.Context, f eventFlags, event string) (events.Sample, error) {
	if isEventID(event) {
		s, err := a.stored(ctx, f.on, event)
		if err != nil {
			return events.Sample{}, err
		}
		return s.sample(ctx, f)
	}
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
	name := event
	if event == "-" {
		name = "standard input"
	}
	body, err := a.payload(event, name)
	if err != nil {
		return events.Sample{}, err
	}
	if err := events.CheckObject(body); err != nil {
		return events.Sample{}, usage("a payload is one JSON object, as GitLab shows it under Recent events > View details", "%s: %s", name, err)
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
		return "", usage(`for example --header "System Hook"`, "--header: %q is not X-Gitlab-Event", name)
	}
	return strings.TrimSpace(value), nil
}

func (a *app) payload(event, name string) ([]byte, error) {
	if event == "-" {
		return readBounded(a.stdin, name)
	}
	f, err := os.Open(event)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unknownEvent(event)
	}
	if err != nil {
		return nil, usage("", "%s", err)
	}
	defer f.Close()
	return readBounded(f, name)
}

func readBounded(r io.Reader, name string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, queue.MaxBodyLimit+1))
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return nil, usage("", "read %s: %s", name, path.Err)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(body) > queue.MaxBodyLimit:
		return nil, usage("GitLab sends 25 MiB at most", "%s is too large", name)
	}
	return body, nil
}

func unknownEvent(event string) error {
	names := sampleNames()
	hint := "relay explain --help lists the samples"
	var same []string
	for _, name := range names {
		if kindOf(name) == kindOf(event) {
			same = append(same, name)
		}
	}
	switch near := configs.Suggest(event, names); {
	case near != "":
		hint = "did you mean " + near + "?"
	case len(same) > 0:
		hint = "there is " + or(same)
	}
	return usage(hint, "%q is neither a built-in sample nor a file", event)
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
		return nil, usage(didYouMean(source, "source", names), "there is no source %q", source)
	}
	return f.changed(events.Decode(s.Input(source)))
}

// changed is the event as --with asks for it.
func (f *eventFlags) changed(e *events.Event) (*events.Event, error) {
	if len(f.with) == 0 {
		return e, nil
	}
	with := map[string]any{}
	for _, w := range f.with {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, usage(eachWith, "--with %q has no =", w)
		}
		key = strings.TrimSpace(key)
		if !slices.Contains(routes.WithKeys(), key) {
			hint := "the keys are " + strings.Join(routes.WithKeys(), " ")
			if near := configs.SuggestWith(key); near != "" {
				hint = "did you mean " + near + "?"
			}
			return nil, usage(hint, "--with: there is no key %q", key)
		}
		with[key] = value
	}
	changed, err := routes.Change(e, with)
	if err != nil {
		return nil, usage(withHint(e, with), "--with: %s", err)
	}
	return changed, nil
}

// eachWith shows how several keys are changed, and a list.
const eachWith = "each key has a --with of its own: --with branch=main --with labels=bug,P1"

// withHint says what can be changed about such an event.
func withHint(e *events.Event, with map[string]any) string {
	keys := routes.KeysOf(e)
	for _, v := range with {
		if text, _ := v.(string); strings.Contains(text, "=") {
			return eachWith
		}
	}
	for key := range with {
		if !slices.Contains(keys, key) {
			return "of " + e.Kind + " there is " + strings.Join(keys, " ")
		}
	}
	return ""
}
