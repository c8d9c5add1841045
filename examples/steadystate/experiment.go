package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A phase is a part of the run in which the nodes are in one state.
type phase struct {
	name       string
	start, end time.Duration
	fault      fault
}

// plan divides the run into its phases.
//
// After each fault the nodes are well for a while, so that the next one meets
// breakers that have closed again. Otherwise the second and the third fault would
// find the nodes avoided already, and only probes would ever meet them.
func plan(whole time.Duration) []phase {
	// In the default run of 38 s the shares are seconds. At 200 requests a second,
	// 5,100 of them then meet a failing fleet, and each recovery is longer than a
	// breaker stays open.
	shares := []struct {
		name  string
		share float64
		fault fault
	}{
		{"steady", 3, none},
		{"refused", 8.5, refusing},
		{"recovery 1", 3, none},
		{"hanging", 8.5, hanging},
		{"recovery 2", 3, none},
		{"slow 500s", 8.5, erring},
		{"recovery 3", 3.5, none},
	}
	const sum = 38
	var phases []phase
	at := 0.0
	for _, s := range shares {
		start := time.Duration(at / sum * float64(whole))
		at += s.share
		phases = append(phases, phase{s.name, start, time.Duration(at / sum * float64(whole)), s.fault})
	}
	return phases
}

// An outcome is what was measured in one run.
type outcome struct {
	phases   []phase
	sent     int // arrivals that had their turn
	lanes    []*lane
	watch    *watch
	lag      time.Duration // the most that a request was started late
	lagLimit time.Duration
	cause    error // why the run ended early, or nil
}

const (
	laneBare    = 0
	laneGuarded = 1
)

func (o *outcome) late() bool { return errors.Is(o.cause, errLate) }

func (o *outcome) lateness() string {
	return fmt.Sprintf("a request was started %v after it was due, more than %v: that measures this machine, not the clients",
		o.lag.Round(time.Millisecond), o.lagLimit)
}

// experiment runs the load through both clients while their nodes go through the
// phases. It ends early when ctx is done or the load is late.
func experiment(ctx context.Context, cfg config, progress io.Writer) (*outcome, error) {
	// The twins have the same service times to draw from, and the same faults.
	fleets := make([]fleet, 2)
	for i := range fleets {
		f, err := newFleet(cfg.Nodes, cfg.Seed)
		if err != nil {
			return nil, fmt.Errorf("start nodes: %w", err)
		}
		defer f.close()
		fleets[i] = f
	}

	bareHTTP, guardedHTTP := newHTTPClient(), newHTTPClient()
	defer bareHTTP.CloseIdleConnections()
	defer guardedHTTP.CloseIdleConnections()
	phases := plan(cfg.Duration)
	due := arrivals(phases, cfg.Rate, cfg.Seed)

	begin := time.Now().Add(100 * time.Millisecond) // leaves time for the little that is still to do
	watch := newWatch(begin)
	o := &outcome{phases: phases, watch: watch, lagLimit: cfg.lagLimit}
	o.lanes = []*lane{
		laneBare:    {name: "bare", get: newBare(fleets[laneBare].addrs(), cfg.Seed, bareHTTP).get},
		laneGuarded: {name: "guarded", get: newGuarded(fleets[laneGuarded].addrs(), cfg.Rate, guardedHTTP, watch).get},
	}
	for _, lane := range o.lanes {
		lane.samples = make([]sample, len(due))
	}
	l := load{
		begin: begin, due: due, lanes: o.lanes, lagLimit: cfg.lagLimit,
		// Twice what is in flight when every call waits for as long as it may.
		room: max(100, int64(2*cfg.Rate*totalLimit.Seconds())),
	}

	caller := ctx
	ctx, stop := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	beside.Go(func() {
		if err := breakThings(ctx, begin, o.phases, fleets, cfg.failing()); err != nil {
			stop(err)
		}
	})
	beside.Go(func() { o.report(ctx, begin, cfg.Nodes, progress) })
	o.sent = l.run(ctx, stop)
	o.lag = time.Duration(l.maxLag.Load())
	o.cause = context.Cause(ctx)
	stop(nil)
	beside.Wait()
	if o.cause != nil && !o.late() && caller.Err() == nil {
		return nil, o.cause
	}
	return o, nil
}

// breakThings gives the failing nodes the fault of each phase when that begins.
func breakThings(ctx context.Context, begin time.Time, phases []phase, fleets []fleet, failing int) error {
	for _, p := range phases {
		pause(ctx, time.Until(begin.Add(p.start)))
		if ctx.Err() != nil {
			return nil
		}
		for _, f := range fleets {
			if err := f.set(failing, p.fault); err != nil {
				return fmt.Errorf("phase %q: %w", p.name, err)
			}
		}
	}
	return nil
}

// report writes one line a second about what has happened in it.
func (o *outcome) report(ctx context.Context, begin time.Time, nodes int, to io.Writer) {
	var done, succeeded [2]int64
	for second := 1; ; second++ {
		at := time.Duration(second) * time.Second
		pause(ctx, time.Until(begin.Add(at)))
		if ctx.Err() != nil {
			return
		}
		fmt.Fprintf(to, "%3d s  %-10s", second, phaseAt(o.phases, at-1).name)
		for _, i := range []int{laneGuarded, laneBare} {
			d, s := o.lanes[i].done.Load(), o.lanes[i].succeeded.Load()
			fmt.Fprintf(to, "  %s %3d/%-3d", o.lanes[i].name, s-succeeded[i], d-done[i])
			done[i], succeeded[i] = d, s
		}
		fmt.Fprintf(to, "  breakers: %s\n", o.watch.states(at, nodes))
	}
}

// phaseAt returns the phase that a time belongs to; the last one has no end.
func phaseAt(phases []phase, at time.Duration) phase {
	for _, p := range phases {
		if at < p.end {
			return p
		}
	}
	return phases[len(phases)-1]
}
