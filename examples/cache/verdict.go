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

// claim takes back that the hypothesis is met where a stage by itself, the age of an answer or the calls to
// the origin say otherwise. The lab has judged the availability of the fault phase as a whole, in which the rests
// between faults could make up for these.
func claim(r *lab.Report, s *score, oldest time.Duration) {
	if r.Verdict != lab.Met {
		return
	}
	for _, one := range stages[firstSteady:] {
		c := s.sum(cachedClient, only(one))
		if float64(c.ok()) < target*float64(c.ended) {
			deviated(r, "%s: %s were answered in time", one.name, percent(c.ok(), c.ended))
		}
		// The cache counts from the end of a load, the age from what the origin said shortly before.
		if c.oldest > oldest+attemptLimit {
			deviated(r, "%s: an answer was %v old", one.name, c.oldest)
		}
	}
	all := s.sum(cachedClient, func(one stage) bool { return one != stages[0] })
	if float64(all.calls) > maxCalls*float64(all.ended) {
		deviated(r, "the origin got %d calls for %d callers", all.calls, all.ended)
	}
}

func deviated(r *lab.Report, format string, args ...any) {
	r.Verdict = lab.Deviated
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
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
