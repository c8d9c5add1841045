package lab

import (
	"math"
	"time"
)

// arrivals are the arrivals of a load, one after the other.
//
// Those at a rate come whenever the rate, added up over time, has grown by one, or
// by an exponentially distributed draw if they are to come at random. That keeps their
// distances right across a change of the rate.
type arrivals struct {
	load Load
	seed uint64
	from time.Duration // when the surge begins
	to   time.Duration // and ends

	n      uint64        // arrivals so far, those of a trace without their repetitions
	copies int           // of the present one of a trace, still to come
	at     time.Duration // the beginning of the present stretch of one rate
	passed float64       // the rate added up until there
	next   float64       // the rate added up at which the next arrival is due
}

func (l Load) arrivals(seed uint64, plan Plan) *arrivals {
	from := plan.Warmup + plan.Baseline
	a := &arrivals{load: l, seed: seed, from: from, to: from + l.surge}
	if l.poisson {
		a.next = a.distance()
	}
	return a
}

// end tells that there is no surge after t any more. The next arrival may be the one
// that it had brought.
func (a *arrivals) end(t time.Duration) { a.to = min(a.to, t) }

// distance draws how much the rate adds up to between two arrivals.
func (a *arrivals) distance() float64 {
	if !a.load.poisson {
		return 1
	}
	return -math.Log1p(-draw(a.seed, 0, "lab.arrival", a.n))
}

// pull returns when the next arrival is due, and false after the last.
func (a *arrivals) pull() (time.Duration, bool) {
	if a.load.trace != nil {
		return a.pullTrace()
	}
	for {
		rate, until := a.stretch()
		if rate > 0 {
			wait := math.Round((a.next - a.passed) / rate * 1e9)
			if due := a.at + time.Duration(min(wait, century)); due < until {
				a.n++
				a.next += a.distance()
				return due, true
			}
		}
		if until == forever {
			return 0, false
		}
		a.passed += rate * (until - a.at).Seconds()
		a.at = until
	}
}

const (
	forever = time.Duration(math.MaxInt64)
	century = 3e18 // nanoseconds; well within forever
)

// stretch returns the rate at the present time, and until when it is that.
func (a *arrivals) stretch() (rate float64, until time.Duration) {
	until = forever
	var begin time.Duration
	for _, s := range a.load.steps {
		end := begin + s.For
		if s.For == 0 {
			end = forever
		}
		if a.at < end {
			rate, until = s.RPS, end
			break
		}
		begin = end
	}
	switch {
	case a.load.surges == 0 || a.at >= a.to:
	case a.at < a.from:
		until = min(until, a.from)
	default:
		rate *= a.load.factor
		until = min(until, a.to)
	}
	return rate, until
}

func (a *arrivals) pullTrace() (time.Duration, bool) {
	for a.copies == 0 {
		if a.n == uint64(len(a.load.trace)) {
			return 0, false
		}
		a.copies = 1
		if due := a.load.trace[a.n]; a.load.surges > 0 && due >= a.from && due < a.to {
			whole, part := math.Modf(a.load.factor)
			a.copies = int(whole)
			if draw(a.seed, 0, "lab.arrival", a.n) < part {
				a.copies++
			}
		}
		a.n++
	}
	a.copies--
	return a.load.trace[a.n-1], true
}
