package configs

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Rate is how often something may happen: Count times in Per, of which Burst
// may come at once. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
	Burst int
}

// IsZero tells whether there is no limit.
func (r Rate) IsZero() bool { return r.Count == 0 }

// PerSecond is the rate in events per second.
func (r Rate) PerSecond() float64 { return float64(r.Count) / r.Per.Seconds() }

// String is the rate as the file writes it: "30/m".
func (r Rate) String() string {
	for unit, per := range rateUnits {
		if per == r.Per && r.Count > 0 {
			return fmt.Sprintf("%d/%s", r.Count, unit)
		}
	}
	return ""
}

var (
	rateUnits   = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
	ratePattern = regexp.MustCompile(`^[1-9][0-9]{0,4}/[smh]$`)
	looseRate   = regexp.MustCompile(`^\s*([1-9][0-9]{0,4})\s*(?:/|per)\s*([smh])[a-z]*\s*$`)
)

const maxBurst = 5

// newRate bursts as much as a minute allows, and maxBurst at most.
func newRate(count int, per time.Duration) Rate {
	perMinute := count * int(time.Minute/time.Second) / int(per/time.Second)
	return Rate{Count: count, Per: per, Burst: min(max(perMinute, 1), maxBurst)}
}

// defaultRate is what a destination has that does not say: Slack takes one
// message a second for each webhook, and short bursts (Slack's "Rate limits"
// documentation). A Mattermost says itself when it is too much.
func defaultRate(kind string) Rate {
	if kind == KindSlack {
		return newRate(1, time.Second)
	}
	return Rate{}
}

// rate reads 30/m, 1/s.
func (r *reader) rate(o object, key string, missing Rate) Rate {
	v, ok := r.scalar(o, key)
	if !ok {
		return missing
	}
	if ratePattern.MatchString(v.text) {
		count, unit, _ := strings.Cut(v.text, "/")
		n, _ := strconv.Atoi(count)
		return newRate(n, rateUnits[unit])
	}
	hint := "write it as 30/m or 1/s, with s, m or h"
	if m := looseRate.FindStringSubmatch(strings.ToLower(v.text)); m != nil && v.text == v.node.Value {
		hint = fmt.Sprintf("did you mean %s/%s?", m[1], m[2])
	} else if strings.HasPrefix(v.text, "0/") {
		hint = "a destination that shall get nothing is one that no route names"
	}
	r.errorf(v.node, hint, "%q is no rate, in %s of %s", v.shown(), key, o.where)
	return missing
}
