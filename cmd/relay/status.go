package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/server"
)

// Exit codes of relay status: those of monitoring plug-ins.
const (
	statusOK       = 0
	statusWarning  = 1
	statusCritical = 2
	statusUnknown  = 3
)

const statusHelp = `Ask a running relay how it is, on one screen: its sources, the addresses that
take no messages and why, dead letters, disk and configuration.

The first line is the verdict, and the exit code that of monitoring plug-ins
(Nagios, Icinga, Zabbix):

0  OK        webhooks are stored and delivered
1  WARNING   something needs a look; what it is about is named
2  CRITICAL  webhooks are refused or not delivered, or no relay answers
3  UNKNOWN   the command was used wrongly, or may not ask this relay`

func (a *app) status() *cobra.Command {
	var on adminFlags
	var out *choice
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show on one screen how a running relay is, and what needs a look",
		Long:    statusHelp,
		Example: "  relay status\n  relay status -o json",
		Args:    func(cmd *cobra.Command, args []string) error { return unknownIf(noArguments(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := a.admin(on)
			if err != nil {
				return unknownIf(err)
			}
			var s server.Status
			if err := r.get(cmd.Context(), "/api/v1/status", nil, &s); err != nil {
				return noStatus(err)
			}
			screen := newScreen(s, time.Now())
			if out.word == "json" {
				err = a.printJSON(screen.answer())
			} else {
				_, err = io.WriteString(a.stdout, screen.text())
			}
			if err == nil && screen.code != statusOK {
				err = &exitError{code: screen.code} // all is said
			}
			return err
		},
	}
	on.add(cmd)
	out = addOutput(cmd)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return unknownIf(wrongFlag(cmd, err)) })
	return cmd
}

// unknownIf is wrong usage with the exit code of monitoring plug-ins.
func unknownIf(err error) error {
	var exit *exitError
	if errors.As(err, &exit) {
		return &exitError{statusUnknown, exit.message, exit.hint}
	}
	return err
}

// noStatus is why there is no status: no relay answers, or it refuses to.
func noStatus(err error) error {
	var exit *exitError
	if !errors.As(err, &exit) {
		return &exitError{code: statusUnknown, message: err.Error()}
	}
	if strings.HasPrefix(exit.message, noRelayAnswers) {
		return &exitError{statusCritical, exit.message, "is it running? its log says why not, and relay check finds mistakes in relay.yaml; name its --admin address with --admin-url"}
	}
	return &exitError{statusUnknown, exit.message, exit.hint}
}

// screen is a status for people.
type screen struct {
	server.Status
	now  time.Time
	code int
	says []string // what needs a look, the worst first
}

// answer is what -o json prints: what the relay answers, and the verdict.
func (s *screen) answer() any {
	return struct {
		Verdict string   `json:"verdict"`
		Because []string `json:"because"`
		server.Status
	}{verdicts[s.code], append([]string{}, s.says...), s.Status}
}

var verdicts = map[int]string{statusOK: "OK", statusWarning: "WARNING", statusCritical: "CRITICAL"}

func newScreen(s server.Status, now time.Time) *screen {
	x := &screen{Status: s, now: now}
	if !s.Ready {
		x.needs(statusCritical, "not ready: "+s.Why)
	}
	if !s.Live {
		x.needs(statusCritical, "no relay delivers at this moment")
	}
	for _, d := range s.Destinations {
		x.needs(statusWarning, "destination "+d.Name+" is "+d.State)
	}
	for _, l := range s.Lanes {
		if l.State != delivery.LaneWaiting && !l.Destination {
			x.needs(statusWarning, l.Address+" is "+l.State)
		}
	}
	for _, one := range s.Sources {
		if one.LastRefused.After(one.Last) {
			x.needs(statusWarning, "the last webhook for source "+one.Name+" was refused")
		}
	}
	if s.DeadLetters.Count > 0 {
		x.needs(statusWarning, count(int(s.DeadLetters.Count), "dead letter"))
	}
	x.storage()
	c := s.Configuration
	switch {
	case c.LastGood != nil:
		x.needs(statusWarning, c.File+" has mistakes, and its last good copy is in force")
	case c.Refused:
		x.needs(statusWarning, c.File+" has mistakes, and the old one is in force")
	}
	for _, file := range c.Broken {
		x.needs(statusWarning, file+" has mistakes")
	}
	return x
}

// needs notes something that needs a look.
func (s *screen) needs(code int, what string) {
	s.code = max(s.code, code)
	s.says = append(s.says, what)
}

// nearlyFull is how full a stream may be, as a part of its limit.
const nearlyFull = 0.9

func (s *screen) storage() {
	at := s.Storage
	if s.Ready && (at.Reserve > 0 && at.Free < 4*at.Reserve || at.Small()) {
		s.needs(statusWarning, "the disk has "+bytesText(at.Free)+" free")
	}
	for _, one := range at.Streams {
		if float64(one.Bytes) > nearlyFull*float64(one.Limit) {
			s.needs(statusWarning, one.Name+" is nearly full")
		}
	}
}

