package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gitlab-mattermost/relay/test/chat"
)

// hostile sends what no GitLab sends.
var hostile = scenario{
	name: "hostile", ci: 20_000, full: 100_000,
	what: "Damaged payloads of every kind are sent and posted, with bodies and headers that are too large, too deeply nested or too slow, and requests that are not HTTP. Ordinary webhooks are sent in between.",
	run: func(ctx context.Context, b *bench) error {
		samples, err := readSamples("events/samples")
		if err != nil {
			return err
		}
		p := b.ordinary(4)
		p.dests = append(p.dests, destination{hook: b.secret("d2"), yaml: "concurrency: 16, confidential: true"})
		r, err := b.rig(p)
		if err != nil {
			return err
		}
		// Everything goes to one hook that only looks whether it can be read.
		yaml := p.yaml() + "  - {name: Everything, when: {events: all}, to: d2}\n"
		if err := r.configure(yaml); err != nil {
			return err
		}
		var odd atomic.Int64
		r.ignored = p.dests[2].hook
		r.chat.Set(r.ignored, chat.Func(func(x *chat.Exchange) {
			odd.Add(1)
			if !utf8.Valid(x.Entry.Raw) || !json.Valid(x.Entry.Raw) {
				b.violate(strange, "a message that is no JSON in UTF-8: %.100q", x.Entry.Raw)
			}
			x.OK()
		}))
		if r.mustStart(ctx) != nil {
			return nil
		}
		before := r.gauges(ctx)
		l := r.load(ctx, 20)
		r.damaged(ctx, samples, b.count)
		r.oversized(ctx)
		r.raw(ctx)
		r.slow(ctx, 200)
		l.stop()
		r.expectAlive()
		r.drain(ctx, 60*time.Second)
		r.settled(ctx, before)
		r.finish(ctx, rules{}, 60*time.Second)
		b.add("damaged payloads posted", int(odd.Load()))
		return nil
	},
}

// readSamples reads the payloads that ship with the relay.
func readSamples(dir string) ([][]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no samples in %s: run this at the root of the project", dir)
	}
	var all [][]byte
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read samples: %w", err)
		}
		all = append(all, text)
	}
	return all, nil
}

// allowed are the answers to a damaged payload.
var allowed = map[int]bool{200: true, 202: true, 400: true, 401: true, 413: true, 415: true, 422: true, 429: true, 503: true}

