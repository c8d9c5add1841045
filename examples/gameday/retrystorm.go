package main

import (
	"context"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// retryStorm: for three seconds more comes than a server can do. Its callers time out and
// try again, so that still more comes, and this goes on when the trigger has long passed:
// each is tried four times because each is tried four times (Bronson et al., Metastable
// Failures in Distributed Systems, HotOS 2021). In September 2015 a short disturbance of
// the network kept DynamoDB down for hours, until its requests to the overloaded
// metadata service were paused (AWS, Summary of the Amazon DynamoDB Service Disruption).
func retryStorm() lab.Experiment {
	// client returns how to call the server, with so many retries.
	client := func(w *lab.World, budget *retry.Budget) (lab.Call, error) {
		store := newServer(5) // of 20 ms each: 250 calls a second
		w.Gauge("seconds of work in line", func() float64 { return store.wait().Seconds() })
		policies := steady.Chain(
			retry.MustNew(retry.Config{Name: "store", Attempts: 4, Budget: budget, Hook: w.Hook()}),
			timeout.MustNew(timeout.Config{Name: "store", Limit: 200 * time.Millisecond, Hook: w.Hook()}),
			w.Chaos(),
		)
		return func(ctx context.Context, _ lab.Request) error {
			return policies.Do(ctx, func(ctx context.Context) error {
				return store.serve(ctx, work(ctx, "store", 20*time.Millisecond))
			})
		}, nil
	}

	return lab.Experiment{
		Name:       "retrystorm",
		Hypothesis: "When the load has tripled for 3 s, all is well 6 s after that, and there were never more than 1.2 attempts a call.",
		Load:       lab.Poisson(120).Surge(3, 3*time.Second),
		System: func(w *lab.World) (lab.Call, error) {
			// The defaults: 35 retries in hand, and one more for every 14 calls that succeed.
			// Single failures are made up for. When everything fails there is nothing to retry
			// with, which is right, since the retries would fail too.
			return client(w, retry.MustNewBudget(retry.BudgetConfig{}))
		},
		Control: func(w *lab.World) (lab.Call, error) {
			// The same attempts with the same backoff and jitter. That spreads the storm out in
			// time, and makes it no smaller.
			return client(w, retry.NoBudget)
		},
		Warmup: time.Second, Baseline: 5 * time.Second, Fault: 3 * time.Second, Recovery: 15 * time.Second,
		Steady: []lab.Probe{
			lab.Availability(0.99).In(lab.PhaseBaseline),
			lab.Amplification(1.2).In(lab.PhaseFault, lab.PhaseRecovery),
			lab.RecoversWithin(6 * time.Second),
		},
	}
}
