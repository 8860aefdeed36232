package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// gitlab is the sender. As GitLab's workers do, it makes a connection for each
// webhook and gives up after 10 s (docs.gitlab.com/administration/instance_limits,
// "Webhook timeout").
var gitlab = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// load is an open loop: webhooks are sent when their time has come, whatever
// has become of the earlier ones.
type load struct {
	rig     *rig
	rate    float64 // webhooks a second, on average
	project func(dicer) int
	size    func(dicer) int // of the prose
	limit   int             // webhooks in all; 0: until stop

	cancel  context.CancelFunc
	done    chan struct{}
	senders sync.WaitGroup
}

// load starts a load of so many webhooks a second for all projects.
func (r *rig) load(ctx context.Context, rate float64, change ...func(*load)) *load {
	l := &load{rig: r, rate: rate, size: ordinarySize, done: make(chan struct{})}
	l.project = func(d dicer) int { return d.IntN(len(r.plan.homes)) }
	for _, c := range change {
		c(l)
	}
	ctx, l.cancel = context.WithCancel(ctx)
	random := rand.New(rand.NewPCG(r.b.random.Uint64(), 1))
	go func() {
		defer close(l.done)
		l.run(ctx, random)
	}()
	return l
}

// stop sends no more, and waits for the answers that are still to come.
func (l *load) stop() {
	l.cancel()
	l.wait()
}

// wait waits until a load with a limit has sent all, and for the answers.
func (l *load) wait() {
	<-l.done
	l.senders.Wait()
}

func (l *load) run(ctx context.Context, random *rand.Rand) {
	const most = 1000 // senders at once: GitLab's workers are not without end either
	slots := make(chan struct{}, most)
	due := time.Now()
	for sent := 0; l.limit == 0 || sent < l.limit; sent++ {
		due = due.Add(time.Duration(random.ExpFloat64() / l.rate * float64(time.Second)))
		if !pause(ctx, time.Until(due)) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		project, k, size := l.project(random), pick(random), l.size(random)
		l.senders.Go(func() {
			l.rig.send(project, k, size)
			<-slots
		})
	}
}

// pause waits; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// send sends one webhook and writes down what was answered. It returns the
// webhook's number and the status; 0 when there was no answer.
func (r *rig) send(project int, k kind, size int) (n, status int) {
	return r.sendBody(project, k, func(w webhookText) body {
		w.prose = prose(size)
		return body{k.encode(w)}
	})
}

// sendBody is send with a body that somebody else makes.
func (r *rig) sendBody(project int, k kind, encode func(webhookText) body) (n, status int) {
	n = r.ledger.begin(r.plan.expect(project, k.name))
	text := encode(webhookText{project: r.plan.project(project), n: n, marker: r.ledger.marker(n), at: time.Now()})
	status, answer, err := r.post(k.header, fmt.Sprintf("%d-%d", r.ledger.salt, n), text)
	var accept struct{ ID string }
	switch {
	case err != nil:
		var op *net.OpError
		// Who was not let in at all was not cut off.
		r.ledger.failed(n, !(errors.As(err, &op) && op.Op == "dial") && !errors.Is(err, syscall.ECONNREFUSED), err)
	case status/100 == 2:
		id, ok := place{}, false
		if json.Unmarshal(answer, &accept) == nil {
			id, ok = parsePlace(accept.ID)
		}
		if !ok {
			r.b.violate(untrue, "answered %d without an id: %s", status, answer)
			return n, status
		}
		r.ledger.answer(n, accepted, id)
	case status >= 500, status == http.StatusTooManyRequests:
		r.ledger.answer(n, deferred, place{})
	default:
		r.ledger.answer(n, refused, place{})
	}
	return n, status
}

// body is a request's body in parts, so that large ones can share theirs.
type body [][]byte

// post sends a body as GitLab does, and returns the answer.
func (r *rig) post(event, key string, b body) (int, []byte, error) {
	size, parts := 0, make([]io.Reader, len(b))
	for i, part := range b {
		size += len(part)
		parts[i] = bytes.NewReader(part)
	}
	// Without GetBody net/http does not send it again by itself, as it would
	// because of the key.
	req, err := http.NewRequest(http.MethodPost, r.hook, io.MultiReader(parts...))
	if err != nil {
		return 0, nil, err
	}
	req.ContentLength = int64(size)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitLab/18.5.0")
	req.Header.Set("X-Gitlab-Event", event)
	req.Header.Set("X-Gitlab-Token", r.token)
	req.Header.Set("Idempotency-Key", key)
	return r.ask(gitlab, req)
}

// ask sends a request and returns the whole answer.
func (r *rig) ask(client *http.Client, req *http.Request) (int, []byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, nil, err
	}
	r.scan("the answer to a webhook", answer)
	return resp.StatusCode, answer, nil
}
