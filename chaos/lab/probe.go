package lab

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/steady-go/steady/internal/check"
)

// A Probe is one thing that is measured, with its bound. It is made by the funcs of
// this package that return one.
//
// Each probe is measured in every phase in which it must hold (see [Probe.In]), over
// the requests that were due in it. In Fault and Recovery it is not enough that the
// bound was kept: it must have been kept in enough requests to say so, which
// [Availability] and [Latency] explain. In Baseline what was measured is enough, since
// nothing is claimed of it.
type Probe struct {
	kind    probeKind
	name    string
	bound   float64 // in seconds where it is a duration
	atLeast bool
	q       float64             // of latency
	gauge   string              // whose readings
	measure func(Tally) float64 // of a func
	phases  []Phase             // nil: those of the kind
	worst   *float64            // bound of the worst of several runs; nil: none
}

type probeKind uint8

const (
	noProbe probeKind = iota
	availability
	latency
	throughput
	amplification
	recovers
	gauge
	function
)

// Availability returns the probe that the share of the requests due that were answered
// without an error is at least atLeast, which must be above 0 and below 1.
//
// If it was less, the hypothesis has failed. If it was not, there must have been
// enough requests to claim it at 95 % confidence: the lower end of the one-sided
// interval of Clopper and Pearson (1934) must be at least atLeast too. For 99.9 % that
// takes 2,995 requests without a failure, or at most one failure in 4,742, two in
// 6,294. With less than that the verdict is Inconclusive.
func Availability(atLeast float64) Probe {
	return Probe{kind: availability, name: "availability", bound: atLeast, atLeast: true}
}

// Latency returns the probe that the q-quantile of the latency of the requests that were
// answered without an error, from when they were due, is at most atMost. Quantiles are
// exact, by nearest rank. There must have been enough of them to claim it at 95 % confidence if
// none was slower: 299 for q = 0.99, 2,995 for 0.999.
func Latency(q float64, atMost time.Duration) Probe {
	return Probe{kind: latency, name: "p" + number(100*q), bound: atMost.Seconds(), q: q}
}

// Throughput returns the probe that of the requests due at least atLeast a second are
// answered without an error.
func Throughput(atLeast float64) Probe {
	return Probe{kind: throughput, name: "throughput", bound: atLeast, atLeast: true}
}

// Amplification returns the probe that the calls which reach the world's chaos policy are
// at most atMost for each request that was started.
func Amplification(atMost float64) Probe {
	return Probe{kind: amplification, name: "amplification", bound: atMost}
}

// RecoversWithin returns the probe that steady state is back at most atMost after the end
// of the faults, as [Recovery] defines it. It is measured in Recovery alone, which must be at least five
// seconds longer. Of several runs each must keep the bound; with [Probe.Worst] their
// median must, and the slowest the other bound.
func RecoversWithin(atMost time.Duration) Probe {
	return Probe{kind: recovers, name: "recovers", bound: atMost.Seconds()}
}

// Gauge returns the probe that each reading of the gauge of that name (see
// [World.Gauge]), which is taken once a second, is within b.
func Gauge(name string, b Bound) Probe {
	return Probe{kind: gauge, name: name, gauge: name, bound: b.value, atLeast: b.atLeast}
}

// Func returns the probe that the number that measure returns is within b. measure is
// given what was counted of the requests of a phase, or of the window of an abort. It must depend on that alone.
func Func(name string, measure func(Tally) float64, b Bound) Probe {
	return Probe{kind: function, name: name, measure: measure, bound: b.value, atLeast: b.atLeast}
}

// In returns p for these phases only.
func (p Probe) In(phases ...Phase) Probe {
	p.phases = append([]Phase{}, phases...)
	return p
}

// Worst returns p with another bound for the worst of several runs of different
// seeds, each looked at by itself; p's own bound is then for all of them together. The
// bound is in seconds where that of p is a duration. It does not concern a run that is alone.
//
// What chance does to one run of many is wider than what it does to all of them, so
// this bound is usually the looser one.
func (p Probe) Worst(bound float64) Probe {
	p.worst = &bound
	return p
}

// in returns the phases in which p must hold.
func (p Probe) in() []Phase {
	switch {
	case p.phases != nil:
		return p.phases
	case p.kind == recovers:
		return []Phase{PhaseRecovery}
	}
	return []Phase{PhaseBaseline, PhaseFault}
}

// same reports whether p and o measure the same with the same bounds, as far as can be
// told.
func (p Probe) same(o Probe) bool {
	return p.title(p.bound) == o.title(o.bound) && slices.Equal(p.in(), o.in()) &&
		(p.worst == nil) == (o.worst == nil) && (p.worst == nil || *p.worst == *o.worst)
}

func (p Probe) check(f *check.Faults, field string, e Experiment) {
	p.checkBound(f, field, p.bound)
	if p.worst != nil {
		p.checkBound(f, field+".Worst", *p.worst)
	}
	f.Require(p.phases == nil || len(p.phases) > 0, field+".In", "name a phase", "none")
	for _, phase := range p.in() {
		switch {
		case p.kind == recovers:
			f.Require(phase == PhaseRecovery, field+".In", "be left out or PhaseRecovery", phase)
		case phase == PhaseRecovery:
			f.Require(e.Recovery > 0, field+".In", "not be PhaseRecovery without Recovery", phase)
		default:
			f.Require(phase == PhaseBaseline || phase == PhaseFault, field+".In", "be PhaseBaseline, PhaseFault or PhaseRecovery", phase)
		}
	}
	if p.kind == recovers {
		longest := p.bound
		if p.worst != nil {
			longest = max(longest, *p.worst)
		}
		f.Require(!(longest+recoveryWindow.Seconds() > e.Recovery.Seconds()), field, "be at most Recovery less 5s", seconds(longest))
	}
}

