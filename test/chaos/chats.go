package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// chats are chat servers that are none, or not the one that is meant.
var chats = scenario{
	name: "chats", ci: 1, full: 20,
	what: "Chat servers answer with what no chat server sends: redirects into the private network, 1 GB, a gzip bomb, endless headers, broken HTTP, nothing. Others have expired or wrong certificates, TLS 1.0, or names that lead into the private network. Each receives messages until it has failed, and is then repaired.",
	run: func(ctx context.Context, b *bench) error {
		for range b.count {
			for _, part := range []func(*bench, context.Context) error{(*bench).hostileAnswers, (*bench).certificates, (*bench).names} {
				if err := part(b, ctx); err != nil || ctx.Err() != nil {
					return err
				}
			}
		}
		return nil
	},
}

// form is one way for a chat not to be one.
type form struct {
	name   string
	how    chat.Behaviour
	reason string // by which the relay counts such an attempt
}

// hostileAnswers gives each form a destination of its own, all at the same time.
func (b *bench) hostileAnswers(ctx context.Context) error {
	inside, err := newFront("")
	if err != nil {
		return err
	}
	defer inside.listener.Close()
	r, err := b.rig(b.apart(0), "--pace", "0.002")
	if err != nil {
		return err
	}
	forms := append(redirects(inside.listener.Addr().String(), r.admin), answers...)
	r.spread(len(forms))
	if err := r.configure(r.plan.yaml()); err != nil {
		return err
	}
	if r.mustStart(ctx) != nil {
		return nil
	}
	for i, f := range forms {
		r.chat.Set(r.plan.dests[i].hook, f.how)
	}
	const reloaded = "relay_config_last_reload_success_timestamp_seconds"
	loaded, rest := r.metric(ctx, reloaded), r.process.status("VmHWM")
	r.rounds(ctx, 3)
	for i, f := range forms {
		r.counted(ctx, i, f.name, f.reason)
	}
	grown := r.process.status("VmHWM") - rest
	if now := r.metric(ctx, reloaded); now != loaded {
		b.violate(strange, "a redirect has reloaded the relay")
	}
	b.add("broken answers", len(forms))
	b.add("requests to where redirects point", inside.carried())
	if n := inside.carried(); n > 0 {
		b.violate(strange, "%d redirects were followed", n)
	}
	b.peak("more memory for them, MiB", int(grown>>20))
	if each := int64(8 << 20); grown > each*int64(len(forms)) {
		b.violate(growth, "%d forms of answers took %d MiB", len(forms), grown>>20)
	}
	r.soothe()
	r.rounds(ctx, 1)
	r.finish(ctx, rules{}, 60*time.Second)
	r.close()
	return nil
}

// spread gives a rig so many destinations, with a project each.
func (r *rig) spread(n int) {
	r.plan = r.b.apart(n)
	r.env = nil
	for i, d := range r.plan.dests {
		r.env = append(r.env, fmt.Sprintf("HOOK%d=%s", i, r.chat.URL(d.hook)))
	}
}

// rounds sends so many webhooks to each project.
func (r *rig) rounds(ctx context.Context, n int) {
	for range n {
		for i := range r.plan.homes {
			if ctx.Err() == nil {
				r.send(i, kinds[r.b.random.IntN(len(kinds))], 200)
			}
		}
	}
}

// counted waits until an attempt for a destination has been counted by one of
// the reasons given, and checks that none was by another one. That a connection
// broke is never wrong: some of these chats close theirs without a look at what
// comes next.
func (r *rig) counted(ctx context.Context, dest int, name string, reasons ...string) {
	label := fmt.Sprintf("destination=%q", fmt.Sprintf("d%d", dest))
	count := func() (n float64) {
		for _, reason := range reasons {
			n += r.metric(ctx, "relay_delivery_attempts_total", label, fmt.Sprintf("reason=%q", reason))
		}
		return n
	}
	n := count()
	for begin := time.Now(); n == 0 && time.Since(begin) < 40*time.Second && pause(ctx, 50*time.Millisecond) && r.process.alive(); {
		n = count()
	}
	all := r.metric(ctx, "relay_delivery_attempts_total", label)
	if !slices.Contains(reasons, "network") {
		all -= r.metric(ctx, "relay_delivery_attempts_total", label, `reason="network"`)
	}
	if n = count(); ctx.Err() == nil && (n == 0 || n < all) {
		r.b.violate(untrue, "%s: %.0f of %.0f attempts were counted as %s", name, n, all, strings.Join(reasons, " or "))
	}
}

