package traps

import (
	"context"
	"errors"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

var steadyLibrary = Library{
	Name:     Ours,
	Module:   "github.com/steady-go/steady",
	Breaker:  newSteadyBreaker,
	Bulkhead: newSteadyBulkhead,
	Retry:    newSteadyRetry,
	Timeout:  newSteadyTimeout,
	Cache:    newSteadyCache,
	Nonsense: map[Policy][]Nonsense{
		BreakerPolicy: {
			{"a failure ratio of 1.5", func() error { _, err := breaker.New(breaker.Config{FailureRatio: 1.5}); return err }},
			{"a negative open time", func() error { _, err := breaker.New(breaker.Config{OpenFor: -time.Second}); return err }},
			{"a negative window", func() error { _, err := breaker.New(breaker.Config{Window: -time.Second}); return err }},
			{"no way to open", func() error { _, err := breaker.New(breaker.Config{FailureRatio: breaker.Off}); return err }},
		},
		BulkheadPolicy: {
			{"a limit of 0", func() error { _, err := bulkhead.New(bulkhead.Config{}); return err }},
			{"a limit of -1", func() error { _, err := bulkhead.New(bulkhead.Config{Limit: -1}); return err }},
			{"a negative wait", func() error {
				_, err := bulkhead.New(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: -time.Second})
				return err
			}},
		},
		RetryPolicy: {
			{"-5 attempts", func() error { _, err := retry.New(retry.Config{Attempts: -5}); return err }},
			{"a negative delay", func() error { _, err := retry.New(retry.Config{Delay: -time.Second}); return err }},
			{"a longest delay below the first", func() error {
				_, err := retry.New(retry.Config{Delay: time.Minute, MaxDelay: time.Second})
				return err
			}},
		},
		TimeoutPolicy: {
			{"a limit of 0", func() error { _, err := timeout.New(timeout.Config{}); return err }},
			{"a negative limit", func() error { _, err := timeout.New(timeout.Config{Limit: -time.Second}); return err }},
		},
		CachePolicy: {
			{"room for 0 entries", func() error { return cacheOf(cache.Config{Fresh: cacheFresh, LoadTimeout: loadTimeout}) }},
			{"room for -1 entries", func() error {
				return cacheOf(cache.Config{MaxEntries: -1, Fresh: cacheFresh, LoadTimeout: loadTimeout})
			}},
			{"a negative time", func() error {
				return cacheOf(cache.Config{MaxEntries: 100, Fresh: -cacheFresh, LoadTimeout: loadTimeout})
			}},
			{"jitter of 110 percent", func() error {
				return cacheOf(cache.Config{MaxEntries: 100, Fresh: cacheFresh, LoadTimeout: loadTimeout, Jitter: 1.1})
			}},
		},
	},
}

type steadyBreaker struct{ *breaker.Breaker }

func (b steadyBreaker) State() string { return b.Breaker.State().String() }
func (b steadyBreaker) Failures() int { return int(b.Stats().Failures) }

func newSteadyBreaker(c BreakerConfig) (Breaker, error) {
	config := breaker.Config{OpenFor: openFor, Probes: probes, Window: window}
	if c.Failures > 0 {
		config.FailureRatio, config.ConsecutiveFailures = breaker.Off, c.Failures
	} else {
		config.FailureRatio, config.MinCalls = c.Ratio, c.MinCalls
	}
	if c.Excluded != nil {
		config.Classify = func(err error) steady.Outcome {
			if errors.Is(err, c.Excluded) {
				return steady.Ignored
			}
			return steady.Failure
		}
	}
	if c.OnChange != nil {
		config.Hook = steady.HookFunc(func(_ context.Context, e steady.Event) {
			if e.Kind == steady.KindState && e.From != "" {
				c.OnChange()
			}
		})
	}
	b, err := breaker.New(config)
	return steadyBreaker{b}, err
}

type steadyBulkhead struct{ *bulkhead.Bulkhead }

func (b steadyBulkhead) Acquire(ctx context.Context) (release func(), err error) {
	p, err := b.Bulkhead.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return p.Release, nil
}

func newSteadyBulkhead(c BulkheadConfig) (Bulkhead, error) {
	config := bulkhead.Config{Limit: c.Limit, MaxWait: c.MaxWait}
	if c.MaxWait > 0 {
		config.Queue = 1000
	}
	b, err := bulkhead.New(config)
	return steadyBulkhead{b}, err
}

// A steadyRetry always jitters.
type steadyRetry struct {
	*retry.Retry
	heard []time.Duration
}

func newSteadyRetry(c RetryConfig) (Retry, error) {
	r := &steadyRetry{}
	config := retry.Config{Attempts: c.Attempts, Delay: c.Delay, MaxDelay: c.MaxDelay}
	if !c.Budget {
		config.Budget = retry.NoBudget
	}
	config.Hook = steady.HookFunc(func(_ context.Context, e steady.Event) {
		if e.Kind != steady.KindRetry {
			return
		}
		if c.OnRetry != nil {
			c.OnRetry()
			return
		}
		if c.MaxDelay == 0 { // a scenario that asks for the delays makes one call at a time
			r.heard = append(r.heard, e.Delay)
		}
	})
	var err error
	r.Retry, err = retry.New(config)
	return r, err
}

func (r *steadyRetry) Do(ctx context.Context, call func(context.Context) error) error {
	return r.Retry.Do(ctx, func(ctx context.Context) error {
		err := call(ctx)
		if e, ok := err.(*RetryAfterError); ok {
			return steady.RetryAfter(e, e.After)
		}
		return err
	})
}

func (r *steadyRetry) Delays(n int) []time.Duration {
	_ = r.Do(context.Background(), down)
	return r.heard[:n]
}

type steadyTimeout struct{ *timeout.Timeout }

func (steadyTimeout) TimedOut(err error) bool { return errors.Is(err, timeout.ErrExceeded) }

func newSteadyTimeout(c TimeoutConfig) (Timeout, error) {
	t, err := timeout.New(timeout.Config{Limit: c.Limit, Abandon: c.Mode == Abandons})
	return steadyTimeout{t}, err
}

type steadyCache struct{ *cache.Cache[string, string] }

func newSteadyCache(CacheConfig) (Cache, error) {
	c, err := cache.New[string, string](cache.Config{MaxEntries: 100, Fresh: cacheFresh, LoadTimeout: loadTimeout})
	return steadyCache{c}, err
}

func (c steadyCache) Get(ctx context.Context, key string, load func(context.Context) (string, error)) (string, error) {
	v, _, err := c.Cache.Get(ctx, key, load)
	return v, err
}

func (c steadyCache) Invalidate(key string) { c.Cache.Invalidate(key) }

// cacheOf makes a cache.
func cacheOf(c cache.Config) error {
	_, err := cache.New[string, string](c)
	return err
}
