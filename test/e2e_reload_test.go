package test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/test/chat"
)

var reloads = flag.Int("reloads", 40, "how often TestReloads changes relay.yaml; 1000 takes a minute or two")

const (
	reloadProjects = 4 // whose issues are the traffic, each with a channel of its own
	reloadChannels = 5 // that take turns with each good relay.yaml
)

// generation is a good relay.yaml: the k-th. Every message says in its username
// which one routed it. It is cut nowhere into another good one: the routes are
// in brackets that close at the end.
func generation(s *chat.Server, k int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "sources: {gitlab: {token: \"${TOKEN}\"}}\ndestinations: {chat: {url: %q, username: generation-%d}}\nroutes: [\n", s.URL(fmt.Sprint("hook", k%2)), k)
	for i := 1; i <= reloadProjects; i++ {
		fmt.Fprintf(&b, "  {name: Project %d, when: {projects: acme/%d, events: issue.open}, to: \"chat#c%d\"},\n", i, i, i)
	}
	fmt.Fprintf(&b, "  {name: Generation %d, when: {events: issue.open}, to: \"chat#g%d\"}]", k, k%reloadChannels)
	return b.String()
}

// mistaken are files that must not come into force. What they route to
// chat#wrong must arrive nowhere.
func mistaken(s *chat.Server, random *rand.Rand, k int) string {
	good := generation(s, k)
	wrong := strings.ReplaceAll(good, "chat#", "chat#wrong-")
	switch k % 5 {
	case 0:
		return good[:random.IntN(len(good))]
	case 1:
		return wrong + "\nrouts: []\n"
	case 2:
		return strings.ReplaceAll(wrong, "issue.open", "issue.opend")
	case 3:
		return wrong[:len(wrong)-1]
	}
	return "\x00\xff" + wrong
}

// posts are the messages that a chat server took.
type posts struct {
	mu   sync.Mutex
	list []chat.Entry
	more chan struct{} // has room for one: there is a new one
}

func (p *posts) watch(e chat.Entry) {
	if !e.Posted() {
		return
	}
	p.mu.Lock()
	p.list = append(p.list, e)
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}

// take waits for n posts, and takes all there are, in the order of arrival.
func (p *posts) take(t *testing.T, n int) []chat.Entry {
	t.Helper()
	for ctx := soon(t); ; {
		p.mu.Lock()
		list := p.list
		if len(list) >= n {
			p.list = nil
		}
		p.mu.Unlock()
		if len(list) >= n {
			slices.SortFunc(list, func(a, b chat.Entry) int { return a.Seq - b.Seq })
			return list
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			t.Errorf("%d posts, want %d", len(list), n)
			return list
		}
	}
}

// reloading changes the relay.yaml of a relay under traffic.
type reloading struct {
	*process
	here   *installation
	chat   *chat.Server
	posts  *posts
	random *rand.Rand

	generation atomic.Int64 // the last good file that is in force for certain
}

// replace writes a file in place, or swaps it in by renaming.
func (r *reloading) replace(text string, rename bool) {
	r.t.Helper()
	if !rename {
		r.here.write("relay.yaml", text)
		return
	}
	next := r.here.write("relay.yaml.next", text)
	if err := os.Rename(next, filepath.Join(r.here.dir, "relay.yaml")); err != nil {
		r.t.Fatal(err)
	}
}

