package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/steady-go/steady/internal/check"
)

// A Load is when requests arrive. It is open: an arrival does not wait for the
// answers to those before it, and its latency counts from when it was due. A load
// that waits, as most benchmarks do, makes no request just while the system is slow,
// and so does not see it (Tene: coordinated omission).
//
// Each arrival is moved by less than a microsecond, the same way for one seed, so
// that in virtual time, in which all else happens at the exact instant, no two things
// happen at once, whose order would be chance. Arrivals of one instant follow each
// other by nanoseconds. The phase that a request belongs to is that in which the load
// says that it is due.
type Load struct {
	poisson bool
	steps   []Step
	trace   []time.Duration
	live    *Traffic
	factor  float64 // of the surge, which lasts for surge
	surge   time.Duration
	surges  int // how many there are, of which one is allowed
}

// Constant returns a load of rps requests a second, at equal distances, the first at
// the beginning. A phase of d gets rps × d of them exactly if that is a whole number.
func Constant(rps float64) Load { return Load{steps: []Step{{RPS: rps}}} }

// Poisson returns a load of rps requests a second that come independently of each
// other, as those of many users do: sometimes five at once, and then none for a while.
func Poisson(rps float64) Load { return Load{poisson: true, steps: []Step{{RPS: rps}}} }

// Steps returns a load whose rate changes, counted from the beginning of the warm-up.
// Within a step, requests come at equal distances. After the last, none come.
func Steps(steps ...Step) Load { return Load{steps: slices.Clone(steps)} }

// Trace returns a load of requests at the given times, which must not decrease, since
// the beginning of the warm-up: those of a recorded hour, for example. After the last,
// none come.
func Trace(due ...time.Duration) Load {
	return Load{trace: append([]time.Duration{}, due...)}
}

// Surge returns l with its rate multiplied by factor in the first d of the fault
// phase, or until the experiment is aborted. In a trace each arrival in that time
// comes factor times, all at once; of a part, whether is drawn. A load surges once.
func (l Load) Surge(factor float64, d time.Duration) Load {
	l.factor, l.surge, l.surges = factor, d, l.surges+1
	return l
}

// String returns the load in a few words, such as "200/s, doubled …".
func (l Load) String() string {
	var s string
	switch {
	case l.live != nil:
		s = l.live.String()
	case l.trace != nil:
		s = fmt.Sprintf("a trace of %d requests", len(l.trace))
	case len(l.steps) == 0:
		return "none"
	default:
		var parts []string
		for _, p := range l.steps {
			part := number(p.RPS) + "/s"
			if p.For > 0 {
				part += " for " + p.For.String()
			}
			parts = append(parts, part)
		}
		s = strings.Join(parts, ", ")
		if l.poisson {
			s += " at random"
		}
	}
	if l.surges > 0 {
		s += fmt.Sprintf(", × %s in the first %v of the fault", number(l.factor), l.surge)
	}
	return s
}

func (l Load) check(f *check.Faults, e Experiment) {
	f.Require(l.steps != nil || l.trace != nil || l.live != nil, "Load", "be set", "none")
	for i, s := range l.steps {
		field := fmt.Sprintf("Load, step %d,", i+1)
		f.Require(s.RPS >= 0 && s.RPS <= 1e6, field, "have a rate from 0 to 1,000,000", s.RPS)
		f.Require(s.For > 0 || s.For == 0 && i == len(l.steps)-1, field, "last for more than 0, but for the last", s.For)
	}
	f.Require(len(l.steps) != 1 || l.steps[0].RPS != 0, "Load", "have a rate above 0", 0)
	for i, due := range l.trace {
		if due < 0 || i > 0 && due < l.trace[i-1] {
			f.Require(false, "Load, the trace,", "begin at 0 or later and not decrease", fmt.Sprintf("%v as number %d", due, i+1))
			break
		}
	}
	if l.surges > 0 {
		f.Require(l.live == nil, "Load", "be without Surge if it is real traffic", l)
		f.Require(l.surges == 1, "Load", "have one Surge", l.surges)
		f.Require(l.factor >= 0 && l.factor <= 1000, "Load, the surge,", "have a factor from 0 to 1000", l.factor)
		f.Require(l.surge > 0 && l.surge <= max(e.Fault, 0), "Load, the surge,", "last for more than 0 and not longer than Fault", l.surge)
	}
	if l.live != nil {
		f.Require(e.Control == nil, "Control", "be nil with real traffic, which comes but once", "one")
	}
}
