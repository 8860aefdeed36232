package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/gitlab"
)

const (
	// tokensEvery is how often GitLab is asked about the access tokens.
	tokensEvery = 12 * time.Hour
	// tokensLook is how often it is looked whether the configuration has changed.
	tokensLook = time.Minute
)

// tokenDays are how many days before its end an access token is reported, each time
// once.
var tokenDays = []int{30, 7, 0}

// newGitLab makes a client for the API of a source.
func newGitLab(api *configs.API, token configs.Secret, egress string) (*gitlab.Client, error) {
	transport, err := delivery.NewRoundTripper(api.CAFile, egress)
	if err != nil {
		return nil, err
	}
	return gitlab.New(gitlab.Options{URL: api.URL, Token: token, Transport: transport, Agent: "relay/" + versionString()})
}

// tokenWatch reports what is wrong with the access tokens of the sources: each thing
// once for a token.
type tokenWatch struct {
	log      *slog.Logger
	report   func(kind, text string)
	now      func() time.Time
	reported map[reportedToken]int
}

type reportedToken struct{ source, token, what string }

func newTokenWatch(log *slog.Logger, report func(kind, text string)) *tokenWatch {
	return &tokenWatch{log: log, report: report, now: time.Now, reported: map[reportedToken]int{}}
}

// run asks about the tokens of the configuration in force until ctx ends.
func (w *tokenWatch) run(ctx context.Context, live func() *configuration) {
	look := time.NewTicker(tokensLook)
	defer look.Stop()
	var asked *configuration
	var last time.Time
	for {
		if c := live(); c != asked || w.now().Sub(last) >= tokensEvery {
			w.check(ctx, c.Config)
			asked, last = c, w.now()
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// check asks about each token once.
func (w *tokenWatch) check(ctx context.Context, cfg *configs.Config) {
	for _, s := range cfg.Sources {
		if s.API == nil || s.API.Token.IsZero() || s.API.Token.Missing() {
			continue
		}
		c, err := newGitLab(s.API, s.API.Token, cfg.Egress)
		if err == nil {
			var t gitlab.Token
			if t, err = c.Token(ctx); err == nil {
				w.judge(s, t)
			}
		}
		if err != nil && ctx.Err() == nil {
			w.failed(s, err)
		}
	}
}

// once tells whether this is worse than what was reported of the token before.
func (w *tokenWatch) once(s configs.Source, what string, degree int) bool {
	key := reportedToken{s.Name, s.API.Token.Reveal(), what}
	if degree <= w.reported[key] {
		return false
	}
	w.reported[key] = degree
	return true
}

func (w *tokenWatch) failed(s configs.Source, err error) {
	if !w.once(s, "failed", 1) {
		return
	}
	w.log.Warn("GitLab could not be asked about the access token of api", "source", s.Name, "err", err)
	if gitlab.Status(err) == http.StatusUnauthorized {
		w.report("api token of "+s.Name, fmt.Sprintf("⚠️ GitLab refuses the access token of source %s: it is not valid, or it has ended. Put a new one into the token_file of its api.", s.Name))
	}
}

// judge says what of a token is too much, and when it ends.
func (w *tokenWatch) judge(s configs.Source, t gitlab.Token) {
	delete(w.reported, reportedToken{s.Name, s.API.Token.Reveal(), "failed"})
	if why := t.Excess(); why != "" && w.once(s, "excess", 1) {
		w.log.Warn("the access token of api can do more than the relay needs", "source", s.Name, "why", why,
			"hint", "give it the scope read_api alone, of a user who administers nothing; relay hooks apply takes a token of its own")
	}
	days, ends := t.Left(w.now())
	degree := 0
	for _, d := range tokenDays {
		if ends && days <= d {
			degree++
		}
	}
	if degree == 0 || !w.once(s, "ends", degree) {
		return
	}
	day := t.Expires.Format(time.DateOnly)
	w.log.Warn("the access token of api ends soon", "source", s.Name, "day", day, "days", days)
	w.report("api token of "+s.Name, fmt.Sprintf("⚠️ The access token of source %s ends on %s. Make a new one in GitLab, and put it into the token_file of its api.", s.Name, day))
}
