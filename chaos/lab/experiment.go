// Package lab runs experiments on resilience: state what steady state is, and the
// hypothesis that it holds while something fails; break that on purpose; see.
//
// An [Experiment] is one value. [Experiment.Run] makes requests at the times that
// its [Load] says, whatever becomes of them, through a warm-up, a baseline in which
// nothing is broken, the fault, and the recovery from it; measures them with
// [Probe]s; and says in a [Report] whether the hypothesis held. The same value runs in
// three places: in a test in virtual time, an hour in seconds (package
// chaos/lab/labtest); against real sockets on a test machine; and, guarded, inside a
// service beside or on a share of its traffic ([Continuous], [Traffic]).
//
// It is no load generator for finding out how fast something is: it makes
// thousands of requests a second, not hundreds of thousands. Each costs a goroutine
// and 16 bytes that are kept to the end of the run.
package lab

import (
	"cmp"
	"fmt"
	"time"

	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/internal/check"
)

// An Experiment is a hypothesis about the steady state of a system, and how to
// try to refute it. It is a plain value: nothing of it changes while it runs, so one
// value can be run again, with another seed, in real or in virtual time, and by
// several goroutines at once if what System and Control share may be.
type Experiment struct {
	// Name names it in reports and their files. Required.
	Name string

	// Hypothesis is what should hold, in one sentence, for people. What is verified
	// are the probes in Steady. Required.
	Hypothesis string

	// Seed is where all draws begin. 0 is a seed as good as any.
	Seed uint64

	// Load is when requests are made. Required.
	Load Load

	// System builds what is tested, afresh for each run, with its policies; Control
	// the same without them, to show that the faults bite: if it keeps the hypothesis
	// too, the verdict is Inconclusive. Both run at the same time, each in a world of
	// its own. A nil Control is left out, for runs beside production traffic.
	System  Build
	Control Build

	// The phases, one after the other. Warmup is not measured. In Baseline, which
	// must be > 0, the system must be steady, or nothing is broken. Faults are armed for
	// Fault, which must be > 0. A system that is not watched during Recovery does not
	// show whether it recovers.
	Warmup, Baseline, Fault, Recovery time.Duration

	// Faults are injected by the world's chaos policy; their times count from the
	// beginning of the fault phase. More than that, such as killing a process, is
	// [World.Step].
	Faults []chaos.Fault

	// Steady is what steady state is. All must hold in Baseline and in Fault, unless they
	// say otherwise (see [Probe.In]). At least one.
	Steady []Probe

	// Abort are probes of the system alone over a sliding AbortWindow, looked at four
	// times a second while things are broken: the first that is breached ends the
	// faults at once. The window holds the requests that ended in it, and reaches back
	// into the baseline at first. One that has been under way for longer than the window
	// counts as failed, and as slow from the moment on at which it is.
	Abort []Probe

	// AbortWindow 0 means 5 s: long enough to hold a few hundred requests of a
	// usual load, short enough to end the harm while it is small.
	AbortWindow time.Duration

	// MaxInFlight bounds the requests under way, of each of the two. More are counted
	// as failed, and not made. 0 means 10,000.
	MaxInFlight int

	// RollbackTimeout bounds each step of the rollback. 0 means 10 s.
	RollbackTimeout time.Duration
}

const (
	defaultAbortWindow     = 5 * time.Second
	defaultMaxInFlight     = 10_000
	defaultRollbackTimeout = 10 * time.Second
)

// Seeded returns e with another seed.
func (e Experiment) Seeded(seed uint64) Experiment {
	e.Seed = seed
	return e
}

// Check returns an error that names every fault of e, or nil. Run begins with it.
func (e Experiment) Check() error {
	f := check.Config("lab: Experiment")
	f.Require(e.Name != "", "Name", "be set", `""`)
	f.Require(e.Hypothesis != "", "Hypothesis", "be set", `""`)
	e.Load.check(f, e)
	f.Require(e.System != nil || e.Load.live != nil, "System", "be set", nil)
	f.Require(e.Warmup >= 0, "Warmup", "be >= 0", e.Warmup)
	f.Require(e.Baseline > 0, "Baseline", "be > 0", e.Baseline)
	f.Require(e.Fault > 0, "Fault", "be > 0", e.Fault)
	f.Require(e.Recovery >= 0, "Recovery", "be >= 0", e.Recovery)
	_, err := chaos.New(chaos.Config{Faults: e.Faults})
	f.Join(err)
	for i, fault := range e.Faults {
		f.Require(fault.From < e.Fault || e.Fault <= 0, fmt.Sprintf("Faults[%d].From", i), "be before the end of Fault", fault.From)
	}
	f.Require(len(e.Steady) > 0, "Steady", "hold at least one probe", len(e.Steady))
	for i, p := range e.Steady {
		p.check(f, fmt.Sprintf("Steady[%d]", i), e)
	}
	for i, p := range e.Abort {
		p.checkAbort(f, fmt.Sprintf("Abort[%d]", i), e)
	}
	f.Require(e.AbortWindow >= 0, "AbortWindow", "be >= 0", e.AbortWindow)
	f.Require(e.AbortWindow == 0 || len(e.Abort) > 0, "AbortWindow", "be 0 without Abort", e.AbortWindow)
	f.Require(e.MaxInFlight >= 0, "MaxInFlight", "be >= 0", e.MaxInFlight)
	f.Require(e.RollbackTimeout >= 0, "RollbackTimeout", "be >= 0", e.RollbackTimeout)
	return f.Err()
}

func (e Experiment) plan() Plan {
	return Plan{Warmup: e.Warmup, Baseline: e.Baseline, Fault: e.Fault, Recovery: e.Recovery}
}

func (e Experiment) abortWindow() time.Duration { return cmp.Or(e.AbortWindow, defaultAbortWindow) }

// total is how long the phases last together.
func (p Plan) total() time.Duration { return p.Warmup + p.Baseline + p.Fault + p.Recovery }
