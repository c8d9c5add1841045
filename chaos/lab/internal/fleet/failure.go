package fleet

import (
	"errors"
	"time"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
)

// Failing is how many of the ten nodes fail in [PartialFailure].
const Failing = 2

// A Way is a way for nodes to fail.
type Way string

// The ways for nodes to fail.
const (
	FastError  Way = "fast error"
	Hang       Way = "hang"
	DeafHang   Way = "hang ignoring its context"
	TwentySlow Way = "20 times slower"
	Panic      Way = "panic in the node"
)

// Ways returns all of them.
func Ways() []Way { return []Way{FastError, Hang, DeafHang, TwentySlow, Panic} }

// effect returns what is injected; a node that is slow is so by itself.
func (w Way) effect() (chaos.Effect, bool) {
	switch w {
	case FastError:
		return chaos.Error(errors.New("fleet: connection refused")), true
	case Hang:
		return chaos.Hang(), true
	case DeafHang:
		return chaos.HangIgnoringContext(), true
	case Panic:
		return chaos.Panic("fleet: out of luck"), true
	}
	return chaos.Effect{}, false
}

const (
	failureAttempts = 3
	failureLimit    = 250 * time.Millisecond
)

// failureSetup is ten nodes with capacity to spare: at 200 calls a second they are
// busy for a sixteenth of their time.
func failureSetup(w Way, g Guard) Setup {
	s := Setup{Size: Size{Nodes: 10, Workers: 8, Mean: 25 * time.Millisecond, Sigma: 0.3}, Guard: g}
	s.Guard.Abandon = w == DeafHang
	if w == TwentySlow {
		s.Slow = 20
	}
	return s
}

// PartialFailure is the experiment of this project's first promise: 200 requests a
// second, while a fifth of the nodes fails for half a minute. Its control is a client
// that has a timeout and nothing else.
func PartialFailure(w Way) lab.Experiment {
	e := partialFailure("E1", w, Library(failureAttempts, failureLimit))
	e.Hypothesis = "with retry, breaker and timeout at their defaults, users do not notice that 2 of 10 nodes fail"
	none := None(failureLimit)
	if w == DeafHang {
		// Calls that are left for the whole half minute are far above the default of
		// MaxAbandoned, which would refuse those to healthy nodes too.
		none.Leave = leaveAll
	}
	e.Control = failureSetup(w, none).Build
	return e
}

const leaveAll = 1_000_000

// PartialFailureByRetryAlone is the same of a client that has a retry with its defaults
// but no breaker. It must not hold.
func PartialFailureByRetryAlone(w Way) lab.Experiment {
	g := RetryAlone(failureAttempts, failureLimit)
	if w == DeafHang {
		g.Leave = leaveAll
	}
	e := partialFailure("E1 by retry alone", w, g)
	e.Hypothesis = "a retry alone makes up for the failures of 2 of 10 nodes (it does not)"
	return e
}

func partialFailure(name string, w Way, g Guard) lab.Experiment {
	e := lab.Experiment{
		Name:     name + ": " + string(w),
		Seed:     1,
		Load:     lab.Constant(200),
		System:   failureSetup(w, g).Build,
		Warmup:   5 * time.Second,
		Baseline: 10 * time.Second,
		Fault:    30 * time.Second,
		Recovery: 10 * time.Second,
		Steady: []lab.Probe{
			lab.Availability(0.9995).Worst(0.9990),
			lab.Latency(0.99, 320*time.Millisecond).Worst(0.320),
			lab.Amplification(1.10).Worst(1.10),
		},
	}
	if effect, ok := w.effect(); ok {
		e.Faults = []chaos.Fault{{Name: string(w), Effect: effect, Rate: 1, Keys: Names(Failing)}}
	}
	return e
}
