package delivery

import (
	"io"
	"strings"
	"time"

	"github.com/gitlab-mattermost/relay/configs"
	"github.com/gitlab-mattermost/relay/formatters"
)

// printPost delivers to a destination of kind log: the message as people would
// read it, in a frame, on standard output.
func (s *Lanes) printPost(a configs.Address, it *Item, post formatters.Post) result {
	begin := time.Now()
	s.print.Lock()
	defer s.print.Unlock()
	if _, err := io.WriteString(s.stdout, frame(a.String()+" · "+it.eventName()+" · "+it.ID.String(), post.Markdown)); err != nil {
		return result{verdict: Retry, reason: ReasonNetwork, text: "standard output cannot be written"}
	}
	return result{verdict: Delivered, reason: ReasonOK, duration: time.Since(begin)}
}

func frame(title, text string) string {
	var b strings.Builder
	b.WriteString("┌─ " + title + "\n")
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		b.WriteString("│ " + line)
	}
	b.WriteString("└─\n")
	return b.String()
}
