package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
)

// contenderCommand runs one of the programs that the relay is compared with, in
// a process of its own.
const contenderCommand = "contender"

// memoryLimit and garbage are the relay's own defaults; see cmd/relay/serve.go.
// Contenders that are tuned alike have them too.
const (
	memoryLimit = 150 << 20
	garbage     = 400
)

// contender is a program that the relay is compared with.
type contender struct {
	name  string
	what  string // for the table's legend
	flags []string
	store bool // keeps something in the directory that it is given
	alone bool // sends by itself
}

var (
	relayMany   = contender{name: "relay", what: "as shipped: synced before the answer, each event to one of 256 addresses"}
	relayOne    = contender{name: "relay, one address", what: "the same with one address, `concurrency: 64`; load closed on the answers alone"}
	relayBefore = contender{name: "relay, before", what: "the binary that it is compared with"}
	passThrough = contender{name: "pass-through", what: "gin to http.Client: no decoding, nothing kept; answers when the chat has answered", flags: []string{"pass-through"}}
	naiveSynced = contender{name: "naive, synced", what: "one JetStream message a webhook, SyncAlways; everything but the store as in the relay", flags: []string{"naive", "-sync"}, store: true}
	naiveLoose  = contender{name: "naive, no sync", what: "the same without any sync", flags: []string{"naive"}, store: true}
	plainSynced = contender{name: "plain, synced", what: "naive, synced, as one writes it first: GetRawData, go-gitlab with encoding/json, a text/template of one line that reads no Markdown", flags: []string{"naive", "-sync", "-plain"}, store: true}
	plainLoose  = contender{name: "plain, no sync", what: "the same without any sync", flags: []string{"naive", "-plain"}, store: true}
	ceiling     = contender{name: "raw POST", what: "http.Client alone, 64 posts in flight, nothing received: the ceiling", flags: []string{"ceiling"}, alone: true}
)

// isRelay tells whether it is a relay, and not this program.
func (c contender) isRelay() bool { return c.flags == nil }

// contenderFlags are what a contender is told.
type contenderFlags struct {
	listen, chat, dir string
	sync, plain       bool
	workers, projects int
	mix               string
}

func runContender(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no contender named")
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	var f contenderFlags
	flags := flag.NewFlagSet(contenderCommand, flag.ContinueOnError)
	flags.StringVar(&f.listen, "listen", "", "address")
	flags.StringVar(&f.chat, "chat", "", "URL")
	flags.StringVar(&f.dir, "dir", "", "of the store")
	flags.BoolVar(&f.sync, "sync", false, "SyncAlways")
	flags.BoolVar(&f.plain, "plain", false, "not tuned")
	flags.IntVar(&f.workers, "workers", connections, "posts in flight")
	flags.IntVar(&f.projects, "projects", 1, "of the events")
	flags.StringVar(&f.mix, "mix", "", "of the events")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if !f.plain {
		debug.SetMemoryLimit(memoryLimit)
		debug.SetGCPercent(garbage)
	}
	switch args[0] {
	case "pass-through":
		return serve(ctx, f.listen, passing(f.chat))
	case "naive":
		return runNaive(ctx, f)
	case "ceiling":
		return runCeiling(ctx, f)
	}
	return fmt.Errorf("no contender %q", args[0])
}

// startContender starts this program anew as one of the contenders.
func (b *bench) startContender(ctx context.Context, c contender, dir string, load scenario) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := append([]string{contenderCommand}, c.flags...)
	args = append(args, "-listen", address, "-chat", b.sink.url(), "-dir", filepath.Join(dir, "data"), "-workers", strconv.Itoa(load.workers()),
		"-projects", strconv.Itoa(load.projects), "-mix", load.mix)
	cmd := exec.Command(self, args...)
	cmd.Dir = dir
	p, err := spawn(ctx, cmd, filepath.Join(dir, "log"), func() bool { return listens(address) })
	if err != nil {
		return nil, err
	}
	p.address = address
	return p, nil
}

// transport is the one of the relay's lanes; see delivery/client.go.
func transport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConns:        1024,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
		ForceAttemptHTTP2:   true,
	}
}

// serve answers until the context ends.
func serve(ctx context.Context, address string, h gin.HandlerFunc) error {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.POST("/hooks/gitlab", h)
	server := &http.Server{Addr: address, Handler: e}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		return fmt.Errorf("listen: %w", err)
	case <-ctx.Done():
		return server.Close()
	}
}

// exact reads a body into memory of just its length.
func exact(r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(r.Body)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// passing hands a body on as it came.
func passing(chat string) gin.HandlerFunc {
	client := &http.Client{Transport: transport()}
	return func(c *gin.Context) {
		body, err := exact(c.Request)
		if err != nil {
			c.Status(http.StatusBadRequest)
			return
		}
		if err := postTo(c.Request.Context(), client, chat, body); err != nil {
			c.Status(http.StatusBadGateway)
			return
		}
		c.Status(http.StatusAccepted)
	}
}
