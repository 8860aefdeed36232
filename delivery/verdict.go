package delivery

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
)

// Verdict is what an attempt's answer means for the delivery.
type Verdict int

// The verdicts.
const (
	Delivered   Verdict = iota // the chat has it
	Retry                      // the destination cannot take it now
	Refused                    // this message, perhaps
	NotAccepted                // a success that the chat did not give: a login page, a proxy
	Rejected                   // this address only: unknown channel, not permitted, hook gone
	Stopped                    // the relay is stopping, or the message may not be posted now: neither success nor failure
)

// Reasons of attempts: the closed set that metrics and the journal name them
// by.
const (
	ReasonOK          = "ok"
	ReasonNetwork     = "network"
	ReasonTimeout     = "timeout"
	ReasonRateLimited = "rate_limited"
	ReasonServerError = "server_error"
	ReasonRefused     = "refused"
	ReasonNotAccepted = "not_accepted"
	ReasonForbidden   = "forbidden"
	ReasonNotFound    = "not_found"
	ReasonGone        = "gone"
	ReasonRedirect    = "redirect"
	ReasonEgress      = "egress"
	ReasonClientError = "client_error"
	ReasonStopped     = "stopped"
	ReasonTooOld      = "too_old"
	ReasonTemplate    = "template"
	ReasonNoAddress   = "no_such_destination"
	ReasonNoRoom      = "no_room"
)

// slackErrors are the words that Slack answers instead of "ok"
// (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, "Handling
// errors"). Some receivers that take Slack's payloads send them with status
// 200.
var slackErrors = map[string]bool{
	"invalid_payload": true, "user_not_found": true, "channel_not_found": true, "channel_is_archived": true,
	"action_prohibited": true, "posting_to_general_channel_denied": true, "too_many_attachments": true,
	"no_service": true, "no_service_id": true, "no_active_hooks": true, "no_team": true, "no_text": true,
	"team_disabled": true, "invalid_token": true, "invalid_blocks": true, "rollup_error": true,
}

// judge gives the verdict on an answer. The text names Mattermost's error id or
// Slack's error word where there is one; nothing else of the body is ever
// repeated, because it can hold the hook's id, which is a secret.
func judge(kind string, status int, header http.Header, body []byte) (v Verdict, reason, text string) {
	text = errorWord(body)
	switch {
	case status >= 200 && status < 300:
		if accepted(kind, status, header, body) {
			return Delivered, ReasonOK, ""
		}
		return NotAccepted, ReasonNotAccepted, text
	case status >= 300 && status < 400:
		return Rejected, ReasonRedirect, text
	case status == http.StatusTooManyRequests:
		return Retry, ReasonRateLimited, text
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500:
		return Retry, ReasonServerError, text
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return Refused, ReasonRefused, text
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Rejected, ReasonForbidden, text
	case status == http.StatusNotFound:
		return Rejected, ReasonNotFound, text
	case status == http.StatusGone:
		return Rejected, ReasonGone, text
	default:
		return Rejected, ReasonClientError, text
	}
}

// accepted tells whether a 2xx is the chat's own: Mattermost says exactly "ok"
// with 200 (server/channels/web/webhook.go); receivers of Slack's payloads say
// anything but HTML or one of Slack's error words.
func accepted(kind string, status int, header http.Header, body []byte) bool {
	text := strings.TrimSpace(strings.TrimPrefix(string(body), "\ufeff"))
	if kind == configs.KindSlack {
		return !strings.HasPrefix(text, "<") && !slackErrors[text] && !strings.HasPrefix(header.Get("Content-Type"), "text/html")
	}
	return status == http.StatusOK && text == "ok"
}

// mediaTypes are those that an answer may be said to have. There are no others
// because a header can hold the hook's id as well as a body can.
var mediaTypes = map[string]bool{
	"text/html": true, "text/plain": true, "text/xml": true, "application/json": true, "application/problem+json": true,
	"application/xml": true, "application/xhtml+xml": true, "application/octet-stream": true,
}

// unlike says how a 2xx differs from the chat's own, so that nobody reads it as
// success; word is that of the answer, if it has one.
func unlike(kind string, status int, header http.Header, word string) string {
	if word != "" {
		return "the answer is the error " + word
	}
	answer := "the answer"
	if media, _, err := mime.ParseMediaType(header.Get("Content-Type")); err == nil && mediaTypes[media] {
		answer += " (" + media + ")"
	}
	switch {
	case kind == configs.KindSlack:
		answer += " is a web page"
	case status != http.StatusOK:
		answer += ` is not 200 "ok"`
	default:
		answer += ` is not "ok"`
	}
	return answer + ": a login page or a proxy, not an incoming webhook"
}

// hookWords are what Mattermost and Slack say of the incoming webhook itself,
// whatever the channel: it is deleted, switched off, or its team is gone.
// Mattermost says the first one also while its database is down
// (server/channels/app/webhook.go).
var hookWords = map[string]bool{
	"web.incoming_webhook.invalid.app_error": true, "web.incoming_webhook.disabled.app_error": true,
	"no_service": true, "no_service_id": true, "no_active_hooks": true, "no_team": true, "team_disabled": true, "invalid_token": true,
}

// mattermostID is the shape of Mattermost's error ids, such as
// web.incoming_webhook.channel.app_error. Hook ids and tokens do not fit it.
var mattermostID = regexp.MustCompile(`^(api|app|web|model|store|ent|plugin)(\.[a-z_]{1,40}){1,6}$`)

func errorWord(body []byte) string {
	if word := string(bytes.TrimSpace(body)); slackErrors[word] {
		return word
	}
	var answer struct{ ID string }
	if json.Unmarshal(body, &answer) == nil && mattermostID.MatchString(answer.ID) {
		return answer.ID
	}
	return ""
}

// maxRetryAfter bounds how long a receiver may tell us to stay away.
const maxRetryAfter = time.Hour

// retryAfter reads the header of that name: seconds or a date (RFC 9110,
// 10.2.3). What cannot be read, or lies in the past, is 0.
func retryAfter(h http.Header, status int, now time.Time) time.Duration {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	v := h.Get("Retry-After")
	if n, err := strconv.ParseInt(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(max(n, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), maxRetryAfter)
}
