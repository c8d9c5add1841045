package traps

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// A Cache is what loads and keeps values in some library. It may hold a hundred, for an hour.
type Cache interface {
	Get(ctx context.Context, key string, load func(context.Context) (string, error)) (string, error)
	Invalidate(key string)
}

// A CacheConfig is what a scenario needs of a cache.
type CacheConfig struct {
	Remedy bool // turn on the options that Remedies names
}

// How long an entry of a cache is good, and how long a load may take where that can be set.
const (
	cacheFresh  = time.Hour
	loadTimeout = 10 * time.Second
)

// caching makes a scenario of a test of a cache.
func caching(test func(Cache) Result) func(Library, bool) Result {
	return func(l Library, remedy bool) Result {
		c, err := l.Cache(CacheConfig{Remedy: remedy})
		if err != nil {
			return notMade(err)
		}
		return test(c)
	}
}

// An origin is what a cache loads from.
type origin struct {
	calls atomic.Int64
	takes time.Duration
}

// load obeys its context, and returns the number of the call.
func (o *origin) load(ctx context.Context) (string, error) {
	n := o.calls.Add(1)
	select {
	case <-time.After(o.takes):
		return strconv.FormatInt(n, 10), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

var cacheScenarios = []Scenario{
	{
		ID: "2b", Policy: CachePolicy, Name: "load that never returns",
		Promise: "A load that never returns does not keep its key for ever: an hour later a Get loads it.",
		Run: caching(func(c Cache) Result {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			go func() {
				_, _ = c.Get(ctx, "a", func(context.Context) (string, error) { select {} })
			}()
			time.Sleep(time.Hour)
			ctx, cancel = context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			var got atomic.Value
			go func() {
				v, _ := c.Get(ctx, "a", func(context.Context) (string, error) { return "well", nil })
				got.Store(v)
			}()
			time.Sleep(2 * time.Hour)
			if got.Load() != "well" {
				return fail("an hour later a Get waits for it still")
			}
			return pass("the next Get loads")
		}),
	},
	{
		ID: "15e", Policy: CachePolicy, Name: "nonsense",
		Promise: "A configuration that cannot work is refused, not accepted or clamped in silence.",
		Run:     refusesNonsense(CachePolicy),
	},
	{
		ID: "23e", Policy: CachePolicy, Name: "waiting that ignores the context",
		Promise: "A caller whose deadline passes gets its answer then, although the load that it waits for ignores that.",
		Run: caching(func(c Cache) Result {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			start := time.Now()
			_, _ = c.Get(ctx, "a", func(context.Context) (string, error) { time.Sleep(time.Minute); return "late", nil })
			if waited := time.Since(start); waited > time.Second {
				return fail("keeps its caller for %v after its deadline", waited-time.Second)
			}
			return pass("at once")
		}),
	},
	{
		ID: "35a", Policy: CachePolicy, Name: "first caller's cancel",
		Promise: "When the caller for whom a load began leaves, those who wait for the same key still get the value.",
		Run: caching(func(c Cache) Result {
			o := origin{takes: time.Second}
			ctx, cancel := context.WithCancel(context.Background())
			go func() { _, _ = c.Get(ctx, "a", o.load) }()
			synctest.Wait()
			var failed atomic.Int64
			for range 10 {
				go func() {
					if _, err := c.Get(context.Background(), "a", o.load); err != nil {
						failed.Add(1)
					}
				}()
			}
			synctest.Wait()
			cancel()
			time.Sleep(time.Minute)
			if n := failed.Load(); n > 0 {
				return fail("%d of 10 who wait fail, because the first has left", n)
			}
			if n := o.calls.Load(); n > 1 {
				return fail("all get the value, but of %d loads", n)
			}
			return pass("one load")
		}),
	},
	{
		ID: "35b", Policy: CachePolicy, Name: "impatient callers",
		Promise: "Callers who each wait for 50 ms, one after the other, are answered by one load of 100 ms.",
		Run: caching(func(c Cache) Result {
			o := origin{takes: 100 * time.Millisecond}
			answered := 0
			for range 20 {
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				if _, err := c.Get(ctx, "a", o.load); err == nil {
					answered++
				}
				cancel()
			}
			if answered < 18 || o.calls.Load() > 1 {
				return fail("%d of 20 are answered, by %d loads", answered, o.calls.Load())
			}
			return pass("%d of 20 are answered, by one load", answered)
		}),
	},
	{
		ID: "36a", Policy: CachePolicy, Name: "invalidated while it loads",
		Promise: "A value that was read before the key was invalidated is not what a later Get returns.",
		Run: caching(func(c Cache) Result {
			o := origin{takes: time.Second}
			go func() { _, _ = c.Get(context.Background(), "a", o.load) }()
			time.Sleep(500 * time.Millisecond)
			c.Invalidate("a")
			time.Sleep(time.Minute)
			if v, err := c.Get(context.Background(), "a", o.load); err != nil || v != "2" {
				return fail("returns what was read before (value %q, error %v)", v, err)
			}
			return pass("loads anew")
		}),
	},
	{
		ID: "36b", Policy: CachePolicy, Name: "failing load runs twice",
		Promise: "A load that fails is called once for a Get, and its error comes back.",
		Run: caching(func(c Cache) Result {
			calls := 0
			_, err := c.Get(context.Background(), "a", func(context.Context) (string, error) { calls++; return "", errDown })
			if calls != 1 || !errors.Is(err, errDown) {
				return fail("calls it %d times and returns %v", calls, err)
			}
			return pass("once")
		}),
		Broken: &Library{Cache: newInsistingCache},
	},
}
