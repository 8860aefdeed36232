package test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/gitlab-mattermost/relay/events"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// corpus is a folder of payloads that others published, beside the checkout.
const corpus = "../shared/corpus"

// everything is a relay.yaml with one route that takes all there is.
func everything(hook string) string {
	return fmt.Sprintf(`
destinations:
  chat: {url: %q, confidential: true}
routes:
  - name: Everything
    when: {events: all, also: [edited_notes, child_pipelines, system_notes, immaterial_updates]}
    to: chat
`, hook)
}

// sevenKinds are the object kinds, as payloads name them, without which the
// relay would be of no use: each must become a message.
var sevenKinds = []string{"push", "tag_push", "issue", "work_item", "note", "merge_request", "build", "pipeline"}

func isOfSevenKinds(body []byte) bool {
	named := gjson.GetManyBytes(body, "object_kind", "event_name") // system hooks name a push in the second
	return slices.Contains(sevenKinds, cmp.Or(named[0].String(), named[1].String()))
}

// TestPublishedPayloads sends what others published.
func TestPublishedPayloads(t *testing.T) {
	t.Parallel()
	manifest, err := os.ReadFile(filepath.Join(root, corpus, "manifest.tsv"))
	if os.IsNotExist(err) {
		t.Skip("there is no folder of payloads beside the checkout")
	}
	if err != nil {
		t.Fatal(err)
	}
	var payloads []events.Sample
	for line := range strings.Lines(string(manifest)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if fields[0] == "path" {
			continue
		}
		body, err := os.ReadFile(filepath.Join(root, corpus, fields[0]))
		if err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, events.Sample{Name: fields[0], Header: fields[1], Body: body})
	}
	if len(payloads) < 100 {
		t.Fatalf("the manifest names %d payloads", len(payloads))
	}
	posts := sendAll(t, payloads)
	for _, p := range payloads {
		_, posted := posts[p.Name]
		if want := p.Header != "System Hook" || isOfSevenKinds(p.Body); posted != want {
			t.Errorf("%s: posted %t, want %t", p.Name, posted, want)
		}
	}
	t.Logf("%d payloads, %d messages", len(payloads), len(posts))
}

// TestBuiltInSamples sends every sample that the relay contains.
func TestBuiltInSamples(t *testing.T) {
	t.Parallel()
	samples := events.Samples()
	posts := sendAll(t, samples)
	for _, s := range samples {
		_, posted := posts[s.Name]
		switch system := strings.HasPrefix(s.Name, events.System+"."); {
		case system && posted:
			t.Errorf("%s: posted, though events: all leaves system events out", s.Name)
		case !system && !posted:
			t.Errorf("%s: no message", s.Name)
		}
	}
	t.Logf("%d samples, %d messages", len(samples), len(posts))
}

// namesPlace tells whether a message names the project or group of a payload.
func namesPlace(message string, payload []byte) bool {
	places := gjson.GetManyBytes(payload, "project.path_with_namespace", "project.web_url", "project_name", "repository.name", "group.full_path", "object_attributes.url")
	return slices.ContainsFunc(places, func(p gjson.Result) bool {
		return p.String() != "" && strings.Contains(message, p.String())
	})
}

// sendAll sends webhooks one after the other to a relay that takes everything,
// and returns the messages that came of them by the webhooks' names.
func sendAll(t *testing.T, webhooks []events.Sample) map[string]chat.Entry {
	t.Helper()
	mattermost := chatServer(t)
	relay := install(t, everything(mattermost.URL("all"))).start()
	names := map[string]string{} // by id
	for _, w := range webhooks {
		a := relay.post(w.Header, w.Body)
		if a.status != 202 {
			t.Errorf("%s: answered %d %s", w.Name, a.status, a.body)
			continue
		}
		names[a.id(t)] = w.Name
	}
	// One lane keeps the order: when this is in the chat, all before it was
	// decided and delivered.
	last := relay.accept(issueHook, issue("acme/last", 1, 0))
	relay.await(&relay.stderr, regexp.MustCompile(`"delivery attempt","event_id":"`+last+`"`))
	relay.running()
	relay.terminate()
	posts, attempts := mattermost.Posts("all"), relay.attempts()
	if len(attempts) != len(posts) {
		t.Fatalf("%d attempts in the log, %d messages in the chat", len(attempts), len(posts))
	}
	out := map[string]chat.Entry{}
	for i, a := range attempts {
		if a.EventID == last {
			continue
		}
		out[names[a.EventID]] = posts[i]
		if strings.TrimSpace(posts[i].Text) == "" {
			t.Errorf("%s: a message without text: %s", names[a.EventID], posts[i].Raw)
		}
	}
	for _, w := range webhooks {
		if post, ok := out[w.Name]; ok && isOfSevenKinds(w.Body) && !namesPlace(string(post.Raw), w.Body) {
			t.Errorf("%s: the message does not say where it happened: %s", w.Name, post.Raw)
		}
	}
	if strings.Contains(relay.stderr.String(), "template failed") {
		t.Error("a template failed")
	}
	return out
}
