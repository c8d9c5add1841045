// Package lab runs experiments: state the hypothesis, break things on purpose,
// verify, and keep the experiment as a regression test.
package lab

import (
	"context"
	"time"

	"github.com/steady-go/steady/chaos"
)

// An Experiment is a hypothesis about the steady state of a system, and how to
// try to refute it. It is a plain value: nothing of it changes while it runs, so one
// value can be run again, with another seed, in real or in virtual time.
type Experiment struct {
	Name       string
	Hypothesis string // in one sentence
	Seed       uint64 // of all that is drawn; 0 is a seed as good as any

	Load Load // open-loop arrivals

	// System builds what is tested, afresh for each run, with its policies; Control
	// the same without them, to show that the faults bite: if it keeps the hypothesis
	// too, the verdict is Inconclusive. Both run at the same time, each in a world of
	// its own. A nil Control is left out, for runs beside production traffic.
	System  Build
	Control Build

	// The phases, one after the other. Warmup is not measured. In Baseline the
	// system must be steady, or nothing is broken. Faults are armed for Fault.
	Warmup, Baseline, Fault, Recovery time.Duration

	// Faults are injected by the world's chaos policy; their times count from the
	// beginning of the fault phase. More than that, such as killing a process, is
	// [World.Step].
	Faults []chaos.Fault

	Steady []Probe // what steady state is; all must hold in Baseline and Fault, unless they say otherwise

	// Abort are probes over a sliding AbortWindow, of the system alone, looked at
	// while things are broken: the first that is breached ends the faults at once.
	// AbortWindow 0 means 5 s.
	Abort       []Probe
	AbortWindow time.Duration

	// MaxInFlight bounds the requests under way, of each of the two. More are counted
	// as failed, and not made. 0 means 10,000.
	MaxInFlight int

	// RollbackTimeout bounds each step of the rollback. 0 means 10 s.
	RollbackTimeout time.Duration
}

// A Call makes one request to what is tested.
type Call func(ctx context.Context, r Request) error

// A Build builds what is tested in w, which is of this run alone.
type Build func(w *World) (Call, error)

// A Request is one arrival.
type Request struct {
	N     uint64        // its ordinal in the run, from 0 on
	Due   time.Duration // since the beginning of the warm-up
	Phase Phase
}
