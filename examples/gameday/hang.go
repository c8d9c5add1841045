package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/timeout"
)

// hang: a dependency accepts calls and never answers. Who waits for it is soon down too:
// "a single API dependency" that blocks "can rapidly (seconds or sub-second) saturate all
// available request threads" (Netflix, Fault Tolerance in a High Volume, Distributed
// System, 2012).
//
// Here it is the recommendations, which a page of the shop could do without.
func hang() lab.Experiment {
	const patience = 2 * time.Second // of a visitor, who then leaves

	// shop returns how to get a page. guard is what stands around the recommendations.
	shop := func(w *lab.World, guard steady.Policy) (lab.Call, error) {
		catalogue, recommendations := newServer(8), newServer(8)
		var inFlight atomic.Int64
		w.Gauge("pages in flight", func() float64 { return float64(inFlight.Load()) })
		return func(ctx context.Context, _ lab.Request) error {
			inFlight.Add(1)
			defer inFlight.Add(-1)
			ctx, leave := context.WithTimeout(ctx, patience)
			defer leave()
			if err := catalogue.serve(ctx, work(ctx, "catalogue", 10*time.Millisecond)); err != nil {
				return err
			}
			// A page without recommendations is still a page, so their error is no error of it.
			_ = guard.Do(ctx, func(ctx context.Context) error {
				return recommendations.serve(ctx, work(ctx, "recommendations", 10*time.Millisecond))
			})
			return ctx.Err() // not nil if the visitor has left
		}, nil
	}

	return lab.Experiment{
		Name:       "hang",
		Hypothesis: "While the recommendations hang, 99 % of the pages come, half of them as fast as ever, and no pages pile up.",
		Load:       lab.Poisson(200),
		System: func(w *lab.World) (lab.Call, error) {
			return shop(w, steady.Chain(
				// After the first five no page waits for them any more, but for the few that
				// try out whether they are back. The default, half of all calls in 30 s, would
				// have to outweigh 30 s of good ones first.
				breaker.MustNew(breaker.Config{Name: "recommendations", ConsecutiveFailures: 5, Hook: w.Hook()}),
				// And those first five wait no longer than this. It is also what tells the
				// breaker that they have failed.
				timeout.MustNew(timeout.Config{Name: "recommendations", Limit: 100 * time.Millisecond, Hook: w.Hook()}),
				w.Chaos(),
			))
		},
		Control: func(w *lab.World) (lab.Call, error) {
			return shop(w, w.Chaos()) // waits
		},
		Warmup: time.Second, Baseline: 5 * time.Second, Fault: 10 * time.Second, Recovery: 6 * time.Second,
		Faults: []chaos.Fault{{Name: "recommendations hang", Effect: chaos.Hang(), Rate: 1}},
		Steady: []lab.Probe{
			lab.Availability(0.99),
			lab.Latency(0.5, 60*time.Millisecond),
			lab.Latency(0.95, 200*time.Millisecond),
			lab.Gauge("pages in flight", lab.AtMost(60)),
		},
	}
}
