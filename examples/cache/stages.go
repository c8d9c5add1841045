package main

import "time"

// A stage is a part of the run in which the origin is in one state. The times are
// shares of the run; in the default one, of 20 s, they are seconds.
type stage struct {
	name     string
	from, to float64
	fault    fault
}

const sum = 20

// stages are the run. Each fault is longer than fresh and staleWhileRevalidate together, so
// that it takes entries through all windows.
var stages = []stage{
	{"warm-up", 0, 1, none},    // the lab's, not measured
	{"steady", 1, 3, none},     // the lab's baseline
	{"slow", 3, 7, slow},       // its fault phase goes from here …
	{"recovery 1", 7, 8, none}, //
	{"503s", 8, 12, erring},
	{"recovery 2", 12, 14, none},
	{"refused", 14, 18, refusing}, // … to here
	{"back", 18, sum, none},       // its recovery
}

// The stages at which phases of the lab begin.
const (
	firstSteady = 1
	firstFault  = 2
)

// at returns when a share of the run is over.
func (c config) at(share float64) time.Duration {
	return time.Duration(share / sum * float64(c.duration))
}

// The phases of the lab.
func (c config) warmup() time.Duration   { return c.at(stages[firstSteady].from) }
func (c config) baseline() time.Duration { return c.at(stages[firstFault].from) - c.warmup() }
func (c config) recovery() time.Duration { return c.duration - c.at(stages[len(stages)-1].from) }
func (c config) fault() time.Duration {
	return c.duration - c.warmup() - c.baseline() - c.recovery()
}

// stageAt returns the number of the stage that a time belongs to; the last has no end.
func (c config) stageAt(t time.Duration) int {
	for i, s := range stages {
		if t < c.at(s.to) {
			return i
		}
	}
	return len(stages) - 1
}
