package configs

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	defaultGiveUpAfter = 72 * time.Hour
	defaultTimeout     = 10 * time.Second
	maxTimeout         = time.Minute
	maxConcurrency     = 64
	maxUsername        = 64 // characters
)

var mentionsWords = []string{MentionsNone, MentionsRoute, MentionsMapped}

// defaults reads `defaults`.
func (r *reader) defaults(top object) Defaults {
	f, ok := top.fields["defaults"]
	if !ok {
		return Defaults{}
	}
	o, ok := r.object(f.value, "defaults", defaultKeys)
	if !ok {
		return Defaults{}
	}
	r.nothing(f, "defaults")
	r.cfg.Usernames = r.word(o, "usernames", "", UsernamesSame)
	return Defaults{Look: r.look(o), Mentions: r.word(o, "mentions", "", mentionsWords...)}
}

// destinations reads `destinations`.
func (r *reader) destinations(top object) []Destination {
	const hint = `write destinations: {dev: "${MATTERMOST_URL}"}`
	f, ok := top.fields["destinations"]
	if !ok {
		if !top.meant["destinations"] {
			how := hint
			if len(top.order) > 0 && !slices.ContainsFunc(top.order, func(key string) bool { return !includedKeys.has(key) }) {
				how += "; if another file includes this one, check that in its place: relay check relay.yaml"
			}
			r.errorf(top.node, how, "there are no destinations")
		}
		return nil
	}
	o, ok := r.entries(f.value, "destinations")
	if !ok {
		return nil
	}
	if len(o.order) == 0 {
		r.errorf(f.key, hint, "destinations is empty")
	}
	var out []Destination
	seen := map[[2]string]string{}
	for _, name := range o.order {
		entry := o.fields[name]
		r.name("destination", entry.key)
		wrong := len(r.found)
		d := r.destination(name, entry)
		out = append(out, d)
		if d.URL.IsZero() || HasErrors(r.found[wrong:]) {
			continue
		}
		place := [2]string{d.URL.Reveal(), d.Channel}
		if first, ok := seen[place]; ok {
			r.errorf(entry.key, "keep one of them", "destination %q has the URL and channel of destination %q", harmless(name), harmless(first))
			continue
		}
		seen[place] = name
		if d.slashTooMany() {
			r.warnf(entry.key, slashHint, "the URL of destination %q has a slash too many", harmless(name))
		}
		if d.notIncoming() {
			r.warnf(entry.key, incomingHint, "the URL of destination %q is not like one of Mattermost's incoming webhooks: its path has no /hooks/", harmless(name))
		}
		if d.looksIncoming() {
			r.warnf(entry.key, markdownHint, "destination %q has kind: slack, but its URL is like one of Mattermost's incoming webhooks", harmless(name))
		}
	}
	return out
}

