package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// span is a length of time as a flag: 72h, 90m, 3d.
type span time.Duration

func (s span) String() string { return time.Duration(s).String() }

func (s *span) Type() string { return "duration" }

func (s *span) Set(v string) error {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			*s = span(time.Duration(n) * 24 * time.Hour)
			return nil
		}
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return fmt.Errorf("%q is no length of time: want something like 90m, 72h or 3d", v)
	}
	*s = span(d)
	return nil
}
