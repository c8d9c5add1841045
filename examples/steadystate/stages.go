package main

import "time"

// A stage is a part of the run in which the nodes are in one state. The times are
// shares of the run; in the default one, of 38 s, they are seconds.
type stage struct {
	name     string
	from, to float64
	fault    fault
}

const sum = 38

// stages are the run. After each fault the nodes are well for a while, so that the next one
// meets breakers that have closed again. Otherwise the second and the third would find
// the nodes avoided already, and only probes would ever meet them.
//
// At 200 requests a second 5,100 of them meet a failing fleet, and each recovery is longer
// than a breaker stays open.
var stages = []stage{
	{"steady", 0, 3, none}, // the lab's baseline
	{"refused", 3, 11.5, refusing},
	{"recovery 1", 11.5, 14.5, none},
	{"hanging", 14.5, 23, hanging},
	{"recovery 2", 23, 26, none},
	{"slow 500s", 26, 34.5, erring},
	{"recovery 3", 34.5, sum, none}, // the lab's recovery; what is between is its fault phase
}

// at returns when a share of the run is over.
func (c config) at(share float64) time.Duration {
	return time.Duration(share / sum * float64(c.duration))
}

// The phases of the lab.
func (c config) baseline() time.Duration { return c.at(stages[0].to) }
func (c config) fault() time.Duration    { return c.at(stages[len(stages)-1].from) - c.baseline() }
func (c config) recovery() time.Duration { return c.duration - c.baseline() - c.fault() }

// stageAt returns the number of the stage that a time belongs to; the last has no end.
func (c config) stageAt(t time.Duration) int {
	for i, s := range stages {
		if t < c.at(s.to) {
			return i
		}
	}
	return len(stages) - 1
}

// failingShare is the share of the lab's fault phase in which nodes fail.
func failingShare() float64 {
	failing := 0.0
	for _, s := range stages {
		if s.fault != none {
			failing += s.to - s.from
		}
	}
	return failing / (stages[len(stages)-1].from - stages[0].to)
}
