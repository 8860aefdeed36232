package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) healthcheck() *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running relay whether it could store a webhook now; exit 1 if not",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			return a.askReady(ctx, admin)
		},
	}
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:8081", "admin address of the running relay")
	return cmd
}

func (a *app) askReady(ctx context.Context, admin string) error {
	host, port, err := net.SplitHostPort(admin)
	if err != nil {
		return usage("--admin takes HOST:PORT", "%s", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // as the relay was told to listen everywhere
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return usage("--admin takes HOST:PORT", "%s", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return &exitError{exitFail, "no relay answers at " + admin, "is it running, and is this its --admin address?"}
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4096))
	if res.StatusCode != http.StatusOK {
		return &exitError{code: exitFail, message: "not ready: the relay at " + admin + " cannot store webhooks", hint: "its log says why"}
	}
	_, err = fmt.Fprintln(a.stdout, "ready")
	return err
}
