package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gitlab-mattermost/relay/delivery"
	"github.com/gitlab-mattermost/relay/dispatch"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/routes"
)

const (
	// trialMemory is the address space of `relay try`; the Go runtime reserves more
	// of it than it uses.
	trialMemory = 4 << 30
	// trialHeap is where its collector begins to work hard.
	trialHeap = 512 << 20
	// trialCPU is how much processor time one trial may take.
	trialCPU = 10 * time.Second
)

// try is the process in which `relay serve` tries an event that may have ended it.
func (a *app) try() *cobra.Command {
	var memory uint64
	var copies string
	cmd := &cobra.Command{
		Use:    "try",
		Short:  "Decode, route and render events from standard input; relay serve starts this",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadForTrial(cmd, copies)
			if err != nil {
				return err
			}
			debug.SetMemoryLimit(trialHeap)
			if err := limitMemory(memory); err != nil {
				return fmt.Errorf("limit the memory: %w", err)
			}
			fmt.Fprintln(uncleaned(a.stdout), trialReady)
			for t := range trials(a.stdin) {
				if err := limitCPU(trialCPU); err != nil {
					return fmt.Errorf("limit the processor time: %w", err)
				}
				c.try(cmd.Context(), uncleaned(a.stdout), t)
				fmt.Fprintln(uncleaned(a.stdout), trialDone)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&copies, "copies", "", "`directory` of the last good files")
	cmd.Flags().Uint64Var(&memory, "memory", trialMemory, "address space, in `bytes`")
	byHand(cmd)
	return cmd
}

// loadForTrial loads what the relay that started this process has loaded.
func (a *app) loadForTrial(cmd *cobra.Command, copies string) (*configuration, error) {
	path, err := a.find(cmd)
	if err != nil {
		return nil, err
	}
	if path == "" {
		c, _, err := a.compiled(a.read(""))
		return c, err
	}
	data := ""
	if copies != "" {
		data = filepath.Dir(copies)
	}
	c, findings := newLastGood(path, a.env, data).start()
	if c.copied.IsZero() && c.refused(findings) {
		return nil, a.refuse(findings)
	}
	return c, nil
}

// trials reads what is to be tried. When there is no more of it, which is also so
// when the relay has ended, the process ends at once, whatever it is doing.
func trials(from io.Reader) <-chan *dispatch.Trial {
	list := make(chan *dispatch.Trial, 1)
	go func() {
		for dec := json.NewDecoder(from); ; {
			t := new(dispatch.Trial)
			if dec.Decode(t) != nil {
				os.Exit(exitOK)
			}
			list <- t
		}
	}()
	return list
}

// try does with an event all that is done with it before it is posted.
func (c *configuration) try(ctx context.Context, out io.Writer, t *dispatch.Trial) {
	w := &t.Webhook
	if t.Parked != nil {
		p := *t.Parked
		p.Webhook = t.Webhook
		it := delivery.Unpark(p, t.Lane)
		c.tryMessage(ctx, out, w, it.Event, routes.Delivery{Address: it.Address, Look: it.Look, Mention: it.Mention})
		return
	}
	event := events.Decode(events.NewInput(w.Source, w.Get, w.Body))
	for _, d := range dispatch.Decide(c.table, c.table.Direct, event, w).Deliveries {
		if !slices.Contains(t.Skip, delivery.LaneOf(d.Address)) {
			c.tryMessage(ctx, out, w, event, d)
		}
	}
}

// tryMessage writes a message as its lane would, and forgets it.
func (c *configuration) tryMessage(ctx context.Context, out io.Writer, w *queue.Webhook, e *events.Event, d routes.Delivery) {
	dest := c.Destination(d.Address.Destination)
	if dest == nil {
		return
	}
	lane, _ := json.Marshal(queue.Lane{Destination: d.Address.Destination, Channel: d.Address.Channel}) // two strings
	fmt.Fprintf(out, "%s%s\n", trialLane, lane)
	r := c.request(e, dest, cmp.Or(d.Address.Channel, dest.Channel), d)
	r.Now, r.Received = time.Now(), w.FirstReceived()
	_, _ = c.formatter.Render(ctx, r) // an error ends no process
}
