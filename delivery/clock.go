package delivery

import "time"

// clock tells how long it is until a time that was written down, perhaps by
// another process. The machine's clock may be set meanwhile, by years: what has
// passed since the relay was started is known without it, and the longer of both
// answers holds, so that nothing grows old all at once.
type clock struct{ wall, steady time.Time } // the same moment

func newClock() clock {
	now := time.Now()
	return clock{now.Round(0), now}
}

// until is negative when the time is past.
func (c clock) until(t time.Time) time.Duration {
	t = t.Round(0)
	return max(time.Until(t), t.Sub(c.wall)-time.Since(c.steady))
}
