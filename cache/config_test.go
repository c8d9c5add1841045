package cache_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
)

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
