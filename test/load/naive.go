package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/xanzy/go-gitlab"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/formatters"
)

const eventHeader = "X-Gitlab-Event"

// naive is a relay as one would write it on JetStream: each webhook is one
// message of a work queue, one consumer hands them to workers, and a message is
// acknowledged when it was delivered. It keeps no order, and a message that the
// chat refuses it tries again for ever.
type naive struct {
	contenderFlags
	js     jetstream.JetStream
	client *http.Client
	render func(header string, body []byte) ([]byte, error)
}

func runNaive(ctx context.Context, f contenderFlags) error {
	n := &naive{contenderFlags: f, client: &http.Client{Transport: transport()}}
	n.render = plainRender
	if !f.plain {
		set, err := formatters.New()
		if err != nil {
			return err
		}
		n.render = tunedRender(set)
	}
	s, nc, err := openStore(f.dir, f.sync)
	if err != nil {
		return err
	}
	defer func() { nc.Close(); s.Shutdown(); s.WaitForShutdown() }()
	if n.js, err = jetstream.New(nc); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	stream, err := n.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "WEBHOOKS", Subjects: []string{"webhooks"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage})
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	if err := n.consume(ctx, stream); err != nil {
		return err
	}
	if f.plain {
		return serve(ctx, f.listen, n.takePlain)
	}
	return serve(ctx, f.listen, n.take)
}

// openStore starts a nats-server in this process and connects to it.
func openStore(dir string, sync bool) (*server.Server, *nats.Conn, error) {
	s, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: dir, SyncAlways: sync, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("start NATS: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return nil, nil, errors.New("start NATS: not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return s, nc, nil
}

// take is the relay's way in: an exact body, a bare answer.
func (n *naive) take(c *gin.Context) {
	body, err := exact(c.Request)
	if err != nil {
		c.Status(http.StatusBadRequest)
		return
	}
	if n.keep(c, body) {
		c.Status(http.StatusAccepted)
	}
}

func (n *naive) takePlain(c *gin.Context) {
	body, err := c.GetRawData()
	if err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": "no body"})
		return
	}
	if n.keep(c, body) {
		c.JSON(http.StatusAccepted, gin.H{"status": "accepted"})
	}
}

// keep answers only when the message is stored.
func (n *naive) keep(c *gin.Context, body []byte) bool {
	msg := &nats.Msg{Subject: "webhooks", Data: body, Header: nats.Header{eventHeader: {c.GetHeader(eventHeader)}}}
	if _, err := n.js.PublishMsg(c.Request.Context(), msg); err != nil {
		c.Status(http.StatusServiceUnavailable)
		return false
	}
	return true
}

// consume delivers what is stored, so many at a time.
func (n *naive) consume(ctx context.Context, stream jetstream.Stream) error {
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 4096})
	if err != nil {
		return fmt.Errorf("open the consumer: %w", err)
	}
	work := make(chan jetstream.Msg, n.workers)
	var running sync.WaitGroup
	for range n.workers {
		running.Go(func() {
			for msg := range work {
				n.deliver(ctx, msg)
			}
		})
	}
	_, err = consumer.Consume(func(msg jetstream.Msg) {
		select {
		case work <- msg:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	return nil
}

func (n *naive) deliver(ctx context.Context, msg jetstream.Msg) {
	message, err := n.render(msg.Headers().Get(eventHeader), msg.Data())
	if err == nil {
		err = postTo(ctx, n.client, n.chat, message)
	}
	if err != nil {
		_ = msg.NakWithDelay(time.Second)
		return
	}
	_ = msg.Ack()
}

// tunedRender decodes and writes as the relay does.
func tunedRender(set *formatters.Set) func(header string, body []byte) ([]byte, error) {
	return func(header string, body []byte) ([]byte, error) {
		p, err := set.Render(context.Background(), formatters.Request{
			Event: events.Decode(events.Input{Source: "gitlab", Header: header, Body: body}), Kind: configs.KindMattermost, Now: time.Now(),
		})
		return p.Body, err
	}
}

// plainText is a message as a first version has it.
var plainText = template.Must(template.New("").Parse(`{{.User}} {{.Verb}} [{{.Title}}]({{.URL}}) in {{.Project}}{{if .Text}}
> {{.Text}}{{end}}`))

// plainRender decodes with go-gitlab and writes with text/template.
func plainRender(header string, body []byte) ([]byte, error) {
	event, err := gitlab.ParseWebhook(gitlab.EventType(header), body)
	if err != nil {
		return nil, fmt.Errorf("read a webhook: %w", err)
	}
	var text strings.Builder
	if err := plainText.Execute(&text, plainFields(event)); err != nil {
		return nil, fmt.Errorf("write a message: %w", err)
	}
	return json.Marshal(map[string]string{"text": text.String(), "username": "GitLab"})
}

type fields struct{ User, Verb, Title, URL, Project, Text string }

func plainFields(event any) fields {
	switch e := event.(type) {
	case *gitlab.MergeEvent:
		return fields{e.User.Name, e.ObjectAttributes.Action, e.ObjectAttributes.Title, e.ObjectAttributes.URL, e.Project.PathWithNamespace, e.ObjectAttributes.Description}
	case *gitlab.PushEvent:
		title := ""
		for _, c := range e.Commits {
			title = strings.TrimSpace(title + " " + c.Title)
		}
		return fields{e.UserName, "pushed", title, e.Project.WebURL, e.Project.PathWithNamespace, ""}
	case *gitlab.MergeCommentEvent:
		return fields{e.User.Name, "commented on", e.MergeRequest.Title, e.ObjectAttributes.URL, e.Project.PathWithNamespace, e.ObjectAttributes.Note}
	case *gitlab.PipelineEvent:
		return fields{e.User.Name, e.ObjectAttributes.Status, e.Commit.Title, e.ObjectAttributes.URL, e.Project.PathWithNamespace, ""}
	case *gitlab.JobEvent:
		return fields{e.User.Name, e.BuildStatus, e.BuildName, e.Repository.Homepage, e.ProjectName, e.BuildFailureReason}
	}
	return fields{Title: fmt.Sprintf("%T", event)}
}
