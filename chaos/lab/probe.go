package lab

import "time"

// A Probe is one thing that is measured, with its bound.
type Probe struct{}

// Availability: the share of the requests due that were answered without an error
// is at least atLeast.
func Availability(atLeast float64) Probe { panic("not yet") }

// Latency: the q-quantile of the latency of answered requests, from when they were
// due, is at most atMost.
func Latency(q float64, atMost time.Duration) Probe { panic("not yet") }

// Amplification: calls that reach what is behind the policies are at most atMost
// a request.
func Amplification(atMost float64) Probe { panic("not yet") }

// RecoversWithin: steady state is back at most atMost after the faults.
func RecoversWithin(atMost time.Duration) Probe { panic("not yet") }

// In returns p for these phases only.
func (p Probe) In(phases ...Phase) Probe { panic("not yet") }

// Worst returns p with another bound for the worst of several runs.
func (p Probe) Worst(bound float64) Probe { panic("not yet") }
