package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/queue"
	"github.com/gitlab-mattermost/relay/test/chat"
)

var update = flag.Bool("update", false, "write what was printed into the scripts that compare it")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"relay": main})
}

// TestScripts drives the program as a shell does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               startChat,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await,
			"bury":  bury,
			"chat":  ofChat,
			"comes": comes,
			"fetch": fetch,
		},
	})
}

// patience is how long a script waits for what should take no time at all. Only
// a script that fails anyway takes that long.
const patience = time.Minute

// await waits until a file holds a text:
//
//	await FILE REGEXP [VARIABLE]
//
// The variable is set to what the first group of the expression matched.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: await FILE REGEXP [VARIABLE]")
	}
	path, pattern := ts.MkAbs(args[0]), regexp.MustCompile(`(?m)`+args[1])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			ts.Fatalf("await: %v", err)
		}
		if m := pattern.FindStringSubmatch(string(text)); m != nil {
			if len(args) == 3 {
				ts.Setenv(args[2], m[1])
			}
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			ts.Fatalf("%s does not come to hold %s:\n%s", args[0], args[1], text)
		}
	}
}

// comes runs a command again and again until it succeeds and prints a text:
//
//	comes REGEXP COMMAND [ARGUMENT...]
func comes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: comes REGEXP COMMAND [ARGUMENT...]")
	}
	pattern := regexp.MustCompile(`(?m)` + args[0])
	for end := time.Now().Add(patience); ; {
		err := ts.Exec(args[1], args[2:]...)
		text := ts.ReadFile("stdout")
		switch {
		case err == nil && pattern.MatchString(text):
			return
		case time.Now().After(end):
			ts.Fatalf("%v does not come to print %s: %v\n%s", args[1:], args[0], err, text)
		}
	}
}

type chatKey struct{}

// startChat gives a script a chat server of its own; $CHAT is its host and port.
func startChat(env *testscript.Env) error {
	server, err := chat.Start(chat.Options{})
	if err != nil {
		return err
	}
	env.Defer(func() { _ = server.Close() })
	env.Setenv("CHAT", server.Addr())
	env.Values[chatKey{}] = server
	return nil
}

// ofChat tells the chat server what to do, and asks what it got:
//
//	chat answer HOOK CODE  makes a hook answer with that status
//	chat posts HOOK N      waits for N posts and prints their texts
func ofChat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: chat answer HOOK CODE, chat posts HOOK N")
	}
	server := ts.Value(chatKey{}).(*chat.Server)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	switch args[0] {
	case "answer":
		server.Set(args[1], chat.Status(n, nil, ""))
		if n == http.StatusOK {
			server.Set(args[1], chat.OK())
		}
	case "posts":
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		posts, err := server.WaitPosts(ctx, args[1], n)
		ts.Check(err)
		for _, text := range chat.Texts(posts) {
			_, err := ts.Stdout().Write([]byte(text + "\n"))
			ts.Check(err)
		}
	default:
		ts.Fatalf("chat: there is no %q", args[0])
	}
}

// bury leaves dead letters in a data directory that no relay has open:
//
//	bury DIR WHAT...
//
// The first is number 1, of event 1-0. Each is an issue for that address, or, as
// "damaged" or "damaged:ADDRESS", what is left of a damaged message.
func bury(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bury DIR WHAT...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := queue.Open(ctx, queue.Options{Dir: ts.MkAbs(args[0])})
	ts.Check(err)
	defer q.Close()
	sample, ok := events.SampleNamed("issue.open")
	if !ok {
		ts.Fatalf("bury: there is no sample issue.open")
	}
	for i, what := range args[1:] {
		id := queue.ID{Seq: uint64(i + 1)}
		if to, damaged := strings.CutPrefix(what, "damaged"); damaged {
			damage := &queue.DamageError{Stream: queue.Events, Seq: id.Seq, Raw: []byte("\x01\xff rest"), Err: errors.New("checksum")}
			if to != "" {
				damage.Stream = queue.ParkedStream
			}
			_, err = q.SetAside(ctx, damage, queue.Lane{Destination: strings.TrimPrefix(to, ":")})
			ts.Check(err)
			continue
		}
		w := queue.Webhook{Source: "gitlab", Received: time.Now(), Header: []queue.Field{{Name: "X-Gitlab-Event", Value: sample.Header}}, Body: sample.Body}
		_, err = q.Bury(ctx, &queue.Dead{Parked: queue.Parked{ID: id, Webhook: w}, Lane: queue.Lane{Destination: what}, Reason: "refused", Attempts: 3, Time: time.Now()})
		ts.Check(err)
	}
}

// fetch asks for a page and prints what it says, whatever the status:
//
//	fetch GET|POST URL
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fetch METHOD URL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, args[0], args[1], nil)
	ts.Check(err)
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	_, err = io.Copy(ts.Stdout(), res.Body)
	ts.Check(err)
}
