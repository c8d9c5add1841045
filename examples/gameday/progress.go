package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

// A progress tells once a second how a run goes.
type progress struct {
	out  io.Writer
	e    lab.Experiment
	arms [2]count // the system, and its control
}

// A count counts requests.
type count struct{ started, ended, ok atomic.Int64 }

// watched returns an experiment that is the same, and shows its progress on out.
func watched(e lab.Experiment, out io.Writer) lab.Experiment {
	p := &progress{out: out, e: e}
	build := e.System
	e.System = func(w *lab.World) (lab.Call, error) {
		w.Go(func() { p.show(w.Context()) })
		return p.counted(0, w, build)
	}
	if control := e.Control; control != nil {
		e.Control = func(w *lab.World) (lab.Call, error) { return p.counted(1, w, control) }
	}
	return e
}

// counted builds a world whose requests are counted.
func (p *progress) counted(arm int, w *lab.World, build lab.Build) (lab.Call, error) {
	call, err := build(w)
	if err != nil {
		return nil, err
	}
	c := &p.arms[arm]
	return func(ctx context.Context, r lab.Request) error {
		c.started.Add(1)
		defer c.ended.Add(1)
		err := call(ctx, r)
		if err == nil {
			c.ok.Add(1)
		}
		return err
	}, nil
}

// show shows, once a second until ctx is done, how many of the requests that ended in it
// were answered.
func (p *progress) show(ctx context.Context) {
	fmt.Fprintf(p.out, "        %-10s%-27s%s\n", "", "system", "control")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before [2]struct{ ended, ok int64 }
	for second := 1; ; second++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		line := fmt.Sprintf("%4d s  %-10s", second, p.phaseAt(time.Duration(second-1)*time.Second))
		for i := range p.arms {
			c, b := &p.arms[i], &before[i]
			// In this order: who ends in between must not be missing among those who ended.
			ok, ended, started := c.ok.Load(), c.ended.Load(), c.started.Load()
			state := fmt.Sprintf("%d/%d ok", ok-b.ok, ended-b.ended)
			if waiting := started - ended; waiting > 0 {
				state += fmt.Sprintf(", %d waiting", waiting)
			}
			b.ok, b.ended = ok, ended
			line += fmt.Sprintf("%-27s", state)
		}
		fmt.Fprintln(p.out, strings.TrimRight(line, " "))
	}
}

// phaseAt returns the phase that a time since the beginning belongs to.
func (p *progress) phaseAt(t time.Duration) lab.Phase {
	switch e := p.e; {
	case t < e.Warmup:
		return lab.PhaseWarmup
	case t < e.Warmup+e.Baseline:
		return lab.PhaseBaseline
	case t < e.Warmup+e.Baseline+e.Fault:
		return lab.PhaseFault
	}
	return lab.PhaseRecovery
}
