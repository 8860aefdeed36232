package delivery

import "time"

// limits are how long the lanes wait for what, and how much they keep in memory.
type limits struct {
	// inPlace are the pauses before an attempt that failed is repeated, the
	// lane standing still.
	inPlace []time.Duration

	// paused is how long a destination that fails is then left alone; the last
	// one repeats. One lane probes it with the head of its line. A lane that
	// fails alone, while the destination takes the messages of others, waits as
	// long, but no longer than rejected.
	paused []time.Duration

	// refused are the pauses before a message that was refused is tried again,
	// the lane standing still.
	refused []time.Duration

	// rejected is how often a lane whose address is rejected tries its head.
	rejected time.Duration

	// age is how long the oldest delivery may wait in memory before its lane
	// parks.
	age time.Duration

	// waiting is how many deliveries a lane keeps in memory before it parks.
	waiting int
}

const (
	// brokenAfter is how many refusals in a row make an address broken.
	brokenAfter = 3
	// inARow is how many different messages that are refused in a row say that
	// it is not the messages.
	inARow = 3
	// poisonAfter is how many probes a message may fail with a 5xx, or be refused
	// on, before the one behind it is tried.
	poisonAfter = 3
	// mostAside is how many messages are set aside at most while one behind
	// them is tried.
	mostAside = 4
)

var usual = limits{
	inPlace:  []time.Duration{0, time.Second, 3 * time.Second},
	paused:   []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute},
	refused:  []time.Duration{5 * time.Second, 45 * time.Second},
	rejected: 5 * time.Minute,
	age:      30 * time.Second,
	waiting:  1000,
}

// scaled are the limits with every pause so many times as long.
func (l limits) scaled(pace float64) limits {
	scale := func(d time.Duration) time.Duration { return time.Duration(float64(d) * pace) }
	all := func(ds []time.Duration) []time.Duration {
		scaled := make([]time.Duration, len(ds))
		for i, d := range ds {
			scaled[i] = scale(d)
		}
		return scaled
	}
	l.inPlace, l.paused, l.refused, l.rejected = all(l.inPlace), all(l.paused), all(l.refused), scale(l.rejected)
	return l
}
