package delivery

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/queue"
)

// InWords says for people what a chat's answer means, in a text that holds one as a
// [LaneStatus], the journal or a dead letter does. Other texts are returned as they are.
// channel is that of the message, "" where it went to the webhook's own.
func InWords(kind, channel, text string) string {
	m := answerShape.FindStringSubmatchIndex(text)
	if m == nil {
		return text
	}
	part := func(i int) string {
		if m[2*i] < 0 {
			return ""
		}
		return text[m[2*i]:m[2*i+1]]
	}
	status := part(1)
	if n, _ := strconv.Atoi(status); part(2) != http.StatusText(n) {
		return text
	}
	says := meaning(kind, channel, status, part(3)+part(4))
	if says == "" {
		return text
	}
	return text[:m[0]] + says + " (" + status + ")" + text[m[1]:]
}

// answerShape is the shape of statusText, and of a success that is an error of Slack's.
var answerShape = regexp.MustCompile(`\b([1-5]\d\d)(?: ([A-Z][A-Za-z' -]*[A-Za-z]))?(?: \(([a-z_.]+)\)|, but the answer is the error ([a-z_.]+))?`)

// meaning is what a status and the id of an error mean; "" when that says no more.
func meaning(kind, channel, status, word string) string {
	says := slackWords(word, channel)
	switch {
	case says != "":
	case kind == configs.KindSlack:
		says = receiverWords(status)
	default:
		says = mattermostWords(status, word, channel)
	}
	if says == "" {
		says = serverWords(status, word)
	}
	return says
}

// mattermostErrors are ids that say more than their status does (measured with
// Mattermost 5.38). Newer servers answer most requests with one id for all, and only
// the status is left.
var mattermostErrors = map[string]string{
	"channel_locked":     "the webhook is locked to another channel",
	"permissions":        "%s is a private channel, and the webhook's owner is not in it",
	"disabled":           "incoming webhooks are switched off in Mattermost's System Console",
	"split_props_length": "the message is too large for Mattermost",
	"text":               "Mattermost found no text in the message",
	"parse_data":         "Mattermost cannot read the message",
	"decode":             "Mattermost cannot read the message",
	"find":               "Mattermost's database is down",
}

// mattermostWords says what a status of Mattermost's means, by its error id and by
// what the message was addressed to.
func mattermostWords(status, word, channel string) string {
	parts := strings.Split(word, ".")
	if says := mattermostErrors[parts[max(len(parts)-2, 0)]]; says != "" {
		return named(says, channel)
	}
	user, isUser := strings.CutPrefix(channel, "@")
	switch {
	case status == "404" && channel != "" && !isUser:
		return "no channel `" + channel + "` in the webhook's team, or it is archived"
	case status == "404":
		return "there is no incoming webhook at this URL, or a proxy answers in its place"
	case status == "400" && isUser && !strings.Contains(word, "incoming_webhook.invalid."):
		return "no such user `" + user + "`, or Mattermost's database is down"
	case status == "400":
		return "the webhook was deleted, or Mattermost's database is down"
	case status == "403":
		return "the webhook is locked to a channel, or its owner may not post " + place(channel)
	}
	return ""
}

func place(channel string) string {
	if channel == "" {
		return "there"
	}
	return "to `" + channel + "`"
}

// named puts the channel into a sentence that names one.
func named(says, channel string) string {
	name := "it"
	if channel != "" {
		name = "`" + channel + "`"
	}
	return strings.Replace(says, "%s", name, 1)
}

// slackMeanings are what Slack's error words mean
// (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, "Handling
// errors").
var slackMeanings = map[string]string{
	"user_not_found":                    "Slack knows no user %s",
	"channel_not_found":                 "Slack knows no channel %s, or the webhook's app is not in it",
	"channel_is_archived":               "the channel is archived",
	"action_prohibited":                 "an administrator of the workspace forbids this post",
	"posting_to_general_channel_denied": "only some members may post to the workspace's general channel",
	"no_service":                        "the webhook was deleted or disabled, or its URL is wrong",
	"no_service_id":                     "the webhook was deleted or disabled, or its URL is wrong",
	"no_active_hooks":                   "the webhook is disabled",
	"no_team":                           "the webhook's workspace does not exist any more",
	"team_disabled":                     "the webhook's workspace is disabled",
	"invalid_token":                     "the webhook's URL is wrong, or was revoked",
	"invalid_payload":                   "Slack cannot read the message",
	"invalid_blocks":                    "Slack cannot read the message",
	"no_text":                           "Slack found no text in the message",
	"too_many_attachments":              "the message has more attachments than Slack takes",
	"rollup_error":                      "Slack has trouble of its own",
}

func slackWords(word, channel string) string {
	says := slackMeanings[word]
	if channel == "" {
		return strings.Replace(says, " %s", "", 1)
	}
	return named(says, strings.TrimPrefix(channel, "@"))
}

// receiverWords says what a status means of a receiver that takes Slack's payloads,
// and has named no error of Slack's.
func receiverWords(status string) string {
	switch status {
	case "404", "410":
		return "the webhook was deleted, or its URL is wrong"
	case "400", "422":
		return "the message is not accepted, or the webhook was deleted"
	case "403":
		return "the webhook may not post there"
	}
	return ""
}

// serverWords says what a status means of any receiver.
func serverWords(status, word string) string {
	switch status {
	case "401":
		return "something in front of the chat asks for a login"
	case "405":
		return "the URL is not that of an incoming webhook: does it end with a slash?"
	case "407":
		return "the proxy wants another user name or password"
	case "410":
		return "the webhook was deleted"
	case "413":
		return "the message is larger than the chat, or a proxy in front of it, takes"
	case "429":
		return "the chat takes no more messages at this moment"
	case "301", "302", "303", "307", "308":
		return "the URL leads to another one: is it http:// in place of https://, or does a login page answer?"
	case "502", "503", "504":
		return "the chat server is down, or a proxy in front of it cannot reach it"
	}
	if strings.HasPrefix(status, "5") && word == "" {
		return "the chat server fails"
	}
	return ""
}

// advice is what to do about an address whose channel is not found.
func (l *lane) advice(r result) string {
	if r.reason != ReasonNotFound || l.name.Channel == "" {
		return ""
	}
	return fmt.Sprintf(" Was the channel renamed? Correct relay.yaml, and move what waits: `relay parked move %s NEW`.", l.address)
}

// inWords is what an answer in a text means for messages of this lane.
func (l *lane) inWords(text string) string { return l.dest.inWords(l.name, text) }

// inWords is [InWords] for messages to an address of the destination.
func (d *destination) inWords(name queue.Lane, text string) string {
	c := d.config.Load()
	if c == nil {
		return text // gone from relay.yaml
	}
	return InWords(c.Kind, cmp.Or(name.Channel, c.Channel), text)
}

// inWords is the same by the name of a lane, whose destination may be unknown.
func (s *Lanes) inWords(name queue.Lane, text string) string {
	s.mu.Lock()
	d := s.dests[name.Destination]
	s.mu.Unlock()
	if d == nil {
		return text
	}
	return d.inWords(name, text)
}
