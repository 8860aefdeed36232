package delivery

import "time"

// limits are how long the lanes wait for what, and how much they keep in memory.
type limits struct {
	// inPlace are the pauses before an attempt that failed is repeated, the
	// lane standing still.
	inPlace []time.Duration

	// paused is how long a destination that fails is then left alone; the last
	// one repeats. One lane probes it with the head of its line.
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

var usual = limits{
	inPlace:  []time.Duration{0, time.Second, 3 * time.Second},
	paused:   []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour},
	refused:  []time.Duration{5 * time.Second, 45 * time.Second},
	rejected: 5 * time.Minute,
	age:      30 * time.Second,
	waiting:  1000,
}
