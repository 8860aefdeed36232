package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// name checks the name of a source or destination.
func (r *reader) name(kind string, key *yaml.Node) {
	if namePattern.MatchString(key.Value) {
		return
	}
	hint := "names are 1 to 63 lower-case letters, digits, - and _, and start with a letter or digit"
	if better := strings.Trim(notName.ReplaceAllString(strings.ToLower(key.Value), "-"), "-_"); namePattern.MatchString(better) {
		hint = fmt.Sprintf("did you mean %q? %s", better, hint)
	}
	r.errorf(key, hint, "%q cannot be the name of a %s", harmless(key.Value), kind)
}

var notName = regexp.MustCompile(`[^a-z0-9_-]+`)

// synonyms are other words for keys, from neighbouring tools.
var synonyms = map[string]string{
	"webhook": "url", "webhook_url": "url", "hook": "url", "uri": "url",
	"secret": "token", "secret_token": "token", "key": "signing_key", "signing_token": "signing_key",
	"match": "when", "filter": "when", "on": "when", "not": "except", "exclude": "except", "unless": "except",
	"receiver": "to", "receivers": "to", "destination": "to", "target": "to", "channels": "channel",
	"user": "username", "icon_url": "icon", "icon_emoji": "icon", "emoji": "icon",
	"repos": "projects", "repositories": "projects", "groups": "projects", "refs": "branches",
	"receive": "destinations", "default": "defaults", "hooks": "sources", "fallback": "unrouted", "type": "kind",
}

func suggestKey(key string, allowed []string) string {
	low := strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	if slices.Contains(allowed, low) {
		return low
	}
	if s := Suggest(low, allowed); s != "" {
		return s
	}
	if s := synonyms[low]; slices.Contains(allowed, s) {
		return s
	}
	return ""
}

// elsewhere tells where a key belongs that stands at the wrong place.
func elsewhere(key string) string {
	switch {
	case slices.Contains(topKeys, key):
		return fmt.Sprintf("%s belongs at the top of the file", key)
	case slices.Contains(conditionKeys, key):
		return fmt.Sprintf("%s belongs in when or except of a route", key)
	case slices.Contains(routeKeys, key):
		return fmt.Sprintf("%s belongs in a route", key)
	case slices.Contains(destinationKeys, key):
		return fmt.Sprintf("%s belongs in a destination", key)
	case slices.Contains(sourceKeys, key):
		return fmt.Sprintf("%s belongs in a source", key)
	}
	return ""
}
