package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) healthcheck() *cobra.Command {
	var admin string
	var live bool
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running relay whether it could store a webhook now; exit 1 if not",
		Long: "Ask a running relay whether it could store a webhook now; exit 1 if not.\n\n" +
			"With --live it asks only whether the relay answers: for what restarts the relay\nwhen it does not, because a restart gives a full disk no room.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			if live {
				return a.askHealth(ctx, admin, "/healthz", "ok")
			}
			return a.askHealth(ctx, admin, "/readyz", "ready")
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether it answers")
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:8081", "admin `address` of the running relay")
	return cmd
}

// askHealth asks for a page of the admin listener that answers with a status, and
// prints that.
func (a *app) askHealth(ctx context.Context, admin, page, good string) error {
	if err := checkAddress("--admin", admin); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+asked(admin)+page, nil)
	if err != nil {
		return usage("it takes HOST:PORT, such as 127.0.0.1:8081", "--admin: %q is no address", admin)
	}
	client := http.Client{Transport: &http.Transport{}} // no proxy stands between
	res, err := client.Do(req)
	if err != nil {
		return &exitError{exitFail, "no relay answers at " + admin + ": " + netReason(err), "is it running, and is this its --admin address?"}
	}
	defer res.Body.Close()
	var answer struct{ Status, Error string }
	notRelay := json.NewDecoder(io.LimitReader(res.Body, 4096)).Decode(&answer)
	switch {
	case res.StatusCode == http.StatusServiceUnavailable:
		why, known := strings.CutPrefix(answer.Error, "not ready: ")
		if !known {
			why = "it cannot store webhooks"
		}
		return &exitError{exitFail, "the relay at " + admin + " is not ready: " + why, "relay status says more"}
	case res.StatusCode != http.StatusOK, notRelay != nil, answer.Status != good:
		return &exitError{exitFail, "what answers at " + admin + " is no relay's --admin address", "is that its --listen address, or another program's?"}
	}
	_, err = fmt.Fprintln(a.stdout, good)
	return err
}

// asked is where a relay on this machine is asked that listens on an address,
// which was checked.
func asked(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it was told to listen everywhere
	}
	return net.JoinHostPort(host, port)
}
