package main

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/timeout"
)

// coldCache: a cache is emptied, by a restart or a new version of its keys, and what it
// kept away reaches the origin all at once. That is too much, so callers give up before
// their value is there, nobody stores it, and the cache stays cold. On 22 February 2022
// Slack was down for hours after cache nodes had been replaced by empty ones
// (Slack's Incident on 2-22-22).
//
// What is guarded loads a key once for all who ask for it, and the load goes on when its
// caller leaves, so that its work is not in vain. The control is a cache that everybody fills for himself.
func coldCache() lab.Experiment {
	const (
		keys     = 1000
		patience = 300 * time.Millisecond // of the callers
		workers  = 10                     // of the origin, 100 ms each: 100 loads a second
	)

	// shelf returns how to get a value, through a cache that is full, and is emptied. get
	// is how it is asked.
	shelf := func(w *lab.World, get func(ctx context.Context, c *shelfCache, key int, origin loader) error) (lab.Call, error) {
		c, origin := cache.MustNew[int, struct{}](cache.Config{
			Name: "shelf", MaxEntries: keys, Fresh: time.Hour, LoadTimeout: time.Second, Hook: w.Hook(),
		}), newServer(workers)
		for key := range keys {
			c.Set(key, struct{}{})
		}
		var vain atomic.Int64 // values that were loaded and had been stored meanwhile
		w.Gauge("seconds of work in line", func() float64 { return origin.wait().Seconds() })
		w.Gauge("loads in vain", func() float64 { return float64(vain.Load()) })
		w.Step(0, "empty the cache", func(context.Context) error { c.InvalidateAll(); return nil })
		return func(ctx context.Context, _ lab.Request) error {
			ctx, leave := context.WithTimeout(ctx, patience)
			defer leave()
			// Few keys are asked for often: the first ten of them by four requests of ten.
			key := int(keys * math.Pow(steady.Random(ctx, "key", 0), 5))
			if err := sleep(ctx, time.Millisecond); err != nil {
				return err
			}
			return get(ctx, c, key, func(ctx context.Context) (struct{}, error) {
				err := w.Chaos().Do(ctx, func(ctx context.Context) error {
					return origin.serve(ctx, work(ctx, "origin", 100*time.Millisecond))
				})
				if _, _, stored := c.Peek(key); stored && err == nil {
					vain.Add(1)
				}
				return struct{}{}, err
			})
		}, nil
	}

	return lab.Experiment{
		Name:       "coldcache",
		Hypothesis: "5 s after the cache was emptied 99 % of the requests are answered again, the origin never has more than half a second of work in line, and loads nothing twice.",
		Load:       lab.Poisson(300),
		System: func(w *lab.World) (lab.Call, error) {
			guard := steady.Chain(
				// As many loads at once as the origin has workers. A few wait for their turn, not for longer
				// than fits into the callers' patience; the others fail at once, and their
				// callers' next request finds a shorter line.
				bulkhead.MustNew(bulkhead.Config{
					Name: "origin", Limit: workers, Queue: 20, MaxWait: 150 * time.Millisecond, Hook: w.Hook(),
				}),
				timeout.MustNew(timeout.Config{Name: "origin", Limit: 500 * time.Millisecond, Hook: w.Hook()}),
			)
			return shelf(w, func(ctx context.Context, c *shelfCache, key int, origin loader) error {
				_, _, err := c.Get(ctx, key, func(ctx context.Context) (struct{}, error) {
					return steady.DoValue(ctx, guard, origin)
				})
				return err
			})
		},
		Control: func(w *lab.World) (lab.Call, error) {
			return shelf(w, func(ctx context.Context, c *shelfCache, key int, origin loader) error {
				if _, _, stored := c.Peek(key); stored {
					return nil
				}
				v, err := origin(ctx)
				if err == nil {
					c.Set(key, v)
				}
				return err
			})
		},
		Warmup: time.Second, Baseline: 5 * time.Second, Fault: time.Second, Recovery: 15 * time.Second,
		Steady: []lab.Probe{
			lab.Availability(0.99).In(lab.PhaseBaseline),
			lab.RecoversWithin(4 * time.Second), // after the fault phase, which lasts for a second
			lab.Gauge("seconds of work in line", lab.AtMost(0.5)).In(lab.PhaseFault, lab.PhaseRecovery),
			lab.Gauge("loads in vain", lab.AtMost(0)).In(lab.PhaseFault, lab.PhaseRecovery),
		},
	}
}

// A shelfCache has keys without values, which nobody needs here.
type shelfCache = cache.Cache[int, struct{}]

// A loader gets a value from where it comes from.
type loader = func(context.Context) (struct{}, error)
