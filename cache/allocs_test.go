package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
)

func requireNoAllocs(t *testing.T, f func()) {
	t.Helper()
	require.Zero(t, testing.AllocsPerRun(1_000, f), "allocations a call")
}

func hotHit[K comparable](t *testing.T, key K) {
	t.Run("", func(t *testing.T) {
		c := cache.MustNew[K, int](cache.Config{MaxEntries: 10, Fresh: time.Hour, LoadTimeout: time.Hour})
		c.Set(key, 1)
		ctx, load := t.Context(), returns(1, nil)
		requireNoAllocs(t, func() { _, _, _ = c.Get(ctx, key, load) })
		requireNoAllocs(t, func() { c.Peek(key) })
	})
}

func TestAHotHitAndAPeekAllocateNothing(t *testing.T) {
	type plain struct {
		tenant int
		admin  bool
	}
	type named struct{ tenant, id string }
	hotHit(t, 1)
	hotHit(t, "a")
	hotHit(t, plain{1, true})
	hotHit(t, named{"acme", "4711"})
	hotHit(t, [2]string{"acme", "4711"})
	hotHit(t, any("a"))
	hotHit(t, 0.5)
}

// A load that captures what it needs is a func of its own for each call, and stays on the caller's stack unless it is
// to be called.
func TestAStaleHitDuringARefreshAllocatesNothing(t *testing.T) {
	for _, window := range []string{"refresh ahead", "stale"} {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, ctx := after(inWindows[window], windowed()), t.Context()
				release := make(chan struct{})
				requireValue(t, c, func(context.Context) (int, error) { <-release; return 1, nil }, 100, map[string]cache.Source{"refresh ahead": cache.Fresh, "stale": cache.Stale}[window])
				synctest.Wait()
				load := unwanted(t)
				requireNoAllocs(t, func() { _, _, _ = c.Get(ctx, "a", load) })
				requireNoAllocs(t, func() { c.Peek("a") })
				close(release)
			})
		})
	}
}

func TestAHitThatIsHeldOffAllocatesNothing(t *testing.T) {
	for _, window := range []string{"stale", "stale if error"} {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, ctx := after(inWindows[window], windowed()), t.Context()
				_, _, err := c.Get(ctx, "a", down)
				require.NoError(t, err)
				synctest.Wait()
				load := unwanted(t)
				requireNoAllocs(t, func() { _, _, _ = c.Get(ctx, "a", load) })
			})
		})
	}
}

func TestANegativeHitAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ctx := cache.MustNew[string, int](windowed()), t.Context()
		requireNothing(t, c, returns(0, cache.ErrNotFound), cache.Loaded)
		load := unwanted(t)
		requireNoAllocs(t, func() { _, _, _ = c.Get(ctx, "a", load) })
	})
}
