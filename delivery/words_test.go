package delivery

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/test/chat"
)

// What Mattermost and Slack answer, in words: by status, by the id of the error, and by
// what the message was addressed to. Newer Mattermost servers answer with one id for
// all.
func TestInWords(t *testing.T) {
	const general = "web.incoming_webhook.general.app_error"
	mm, slack := configs.KindMattermost, configs.KindSlack
	for _, c := range []struct {
		kind, channel, answer, want string
	}{
		{mm, "ops", statusText(404, "web.incoming_webhook.channel.app_error"), "no channel `ops` in the webhook's team, or it is archived (404)"},
		{mm, "ops", statusText(404, general), "no channel `ops` in the webhook's team, or it is archived (404)"},
		{mm, "", statusText(404, ""), "there is no incoming webhook at this URL, or a proxy answers in its place (404)"},
		{mm, "@alice", statusText(400, "web.incoming_webhook.user.app_error"), "no such user `alice`, or Mattermost's database is down (400)"},
		{mm, "@alice", statusText(400, general), "no such user `alice`, or Mattermost's database is down (400)"},
		{mm, "@alice", statusText(400, "web.incoming_webhook.invalid.app_error"), "the webhook was deleted, or Mattermost's database is down (400)"},
		{mm, "ops", statusText(400, general), "the webhook was deleted, or Mattermost's database is down (400)"},
		{mm, "", statusText(400, ""), "the webhook was deleted, or Mattermost's database is down (400)"},
		{mm, "", statusText(400, "web.incoming_webhook.split_props_length.app_error"), "the message is too large for Mattermost (400)"},
		{mm, "", statusText(400, "model.incoming_hook.parse_data.app_error"), "Mattermost cannot read the message (400)"},
		{mm, "ops", statusText(403, general), "the webhook is locked to a channel, or its owner may not post to `ops` (403)"},
		{mm, "", statusText(403, ""), "the webhook is locked to a channel, or its owner may not post there (403)"},
		{mm, "ops", statusText(403, "web.incoming_webhook.channel_locked.app_error"), "the webhook is locked to another channel (403)"},
		{mm, "ops", statusText(403, "web.incoming_webhook.permissions.app_error"), "`ops` is a private channel, and the webhook's owner is not in it (403)"},
		{mm, "", statusText(403, "web.incoming_webhook.permissions.app_error"), "it is a private channel, and the webhook's owner is not in it (403)"},
		{mm, "", statusText(500, "app.channel.get.find.app_error"), "Mattermost's database is down (500)"},
		{mm, "", statusText(501, "web.incoming_webhook.disabled.app_error"), "incoming webhooks are switched off in Mattermost's System Console (501)"},
		{mm, "", statusText(503, ""), "the chat server is down, or a proxy in front of it cannot reach it (503)"},
		{mm, "", statusText(599, ""), "the chat server fails (599)"},
		{mm, "", statusText(500, "api.post.create_webhook_post.creating.app_error"), "500 Internal Server Error (api.post.create_webhook_post.creating.app_error)"},
		{slack, "ops", statusText(404, "channel_not_found"), "Slack knows no channel `ops`, or the webhook's app is not in it (404)"},
		{slack, "", statusText(404, "channel_not_found"), "Slack knows no channel, or the webhook's app is not in it (404)"},
		{slack, "@bob", statusText(400, "user_not_found"), "Slack knows no user `bob` (400)"},
		{slack, "ops", statusText(410, "channel_is_archived"), "the channel is archived (410)"},
		{slack, "", statusText(403, "action_prohibited"), "an administrator of the workspace forbids this post (403)"},
		{slack, "", "200 OK, but the answer is the error no_service", "the webhook was deleted or disabled, or its URL is wrong (200)"},
		{slack, "ops", statusText(404, ""), "the webhook was deleted, or its URL is wrong (404)"},
		{mm, "", statusText(405, ""), "the URL is not that of an incoming webhook: does it end with a slash? (405)"},
		{mm, "", statusText(301, ""), "the URL leads to another one: is it http:// in place of https://, or does a login page answer? (301)"},
		{mm, "", statusText(429, ""), "the chat takes no more messages at this moment (429)"},
		{mm, "", "cannot connect to 127.0.0.1:404: connection refused", "cannot connect to 127.0.0.1:404: connection refused"},
		{mm, "", "200 OK, but the answer (text/html) is not \"ok\"", "200 OK, but the answer (text/html) is not \"ok\""},
		{mm, "", "418 I'm a teapot", "418 I'm a teapot"},
		{mm, "", "", ""},
		{mm, "ops", "undelivered for 72h0m0s: 404 Not Found (" + general + ")", "undelivered for 72h0m0s: no channel `ops` in the webhook's team, or it is archived (404)"},
		{mm, "", "refused by the receiver: 400 Bad Request, while other messages got through", "refused by the receiver: the webhook was deleted, or Mattermost's database is down (400), while other messages got through"},
		{mm, "", "the message cannot be written: line 404 Not a number", "the message cannot be written: line 404 Not a number"},
	} {
		equal(t, c.kind+" "+c.channel+": "+c.answer, c.want, InWords(c.kind, c.channel, c.answer))
	}
}

// Every error word of Slack's that is recognised has a meaning.
func TestSlackErrorsHaveWords(t *testing.T) {
	for word := range slackErrors {
		if slackMeanings[word] == "" {
			t.Errorf("no words for %s", word)
		}
	}
}

// A report says in words what the chat answers, by the channel of the address or of its
// destination.
func TestReportsAreInWords(t *testing.T) {
	w := newWorld(t, nil)
	tell := w.listen()
	w.chat.Set("hooka", refusing(404, "web.incoming_webhook.general.app_error", "typo"))
	w.deliver("a#typo", "1")
	w.until("it is told", func() bool { return len(tell.kinds()) == 2 })
	tell.mu.Lock()
	defer tell.mu.Unlock()
	if texts := strings.Join(slices.Collect(maps.Values(tell.texts)), "\n"); strings.Count(texts, "no channel `typo` in the webhook's team, or it is archived (404)") != 2 || strings.Contains(texts, "app_error") || !strings.Contains(texts, "`relay parked move a#typo NEW`") {
		t.Errorf("told:\n%s", texts)
	}
}

// A destination that fails, or is broken, is listed once as a whole.
func TestDestinationsAreListed(t *testing.T) {
	w := newWorld(t, nil)
	w.chat.Set("hooka", chat.Status(http.StatusServiceUnavailable, nil, ""))
	w.deliver("a#x", "1")
	w.deliver("a#y", "2")
	listed := func() []DestinationStatus { return w.lanes.Destinations() }
	w.until("it is paused", func() bool { return len(listed()) == 1 })
	if d := listed()[0]; d.Name != "a" || d.Broken || d.Reason != ReasonServerError || d.Error != "503 Service Unavailable" {
		t.Errorf("paused: %+v", d)
	}
	w.chat.Set("hooka", chat.Status(http.StatusNotFound, nil, ""))
	w.until("it is broken", func() bool {
		return slices.ContainsFunc(listed(), func(d DestinationStatus) bool { return d.Broken && d.Error == "404 Not Found" })
	})
	w.chat.Set("hooka", chat.OK())
	w.until("it is open", func() bool { return len(listed()) == 0 })
}
