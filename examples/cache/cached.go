package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// The windows of an entry. A service would have minutes, and hours after an error; these are short so that
// one run sees all of them.
const (
	fresh                = time.Second
	staleWhileRevalidate = time.Second
	staleIfError         = 30 * time.Second // unless a flag says otherwise
)

// attemptLimit is longer than anybody waits. A load belongs to no caller: while the origin takes
// 400 ms, what it brings is there for those who come next.
const attemptLimit = time.Second

// A cached client asks the origin through a cache. Outermost first:
//
//	cache           answers from what it has, and bounds all that it loads: LoadTimeout is the
//	                total timeout, and MaxLoads the bulkhead
//	retry           a failed attempt is made up for, on a budget
//	breaker         an origin that is down is asked a few times a second, not for each key
//	attempt timeout an origin that hangs keeps no load for ever
//	calls           counts the attempts
type cached struct {
	prices *cache.Cache[string, price]
	guard  steady.Policy
	client *http.Client
	origin string
}

// newCached returns a client of the origin at an address. calls counts what reaches that, and hook hears of
// what policies refuse.
func newCached(c config, client *http.Client, origin string, calls steady.Policy, hook steady.Hook) *cached {
	return &cached{
		prices: cache.MustNew[string, price](cache.Config{
			Name:                 "prices",
			MaxEntries:           10 * keyCount,
			Fresh:                fresh,
			StaleWhileRevalidate: staleWhileRevalidate,
			StaleIfError:         c.staleIfError,
			LoadTimeout:          3 * time.Second,
			// Well above what is under way while the origin is slow, and few enough for it to
			// bear when it comes back.
			MaxLoads: 100,
			Hook:     hook,
		}),
		guard: steady.Chain(
			retry.MustNew(retry.Config{
				Name:     "prices",
				Attempts: 2,
				// A retry waits for a breaker that will be open for no longer than this. Here that would be in
				// vain: while it is open callers should get what the cache has, at once.
				MaxDelay: 50 * time.Millisecond,
			}),
			breaker.MustNew(breaker.Config{
				Name: "prices",
				// There is one origin: ten failures in a row are no accident, however many
				// good calls there were before.
				ConsecutiveFailures: 10,
				// Short, because here a probe costs nobody anything: its caller gets what the
				// cache has.
				OpenFor:    500 * time.Millisecond,
				MaxOpenFor: 500 * time.Millisecond,
				// The cache asks once for each key, and MaxLoads bounds these. That is gentle
				// enough.
				Ramp: breaker.Off,
				Hook: hook,
			}),
			timeout.MustNew(timeout.Config{Name: "attempt", Limit: attemptLimit}),
			calls,
		),
		client: client,
		origin: origin,
	}
}

// get returns a price.
func (c *cached) get(ctx context.Context, key string) (price, cache.Source, error) {
	p, meta, err := c.prices.Get(ctx, key, func(ctx context.Context) (price, error) {
		prices, err := c.load(ctx, []string{key})
		if err != nil {
			return price{}, err
		}
		p, ok := prices[key]
		if !ok {
			return price{}, cache.NotFound(fmt.Errorf("%s has no price", key))
		}
		return p, nil
	})
	return p, meta.Source, err
}

// warm fills the cache, in one call to the origin, before anybody asks.
func (c *cached) warm(ctx context.Context, keys []string) error {
	_, err := c.prices.GetMany(ctx, keys, c.load)
	return err
}

// load asks the origin.
func (c *cached) load(ctx context.Context, keys []string) (map[string]price, error) {
	return steady.DoValue(ctx, c.guard, func(ctx context.Context) (map[string]price, error) {
		return fetch(ctx, c.client, c.origin, keys...)
	})
}
