// Command steadystate puts one hypothesis to the test on real sockets:
//
//	99.9 % availability at 200 requests a second while 20 % of the nodes fail
//
// It is an experiment of package chaos/lab. Ten HTTP servers run on loopback
// (nodes.go), and after a while in steady state two of them refuse and reset
// connections, later they hang, later still they answer slowly with errors; after each
// they recover (stages.go). A client that is guarded by this library (guarded.go) lives
// through that at the same time as a bare one (bare.go), the control, with a twin set of
// nodes of its own. Load, phases, statistics, verdict and report are the lab's.
//
// It exits with 0 if the hypothesis is met, 1 if it is not or something broke, 2
// on a wrong flag, and 3 if the run was inconclusive.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/chaos/lab"
)

const (
	// target is the availability that the hypothesis claims.
	target = 0.999

	// maxAttempts is at what price: a client that called everything twice would be
	// available too, and a danger to its nodes.
	maxAttempts = 1.1
)

// experiment returns the experiment; s counts along, and hook hears of all policies, for
// those who watch.
func experiment(c config, s *score, hook steady.Hook) lab.Experiment {
	return lab.Experiment{
		Name: "steadystate",
		Hypothesis: fmt.Sprintf("%.4g %% availability at %.4g requests a second while %.4g %% of the nodes fail, at ≤ %.4g attempts each",
			100*target, c.rate, 100*c.failing, maxAttempts),
		Seed: c.seed,
		Load: lab.Poisson(c.rate),
		System: func(w *lab.World) (lab.Call, error) {
			nodes, err := newFleet(w, c)
			if err != nil {
				return nil, err
			}
			client := newGuarded(nodes.addrs(), c.rate, newHTTPClient(w), w.Chaos(), hooks{lab: w.Hook(), watch: hook})
			w.Gauge("breakers not closed", func() float64 { return float64(c.nodes - client.breakers()[breaker.Closed]) })
			w.Go(func() { s.show(w.Context(), client.breakers) })
			return s.counted(guardedClient, client.get), nil
		},
		Control: func(w *lab.World) (lab.Call, error) {
			nodes, err := newFleet(w, c)
			if err != nil {
				return nil, err
			}
			client := newBare(nodes.addrs(), newHTTPClient(w), w.Chaos(), hook)
			return s.counted(bareClient, client.get), nil
		},
		Baseline: c.baseline(), Fault: c.fault(), Recovery: c.recovery(),
		Steady: []lab.Probe{
			// A request that is due at the very end of the baseline may meet the fault.
			lab.Availability(0.99).In(lab.PhaseBaseline),
			// The nodes also rest in the fault phase, which must not make it look better:
			// what may fail in all of it is a thousandth of what is due while they fail.
			lab.Availability(1 - (1-target)*failingShare()).In(lab.PhaseFault),
			lab.Amplification(maxAttempts),
		},
	}
}

func main() {
	// Both clients and all nodes share this process with the clock of the load. A
	// collection now and then instead of many a second keeps that clock precise.
	debug.SetGCPercent(800)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it, for the tests.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitMet
	case err != nil:
		fmt.Fprintf(stderr, "steadystate:\n%v\n", err)
		return exitUsage
	}
	s := newScore(c, stderr)
	var hook steady.Hook
	if c.listen != "" {
		w, err := newWatch(c.listen, c.control)
		if err != nil {
			fmt.Fprintln(stderr, "steadystate:", err)
			return exitNotMet
		}
		defer func() {
			fmt.Fprintf(stdout, "Still to be seen at %s, until Ctrl-C.\n", w.url)
			<-ctx.Done()
			if err := w.close(); err != nil {
				fmt.Fprintln(stderr, "steadystate:", err)
			}
		}()
		fmt.Fprintf(stdout, "Metrics: %s/metrics\nStatus:  %s/debug/steady/\n\n", w.url, w.url)
		hook = w.hook
	}
	e := experiment(c, s, hook)
	fmt.Fprintf(stdout, "Hypothesis: %s.\nNodes that fail: %d of %d. It takes %v.\n\n", e.Hypothesis, c.failingNodes(), c.nodes, c.duration)
	r := twiceIfLate(ctx, stdout, func() lab.Report {
		s.reset()
		r, _ := e.Run(ctx) // the error is among the report's reasons
		return r
	})
	claim(&r, s.metFailing(guardedClient))
	fmt.Fprintf(stdout, "\n%s\n%s", r.Text(), s)
	if err := c.save(r, stdout); err != nil {
		fmt.Fprintln(stderr, "steadystate:", err)
		return exitNotMet
	}
	return exitCode(ctx, r.Verdict)
}
