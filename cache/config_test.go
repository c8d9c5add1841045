package cache_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
)

// Nonsense in a configuration is accepted, or clamped in silence.
// Planted: cache.go: any Require of New taken out → fails.
func TestTrap15NonsenseIsRefusedAllAtOnce(t *testing.T) {
	_, err := cache.New[string, int](cache.Config{
		StaleWhileRevalidate: -1, StaleIfError: -2, NegativeFor: -3, RefreshAhead: 1, Jitter: -2, LoadTimeout: -4, MaxLoads: -5,
		StaleIf: func(error) bool { return true },
	})
	require.EqualError(t, err, `cache: Config.MaxEntries must be between 1 and 1073741824, got 0
cache: Config.Fresh must be > 0, got 0s
cache: Config.StaleWhileRevalidate must be >= 0, got -1ns
cache: Config.StaleIfError must be 0, or > StaleWhileRevalidate, got -2ns
cache: Config.NegativeFor must be >= 0, got -3ns
cache: Config.RefreshAhead must be between 0 and 1, or NoRefreshAhead, got 1
cache: Config.Jitter must be between 0 and 1, or NoJitter, got -2
cache: Config.LoadTimeout must be > 0, got -4ns
cache: Config.MaxLoads must be > 0, or NoMaxLoads, got -5
cache: Config.StaleIf must be nil without a stale window, got a func`)

	ok := exact()
	for name, change := range map[string]func(*cache.Config){
		"MaxEntries":           func(c *cache.Config) { c.MaxEntries = 1<<30 + 1 },
		"StaleIfError":         func(c *cache.Config) { c.StaleIfError = c.StaleWhileRevalidate },
		"StaleWhileRevalidate": func(c *cache.Config) { c.StaleWhileRevalidate, c.StaleIfError = math.MaxInt64, 0 },
		"RefreshAhead":         func(c *cache.Config) { c.RefreshAhead = math.NaN() },
		"Jitter":               func(c *cache.Config) { c.Jitter = math.NaN() },
	} {
		c := ok
		change(&c)
		_, err := cache.New[string, int](c)
		require.ErrorContains(t, err, "cache: Config."+name+" must ")
		require.Panics(t, func() { cache.MustNew[string, int](c) })
	}
}

// The extremes work: windows of nearly three centuries, and of a nanosecond.
func TestWindowsOfAnyLengthWork(t *testing.T) {
	for _, config := range []cache.Config{
		{MaxEntries: 1, Fresh: math.MaxInt64, LoadTimeout: math.MaxInt64},
		{MaxEntries: 1, Fresh: math.MaxInt64, LoadTimeout: 1 << 40, RefreshAhead: cache.NoRefreshAhead, Jitter: cache.NoJitter},
		{MaxEntries: 1, Fresh: 1, StaleIfError: math.MaxInt64 - 1, LoadTimeout: time.Second},
	} {
		bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
			var o origin
			requireGet(t, c, &o, 1, cache.Loaded, 0)
			time.Sleep(time.Hour)
			_, meta, ok := c.Peek("a")
			require.True(t, ok)
			if config.Fresh > 1 {
				require.Equal(t, cache.Fresh, meta.Source)
			}
		})
	}
}
