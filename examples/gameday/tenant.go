package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/timeout"
)

// tenant: one of the tenants that share a database sends queries that no index helps. They
// take all connections and most of the disk, and nine others, who have done nothing, are
// down (AWS, Workload isolation using shuffle-sharding, Amazon Builders' Library).
//
// The requests that are measured are those of the nine. The poison comes beside them.
func tenant() lab.Experiment {
	const poisoned = "tenant 9"
	names := make([]string, 9)
	for i := range names {
		names[i] = fmt.Sprintf("tenant %d", i)
	}

	// database returns how to query. isolate is what stands before the connections.
	database := func(w *lab.World, isolate func(ctx context.Context, tenant string, call func(context.Context) error) error) (lab.Call, error) {
		connections := bulkhead.MustNew(bulkhead.Config{
			Name: "connections", Limit: 40, Queue: 100, MaxWait: 300 * time.Millisecond, Hook: w.Hook(),
		})
		limit := timeout.MustNew(timeout.Config{Name: "query", Limit: time.Second, Hook: w.Hook()})
		var scans atomic.Int64
		w.Gauge("scans under way", func() float64 { return float64(scans.Load()) })

		run := func(ctx context.Context, tenant string) error {
			if tenant == poisoned {
				scans.Add(1)
				defer scans.Add(-1)
				return sleep(ctx, time.Minute)
			}
			d := work(ctx, "query", 10*time.Millisecond)
			return sleep(ctx, d+d*time.Duration(scans.Load())/2) // each scan takes its share of the disk
		}
		query := func(ctx context.Context, tenant string) error {
			return isolate(ctx, tenant, func(ctx context.Context) error {
				return steady.Chain(connections, limit, w.Chaos().At(tenant)).Do(ctx, func(ctx context.Context) error { return run(ctx, tenant) })
			})
		}

		w.Step(0, poisoned+" begins a report", func(ctx context.Context) error {
			for n := uint64(0); sleep(ctx, 10*time.Millisecond) == nil; n++ {
				w.Go(func() { _ = query(ctx, poisoned) })
			}
			return nil
		})
		return func(ctx context.Context, r lab.Request) error {
			return query(ctx, names[r.N%uint64(len(names))])
		}, nil
	}

	return lab.Experiment{
		Name:       "tenant",
		Hypothesis: "While one tenant sends 100 endless queries a second, 99 % of the queries of the others are answered, half of them as fast as ever.",
		Load:       lab.Poisson(180),
		System: func(w *lab.World) (lab.Call, error) {
			// No tenant has more than a fifth of the connections. Who needs more has to wait for
			// its own queries, not for those of others.
			shares := map[string]*bulkhead.Bulkhead{}
			for _, name := range append(names, poisoned) {
				shares[name] = bulkhead.MustNew(bulkhead.Config{Name: name, Limit: 8, Hook: w.Hook()})
			}
			// And whose queries do nothing but fail is stopped for a while, which gives the
			// others the disk back.
			breakers := breaker.MustNewGroup(breaker.GroupConfig{
				Config: breaker.Config{Name: "tenants", ConsecutiveFailures: 5, Hook: w.Hook()},
			})
			return database(w, func(ctx context.Context, tenant string, call func(context.Context) error) error {
				return shares[tenant].Do(ctx, func(ctx context.Context) error {
					return breakers.Do(ctx, tenant, call)
				})
			})
		},
		Control: func(w *lab.World) (lab.Call, error) {
			return database(w, func(ctx context.Context, _ string, call func(context.Context) error) error {
				return call(ctx) // all share the connections
			})
		},
		Warmup: time.Second, Baseline: 5 * time.Second, Fault: 10 * time.Second, Recovery: 6 * time.Second,
		Steady: []lab.Probe{
			lab.Availability(0.99),
			lab.Latency(0.5, 25*time.Millisecond),
			lab.Latency(0.99, 200*time.Millisecond),
			lab.Gauge("scans under way", lab.AtMost(10)),
		},
	}
}
