// Command cache puts one hypothesis to the test on real sockets:
//
//	99.9 % of the callers are answered in time while the origin is slow, fails or is gone
//
// A shop asks another service, its origin, for prices. It is an experiment of package
// chaos/lab: callers come 400 times a second, each for one of 200 prices (keys.go) and with
// 200 ms of patience. The origin (origin.go) is well, takes 400 ms, answers 503, refuses
// connections, and comes back (stages.go). Those who ask through a cache (cached.go) live through that at
// the same time as those who ask it directly (bare.go), the control, whose origin is a twin with the
// same faults. What became of them is counted by stage (score.go, table.go), and verdict.go judges it.
//
// It exits with 0 if the hypothesis is met, 1 if it is not or something broke, 2 on a
// wrong flag, and 3 if the run was inconclusive.
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
	"time"

	"github.com/steady-go/steady/chaos/lab"
)

const (
	// target is the share of the callers that get a price before their patience ends, in each
	// stage.
	target = 0.999

	// patience is how long a caller waits. It is the deadline of the context.
	patience = 200 * time.Millisecond

	// maxCalls is how many calls the origin gets for each caller, at most, failed attempts
	// and retries included. It is checked in verdict.go: as a probe of the lab it would be one
	// that the control misses even if there was no fault.
	maxCalls = 0.5
)

// experiment returns the experiment; s counts along.
func experiment(c config, s *score, n network) lab.Experiment {
	return lab.Experiment{
		Name: "cache",
		Hypothesis: fmt.Sprintf("%.4g %% answered within %v in every stage, at ≤ %.4g calls to the origin each, none older than %v",
			100*target, patience, maxCalls, fresh+c.staleIfError),
		Seed: c.seed,
		Load: lab.Poisson(c.rate),
		System: func(w *lab.World) (lab.Call, error) {
			o, err := newOrigin(w, c, n)
			if err != nil {
				return nil, err
			}
			client := newCached(c, newHTTPClient(w, n), o.addr, s.calls(cachedClient, w.Chaos()), w.Hook())
			w.Go(func() {
				<-w.Context().Done()
				client.prices.Close()
			})
			w.Go(func() { s.show(w.Context()) })
			return s.counted(cachedClient, client.get), client.warm(w.Context(), allKeys())
		},
		Control: func(w *lab.World) (lab.Call, error) {
			o, err := newOrigin(w, c, n)
			if err != nil {
				return nil, err
			}
			client := newBare(newHTTPClient(w, n), o.addr, s.calls(bareClient, w.Chaos()))
			return s.counted(bareClient, client.get), nil
		},
		Warmup: c.warmup(), Baseline: c.baseline(), Fault: c.fault(), Recovery: c.recovery(),
		Steady: []lab.Probe{
			// A request that is due at the very end of the baseline may meet the fault.
			lab.Availability(0.99).In(lab.PhaseBaseline),
			lab.Availability(target).In(lab.PhaseFault),
		},
	}
}

func main() {
	// Callers and origins share this process with the clock of the load. A
	// collection now and then instead of many a second keeps that clock precise.
	debug.SetGCPercent(800)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, loopback, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it, for the tests.
func run(ctx context.Context, n network, args []string, stdout, stderr io.Writer) int {
	c, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitMet
	case err != nil:
		fmt.Fprintf(stderr, "cache:\n%v\n", err)
		return exitUsage
	}
	s := newScore(c, stderr)
	e := experiment(c, s, n)
	fmt.Fprintf(stdout, "Hypothesis: %s.\nIt takes %v.\n\n", e.Hypothesis, c.duration)
	r := twiceIfLate(ctx, stdout, func() lab.Report {
		s.reset()
		r, _ := e.Run(ctx) // the error is among the report's reasons
		return r
	})
	claim(&r, s, fresh+c.staleIfError)
	fmt.Fprintf(stdout, "\n%s\n%s", r.Text(), s)
	if err := c.save(r, stdout); err != nil {
		fmt.Fprintln(stderr, "cache:", err)
		return exitNotMet
	}
	return exitCode(ctx, r.Verdict)
}