// damaged sends payloads that are damaged in all sorts of ways.
func (r *rig) damaged(ctx context.Context, samples [][]byte, n int) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	next := make(chan int)
	var senders sync.WaitGroup
	var taken, refusals atomic.Int64
	for range 16 {
		senders.Go(func() {
			for i := range next {
				d := roll(r.b.seed, uint64(i)+100)
				text := damage(d, samples[d.IntN(len(samples))])
				req, err := http.NewRequest(http.MethodPost, r.hook, bytes.NewReader(text))
				if err != nil {
					continue
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Gitlab-Token", r.token)
				req.Header.Set("X-Gitlab-Event", headers[d.IntN(len(headers))])
				status, answer, err := r.ask(client, req)
				switch {
				case err != nil:
					r.b.violate(untrue, "damaged payload %d got no answer: %v", i, err)
				case !allowed[status]:
					r.b.violate(untrue, "damaged payload %d was answered %d %s", i, status, answer)
				case status/100 == 2:
					taken.Add(1)
				default:
					refusals.Add(1)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil && r.process.alive(); i++ {
		next <- i
	}
	close(next)
	senders.Wait()
	r.b.add("damaged payloads", n)
	r.b.add("taken", int(taken.Load()))
	r.b.add("refused", int(refusals.Load()))
}

var headers = []string{"Push Hook", "Merge Request Hook", "Issue Hook", "Note Hook", "Pipeline Hook", "Job Hook", "System Hook", "Release Hook", "", "Push Hook\tX", "Confidential Issue Hook", "Nonsense"}

// evil are texts that break what does not look.
var evil = []string{
	"@all", "@channel", "<!here>", "](javascript:alert(1))", "<https://evil.example|x>", "\u202e\u2066abc", "\x00\x1b[31m", "😀\ud7ff", "```\n```", strings.Repeat("`", 3000),
	strings.Repeat("#", 5000), strings.Repeat("[", 5000), strings.Repeat("> ", 3000), strings.Repeat("| a ", 2000), "\",\"level\":\"error", "\r\n\r\n", "{{.}}", "${TOKEN}", strings.Repeat("x", 70_000),
}

// damage changes a payload in one to four places. The result is most often
// still JSON.
func damage(d dice, sample []byte) []byte {
	text := bytes.Clone(sample)
	switch d.IntN(10) {
	case 0: // cut
		return text[:d.IntN(len(text))]
	case 1, 2: // bytes
		for range 1 + d.IntN(4) {
			text[d.IntN(len(text))] = byte(d.IntN(256))
		}
		return text
	case 3: // the same key twice
		at := bytes.IndexByte(text, '{')
		return append(append(append([]byte{}, text[:at+1]...), fmt.Sprintf(`"object_kind":%q,"user":null,`, evil[d.IntN(len(evil))])...), text[at+1:]...)
	}
	var value any
	if json.Unmarshal(text, &value) != nil {
		return text
	}
	for range 1 + d.IntN(4) {
		value = replaced(d, value, 0)
	}
	out, err := json.Marshal(value)
	if err != nil {
		return text
	}
	if d.IntN(8) == 0 { // lone surrogates and numbers that Go does not write
		out = bytes.Replace(out, []byte(`":"`), []byte(`":"\ud800\udfff\udc00`), 1+d.IntN(3))
		out = bytes.Replace(out, []byte(`":1`), []byte(`":1e999999`), 1)
	}
	return out
}

// replaced puts something that does not belong there into a value.
func replaced(d dice, value any, depth int) any {
	if depth > 0 && d.IntN(4) == 0 || depth > 6 {
		return other(d)
	}
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			return other(d)
		}
		n := d.IntN(len(v))
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		k := keys[n]
		if d.IntN(6) == 0 {
			delete(v, k)
			return v
		}
		v[k] = replaced(d, v[k], depth+1)
		return v
	case []any:
		if len(v) == 0 || d.IntN(3) == 0 {
			return append(v, v...)
		}
		n := d.IntN(len(v))
		v[n] = replaced(d, v[n], depth+1)
		return v
	default:
		return other(d)
	}
}

// other is a value of any kind.
func other(d dice) any {
	switch d.IntN(9) {
	case 0:
		return nil
	case 1:
		return []any{}
	case 2:
		return map[string]any{}
	case 3:
		return true
	case 4:
		return -1
	case 5:
		return 9.9e300
	case 6:
		return []any{map[string]any{"a": nil}, "x", 1}
	case 7:
		return "2026-13-45 99:99:99 UTC"
	default:
		return evil[d.IntN(len(evil))]
	}
}

// oversized sends bodies that are too large, too deep or of the wrong kind.
func (r *rig) oversized(ctx context.Context) {
	deep := func(n int) io.Reader {
		return strings.NewReader(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}")
	}
	forms := []struct {
		name   string
		body   io.Reader
		length int64
		header [2]string
		want   string
	}{
		{"50 MB, announced", zeros(50 << 20), 50 << 20, [2]string{}, "413"},
		{"50 MB, in chunks", zeros(50 << 20), -1, [2]string{}, "413"},
		{"compressed", strings.NewReader("\x1f\x8b"), -1, [2]string{"Content-Encoding", "gzip"}, "415"},
		{"nested 1,000,000 deep", deep(1_000_000), -1, [2]string{}, "400"},
		{"nested 10,001 deep", deep(10_001), -1, [2]string{}, "400"},
		{"nested 900 deep", deep(900), -1, [2]string{}, "202"},
		{"1,000,000 keys", strings.NewReader(`{"a":1` + strings.Repeat(`,"k":1`, 1_000_000) + "}"), -1, [2]string{}, "202"},
		{"a text of 10 MB", strings.NewReader(`{"object_kind":"issue","a":"` + strings.Repeat("x", 10<<20) + `"}`), -1, [2]string{}, "202"},
		{"UTF-16", strings.NewReader("\xff\xfe{\x00}\x00"), -1, [2]string{}, "400"},
		{"an array", strings.NewReader("[]"), -1, [2]string{}, "400"},
		{"nothing", strings.NewReader(""), -1, [2]string{}, "400"},
		{"a wrong token", strings.NewReader("{}"), -1, [2]string{"X-Gitlab-Token", "nearly"}, "401"},
	}
	for _, f := range forms {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.hook, io.NopCloser(f.body))
		if err != nil {
			continue
		}
		req.ContentLength = f.length
		req.Header.Set("X-Gitlab-Token", r.token)
		req.Header.Set("X-Gitlab-Event", "Issue Hook")
		if f.header[0] != "" {
			req.Header.Set(f.header[0], f.header[1])
		}
		status, _, err := r.ask(gitlab, req)
		// Who is refused early may find the connection closed while it still sends.
		if fmt.Sprint(status) != f.want && !(err != nil && f.want == "413") {
			r.b.violate(untrue, "%s: answered %d (%v), want %s", f.name, status, err, f.want)
		}
		r.b.add("forms", 1)
	}
}

// zeros is a body of so many bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// raw sends what is no request, or two in one.
func (r *rig) raw(ctx context.Context) {
	post := "POST /hooks/gitlab HTTP/1.1\r\nHost: h\r\nX-Gitlab-Token: " + r.token + "\r\n"
	for _, f := range []struct {
		name, text string
		want       []string // beginnings of an answer; nothing at all is always right
	}{
		{"two lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", []string{"400"}},
		{"length and chunks", post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []string{"400", "202"}},
		{"a space before the colon", "POST /hooks/gitlab HTTP/1.1\r\nHost : h\r\n\r\n", []string{"400"}},
		{"a folded header", "POST /hooks/gitlab HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", []string{"400", "401"}},
		{"a header of 1 MB", post + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", []string{"431"}},
		{"10,000 headers", post + strings.Repeat("X: y\r\n", 10_000) + "\r\n", []string{"431"}},
		{"TRACE", "TRACE /hooks/gitlab HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", []string{"405"}},
		{"another path", "POST /hooks/../metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", []string{"404", "301", "307", "400"}},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []string{"505", "400", "404", "405"}},
		{"no version", "GET /\r\n\r\n", []string{"400"}},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", []string{"400"}},
	} {
		answer := r.say(ctx, f.text)
		r.scan("the answer to "+f.name, answer)
		r.b.add("forms", 1)
		if len(answer) == 0 {
			continue
		}
		_, rest, _ := bytes.Cut(answer, []byte(" "))
		ok := false
		for _, w := range f.want {
			ok = ok || bytes.HasPrefix(rest, []byte(w))
		}
		if !ok {
			r.b.violate(untrue, "%s: answered %.60q", f.name, answer)
		}
	}
}

// say sends text on a connection of its own and returns what comes back.
func (r *rig) say(ctx context.Context, text string) []byte {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.public)
	if err != nil {
		return nil
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	go func() { _, _ = io.WriteString(conn, text) }() // it may hang up in the middle
	answer, _ := io.ReadAll(io.LimitReader(conn, 64<<10))
	return answer
}

// slow opens connections that say a little now and then, and looks whether
// honest senders notice.
func (r *rig) slow(ctx context.Context, n int) {
	begin := time.Now()
	var open []net.Conn
	for range n {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.public)
		if err == nil {
			open = append(open, conn)
		}
	}
	for range 4 {
		for _, conn := range open {
			_, _ = io.WriteString(conn, "P") // it may have been closed already
		}
		pause(ctx, time.Second)
	}
	for _, conn := range open {
		conn.Close()
	}
	r.b.add("slow connections", len(open))
	r.b.time("accept p99 beside them", quantile(r.ledger.latencies(begin), 0.99), 250*time.Millisecond)
}
