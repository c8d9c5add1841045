package fleet

import (
	"fmt"
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

const (
	overloadAttempts = 4

	// OverloadLimit is the timeout of an attempt in the experiments on overload.
	OverloadLimit = 500 * time.Millisecond
)

// WaitBounds are the bounds of the wait at a node between which the law of
// [BoundedWait] runs: the timeout of the callers is 500 ms, and the 99th percentile of
// the service time 134 ms.
func WaitBounds() []time.Duration {
	return []time.Duration{
		175 * time.Millisecond, 350 * time.Millisecond, 455 * time.Millisecond,
		525 * time.Millisecond, 700 * time.Millisecond,
	}
}

// overloadSetup is ten nodes that can bear 286 calls a second. They are to get 200, and
// in the surge 400. A maxWait of 0 means that nothing bounds the wait.
func overloadSetup(maxWait time.Duration, clients int, g Guard) Setup {
	return Setup{
		Size:    Size{Nodes: 10, Workers: 2, Mean: 70 * time.Millisecond, Sigma: 0.3, MaxWait: maxWait},
		Clients: clients, Guard: g,
	}
}

// RetryStorm is the experiment of an overload that nothing bounds at the nodes. The load
// doubles for half a minute; afterwards the nodes are busy with calls whose callers have
// left, and those call again. Its control are clients that retry without a budget.
func RetryStorm(clients int) lab.Experiment {
	e := overload(fmt.Sprintf("E2a: retry storm, %d client(s)", clients), fromStorm()...)
	e.Hypothesis = "with the defaults, an overload that feeds itself ends within seconds after its cause, although nothing bounds the wait at the nodes"
	e.System = overloadSetup(0, clients, Library(overloadAttempts, OverloadLimit)).Build
	e.Control = overloadSetup(0, clients, Unbounded(overloadAttempts, OverloadLimit)).Build
	return e
}

// DeepenedByBreakers is the same, to be compared with breakers that know nothing of each
// other: as each opens the others get its load, until none is left.
func DeepenedByBreakers() lab.Experiment {
	e := overload("E3: breakers in an overload, 1 client", fromStorm()...)
	e.Hypothesis = "breakers of peers do not deepen an overload"
	e.System = overloadSetup(0, 1, Library(overloadAttempts, OverloadLimit)).Build
	e.Control = overloadSetup(0, 1, PlainBreakers(overloadAttempts, OverloadLimit)).Build
	return e
}

// BoundedWait is the experiment of an overload of nodes that bound the wait. The law: such a
// bound helps if it and the service time together are below the callers' timeout. Its control
// are clients that retry without a budget, and nodes of which the bound is above that.
func BoundedWait(clients int) lab.Experiment {
	e := overload(fmt.Sprintf("E2b: wait bound of 350ms, %d client(s)", clients), append(atOnce(),
		lab.Availability(0.60).Worst(0.60).In(lab.PhaseFault),
		lab.Amplification(1.7).Worst(1.7).In(lab.PhaseFault),
	)...)
	e.Hypothesis = "a bound of the wait below the callers' timeout keeps nodes useful in an overload, and ends it with its cause"
	e.System = overloadSetup(350*time.Millisecond, clients, Library(overloadAttempts, OverloadLimit)).Build
	e.Control = overloadSetup(700*time.Millisecond, clients, Unbounded(overloadAttempts, OverloadLimit)).Build
	return e
}

// WaitBound is the law of [BoundedWait] at one bound, with this library's clients. Its control
// are clients that retry without a budget, at the bound of control.
func WaitBound(bound, control time.Duration) lab.Experiment {
	e := overload(fmt.Sprintf("E4: wait bound of %v", bound), atOnce()...)
	e.Hypothesis = fmt.Sprintf("a wait bound of %v is below the callers' timeout by more than a service time; %v is not", bound, control)
	e.System = overloadSetup(bound, 1, Library(overloadAttempts, OverloadLimit)).Build
	e.Control = overloadSetup(control, 1, Unbounded(overloadAttempts, OverloadLimit)).Build
	return e
}

// WaitBoundAlone is the law alone: nothing differs but the bound, and the clients do nothing
// against the overload. It has no control but the other bounds.
func WaitBoundAlone(bound time.Duration) lab.Experiment {
	e := overload(fmt.Sprintf("E4: wait bound of %v, clients without a budget", bound), atOnce()...)
	e.Hypothesis = "the bound is below the callers' timeout by more than a service time"
	e.System = overloadSetup(bound, 1, Unbounded(overloadAttempts, OverloadLimit)).Build
	return e
}

// fromStorm are the bounds of a recovery from an overload that the nodes do nothing about.
func fromStorm() []lab.Probe {
	return []lab.Probe{lab.RecoversWithin(16 * time.Second).Worst(60)}
}

// atOnce are those where they do.
func atOnce() []lab.Probe {
	return []lab.Probe{lab.RecoversWithin(2 * time.Second).Worst(2)}
}

// overload is 200 requests a second, doubled for half a minute, and two minutes to recover.
func overload(name string, steady ...lab.Probe) lab.Experiment {
	return lab.Experiment{
		Name:     name,
		Seed:     1,
		Load:     lab.Constant(200).Surge(2, 30*time.Second),
		Warmup:   5 * time.Second,
		Baseline: 10 * time.Second,
		Fault:    30 * time.Second,
		Recovery: 120 * time.Second,
		Steady:   append([]lab.Probe{lab.Availability(0.999).In(lab.PhaseBaseline)}, steady...),
	}
}
