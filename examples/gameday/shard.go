package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/timeout"
)

// shard: one of the shards of a database cannot be reached. Only it can answer for its
// part, so there is nothing to fail over to. But all requests that ask it wait, and take
// those with them that need no part of it. On 10 July 2019 a shard that could not elect a
// primary starved the compute resources of Stripe's API, which was down (Stripe,
// Root cause analysis: significantly elevated error rates on 2019-07-10).
//
// Here a search asks all six shards. It would rather show five sixths of what there is
// than nothing.
func shard() lab.Experiment {
	const (
		shards   = 6
		patience = time.Second // of who searches
	)

	// search returns how to search: ask says how to ask one shard, and missing how many may be
	// missing in an answer.
	search := func(w *lab.World, missing int, ask func(ctx context.Context, shard string, call func(context.Context) error) error) (lab.Call, error) {
		var servers [shards]*server
		for i := range servers {
			servers[i] = newServer(8)
		}
		var partial atomic.Int64
		w.Gauge("partial answers so far", func() float64 { return float64(partial.Load()) })
		return func(ctx context.Context, _ lab.Request) error {
			ctx, leave := context.WithTimeout(ctx, patience)
			defer leave()
			var errs [shards]error
			var all sync.WaitGroup
			for i, server := range servers {
				name := fmt.Sprintf("shard %d", i)
				all.Go(func() {
					errs[i] = ask(ctx, name, func(ctx context.Context) error {
						return w.Chaos().At(name).Do(ctx, func(ctx context.Context) error {
							return server.serve(ctx, work(ctx, name, 10*time.Millisecond))
						})
					})
				})
			}
			all.Wait()
			return judge(errs[:], missing, &partial)
		}, nil
	}

	return lab.Experiment{
		Name:       "shard",
		Hypothesis: "While one of six shards is cut off, 99 % of the searches show what the others have, nearly all of them as fast as ever.",
		Load:       lab.Poisson(100),
		System: func(w *lab.World) (lab.Call, error) {
			// One breaker a shard: that of the lost one opens, and the others do not notice. They
			// are no Peers, since none can answer for another.
			breakers := breaker.MustNewGroup(breaker.GroupConfig{
				Config: breaker.Config{Name: "shards", ConsecutiveFailures: 5, Hook: w.Hook()},
			})
			limit := timeout.MustNew(timeout.Config{Name: "shard", Limit: 100 * time.Millisecond, Hook: w.Hook()})
			return search(w, 1, func(ctx context.Context, shard string, call func(context.Context) error) error {
				return breakers.Do(ctx, shard, func(ctx context.Context) error { return limit.Do(ctx, call) })
			})
		},
		Control: func(w *lab.World) (lab.Call, error) {
			return search(w, 0, func(ctx context.Context, _ string, call func(context.Context) error) error {
				return call(ctx)
			})
		},
		Warmup: time.Second, Baseline: 5 * time.Second, Fault: 10 * time.Second, Recovery: 6 * time.Second,
		Faults: []chaos.Fault{{Name: "shard 3 is cut off", Effect: chaos.Hang(), Keys: []string{"shard 3"}, Rate: 1}},
		Steady: []lab.Probe{
			lab.Availability(0.99),
			lab.Latency(0.95, 60*time.Millisecond),
			lab.Latency(0.99, 200*time.Millisecond),
		},
	}
}

// judge returns the error of an answer of which some parts failed, and more than may be.
func judge(parts []error, missing int, partial *atomic.Int64) error {
	lost := 0
	for _, err := range parts {
		if err != nil {
			lost++
		}
	}
	if lost > missing {
		return errors.Join(parts...)
	}
	if lost > 0 {
		partial.Add(1) // and the page says so to its reader
	}
	return nil
}
