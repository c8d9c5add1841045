package cache_test

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
)

// Nonsense in a configuration is accepted, or clamped in silence.
// Planted: cache.go: any Require of New taken out → that fault is missing.
func TestTrap15ConfigNamesEveryFaultAtOnce(t *testing.T) {
	always := func(error) bool { return true }
	for name, test := range map[string]struct {
		config cache.Config
		want   []string
	}{
		"zero": {cache.Config{}, []string{
			"cache: Config.MaxEntries must be between 1 and 1073741824, got 0",
			"cache: Config.Fresh must be > 0, got 0s",
			"cache: Config.LoadTimeout must be > 0, got 0s",
		}},
		"negative": {cache.Config{
			MaxEntries: -1, Fresh: -1, StaleWhileRevalidate: -2, StaleIfError: -3, NegativeFor: -4,
			RefreshAhead: -0.5, Jitter: -0.25, LoadTimeout: -5, MaxLoads: -2,
		}, []string{
			"cache: Config.MaxEntries must be between 1 and 1073741824, got -1",
			"cache: Config.Fresh must be > 0, got -1ns",
			"cache: Config.StaleWhileRevalidate must be >= 0, got -2ns",
			"cache: Config.StaleIfError must be 0, or > StaleWhileRevalidate, got -3ns",
			"cache: Config.NegativeFor must be >= 0, got -4ns",
			"cache: Config.RefreshAhead must be between 0 and 1, or NoRefreshAhead, got -0.5",
			"cache: Config.Jitter must be between 0 and 1, or NoJitter, got -0.25",
			"cache: Config.LoadTimeout must be > 0, got -5ns",
			"cache: Config.MaxLoads must be > 0, or NoMaxLoads, got -2",
		}},
		"too large": {cache.Config{
			MaxEntries: 1<<30 + 1, Fresh: 2, StaleWhileRevalidate: math.MaxInt64 - 1, StaleIfError: math.MaxInt64,
			RefreshAhead: 1, Jitter: 1, LoadTimeout: 1,
		}, []string{
			"cache: Config.MaxEntries must be between 1 and 1073741824, got 1073741825",
			"cache: Config.StaleWhileRevalidate must leave room for Fresh, got 2562047h47m16.854775806s",
			"cache: Config.StaleIfError must leave room for Fresh, got 2562047h47m16.854775807s",
			"cache: Config.RefreshAhead must be between 0 and 1, or NoRefreshAhead, got 1",
			"cache: Config.Jitter must be between 0 and 1, or NoJitter, got 1",
		}},
		"no number": {cache.Config{MaxEntries: 1, Fresh: 1, LoadTimeout: 1, RefreshAhead: math.NaN(), Jitter: math.NaN()}, []string{
			"cache: Config.RefreshAhead must be between 0 and 1, or NoRefreshAhead, got NaN",
			"cache: Config.Jitter must be between 0 and 1, or NoJitter, got NaN",
		}},
		"a last window that is over before it begins": {
			cache.Config{MaxEntries: 1, Fresh: 1, LoadTimeout: 1, StaleWhileRevalidate: time.Minute, StaleIfError: time.Minute},
			[]string{"cache: Config.StaleIfError must be 0, or > StaleWhileRevalidate, got 1m0s"},
		},
		"StaleIf of nothing": {cache.Config{MaxEntries: 1, Fresh: 1, LoadTimeout: 1, StaleIf: always}, []string{
			"cache: Config.StaleIf must be nil without a stale window, got a func",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := cache.New[string, int](test.config)
			require.Nil(t, c)
			require.EqualError(t, err, strings.Join(test.want, "\n"))
			require.PanicsWithError(t, err.Error(), func() { cache.MustNew[string, int](test.config) })
		})
	}
}

func TestConfigTakesTheEdges(t *testing.T) {
	const longest = math.MaxInt64
	for name, config := range map[string]cache.Config{
		"smallest": {
			MaxEntries: 1, Fresh: 1, StaleWhileRevalidate: 1, StaleIfError: 2, NegativeFor: 1, LoadTimeout: time.Second,
			RefreshAhead: math.SmallestNonzeroFloat64, Jitter: math.SmallestNonzeroFloat64, MaxLoads: 1,
		},
		"largest": {
			MaxEntries: 1 << 30, Fresh: longest / 2, StaleWhileRevalidate: longest/2 - 1, StaleIfError: longest / 2, NegativeFor: longest,
			LoadTimeout: longest / 2, RefreshAhead: math.Nextafter(1, 0), Jitter: math.Nextafter(1, 0), MaxLoads: math.MaxInt,
		},
		"for ever": {MaxEntries: 1, Fresh: longest, LoadTimeout: time.Second, RefreshAhead: cache.NoRefreshAhead, Jitter: cache.NoJitter},
		"off": {
			MaxEntries: 1, Fresh: 1, LoadTimeout: time.Second, RefreshAhead: cache.NoRefreshAhead, Jitter: cache.NoJitter, MaxLoads: cache.NoMaxLoads,
		},
		"one stale window": {MaxEntries: 1, Fresh: 1, LoadTimeout: time.Second, StaleWhileRevalidate: 1, StaleIf: steady.IsPermanent},
		"the other":        {MaxEntries: 1, Fresh: 1, LoadTimeout: time.Second, StaleIfError: 1, StaleIf: steady.IsPermanent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := cache.New[string, int](config)
				require.NoError(t, err)
				requireValue(t, c, returns(7, nil), 7, cache.Loaded)
				_, m, ok := c.Peek("a")
				require.Equal(t, cache.Fresh, m.Source)
				require.True(t, ok)
				require.Equal(t, config.MaxEntries, c.Stats().MaxEntries)
			})
		})
	}
}

// Nobody would notice otherwise that a default is not what its comment says.
func TestTheDefaultsAreThoseOfTheComments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := cache.Config{MaxEntries: 10, Fresh: 10 * time.Second, StaleWhileRevalidate: 10 * time.Second, LoadTimeout: time.Second}
		c := cache.MustNew[string, int](config)
		limit, ok := c.Inspect()[0].Level(steady.LevelLimit)
		require.True(t, ok)
		require.Equal(t, 1_000.0, limit, "MaxLoads")

		var o backend
		load := func(random float64) { // one that draws this number
			_, _, err := c.Get(with(t.Context(), random), "a", returns(0, nil))
			require.NoError(t, err)
		}
		load(0)
		time.Sleep(8*time.Second - time.Nanosecond)
		requireValue(t, c, unwanted(t), 0, cache.Fresh)
		time.Sleep(time.Nanosecond)
		requireValue(t, c, o.load, 0, cache.Fresh)
		synctest.Wait()
		require.Equal(t, 1, o.calls(), "RefreshAhead of 0.8")

		c.Invalidate("a")
		load(0.5)
		time.Sleep(9_500*time.Millisecond - time.Nanosecond)
		_, m, _ := c.Peek("a")
		require.Equal(t, cache.Fresh, m.Source)
		time.Sleep(2 * time.Nanosecond)
		_, m, _ = c.Peek("a")
		require.Equal(t, cache.Stale, m.Source, "half of a Jitter of 0.1")
	})
}
