package lab

import "time"

var (
	Interval = interval
	Claims   = claims
	Needed   = needed
	Quantile = quantile
	Draw     = draw
)

// Due returns when the requests of l are due, before end.
func (l Load) Due(seed uint64, plan Plan, end time.Duration) []time.Duration {
	var due []time.Duration
	a := l.arrivals(seed, plan)
	for at, ok := a.pull(); ok && at < end; at, ok = a.pull() {
		due = append(due, at)
	}
	return due
}
