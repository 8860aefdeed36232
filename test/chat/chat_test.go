package chat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"go.uber.org/goleak"

	"github.com/gitlab-mattermost/relay/test/chat"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// client is one sender: its own connections, no redirects, as the relay's.
func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func start(t *testing.T, opts chat.Options) *chat.Server {
	t.Helper()
	s, err := chat.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

type answer struct {
	Status int
	Type   string
	Body   string
}

func post(t *testing.T, c *http.Client, url, body string) (answer, error) {
	t.Helper()
	return send(t, c, http.MethodPost, url, "application/json", body)
}

func send(t *testing.T, c *http.Client, method, url, contentType, body string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(got)}, err
}

func TestAnswersAsMattermost(t *testing.T) {
	s := start(t, chat.Options{Hooks: []string{"abc"}})
	webApp := answer{200, "text/html; charset=utf-8", ""}
	tests := []struct {
		name, method, path, contentType, body string
		want                                  answer // of a 4xx the body is the error's id
		posted                                int
	}{
		{"a text", "POST", "/hooks/abc", "application/json", `{"text":"hi"}`, answer{200, "text/plain", "ok"}, 1},
		{"no content type", "POST", "/hooks/abc", "", `{"text":"hi"}`, answer{200, "text/plain", "ok"}, 1},
		{"an attachment alone", "POST", "/hooks/abc", "application/json", `{"attachments":[{}]}`, answer{200, "text/plain", "ok"}, 1},
		{"a form", "POST", "/hooks/abc", "application/x-www-form-urlencoded", "payload=%7B%22text%22%3A%22hi%22%7D", answer{200, "text/plain", "ok"}, 1},
		{"JSON sent as a form", "POST", "/hooks/abc", "application/x-www-form-urlencoded", `{"text":"hi"}`, answer{400, "application/json", "model.incoming_hook.parse_data.app_error"}, 0},
		{"no JSON", "POST", "/hooks/abc", "application/json", "hi", answer{400, "application/json", "model.incoming_hook.parse_data.app_error"}, 0},
		{"text that is a number", "POST", "/hooks/abc", "application/json", `{"text":1}`, answer{400, "application/json", "model.incoming_hook.parse_data.app_error"}, 0},
		{"nothing to say", "POST", "/hooks/abc", "application/json", `{"text":"","attachments":[]}`, answer{400, "application/json", "web.incoming_webhook.text.app_error"}, 0},
		{"a body over 128 KiB", "POST", "/hooks/abc", "application/json", `{"text":"` + strings.Repeat("x", 128*1024) + `"}`, answer{400, "application/json", "model.incoming_hook.parse_data.app_error"}, 0},
		{"an unknown hook", "POST", "/hooks/xyz", "application/json", `{"text":"hi"}`, answer{400, "application/json", "web.incoming_webhook.invalid.app_error"}, 0},
		{"a trailing slash", "POST", "/hooks/abc/", "application/json", `{"text":"hi"}`, answer{405, "", ""}, 0},
		{"PUT", "PUT", "/hooks/abc", "application/json", `{"text":"hi"}`, answer{405, "", ""}, 0},
		{"GET", "GET", "/hooks/abc", "", "", webApp, 0},
		{"another path", "POST", "/login", "", "", webApp, 0},
	}
	c := client(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.ResetLedger()
			got, err := send(t, c, tt.method, "http://"+s.Addr()+tt.path, tt.contentType, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status >= 400 && got.Body != "" {
				if status := gjson.Get(got.Body, "status_code").Int(); int(status) != got.Status {
					t.Errorf("status_code %d in the body of a %d", status, got.Status)
				}
				got.Body = gjson.Get(got.Body, "id").String()
			}
			if strings.HasPrefix(got.Body, "<!doctype html>") {
				got.Body = ""
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if n := len(s.Posts("")); n != tt.posted {
				t.Errorf("%d posts, want %d", n, tt.posted)
			}
		})
	}
}

