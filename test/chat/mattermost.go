package chat

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// maxBody is how much of a body newer Mattermosts read (io.LimitReader in
// server/channels/web/webhook.go); what is longer is cut there and no longer
// parses.
const maxBody = 128*1024 + 1

const loginPage = "<!doctype html><html lang=\"en\"><head><title>Sign in</title></head><body><form method=\"post\"></form></body></html>\n"

// webApp is what a Mattermost answers to a GET of anything, hooks included.
func webApp(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><html lang=\"en\"><head><title>Mattermost</title></head><body></body></html>\n")
}

// ErrorBody is the JSON of a newer Mattermost's error, whose message holds the
// id of the hook and with it the secret (server/channels/web/webhook.go).
func ErrorBody(id string) string {
	return errorJSON(http.StatusBadRequest, "web.incoming_webhook.general.app_error",
		"Failed to handle the payload of media type application/json for incoming webhook "+id+".")
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// errorJSON is the shape of all errors of Mattermost's API.
func errorJSON(code int, id, message string) string {
	body, err := json.Marshal(struct {
		ID            string `json:"id"`
		Message       string `json:"message"`
		DetailedError string `json:"detailed_error"`
		RequestID     string `json:"request_id"`
		StatusCode    int    `json:"status_code"`
	}{id, message, "", "4x7ohkfhuprpffkgs1t7bsy5ge", code})
	if err != nil {
		panic(err) // strings and an int
	}
	return string(body)
}

// decode reads what a body says into the entry, and what a Mattermost would
// object to into its problem.
func decode(e *Entry) {
	payload := e.Raw[:min(len(e.Raw), maxBody)]
	if kind, _, _ := mime.ParseMediaType(e.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(payload))
		if err != nil {
			form = nil
		}
		payload = []byte(form.Get("payload"))
	}
	var post struct {
		Channel     string            `json:"channel"`
		Username    string            `json:"username"`
		Text        string            `json:"text"`
		Attachments []json.RawMessage `json:"attachments"`
	}
	if err := json.Unmarshal(payload, &post); err != nil {
		e.problem = errorJSON(http.StatusBadRequest, "model.incoming_hook.parse_data.app_error", "Unable to parse incoming data.")
		return
	}
	e.Channel, e.Username, e.Text = post.Channel, post.Username, post.Text
	if post.Text == "" && len(post.Attachments) == 0 {
		e.problem = errorJSON(http.StatusBadRequest, "web.incoming_webhook.text.app_error", "No text specified.")
	}
}