func (r *reader) destination(name string, entry field) Destination {
	d := Destination{Name: name, Pos: r.pos(entry.key), Kind: KindMattermost, Concurrency: 1, GiveUpAfter: defaultGiveUpAfter, Timeout: defaultTimeout, Mentions: cmp.Or(r.cfg.Defaults.Mentions, MentionsMapped)}
	where := fmt.Sprintf("destination %q", harmless(name))
	if entry.value.Kind == yaml.ScalarNode {
		if v, ok := r.secretOf("url")(entry.value, entry.key, where); ok {
			if s, ok := r.checked(v, "url", where, v.text); ok {
				r.destinationURL(&d, s, where)
			}
		}
		d.RateLimit = defaultRate(d.Kind)
		return d
	}
	o, ok := r.object(entry.value, where, destinationKeys)
	if !ok {
		return d
	}
	for _, s := range r.secrets(o, "url", false) {
		r.destinationURL(&d, s, where)
	}
	d.Kind = r.word(o, "kind", d.Kind, KindMattermost, KindSlack, KindLog)
	d.KindGuessed = d.KindGuessed && !o.has("kind")
	r.kind(o, entry.key, d)
	if v, ok := r.scalar(o, "channel"); ok {
		d.Channel, _ = r.channel(v, where)
		r.noPeople(d, d.Channel, v, where)
		if d.Channel != "" && !strings.HasPrefix(d.Channel, "@") && d.OfSlack() {
			r.warnf(v.node, SlackHint, "the webhook of %s posts to the channel that it was made for, whatever channel says", where)
		}
	}
	d.Look = r.look(o)
	d.Mentions = r.word(o, "mentions", d.Mentions, mentionsWords...)
	d.Confidential = r.confidential(o)
	d.Channels = r.channels(o)
	if f, ok := o.fields["only"]; ok {
		d.Only = r.when(f, "only of "+where, ignoreKeys)
	}
	d.RateLimit = r.rate(o, "rate_limit", defaultRate(d.Kind))
	d.CAFile = r.caFile(o, d)
	d.Concurrency = r.number(o, "concurrency", 1, maxConcurrency, 1)
	d.GiveUpAfter = r.duration(o, "give_up_after", defaultGiveUpAfter)
	if d.Timeout = r.duration(o, "timeout", defaultTimeout); d.Timeout > maxTimeout {
		r.errorf(o.fields["timeout"].value, "write 60s or less: a lane posts nothing else meanwhile", "timeout of %s takes a minute at most", o.where)
	}
	return d
}

// kind checks that a destination has a URL where it needs one.
func (r *reader) kind(o object, key *yaml.Node, d Destination) {
	hasURL := o.has("url") || o.has("url_file")
	switch {
	case d.Kind == KindLog && hasURL:
		at := o.fields["url"].key
		if at == nil {
			at = o.fields["url_file"].key
		}
		r.errorf(at, "remove it", "%s prints its messages (kind: log), so that it takes no URL", o.where)
	case d.Kind != KindLog && !hasURL:
		r.errorf(key, "add url or url_file: the incoming webhook's URL", "%s has no URL", o.where)
	}
}

// noPeople refuses @user where a chat does not know it.
func (r *reader) noPeople(d Destination, channel string, v value, where string) {
	if d.Kind == KindSlack && !d.KindGuessed && strings.HasPrefix(channel, "@") {
		r.errorf(v.node, "name a channel", "a Slack webhook cannot write to a person, in %s", where)
	}
}

// destinationURL takes a URL over. It never tells the URL itself.
func (r *reader) destinationURL(d *Destination, s secret, where string) {
	if s.Missing() {
		d.URL = newPlaceholder(placeholderURL(s.node.Value))
		d.Kind, d.KindGuessed = guessedKind(s.node.Value), true
		return
	}
	host, problem := urlProblem(s.Reveal())
	if problem != "" {
		r.errorf(s.node, "it looks like https://chat.example/hooks/xxxxxxxx", "the URL of %s %s", where, problem)
		return
	}
	if s.node.Value == s.Reveal() {
		r.warnf(s.node, "who knows it can post; write ${VAR} or use url_file", "the webhook URL of %s is in clear text in the file", where)
	}
	d.URL = s.Secret
	d.Kind = kindOf(host)
}

// slashHint says what to do about a URL with a slash at its end, or two in a row:
// Mattermost answers 405 to the first and 301 to the other.
const slashHint = "its path has single slashes and ends with the webhook's key"

func (d *Destination) slashTooMany() bool {
	u, err := url.Parse(d.URL.Reveal())
	return err == nil && (strings.HasSuffix(u.Path, "/") || strings.Contains(u.Path, "//"))
}

// incomingHint says what to do about an address of Mattermost that is no webhook.
const incomingHint = "copy it from Integrations > Incoming Webhooks; for another chat that takes Slack's format add kind: slack"