// inForce asks which generation is, and when a file was read last.
func (r *reloading) inForce() (k int64, at time.Time, good bool) {
	r.t.Helper()
	status, body := r.get("/api/v1/config")
	var c struct {
		Routes     []struct{ Name string }
		LastReload struct {
			Time       time.Time
			Successful bool
		} `json:"last_reload"`
	}
	if err := json.Unmarshal([]byte(body), &c); err != nil || status != http.StatusOK || len(c.Routes) != reloadProjects+1 {
		r.t.Fatalf("GET /api/v1/config: %d %v %s", status, err, body)
	}
	k, err := strconv.ParseInt(strings.TrimPrefix(c.Routes[reloadProjects].Name, "Generation "), 10, 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return k, c.LastReload.Time, c.LastReload.Successful
}

// step is one change: of four files two are good, one of them swapped in by
// renaming; one is cut off, and one has mistakes.
func (r *reloading) step(i int) {
	r.t.Helper()
	k := r.generation.Load()
	good := i%2 == 0
	_, before, _ := r.inForce()
	switch i % 4 {
	case 0, 2:
		k++
		r.replace(generation(r.chat, int(k)), i%4 == 2)
	case 1:
		whole := generation(r.chat, int(k+1))
		r.replace(whole[:r.random.IntN(len(whole))], i%8 == 1)
	case 3:
		r.replace(mistaken(r.chat, r.random, i/4), i%8 == 3)
	}
	r.trigger(i, good)
	done := func() bool {
		is, at, successful := r.inForce()
		if is > k || !good && is != k {
			r.t.Fatalf("generation %d is in force after change %d, want %d", is, i, k)
		}
		return at.After(before) && successful == good && is == k
	}
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for ctx := soon(r.t); !done(); {
		select {
		case <-look.C:
		case <-ctx.Done():
			is, at, successful := r.inForce()
			r.t.Fatalf("change %d: generation %d is in force, read at %s, successful %t; want %d", i, is, at, successful, k)
		}
	}
	r.generation.Store(k)
}

// trigger asks for a reload; now and then by a signal, or not at all: then the
// relay sees for itself.
func (r *reloading) trigger(i int, good bool) {
	r.t.Helper()
	switch {
	case i%20 == 19, i%20 == 10:
	case i%5 == 3:
		r.signal(syscall.SIGHUP)
	default:
		req, err := http.NewRequestWithContext(soon(r.t), http.MethodPost, "http://"+r.admin+"/-/reload", nil)
		if err != nil {
			r.t.Fatal(err)
		}
		a, err := roundTrip(req)
		if err != nil || (a.status == http.StatusOK) != good {
			r.t.Fatalf("POST /-/reload after change %d: %d %s %v", i, a.status, a.body, err)
		}
	}
}

// traffic sends issues of one project, one after the other, 50 a second, until
// ctx ends. It returns for each the generation that was in force for certain
// before it.
func (r *reloading) traffic(ctx context.Context, project int) ([]int64, error) {
	var since []int64
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := 1; ; n++ {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return since, nil
		}
		at := r.generation.Load()
		a, err := roundTrip(webhook(context.WithoutCancel(ctx), r.hook, issueHook, issue(fmt.Sprintf("acme/%d", project), n, 0)))
		if err != nil || a.status != http.StatusAccepted {
			return since, fmt.Errorf("issue %d of project %d: %d %s %w", n, project, a.status, a.body, err)
		}
		since = append(since, at)
	}
}

var goroutines = regexp.MustCompile(`(?m)^(go_goroutines|process_open_fds) (\d+)`)

// held is the goroutines and files that the relay has, as it says itself.
func (r *reloading) held() map[string]int {
	r.t.Helper()
	_, page := r.get("/metrics")
	out := map[string]int{}
	for _, m := range goroutines.FindAllStringSubmatch(page, -1) {
		out[m[1]], _ = strconv.Atoi(m[2]) // digits
	}
	if out["go_goroutines"] == 0 {
		r.t.Fatal("/metrics has no go_goroutines")
	}
	return out
}