// redirects lead to places that only the relay can reach.
func redirects(inside, admin string) []form {
	_, port, _ := net.SplitHostPort(inside)
	to := []string{
		"http://" + inside + "/hooks/x", "//localhost:" + port + "/", "http://" + admin + "/-/reload", "http://2130706433:" + port + "/",
		"http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "http://[::ffff:127.0.0.1]:" + port + "/", "gopher://" + inside + "/_x",
	}
	var all []form
	for _, status := range []int{301, 302, 303, 307, 308} {
		var n atomic.Int64
		all = append(all, form{fmt.Sprintf("redirect %d", status), chat.Func(func(x *chat.Exchange) {
			x.Answer(status, http.Header{"Location": {to[int(n.Add(1)-1)%len(to)]}}, "")
		}), "redirect"})
	}
	return all
}

// speak writes a head, and then more until nobody listens or all is said.
func speak(taken bool, head string, more ...func(net.Conn)) chat.Behaviour {
	return chat.Raw(taken, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(c, head) // who does not listen hangs up
		for _, f := range more {
			f(c)
		}
	})
}

// repeated writes a text so many times.
func repeated(text string, n int) func(net.Conn) {
	return func(c net.Conn) {
		for range n {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

// trickle writes a text so slowly that no attempt lasts so long.
func trickle(text string) func(net.Conn) {
	return func(c net.Conn) {
		for range 30 {
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
}

// drained keeps a connection open until the other side closes it.
func drained(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// kept is drained for as long as the other side likes.
func kept(c net.Conn) {
	_ = c.SetDeadline(time.Time{}) // a connection that is gone has none
	drained(c)
}

// bomb is 1 GB of zeros, packed twice, as an answer.
func bomb() string {
	packed := []byte("ok")
	for _, size := range []int64{1 << 30, 0} {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is one
		if size > 0 {
			_, _ = io.Copy(z, zeros(size))
		} else {
			_, _ = z.Write(packed)
		}
		z.Close()
		packed = b.Bytes()
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n%s", len(packed), packed)
}

const (
	fine     = "HTTP/1.1 200 OK\r\n"
	kilobyte = 1 << 10
)

var block = strings.Repeat("x", 64*kilobyte)

// answers are what no chat gives.
var answers = []form{
	{"1 GB", speak(false, fine+"Content-Length: 1073741824\r\n\r\n", repeated(block, 16*kilobyte)), "not_accepted"},
	{"1 GB without a length", speak(false, fine+"\r\n", repeated(block, 16*kilobyte)), "not_accepted"},
	{"1 GB in chunks", speak(false, fine+"Transfer-Encoding: chunked\r\n\r\n", repeated("10000\r\n"+block+"\r\n", 16*kilobyte)), "not_accepted"},
	{"1 GB as a refusal", speak(false, "HTTP/1.1 500 Oh\r\nContent-Length: 1073741824\r\n\r\n", repeated(block, 16*kilobyte)), "server_error"},
	{"a gzip bomb", chat.Raw(false, func(c net.Conn) { _, _ = io.WriteString(c, bomb()) }), "not_accepted"},
	{"100,000 headers", speak(false, fine, repeated("A: b\r\n", 100_000), repeated("\r\nok", 1)), "network"},
	{"a header of 1 MB", speak(false, fine+"A: ", repeated(block, 16), repeated("\r\nContent-Length: 2\r\n\r\nok", 1)), "network"},
	{"interim answers without end", speak(false, "", repeated("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 1<<20)), "network"},
	{"interim answers, then ok", speak(true, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"+fine+"Content-Length: 2\r\n\r\nok"), "ok"},
	{"chunks that are none", speak(false, fine+"Transfer-Encoding: chunked\r\n\r\nzz\r\nok"), "network"},
	{"a chunk too large to count", speak(false, fine+"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nok"), "network"},
	{"HTTP/0.9", speak(false, "ok"), "network"},
	{"HTTP/9.9", speak(true, "HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\nok"), "ok"},
	{"a status that is none", speak(false, "HTTP/1.1 2e2 OK\r\nContent-Length: 2\r\n\r\nok"), "network"},
	{"too long a length", speak(false, fine+"Content-Length: 200\r\n\r\nok"), "network"},
	{"two lengths", speak(false, fine+"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"), "network"},
	{"a negative length", speak(false, fine+"Content-Length: -2\r\n\r\nok"), "network"},
	{"trailers", speak(true, fine+"Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n"), "ok"},
	{"a second answer unasked", speak(true, fine+"Content-Length: 2\r\n\r\nok"+fine+"Content-Length: 2\r\n\r\nok"), "ok"},
	{"another protocol", speak(false, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", kept), "client_error"},
	{"nothing", speak(false, ""), "network"},
	{"a reset", chat.Reset(), "network"},
	{"a head and no body", speak(false, fine+"Content-Length: 2\r\n\r\n", drained), "timeout"},
	{"a byte a second", speak(false, fine+"Content-Length: 200\r\n\r\n", trickle("x")), "timeout"},
	{"a byte of the head a second", speak(false, "HTTP/1.1 ", trickle("2")), "timeout"},
	{"Retry-After that is none", chat.Status(http.StatusServiceUnavailable, http.Header{"Retry-After": {"-1", "soon"}}, ""), "server_error"},
}