// notIncoming tells of Mattermost's webhook that its URL looks like a page's:
// Mattermost answers a post to one with 200 or 405 and a page.
func (d *Destination) notIncoming() bool {
	u, err := url.Parse(d.URL.Reveal())
	return d.Kind == KindMattermost && err == nil && !strings.Contains(u.Path, "/hooks/")
}

// markdownHint says what to do about a Mattermost that would get Slack's markup.
const markdownHint = "leave kind out if it is a Mattermost: it shows Markdown, and not all of Slack's markup"

// looksIncoming tells of a destination for Slack's markup that its URL is like
// one of Mattermost's webhooks, which end with one key of small letters and
// digits. Rocket.Chat's end with two.
func (d *Destination) looksIncoming() bool {
	u, err := url.Parse(d.URL.Reveal())
	if d.Kind != KindSlack || err != nil || d.OfSlack() {
		return false
	}
	_, key, ok := strings.Cut(u.Path, "/hooks/")
	return ok && key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// SlackHint says what to do about a channel that Slack takes no notice of.
const SlackHint = "make a webhook for each channel in Slack, and a destination of each"

// OfSlack tells whether the destination is a webhook of Slack itself, which has
// one channel (Slack's "Sending messages using incoming webhooks").
func (d *Destination) OfSlack() bool {
	host, problem := urlProblem(d.URL.Reveal())
	return problem == "" && d.Kind == KindSlack && kindOf(host) == KindSlack
}

// kindOf tells the kind of a destination from the host of its URL.
func kindOf(host string) string {
	if host == "hooks.slack.com" {
		return KindSlack
	}
	return KindMattermost
}

// urlProblem checks an incoming webhook's URL.
func urlProblem(s string) (host, problem string) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return "", "is empty"
	case err != nil:
		return "", "is no URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "must start with https:// or http://"
	case u.Hostname() == "":
		return "", "has no host"
	case u.User != nil:
		return "", "must not hold a user name or password"
	case u.Fragment != "":
		return "", "must not hold a #"
	}
	return strings.ToLower(u.Hostname()), ""
}

// confidential reads true, false, or channels.
func (r *reader) confidential(o object) Confidential {
	f, ok := o.fields["confidential"]
	if !ok {
		return Confidential{}
	}
	if f.value.Kind == yaml.ScalarNode && f.value.ShortTag() == "!!bool" {
		return Confidential{All: r.truth(o, "confidential")}
	}
	values, _ := r.list(o, "confidential")
	var out Confidential
	for _, v := range values {
		if v.text == "yes" || v.text == "all" {
			r.errorf(v.node, "did you mean true?", "confidential of %s takes true or channels", o.where)
			continue
		}
		if glob := strings.TrimPrefix(v.text, "#"); isGlob(glob) && glob[0] != '@' {
			if _, err := path.Match(glob, ""); err != nil {
				r.errorf(v.node, `for example "gl-*"`, "%q is no glob over channels, in confidential of %s", v.shown(), o.where)
				continue
			}
			out.Channels = append(out.Channels, glob)
		} else if c, ok := r.channel(v, "confidential of "+o.where); ok {
			out.Channels = append(out.Channels, c)
		}
	}
	return out
}

var daysPattern = regexp.MustCompile(`^(\d{1,4})\s*(?:d|day|days)$`)

// duration reads 72h, 90m, 1h30m.
func (r *reader) duration(o object, key string, missing time.Duration) time.Duration {
	v, ok := r.scalar(o, key)
	if !ok {
		return missing
	}
	d, err := time.ParseDuration(v.text)
	if err == nil && d > 0 {
		return d
	}
	hint := "write it as 72h or 90m"
	if m := daysPattern.FindStringSubmatch(v.text); m != nil {
		days, _ := time.ParseDuration(m[1] + "h")
		hint = fmt.Sprintf("did you mean %dh?", int(days/time.Hour)*24)
	}
	r.errorf(v.node, hint, "%s of %s takes a duration above zero", key, o.where)
	return missing
}
