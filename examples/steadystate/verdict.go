package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

// The exit codes.
const (
	exitMet          = 0
	exitNotMet       = 1
	exitUsage        = 2
	exitInconclusive = 3
)

// enough is how many requests must have met a failing fleet before the hypothesis
// may be called met. With fewer than 4,742 a single unlucky one decides whether
// 99.9 % can be claimed at 95 % confidence.
const enough = 4800

// twiceIfLate returns the report of a run, or that of another one if the machine could not
// keep the schedule of the first. Such a run measures the machine: its good figures
// are worth as little as its bad ones. One repeat is fair; two of them mean that this is
// no machine to measure on.
func twiceIfLate(ctx context.Context, out io.Writer, run func() lab.Report) lab.Report {
	r := run()
	if r.Verdict != lab.Inconclusive || !r.Lag.Spoiled || ctx.Err() != nil {
		return r
	}
	fmt.Fprintf(out, "INCONCLUSIVE: %d requests were started too late, by up to %v: that measures this machine, not the clients. Repeating the run, once.\n",
		r.Lag.Late, r.Lag.Max.Round(time.Millisecond))
	pause(ctx, 2*time.Second) // for what kept the machine busy to pass
	return run()
}

// claim takes back that the hypothesis is met where only so many requests met a failing
// fleet.
func claim(r *lab.Report, requests int64) {
	if r.Verdict == lab.Met && requests < enough {
		r.Verdict = lab.Inconclusive
		r.Reasons = append(r.Reasons, fmt.Sprintf("too few requests to tell: %d while nodes failed, and it takes %d", requests, enough))
	}
}

func exitCode(ctx context.Context, v lab.Verdict) int {
	switch {
	case v == lab.Met:
		return exitMet
	case v == lab.Inconclusive, v == lab.Aborted && ctx.Err() != nil: // by Ctrl-C
		return exitInconclusive
	}
	return exitNotMet
}
