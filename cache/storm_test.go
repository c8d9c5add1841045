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

// A crawler asks for everything once, or an attacker for made-up keys. The hot keys are asked for meanwhile, one
// request in five. Planted: eviction.go: what is new goes to the main queue, or what was used goes from the small one → too few are hit.
func TestAStormOfUniqueKeysDoesNotWashOutTheHotSet(t *testing.T) {
	const room, hot, storm = 5_000, 1_000, 50_000
	c := cache.MustNew[int, int](cache.Config{MaxEntries: room, Fresh: time.Hour, LoadTimeout: time.Hour})
	defer c.Close()
	seen := newRecent(room)
	load := func(context.Context) (int, error) { return 0, nil }
	for range 5 {
		for key := range hot {
			_, _, err := c.Get(t.Context(), key, load)
			require.NoError(t, err)
			seen.get(key)
		}
	}
	hits, recent, asked := 0, 0, 0
	for n := range storm {
		c.Set(hot+n, n)
		seen.get(hot + n)
		if n%4 != 0 {
			continue
		}
		asked++
		key := rand.IntN(hot)
		_, meta, err := c.Get(t.Context(), key, load)
		require.NoError(t, err)
		if meta.Source == cache.Fresh {
			hits++
		}
		if seen.get(key) {
			recent++
		}
	}
	require.LessOrEqual(t, c.Len(), room)
	require.Greater(t, float64(hits)/float64(asked), 0.99)
	require.Less(t, float64(recent)/float64(asked), 0.9, "the storm washes them out of a cache that keeps what was used last")
}

// A recent cache keeps the keys that were used last, roughly: those of the present generation and of the one before.
type recent struct {
	room     int
	now, old map[int]bool
}

func newRecent(room int) *recent { return &recent{room / 2, map[int]bool{}, map[int]bool{}} }

func (r *recent) get(key int) bool {
	known := r.now[key] || r.old[key]
	if r.now[key] = true; len(r.now) >= r.room {
		r.now, r.old = map[int]bool{}, r.now
	}
	return known
}

func TestAStormOfUniqueKeysDoesNotGrowMemory(t *testing.T) {
	const room = 10_000
	c := cache.MustNew[int, [64]byte](cache.Config{MaxEntries: room, Fresh: time.Hour, LoadTimeout: time.Hour})
	defer c.Close()
	next := 0
	inUseAfter := func(keys int) float64 {
		for range keys {
			c.Set(next, [64]byte{})
			next++
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := inUseAfter(5 * room)
	require.Less(t, inUseAfter(20*room), before+200_000, "a tenth of what the entries take")
	require.Equal(t, room, c.Len())
	c.InvalidateAll()
	require.Less(t, inUseAfter(0), before-1_000_000)
}

// Loads that end at once, so that many look for the key just when the value comes.
// Planted: get.go: join does not look again with the lock held → two loads.
func TestAValueThatHasJustComeIsNotLoadedAgain(t *testing.T) {
	c := cache.MustNew[int, int](cache.Config{MaxEntries: 10_000, Fresh: time.Hour, LoadTimeout: time.Hour, RefreshAhead: cache.NoRefreshAhead})
	defer c.Close()
	for key := range 3000 {
		var loads atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_, _, err := c.Get(t.Context(), key, func(context.Context) (int, error) { loads.Add(1); return key, nil })
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, loads.Load(), key)
	}
}

// Everything at once, with loads that fail, panic, end their goroutine or hang. At the end nothing is left, and each
// request is accounted for.
func TestNothingIsLostInTheCrowd(t *testing.T) {
	const clients, requests, keys = 8, 400, 60
	c := cache.MustNew[int, int](cache.Config{
		MaxEntries: 40, Fresh: 2 * time.Millisecond, StaleWhileRevalidate: time.Millisecond, StaleIfError: 4 * time.Millisecond,
		NegativeFor: time.Millisecond, LoadTimeout: 2 * time.Millisecond, MaxLoads: 6,
	})
	before := runtime.NumGoroutine()
	load := func(ctx context.Context) (int, error) {
		switch n := rand.IntN(20); n {
		case 0:
			return 0, errDown
		case 1:
			panic("boom")
		case 2:
			runtime.Goexit()
		case 3:
			return 0, cache.NotFound(errDown)
		case 4:
			<-ctx.Done()
			return 0, ctx.Err()
		default:
			runtime.Gosched()
			return n, nil
		}
		return 0, nil
	}
	var wg sync.WaitGroup
	var asked atomic.Uint64
	for range clients {
		wg.Go(func() {
			for range requests {
				key := rand.IntN(keys)
				switch rand.IntN(12) {
				case 0:
					c.Set(key, key)
				case 1:
					c.Invalidate(key)
				case 2:
					if rand.IntN(10) == 0 {
						c.InvalidateAll()
					}
				case 3:
					asked.Add(2)
					_, _ = c.GetMany(t.Context(), []int{key, keys + key}, func(ctx context.Context, want []int) (map[int]int, error) {
						v, err := load(ctx)
						return map[int]int{want[0]: v}, err
					})
				default:
					asked.Add(1)
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3000))*time.Microsecond)
					_, _, _ = c.Get(ctx, key, load)
					cancel()
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, c.Len(), 40)
	c.Close()
	for c.Stats().Loading > 0 {
		runtime.Gosched() // on a busy machine a load may have been left, and is ending
	}
	s := c.Stats()
	require.Zero(t, s.LeftBehind)
	require.Zero(t, s.Entries)
	require.Equal(t, asked.Load(), s.Fresh+s.Loaded+s.Stale+s.StaleOnError+s.Negative+s.Failed+s.Rejected)
	for runtime.NumGoroutine() > before {
		runtime.Gosched() // the last of them are ending
	}
}