// text is one screen.
func (s *screen) text() string {
	var b strings.Builder
	verdict := verdicts[s.code]
	if len(s.says) > 0 {
		verdict += ": " + strings.Join(s.says, "; ")
	}
	fmt.Fprintf(&b, "%s\n\n", printable(verdict))
	state := "webhooks are stored and delivered"
	switch {
	case s.Ready && s.Live && s.Dispatching && s.held():
		state = "webhooks are stored; not all addresses take messages"
	case !s.Ready:
		state = "not ready: " + s.Why
	case !s.Dispatching:
		state = "webhooks are stored; another relay on the same NATS server delivers"
	}
	s.line(&b, "relay", "%s, up %s: %s", s.Version, s.ago(s.Started), state)
	s.configuration(&b)
	s.sources(&b)
	s.lanes(&b)
	dead := "none"
	if n := s.DeadLetters.Count; n > 0 {
		dead = fmt.Sprintf("%d, the last one %s ago: relay deadletters list", n, s.ago(s.DeadLetters.Newest))
	}
	s.line(&b, "dead letters", "%s", dead)
	s.disk(&b)
	return b.String()
}

// held reports whether an address takes no messages.
func (s *screen) held() bool {
	return len(s.Destinations) > 0 || slices.ContainsFunc(s.Lanes, func(l server.Lane) bool { return l.State != delivery.LaneWaiting })
}

// line writes one line, with its name in the first column; "" goes on with the last one.
func (s *screen) line(b *strings.Builder, name, format string, args ...any) {
	fmt.Fprintf(b, "%-14s%s\n", name, printable(fmt.Sprintf(format, args...)))
}

// ago is how long ago something was.
func (s *screen) ago(t time.Time) string {
	d := max(s.now.Sub(t), 0)
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// maxProblems is how many mistakes are shown.
const maxProblems = 5

func (s *screen) configuration(b *strings.Builder) {
	c := s.Configuration
	file := c.File
	switch {
	case file == "":
		file = "from the environment"
	case c.Files > 1:
		file += " and " + count(c.Files-1, "other file")
	}
	loaded := "loaded " + s.ago(c.Loaded) + " ago"
	if c.LastGood != nil {
		loaded = "a copy from " + clock(*c.LastGood) + " is in force"
	}
	s.line(b, "configuration", "%s, %s", file, loaded)
	if c.Refused {
		s.line(b, "", "the files as they are now, read %s ago, have %s:", s.ago(c.Tried), count(len(c.Problems), "mistake"))
	}
	for i, p := range c.Problems {
		if i == maxProblems {
			s.line(b, "", "and %d more: relay check", len(c.Problems)-i)
			break
		}
		s.line(b, "", "%s", p)
	}
	for _, file := range c.Broken {
		s.line(b, "", "nothing new of %s is in force", file)
	}
	if c.Warnings > 0 {
		s.line(b, "", "%s: relay check", count(c.Warnings, "warning"))
	}
}

// refusals are why webhooks are refused, in words.
var refusals = map[string]string{
	"unauthorized": "the secret token or the signature is wrong (401)",
	"method":       "it was not sent with POST (405)", "encoding": "it was compressed (415)",
	"too_large": "it was larger than --max-body (413)", "malformed": "it was no JSON object (400)", "incomplete": "it ended early (400)",
	"busy": "too many webhooks came at once (503)", "down": "the queue could not be written (503)", "full": "the queue was full (503)",
	"unstored": "the queue did not store it in time (503)", "error": "the relay failed; its log says where (500)",
}

func (s *screen) sources(b *strings.Builder) {
	for i, one := range s.Sources {
		name := ""
		if i == 0 {
			name = "sources"
		}
		last := "nothing accepted since the start"
		if !one.Last.IsZero() {
			last = fmt.Sprintf("%d accepted, the last %s ago", one.Accepted, s.ago(one.Last))
		}
		if !one.LastRefused.IsZero() {
			why := refusals[one.LastResult]
			if why == "" {
				why = one.LastResult
			}
			last += fmt.Sprintf("; %d refused, the last %s ago: %s", one.Refused, s.ago(one.LastRefused), why)
		}
		s.line(b, name, "%s: %s", one.Name, last)
	}
}

func (s *screen) lanes(b *strings.Builder) {
	if len(s.Lanes)+len(s.Destinations) == 0 {
		all := "all take messages"
		if !s.Live {
			all = "not known"
		}
		s.line(b, "addresses", "%s", all)
		return
	}
	name := "addresses"
	for _, d := range s.Destinations {
		s.line(b, name, "destination %s is %s, next try %s: %s", d.Name, d.State, nextProbe(d.Next, s.Live, s.now), d.Why)
		name = ""
	}
	for _, l := range s.Lanes {
		since := ""
		if !l.Since.IsZero() {
			since = " for " + s.ago(l.Since)
		}
		holds := count(l.Count, "message")
		if !s.Live {
			holds = "some messages"
		}
		s.line(b, name, "%s is %s%s, holds %s, next try %s: %s", l.Address, l.State, since, holds, nextProbe(l.Next, s.Live, s.now), why(l, s.Destinations))
		name = ""
	}
}

func (s *screen) disk(b *strings.Builder) {
	at := s.Storage
	if at.Reserve > 0 {
		note := ""
		if at.Small() {
			note = ", more than is free"
		}
		s.line(b, "disk", "%s free, below %s webhooks are refused; the queue may grow by %s%s", bytesText(at.Free), bytesText(at.Reserve), bytesText(at.Growth), note)
	}
	var full []string
	for _, one := range at.Streams {
		full = append(full, fmt.Sprintf("%s %d of %s", strings.ToLower(strings.TrimPrefix(one.Name, "RELAY_")), one.Bytes>>20, bytesText(one.Limit)))
	}
	if len(full) > 0 {
		s.line(b, "queue", "%s", strings.Join(full, ", "))
	}
}
