package cache_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
)

// A package-level cache is used outside of bubbles, and in one after the other. In a bubble it is the year 2000: the
// clock jumps back, all windows begin afresh, and outside again all that it brought along is long past.
func TestWindowsBeginAfreshInABubble(t *testing.T) {
	outside := cache.MustNew[string, int](windowed())
	var inside *cache.Cache[string, int]
	use := func(t *testing.T, c *cache.Cache[string, int]) {
		t.Helper()
		for _, load := range []func(context.Context) (int, error){returns(1, nil), down, returns(0, cache.ErrNotFound)} {
			for _, key := range []string{"b", "c", "d"} {
				_, _, _ = c.Get(t.Context(), key, load)
				c.Peek(key)
			}
			_, _ = c.GetMany(t.Context(), []string{"b", "c", "d", "e"}, new(backend).loads)
			c.Invalidate("c")
			c.Set("b", 7)
			v, _, err := c.Get(t.Context(), "b", unwanted(t))
			require.NoError(t, err)
			require.Equal(t, 7, v)
		}
	}
	inBubble := func(t *testing.T, c *cache.Cache[string, int]) {
		t.Helper()
		require.Zero(t, requireValue(t, c, unwanted(t), 100, cache.Fresh).Age)
		use(t, c)
		synctest.Wait()
		time.Sleep(8*time.Second - time.Nanosecond)
		requireValue(t, c, unwanted(t), 100, cache.Fresh)
		time.Sleep(2*time.Second + time.Nanosecond)
		requireValue(t, c, down, 100, cache.Stale)
		synctest.Wait()
		require.Equal(t, errDown, requireValue(t, c, unwanted(t), 100, cache.Stale).Err)
		time.Sleep(100 * time.Millisecond)
		requireValue(t, c, returns(101, nil), 100, cache.Stale)
		synctest.Wait()
		requireValue(t, c, unwanted(t), 101, cache.Fresh)
		time.Sleep(15 * time.Second)
		requireValue(t, c, returns(0, forbidden), 101, cache.Stale)
		synctest.Wait()
	}
	for range 2 {
		use(t, outside)
		outside.Set("a", 100)
		synctest.Test(t, func(t *testing.T) { inBubble(t, outside) })
		requireValue(t, outside, returns(102, nil), 102, cache.Loaded)
	}

	synctest.Test(t, func(t *testing.T) {
		inside = cache.MustNew[string, int](windowed())
		inside.Set("a", 100)
		inBubble(t, inside)
	})
	requireValue(t, inside, returns(102, nil), 102, cache.Loaded)
	use(t, inside)
	for _, c := range []*cache.Cache[string, int]{outside, inside} {
		c.Close()
		require.Zero(t, c.Stats().Loading)
	}
}

// What an entry has gone through is forgotten with the time in which it did.
func TestAForbiddenIsForgottenWhenTheClockJumpsBack(t *testing.T) {
	loaded := make(chan struct{}, 1)
	c := cache.MustNew[string, int](cache.Config{
		MaxEntries: 10, Fresh: time.Hour, StaleWhileRevalidate: time.Hour, LoadTimeout: time.Minute, Jitter: cache.NoJitter,
		RefreshAhead: math.SmallestNonzeroFloat64, // at once
		Hook: steady.HookFunc(func(_ context.Context, e steady.Event) {
			if e.Kind == steady.KindLoaded {
				loaded <- struct{}{}
			}
		}),
	})
	c.Set("a", 100)
	for c.Stats().Loads == 0 { // for a clock that is coarse
		requireValue(t, c, returns(0, forbidden), 100, cache.Fresh)
	}
	<-loaded
	synctest.Test(t, func(t *testing.T) {
		_, m, _ := c.Peek("a")
		require.Equal(t, cache.Meta{Source: cache.Fresh}, m)
		time.Sleep(time.Hour)
		require.NoError(t, requireValue(t, c, down, 100, cache.Stale).Err)
		synctest.Wait()
	})
}
