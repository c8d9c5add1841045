package steadyotel_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/steadyotel"
)

// users is a cache whose windows are of a minute, ten and an hour, with no jitter.
func users(h steady.Hook) *cache.Cache[string, int] {
	return cache.MustNew[string, int](cache.Config{
		Name: "users", MaxEntries: 3, Fresh: time.Minute, StaleWhileRevalidate: 10 * time.Minute, StaleIfError: time.Hour, NegativeFor: time.Minute,
		RefreshAhead: cache.NoRefreshAhead, Jitter: cache.NoJitter, LoadTimeout: 10 * time.Second, MaxLoads: 2, Hook: h,
	})
}

// after returns a load that takes d, and has that error.
func after(d time.Duration, err error) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { time.Sleep(d); return 1, err }
}

// Planted: cache.go: no age of a stale answer, an age of one that was loaded, a duration of a hit → red.
func TestAnswersOfACacheByWhereTheyCameFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		c := users(h)
		get := func(key string, load func(context.Context) (int, error)) { _, _, _ = c.Get(t.Context(), key, load) }
		get("a", after(time.Second, nil)) // loaded
		time.Sleep(30 * time.Second)
		get("a", nil) // fresh
		get("a", nil)
		time.Sleep(5 * time.Minute)
		get("a", after(0, errBoom)) // stale
		synctest.Wait()
		time.Sleep(30 * time.Minute)
		get("a", after(2*time.Second, errBoom)) // stale on error
		get("b", after(3*time.Second, errBoom)) // none
		get("c", after(0, cache.ErrNotFound))   // loaded, in a way
		time.Sleep(7 * time.Second)
		get("c", nil) // negative
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := c.Get(ctx, "d", nil)
		require.ErrorIs(t, err, context.Canceled)

		m := collect()
		require.Equal(t, map[string]float64{
			"cache/users/source=loaded": 2, "cache/users/source=fresh": 2, "cache/users/source=stale": 1,
			"cache/users/source=stale on error": 1, "cache/users/source=none": 1, "cache/users/source=negative": 1,
		}, m.points("steady.cache.requests"))
		require.Equal(t, map[string]float64{"cache/users/reason=context": 1}, m.points("steady.call.rejections"))
		require.Equal(t, map[string]float64{
			"cache/users/source=fresh": 60, "cache/users/source=stale": 330,
			"cache/users/source=stale on error": 2132, "cache/users/source=negative": 7,
		}, m.points("steady.cache.age"))
		require.Equal(t, map[string]float64{
			"cache/users/outcome=success": 1 + 2 + 0, "cache/users/error.type=_OTHER/outcome=failure": 3,
		}, m.points("steady.call.duration"), "seconds, of those who waited")
		require.Equal(t, 3, m.counts("steady.call.duration")["cache/users/outcome=success"])
	})
}

// Planted: hook.go: an abandoned load is none; cache.go: no reason → red.
func TestLoadsOfACacheByWhatBecameOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		c := users(h)
		get := func(key string, load func(context.Context) (int, error)) { _, _, _ = c.Get(t.Context(), key, load) }
		open := breaker.MustNew(breaker.Config{})
		open.ForceOpen()
		get("a", after(time.Second, nil))
		time.Sleep(2 * time.Minute)
		get("a", after(2*time.Second, errBoom)) // in the background
		get("b", after(0, cache.ErrNotFound))
		get("c", func(context.Context) (int, error) { panic("boom") })
		get("c", func(ctx context.Context) (int, error) { return steady.DoValue(ctx, open, after(0, nil)) })
		get("c", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }) // takes 10 s
		get("c", after(time.Minute, nil))                                                      // ignores its context
		synctest.Wait()                                                                        // who waits for a load may be told before the hook is
		m := collect()
		require.Equal(t, map[string]int{
			"cache/users/outcome=success/reason=miss":                      2,
			"cache/users/error.type=_OTHER/outcome=failure/reason=refresh": 1,
			"cache/users/error.type=panic/outcome=failure/reason=miss":     1,
			"cache/users/error.type=rejected/outcome=ignored/reason=miss":  1,
			"cache/users/error.type=timeout/outcome=failure/reason=miss":   2,
		}, m.counts("steady.cache.loads"))
		require.Equal(t, map[string]float64{"cache/users": 1}, m.points("steady.abandoned.calls"))
		require.Equal(t, map[string]float64{"cache/users": 1}, m.points("steady.abandoned.running"))
		time.Sleep(time.Minute)
		m = collect()
		require.Equal(t, map[string]float64{"cache/users": 60}, m.points("steady.abandoned.duration"))
		require.Equal(t, map[string]float64{"cache/users": 0}, m.points("steady.abandoned.running"))
		require.Equal(t, 2, m.counts("steady.cache.loads")["cache/users/error.type=timeout/outcome=failure/reason=miss"], "once each")
	})
}

func TestWhatACacheHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		c := users(h)
		for n := range 5 {
			c.Set(fmt.Sprint(n), n)
		}
		time.Sleep(24 * time.Hour)
		c.Set("another", 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, key := range []string{"x", "y"} {
			go func() { _, _, _ = c.Get(ctx, key, after(time.Second, nil)) }()
		}
		synctest.Wait()
		_, _, err := c.Get(t.Context(), "z", after(0, nil))
		require.ErrorIs(t, err, cache.ErrOverloaded)
		m := collect()
		for name, want := range map[string]float64{
			"steady.cache.entries": 3, "steady.cache.entries.limit": 3, "steady.in_flight": 2, "steady.in_flight.limit": 2, "steady.timeout.limit": 10,
		} {
			require.Equal(t, map[string]float64{"cache/users": want}, m.points(name), name)
		}
		require.Equal(t, map[string]float64{"cache/users/reason=room": 2, "cache/users/reason=expired": 1}, m.points("steady.cache.evictions"))
		require.Equal(t, map[string]float64{"cache/users/reason=overloaded": 1}, m.points("steady.call.rejections"))
		c.Close()
		runtime.KeepAlive(c)
	})
}

// Planted: hook.go: a hit is on the span too, or a load that somebody waited for, whose span may have ended when it is told of → more
// events.
func TestASpanTellsWhatACacheMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := metered(t, steadyotel.Config{})
		c := users(h)
		events := traced(t, func(ctx context.Context) {
			ctx = steady.ContextWithSource(ctx, half{})
			_, _, _ = c.Get(ctx, "a", after(time.Second, nil))
			_, _, _ = c.Get(ctx, "a", nil)
			time.Sleep(2 * time.Minute)
			_, _, _ = c.Get(ctx, "a", after(time.Second, errBoom))
			time.Sleep(time.Hour)
			for n := range 3 { // evicts
				c.Set(fmt.Sprint(n), n)
				_, _, _ = c.Get(ctx, fmt.Sprint(n), nil)
			}
			c.Set("a", 1)
			time.Sleep(30 * time.Minute)
			_, meta, err := c.Get(ctx, "a", after(time.Second, errBoom))
			require.NoError(t, err)
			require.Equal(t, cache.StaleOnError, meta.Source)
			synctest.Wait()
		})
		require.Len(t, events, 2)
		require.Equal(t, "steady.loaded steady.policy=cache steady.name=users steady.reason=refresh steady.duration=1 error.message=boom", events[0])
		require.Contains(t, events[1], "steady.done steady.policy=cache steady.name=users steady.source=stale on error steady.age=1801 steady.duration=1")
	})
}

// What a source may be is said by package cache, and not known here.
func TestSourcesAreBounded(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{ErrorType: func(err error) string { return err.Error() }})
	on := func(reason string, err error) {
		h.On(t.Context(), steady.Event{Kind: steady.KindDone, Policy: "cache", Name: "users", Outcome: steady.Failure, Reason: reason, Err: err})
	}
	for n := range 150 {
		on("none", fmt.Errorf("error %d", n))
	}
	on("stale", nil)
	require.EqualValues(t, 1, collect().points("steady.cache.requests")["cache/users/source=stale"], "errors take no room from sources")
	for n := range 1000 {
		on(fmt.Sprint(n), nil)
	}
	m := collect()
	require.Len(t, m.points("steady.cache.requests"), 101)
	require.EqualValues(t, 1000-98, m.points("steady.cache.requests")["cache/users/source=_OTHER"], "nothing is lost")
}

func TestOfACacheTooNothingIsAllocated(t *testing.T) {
	h := steadyotel.MustNew(steadyotel.Config{MeterProvider: sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader()))})
	ctx := t.Context()
	var none []steady.Event
	for _, source := range []string{"fresh", "loaded", "stale", "stale on error", "negative"} {
		none = append(none, steady.Event{Kind: steady.KindDone, Outcome: steady.Success, Reason: source, Age: time.Minute})
	}
	for _, e := range append(none,
		steady.Event{Kind: steady.KindDone, Outcome: steady.Failure, Reason: "none", Duration: time.Second, Err: errBoom},
		steady.Event{Kind: steady.KindLoad, Reason: "miss"},
		steady.Event{Kind: steady.KindLoaded, Outcome: steady.Success, Reason: "miss", Duration: time.Second},
		steady.Event{Kind: steady.KindLoaded, Outcome: steady.Failure, Reason: "refresh", Duration: time.Second, Err: errors.Join(errBoom)},
		steady.Event{Kind: steady.KindAbandoned, Reason: "refresh ahead", Duration: time.Second},
		steady.Event{Kind: steady.KindEvicted, Reason: "room", Age: time.Minute},
	) {
		e.Policy, e.Name = "cache", "users"
		h.On(ctx, e)
		require.Zero(t, testing.AllocsPerRun(1000, func() { h.On(ctx, e) }), "%s %s", e.Kind, e.Reason)
	}
}
