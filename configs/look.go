package configs

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Look is how a message looks. Empty fields yield to the next wider place:
// route, destination, defaults, built-in; but what a route gets is never more
// detailed than its destination's own detail.
type Look struct {
	Username string
	Icon     string // ":emoji:" or an http(s) URL
	Detail   string // DetailFull (built-in), DetailBrief or DetailTitle
	Layout   string // LayoutAuto (built-in), LayoutPlain or LayoutCard
	Template string // name of a template in place of the kind's own; of routes alone
}

// Words of a [Look].
const (
	DetailFull  = "full"
	DetailBrief = "brief" // no quoted bodies
	DetailTitle = "title" // the headline only

	LayoutAuto  = "auto" // a card when there are a colour and a body
	LayoutPlain = "plain"
	LayoutCard  = "card"
)

var (
	emojiPattern = regexp.MustCompile(`^:[a-z0-9_+'-]{1,64}:$`)
	bareEmoji    = regexp.MustCompile(`^[a-z0-9_+'-]{1,64}$`)
)

// look reads how messages look, of which a route has not all keys.
func (r *reader) look(o object) Look {
	var look Look
	if v, ok := r.scalar(o, "username"); ok {
		if v.text == "" || utf8.RuneCountInString(v.text) > maxUsername || strings.ContainsFunc(v.text, unicode.IsControl) {
			r.errorf(v.node, "", "username of %s must be a line of 1 to %d characters", o.where, maxUsername)
		} else {
			look.Username = v.text
		}
	}
	if v, ok := r.scalar(o, "icon"); ok {
		_, problem := urlProblem(v.text)
		switch {
		case emojiPattern.MatchString(v.text) || problem == "":
			look.Icon = v.text
		case bareEmoji.MatchString(v.text) && v.text == v.node.Value:
			r.errorf(v.node, fmt.Sprintf("quote it with its colons: icon: \":%s:\"", v.text), "icon of %s takes \":emoji:\" or a URL", o.where)
		default:
			r.errorf(v.node, `for example icon: ":fox_face:"`, "icon of %s takes \":emoji:\" or a URL", o.where)
		}
	}
	look.Detail = r.word(o, "detail", "", DetailFull, DetailBrief, DetailTitle)
	look.Layout = r.word(o, "layout", "", LayoutAuto, LayoutPlain, LayoutCard)
	return look
}
