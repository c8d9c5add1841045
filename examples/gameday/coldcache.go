package main

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos/lab"
	"github.com/steady-go/steady/timeout"
)

// coldCache: a cache is emptied, by a restart or a new version of its keys, and what it
// kept away reaches the origin all at once. That is too much, so callers give up before
// their value is there, nobody stores it, and the cache stays cold. On 22 February 2022
// Slack was down for hours after cache nodes had been replaced by empty ones
// (Slack's Incident on 2-22-22).
//
// A package cache of this library is to come. Until then the little that this needs, one
// load a key, is below; what bounds the loads is a bulkhead.
func coldCache() lab.Experiment {
	const (
		keys     = 1000
		patience = 300 * time.Millisecond // of the callers
		workers  = 10                     // of the origin, 100 ms each: 100 loads a second
	)

	// shelf returns how to get a value, through a cache that is full, and is emptied. load
	// is what is done about one that is not there.
	shelf := func(w *lab.World, load func(ctx context.Context, c *memory, key int, origin loader) error) (lab.Call, error) {
		cache, origin := newMemory(keys), newServer(workers)
		w.Gauge("seconds of work in line", func() float64 { return origin.wait().Seconds() })
		w.Gauge("loads in vain", cache.inVain)
		w.Step(0, "empty the cache", func(context.Context) error { cache.empty(); return nil })
		fetch := func(ctx context.Context) error {
			return w.Chaos().Do(ctx, func(ctx context.Context) error {
				return origin.serve(ctx, work(ctx, "origin", 100*time.Millisecond))
			})
		}
		return func(ctx context.Context, _ lab.Request) error {
			ctx, leave := context.WithTimeout(ctx, patience)
			defer leave()
			// Few keys are asked for often: the first ten of them by four requests of ten.
			key := int(keys * math.Pow(steady.Random(ctx, "key", 0), 5))
			if err := sleep(ctx, time.Millisecond); err != nil || cache.has(key) {
				return err
			}
			return load(ctx, cache, key, fetch)
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
			return shelf(w, func(ctx context.Context, c *memory, key int, origin loader) error {
				return c.loadOnce(ctx, w, key, func(ctx context.Context) error { return guard.Do(ctx, origin) })
			})
		},
		Control: func(w *lab.World) (lab.Call, error) {
			return shelf(w, func(ctx context.Context, c *memory, key int, origin loader) error {
				if err := origin(ctx); err != nil {
					return err
				}
				c.store(key)
				return nil
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

// A loader gets a value from where it comes from.
type loader func(context.Context) error

// A memory is a cache without values, which nobody needs here.
type memory struct {
	mu      sync.Mutex
	stored  map[int]bool  // guarded by mu
	loading map[int]*load // guarded by mu
	vain    int           // values that were loaded and had been stored meanwhile; guarded by mu
}

// A load is under way for all who want the same value.
type load struct {
	done chan struct{}
	err  error // set before done is closed
}

// newMemory returns a cache that is full.
func newMemory(keys int) *memory {
	c := &memory{stored: map[int]bool{}, loading: map[int]*load{}}
	for key := range keys {
		c.stored[key] = true
	}
	return c
}

func (c *memory) has(key int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stored[key]
}

func (c *memory) store(key int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stored[key] {
		c.vain++
	}
	c.stored[key] = true
}

func (c *memory) inVain() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(c.vain)
}

func (c *memory) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.stored)
}

// loadOnce waits for the value of key, which is loaded once for all who wait for it. The
// load belongs to none of them: it goes on when they leave, so that its work is not in vain.
func (c *memory) loadOnce(ctx context.Context, w *lab.World, key int, load loader) error {
	l := c.begin(context.WithoutCancel(ctx), w, key, load)
	if l == nil {
		return nil
	}
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin returns the load that is under way, or begins one. It returns nil if the value has
// come since the caller looked.
func (c *memory) begin(ctx context.Context, w *lab.World, key int, from loader) *load {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.loading[key]; l != nil || c.stored[key] {
		return l
	}
	l := &load{done: make(chan struct{})}
	c.loading[key] = l
	w.Go(func() {
		if l.err = from(ctx); l.err == nil {
			c.store(key)
		}
		c.end(key, l)
	})
	return l
}

func (c *memory) end(key int, l *load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loading, key)
	close(l.done)
}
