package cache_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
)

// All keys have the generation of the origin as their value. A Get returns the new one only by a load of its own, which begins
// only once the old one is dropped; if InvalidateAll dropped the keys one shard after the other, a Get of another key could still
// return the old one then. With no key missing and no load under way when the origin changes, that is the only way.
//
// Planted: cache.go: InvalidateAll locks and clears one shard after the other → "7 after 8", in most runs; storage_test.go sees it always.
func TestInvalidateAllDropsAllKeysAtOneMoment(t *testing.T) {
	const keys = 64
	c := cache.MustNew[int, int64](cache.Config{MaxEntries: 100_000, Fresh: time.Hour, LoadTimeout: time.Hour, RefreshAhead: cache.NoRefreshAhead})
	defer c.Close()
	var generation atomic.Int64
	get := func(key int) int64 {
		v, _, err := c.Get(t.Context(), key, func(context.Context) (int64, error) { return generation.Load(), nil })
		if err != nil {
			t.Error(err)
		}
		return v
	}
	for range 300 {
		for key := range keys {
			get(key)
		}
		old := generation.Load()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				first := rand.IntN(keys)
				for get(first) == old {
					runtime.Gosched()
				}
				for n := range keys {
					if v := get((first + n) % keys); v == old {
						t.Errorf("%d after %d", v, old+1)
					}
				}
			})
		}
		generation.Add(1)
		c.InvalidateAll()
		wg.Wait()
	}
}

// Whoever looks for an entry while others make the table grow must find it.
//
// Planted: cache.go: Peek takes find in place of findLocked → some thousand are missed.
// Planted: get.go: look and join rely on what find does not find → some are loaded.
func TestAnEntryIsFoundWhileTheTableGrows(t *testing.T) {
	const known, others = 50, 20_000
	for range 3 {
		c := cache.MustNew[int, int](cache.Config{MaxEntries: 4 * others, Fresh: time.Hour, LoadTimeout: time.Hour, RefreshAhead: cache.NoRefreshAhead})
		for key := range known {
			c.Set(key, key)
		}
		var full atomic.Bool
		var wg sync.WaitGroup
		reader := func(found func(key int) bool) {
			wg.Go(func() {
				missed := 0
				for !full.Load() {
					if !found(rand.IntN(known)) {
						missed++
					}
				}
				if missed > 0 {
					t.Errorf("%d missed", missed)
				}
			})
		}
		reader(func(key int) bool {
			v, _, ok := c.Peek(key)
			return ok && v == key
		})
		reader(func(key int) bool {
			v, meta, err := c.Get(t.Context(), key, func(context.Context) (int, error) { return -1, nil })
			return v == key && meta.Source == cache.Fresh && err == nil
		})
		for n := range others {
			c.Set(known+n, n)
		}
		full.Store(true)
		wg.Wait()
		require.Zero(t, c.Stats().Loads)
		require.Equal(t, known+others, c.Len())
		c.Close()
	}
}
