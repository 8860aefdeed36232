package formatters

import (
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/events"
)

// Request is one message to write.
type Request struct {
	Event   *events.Event
	Kind    string // of the destination: configs.KindMattermost, KindSlack, KindLog
	Channel string // "" for the hook's own, "reviews", "@alice"
	Look    configs.Look

	// Now is when the message is written, and Received when its webhook came;
	// of a replay that of the original. A message that is posted long after
	// says so, unless one of them is zero.
	Now, Received time.Time

	// Mention is printed at the end of the headline, as the chat takes it:
	// "@anna", "@here", "<@U02ABC>", "<!here>".
	Mention []string

	// People tells how the chat mentions a GitLab user whom somebody wrote to
	// in a description or a comment ("@anna", "<@U02ABC>"); nil where that
	// must notify nobody.
	People func(username string) (mention string, ok bool)

	// Call tells how the chat mentions a GitLab user, "" when that is not known; nil
	// where nobody is. Who is mentioned at the end of a headline is known by it.
	Call func(username string) (mention string)
}

// Post is a message ready to send.
type Post struct {
	Body     []byte // the JSON to post, exactly
	Markdown string // the same message as Mattermost Markdown, for people: log, preview

	// Failed names the template that failed, if one has.
	Failed string

	// Fault says that the template failed and the message was written without
	// it ("template docs_push.md.tmpl:3: …"); empty when all went well.
	Fault string
}