func TestLedger(t *testing.T) {
	s := start(t, chat.Options{})
	one, two := client(t), client(t)
	for i, c := range []*http.Client{one, one, two} {
		hook := []string{"a", "b", "a"}[i]
		if _, err := post(t, c, s.URL(hook), fmt.Sprintf(`{"channel":"dev","username":"GitLab","text":"message %d"}`, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	type row struct {
		Seq                           int
		Hook                          string
		Conn                          int
		Channel, Username, Text, Type string
		Raw                           string
		Status                        int
		Answered                      bool
	}
	var got []row
	for _, e := range s.Entries("") {
		if e.At.IsZero() {
			t.Errorf("entry %d has no time", e.Seq)
		}
		got = append(got, row{e.Seq, e.Hook, e.Conn, e.Channel, e.Username, e.Text, e.Header.Get("Content-Type"), string(e.Raw), e.Status, e.Answered})
	}
	want := []row{
		{1, "a", 1, "dev", "GitLab", "message 1", "application/json", `{"channel":"dev","username":"GitLab","text":"message 1"}`, 200, true},
		{2, "b", 1, "dev", "GitLab", "message 2", "application/json", `{"channel":"dev","username":"GitLab","text":"message 2"}`, 200, true},
		{3, "a", 2, "dev", "GitLab", "message 3", "application/json", `{"channel":"dev","username":"GitLab","text":"message 3"}`, 200, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"message 1", "message 3"}, chat.Texts(s.Entries("a"))); diff != "" {
		t.Errorf("texts of a (-want +got):\n%s", diff)
	}
	if s.Count("a") != 2 || s.Count("") != 3 || s.Count("c") != 0 {
		t.Errorf("counts %d, %d, %d; want 2, 3, 0", s.Count("a"), s.Count(""), s.Count("c"))
	}

	s.ResetLedger()
	if n := s.Count(""); n != 0 {
		t.Fatalf("%d entries after a reset", n)
	}
	if _, err := post(t, one, s.URL("a"), `{"text":"next"}`); err != nil {
		t.Fatal(err)
	}
	if e := s.Entries("a"); len(e) != 1 || e[0].Seq != 4 {
		t.Errorf("after a reset: %+v, want one entry with number 4", e)
	}
}

func TestBehaviours(t *testing.T) {
	s := start(t, chat.Options{})
	tests := []struct {
		name      string
		behaviour chat.Behaviour
		want      answer
		wantErr   error
		status    int
		answered  bool
		posted    bool
	}{
		{name: "status", behaviour: chat.Status(503, http.Header{"Retry-After": {"7"}, "Content-Type": {"text/plain"}}, "later"),
			want: answer{503, "text/plain", "later"}, status: 503, answered: true},
		{name: "no content", behaviour: chat.Status(204, nil, ""), want: answer{204, "", ""}, status: 204, answered: true},
		{name: "the error that holds the secret", behaviour: chat.Status(400, http.Header{"Content-Type": {"application/json"}}, chat.ErrorBody("secret")),
			want: answer{400, "application/json", chat.ErrorBody("secret")}, status: 400, answered: true},
		{name: "login page", behaviour: chat.Status(200, http.Header{"content-type": {"text/html"}}, "<html>"),
			want: answer{200, "text/html", "<html>"}, status: 200, answered: true},
		{name: "redirect", behaviour: chat.RedirectTo("http://127.0.0.1:1/"), want: answer{307, "", ""}, status: 307, answered: true},
		{name: "reset", behaviour: chat.Reset(), wantErr: syscall.ECONNRESET},
		{name: "cut", behaviour: chat.CutMidAnswer(), want: answer{200, "text/plain", "o"}, wantErr: io.ErrUnexpectedEOF, status: 200, posted: true},
		{name: "raw, posted", behaviour: chat.Raw(true, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 299 Fine\r\nContent-Length: 2\r\n\r\nhi") }),
			want: answer{299, "", "hi"}, status: 200, answered: true, posted: true},
		{name: "raw, not posted", behaviour: chat.Raw(false, func(net.Conn) {}), wantErr: io.EOF},
		{name: "delay", behaviour: chat.Delay(time.Millisecond), want: answer{200, "text/plain", "ok"}, status: 200, answered: true, posted: true},
		{name: "a func that answers", behaviour: chat.Func(func(x *chat.Exchange) { x.Answer(418, nil, x.Entry.Text) }),
			want: answer{418, "text/plain; charset=utf-8", "hi"}, status: 418, answered: true},
		{name: "a func that answers twice", behaviour: chat.Func(func(x *chat.Exchange) { x.OK(); x.Answer(500, nil, "no") }),
			want: answer{200, "text/plain", "ok"}, status: 200, answered: true, posted: true},
		{name: "a func that does not answer", behaviour: chat.Func(func(*chat.Exchange) {}), wantErr: syscall.ECONNRESET},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.ResetLedger()
			s.Set("h", tt.behaviour)
			got, err := post(t, client(t), s.URL("h"), `{"text":"hi"}`)
			if !errors.Is(err, tt.wantErr) {
				t.Fatalf("error %v, want %v", err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			entries, err := s.WaitN(t.Context(), "h", 1)
			if err != nil {
				t.Fatal(err)
			}
			e := entries[0]
			if e.Text != "hi" || e.Status != tt.status || e.Answered != tt.answered || e.Posted() != tt.posted {
				t.Errorf("entry: text %q, status %d, answered %t, posted %t; want hi, %d, %t, %t",
					e.Text, e.Status, e.Answered, e.Posted(), tt.status, tt.answered, tt.posted)
			}
		})
	}
}

func TestHTML200(t *testing.T) {
	s := start(t, chat.Options{})
	s.Set("h", chat.HTML200())
	got, err := post(t, client(t), s.URL("h"), `{"text":"hi"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != 200 || got.Type != "text/html; charset=utf-8" || !strings.HasPrefix(got.Body, "<!doctype html>") {
		t.Errorf("answer %+v, want a page", got)
	}
}

func TestBehaviourIsPerHook(t *testing.T) {
	s := start(t, chat.Options{})
	s.Set("bad", chat.Status(500, nil, ""))
	c := client(t)
	for hook, want := range map[string]int{"bad": 500, "good": 200} {
		if got, err := post(t, c, s.URL(hook), `{"text":"hi"}`); err != nil || got.Status != want {
			t.Errorf("%s: %d, %v; want %d", hook, got.Status, err, want)
		}
	}
	s.Set("bad", chat.OK())
	if got, err := post(t, c, s.URL("bad"), `{"text":"hi"}`); err != nil || got.Status != 200 {
		t.Errorf("after Set: %d, %v; want 200", got.Status, err)
	}
}

func TestHangIsReleased(t *testing.T) {
	s := start(t, chat.Options{})
	s.Set("h", chat.Hang())
	const n = 3
	results := make(chan answer, n)
	var senders sync.WaitGroup
	for range n {
		senders.Go(func() {
			got, err := post(t, client(t), s.URL("h"), `{"text":"hi"}`)
			if err != nil {
				t.Error(err)
			}
			results <- got
		})
	}
	entries, err := s.WaitN(t.Context(), "h", n)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Answered || e.Status != 0 || e.Text != "hi" {
			t.Errorf("while it hangs: text %q, status %d, answered %t", e.Text, e.Status, e.Answered)
		}
	}
	if len(results) > 0 {
		t.Fatal("answered before it was released")
	}
	s.Release("h")
	senders.Wait()
	for range n {
		if got := <-results; got.Body != "ok" {
			t.Errorf("released: %+v, want ok", got)
		}
	}
	if posts := s.Posts("h"); len(posts) != n {
		t.Errorf("%d posts, want %d", len(posts), n)
	}
}

func TestSenderThatGivesUp(t *testing.T) {
	s := start(t, chat.Options{})
	s.Set("h", chat.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL("h"), strings.NewReader(`{"text":"hi"}`))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	c := client(t)
	go func() {
		resp, err := c.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	if _, err := s.WaitN(t.Context(), "h", 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("sender got %v, want that it was cancelled", err)
	}
	if err := s.Close(); err != nil { // waits for the handler
		t.Fatal(err)
	}
	if e := s.Entries("h"); len(e) != 1 || e[0].Answered || e[0].Posted() {
		t.Errorf("entries %+v, want one that was not answered", e)
	}
}

// TestBlackhole sends more than the sockets' buffers hold: the sender gets
// stuck while it writes, because nobody reads.
func TestBlackhole(t *testing.T) {
	s := start(t, chat.Options{})
	s.Set("h", chat.Blackhole())
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const size = 64 << 20
	if _, err := fmt.Fprintf(conn, "POST /hooks/h HTTP/1.1\r\nHost: chat\r\nContent-Length: %d\r\n\r\n", size); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WaitN(t.Context(), "h", 1); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan int, 1)
	go func() {
		n, _ := conn.Write(make([]byte, size))
		wrote <- n
	}()
	s.Release("h")
	if n := <-wrote; n == size {
		t.Error("the whole body was taken")
	}
	if e := s.Entries("h"); len(e) != 1 || e[0].Raw != nil || e[0].Answered {
		t.Errorf("entries %+v, want one without a body or an answer", e)
	}
}

func TestWaitEnds(t *testing.T) {
	s := start(t, chat.Options{})
	if _, err := post(t, client(t), s.URL("h"), `{"text":"hi"}`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	entries, err := s.WaitN(ctx, "h", 2)
	if !errors.Is(err, context.Canceled) || len(entries) != 1 {
		t.Errorf("WaitN: %d entries, %v; want 1 and that it was cancelled", len(entries), err)
	}
	if want := `wait for 2 requests to hook "h", have 1: context canceled`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}

	waiting := make(chan error, 1)
	go func() {
		_, err := s.WaitPosts(t.Context(), "h", 2)
		waiting <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("WaitPosts after Close: %v, want %v", err, http.ErrServerClosed)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := start(t, chat.Options{})
	const senders, each = 8, 25
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			c := client(t)
			for j := range each {
				if _, err := post(t, c, s.URL(fmt.Sprint("h", i)), fmt.Sprintf(`{"text":"%d"}`, j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if _, err := s.WaitPosts(t.Context(), "", senders*each); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	for i := range senders {
		var want []string
		for j := range each {
			want = append(want, fmt.Sprint(j))
		}
		if diff := cmp.Diff(want, chat.Texts(s.Posts(fmt.Sprint("h", i)))); diff != "" {
			t.Errorf("hook %d (-want +got):\n%s", i, diff)
		}
	}
	for i, e := range s.Entries("") {
		if e.Seq != i+1 {
			t.Fatalf("entry %d has number %d", i, e.Seq)
		}
	}
}

func TestStartOnATakenPort(t *testing.T) {
	s := start(t, chat.Options{})
	if _, err := chat.Start(chat.Options{Address: s.Addr()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("start on a taken port: %v, want %v", err, syscall.EADDRINUSE)
	}
}

func TestWatch(t *testing.T) {
	watched := make(chan chat.Entry, 2)
	s := start(t, chat.Options{Watch: func(e chat.Entry) { watched <- e }})
	s.Set("cut", chat.CutMidAnswer())
	for _, hook := range []string{"h", "cut"} {
		_, _ = post(t, client(t), s.URL(hook), `{"text":"hi"}`) // the second one ends with an error
		e := <-watched
		if e.Hook != hook || e.Text != "hi" || !e.Posted() || e.Answered != (hook == "h") {
			t.Errorf("%s: watched %+v", hook, e)
		}
	}
	if n := s.Count(""); n != 0 {
		t.Errorf("%d entries are kept", n)
	}
}