func (p Probe) checkAbort(f *check.Faults, field string, e Experiment) {
	p.checkBound(f, field, p.bound)
	f.Require(p.kind != recovers, field, "not be RecoversWithin, which comes too late", p.name)
	f.Require(p.phases == nil, field, "be without In", p.phases)
	f.Require(p.worst == nil, field, "be without Worst", "one")
}

func (p Probe) checkBound(f *check.Faults, field string, bound float64) {
	switch p.kind {
	case availability:
		f.Require(bound > 0 && bound < 1, field, "have a bound above 0 and below 1, since no number of requests shows more", bound)
	case latency:
		f.Require(p.q > 0 && p.q < 1, field, "be a quantile above 0 and below 1", p.q)
		f.Require(bound > 0, field, "have a bound above 0", seconds(bound))
	case throughput, amplification:
		f.Require(bound > 0 && !math.IsInf(bound, 0), field, "have a bound above 0", bound)
	case recovers:
		f.Require(bound >= 0, field, "have a bound of at least 0", seconds(bound))
	case gauge, function:
		f.Require(p.name != "", field, "have a name", `""`)
		f.Require(!math.IsNaN(bound) && !math.IsInf(bound, 0), field, "have a finite bound", bound)
		f.Require(p.kind != function || p.measure != nil, field, "have a func", nil)
	default:
		f.Require(false, field, "be made by Availability, Latency or the like", "Probe{}")
	}
}

// errNothing is the fault of a sample in which nothing is to be seen.
var errNothing = errors.New("no requests")

// value returns what p measures in s, or why it cannot.
func (p Probe) value(s *sample) (v float64, err error) {
	t := &s.tally
	switch p.kind {
	case availability:
		if t.Offered == 0 {
			return 0, errNothing
		}
		return float64(t.OK) / float64(t.Offered), nil
	case latency:
		if len(s.latencies) == 0 {
			return 0, errors.New("no answers")
		}
		return quantile(s.latencies, p.q).Seconds(), nil
	case throughput:
		if t.Offered == 0 || t.Lasted <= 0 {
			return 0, errNothing
		}
		return float64(t.OK) / t.Lasted.Seconds(), nil
	case amplification:
		if t.Offered == t.Overflow {
			return 0, errNothing
		}
		return float64(t.Attempts) / float64(t.Offered-t.Overflow), nil
	case recovers:
		if t.Offered == 0 || len(s.recovered) == 0 {
			return 0, errNothing
		}
		if p.worst == nil {
			return slices.Max(s.recovered).Seconds(), nil
		}
		return median(s.recovered).Seconds(), nil
	case gauge:
		e, ok := s.gauges[p.gauge]
		switch {
		case !ok:
			return 0, errors.New("no readings")
		case p.atLeast:
			return e.low, nil
		}
		return e.high, nil
	}
	defer func() {
		if r := recover(); r != nil {
			v, err = 0, &probeError{fmt.Sprintf("probe %q panicked: %v", p.name, r)}
		}
	}()
	if v = p.measure(*t); math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("it is %v", v)
	}
	return v, nil
}

// A probeError is the error of a probe that is itself at fault.
type probeError struct{ text string }

func (e *probeError) Error() string { return e.text }

// keeps reports whether v is within bound.
func (p Probe) keeps(v, bound float64) bool {
	if p.atLeast {
		return v >= bound
	}
	return v <= bound
}

// room returns how far v is from the bound, and how far it could be at most.
func (p Probe) room(s *sample, v, bound float64) (left, all float64) {
	left, all = bound-v, math.Abs(bound)
	if p.atLeast {
		left = -left
	}
	switch p.kind {
	case availability:
		all = 1 - bound
	case amplification:
		all = bound - 1
	case throughput:
		all = float64(s.tally.Offered)/s.tally.Lasted.Seconds() - bound
	}
	return left, all
}

// text returns a value of p as a person reads it.
func (p Probe) text(v float64) string {
	switch p.kind {
	case availability:
		return percent(v)
	case latency, recovers:
		return seconds(v).String()
	case throughput:
		return number(v) + "/s"
	}
	return number(v)
}

// boundText returns a bound of p as a person reads it.
func (p Probe) boundText(bound float64) string {
	if p.atLeast {
		return "≥ " + p.text(bound)
	}
	return "≤ " + p.text(bound)
}

// title names p with a bound of it, such as "availability ≥ 99.9 %".
func (p Probe) title(bound float64) string {
	if p.kind == recovers {
		return "recovers within " + p.text(bound)
	}
	return p.name + " " + p.boundText(bound)
}

// percent returns a share in percent, with four decimals at most. It is cut, not
// rounded: 0.9999999 is not 100 %.
func percent(share float64) string {
	return number(math.Floor(share*1e6+1e-6)/1e4) + " %"
}

// number returns v with four decimals at most.
func number(v float64) string {
	s := fmt.Sprintf("%.4f", v)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

// duration returns a number of seconds as a duration.
func duration(v float64) time.Duration { return time.Duration(math.Round(v * 1e9)) }

// seconds returns a number of seconds as a duration, rounded to what a person reads.
func seconds(v float64) time.Duration {
	d := duration(v)
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d
}