// TestReloads changes relay.yaml again and again under traffic: to good files
// and bad ones, cut off ones and such as are swapped in. Each issue must arrive
// once in its project's channel, in order, and once in the channel of the one
// generation that routed it, which is none older than the one in force before
// it was sent. In the end the relay holds no more than in the beginning.
func TestReloads(t *testing.T) {
	t.Parallel()
	all := &posts{more: make(chan struct{}, 1)}
	mattermost, err := chat.Start(chat.Options{Watch: all.watch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mattermost.Close() })
	r := &reloading{here: install(t, generation(mattermost, 0)), chat: mattermost, posts: all, random: rand.New(rand.NewPCG(1, 2))}
	r.process = r.here.start()
	r.warmUp()
	before := r.held()

	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	since, failed := make([][]int64, reloadProjects), make([]error, reloadProjects)
	for i := range reloadProjects {
		senders.Go(func() { since[i], failed[i] = r.traffic(ctx, i+1) })
	}
	begin := time.Now()
	for i := range *reloads {
		r.step(i)
	}
	took := time.Since(begin)
	stop()
	senders.Wait()
	sent := 0
	for i, err := range failed {
		if err != nil {
			t.Error(err)
		}
		sent += len(since[i])
	}
	got := r.posts.take(t, 2*sent)
	after := r.settled(before)
	r.terminate()
	got = append(got, r.posts.take(t, 0)...)
	r.judge(since, got)
	t.Logf("%d changes, %d of them good, in %s; %d webhooks, %d posts; held before %v, after %v",
		*reloads, r.generation.Load()-reloadChannels, took.Round(time.Millisecond), sent, len(got), before, after)
}

// warmUp has every address post once, so that what it needs is there, and
// forgets the posts.
func (r *reloading) warmUp() {
	r.t.Helper()
	for k := range reloadChannels {
		r.step(4 * k) // a good file
		for i := 1; i <= reloadProjects; i++ {
			r.accept(issueHook, issue(fmt.Sprintf("acme/%d", i), 1, 0))
		}
	}
	r.posts.take(r.t, 2*reloadChannels*reloadProjects)
}

// settled waits until the relay holds hardly more than before. Its idle
// connections, which it would keep for 90 s, are closed from the other sides.
func (r *reloading) settled(before map[string]int) map[string]int {
	r.t.Helper()
	const slack = 16 // connections of the sender's, on both sides of one
	gitlab.CloseIdleConnections()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for ctx := soon(r.t); ; {
		r.chat.CloseIdle()
		after := r.held()
		more := 0
		for what, n := range after {
			more = max(more, n-before[what])
		}
		if more <= slack {
			return after
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			r.t.Errorf("the relay held %v before %d changes, and %v after", before, *reloads, after)
			return after
		}
	}
}

var generationName = regexp.MustCompile(`^generation-(\d+)$`)

// judge looks at every post.
func (r *reloading) judge(since [][]int64, entries []chat.Entry) {
	r.t.Helper()
	type routed struct{ own, generation int64 } // by which generation each post was
	seen := map[string]*routed{}
	got := map[string][]string{}
	last := map[string]int64{} // of each project's channel
	for _, e := range entries {
		about := issueOf(r.t, e)
		m := generationName.FindStringSubmatch(e.Username)
		if m == nil {
			r.t.Fatalf("a post by %q in %s", e.Username, e.Channel)
		}
		k, _ := strconv.ParseInt(m[1], 10, 64) // digits
		x := seen[about]
		if x == nil {
			x = &routed{-1, -1}
			seen[about] = x
		}
		switch {
		case strings.HasPrefix(e.Channel, "c"):
			got[e.Channel] = append(got[e.Channel], about)
			if x.own = k; k < last[e.Channel] {
				r.t.Errorf("%s was routed by generation %d after one that was by %d", about, k, last[e.Channel])
			}
			last[e.Channel] = k
		case e.Channel != fmt.Sprint("g", k%reloadChannels), x.generation >= 0:
			r.t.Errorf("%s of generation %d is in %s, and was by %d before", about, k, e.Channel, x.generation)
		default:
			x.generation = k
		}
	}
	want := map[string][]string{}
	for i, list := range since {
		for n, at := range list {
			about := fmt.Sprintf("acme/%d#%d", i+1, n+1)
			channel := fmt.Sprint("c", i+1)
			want[channel] = append(want[channel], about)
			if x := seen[about]; x == nil || x.own != x.generation || x.own < at {
				r.t.Errorf("%s was routed by generations %+v, want one, from %d on", about, x, at)
			}
		}
	}
	if !slices.EqualFunc(sortedKeys(want), sortedKeys(got), func(a, b string) bool { return a == b && slices.Equal(want[a], got[b]) }) {
		r.t.Errorf("posts by channel (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func sortedKeys(m map[string][]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
