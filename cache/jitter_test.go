package cache_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
)

// changes makes keys with set, and returns for each, in whole steps, when Peek told another source than before. It looks
// from just before the first time at which each of ends may come, by jitter, to just after the last.
func changes(c *cache.Cache[int, int], keys int, set func(key int), step time.Duration, jitter float64, ends ...time.Duration) map[cache.Source][]int {
	start, at, was := time.Now(), make(map[cache.Source][]int), make([]cache.Source, keys)
	for key := range keys {
		set(key)
		was[key] = cache.Fresh
	}
	for _, end := range ends {
		first := time.Duration((1 - jitter) * float64(end)).Truncate(step)
		for time.Sleep(first - step - time.Since(start)); time.Since(start) <= end; time.Sleep(step) {
			for key := range keys {
				_, m, _ := c.Peek(key)
				if m.Source != was[key] {
					was[key] = m.Source
					at[m.Source] = append(at[m.Source], int(time.Since(start)/step))
				}
			}
		}
	}
	return at
}

// largest returns how often the most frequent of steps is there.
func largest(steps []int) (n int) {
	slices.Sort(steps)
	for i, j := 0, 0; j < len(steps); j++ {
		for steps[i] != steps[j] {
			i++
		}
		n = max(n, j-i+1)
	}
	return n
}

func TestJitterOnlyShortens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.Jitter = 0.5
		c := cache.MustNew[int, int](config)
		at := changes(c, 300, func(key int) { c.Set(key, key) }, 100*time.Millisecond, 0.5, 10*time.Second, 70*time.Second)
		for source, ends := range map[cache.Source]int{cache.Stale: 100, cache.None: 700} {
			require.Len(t, at[source], 300)
			require.LessOrEqual(t, slices.Max(at[source]), ends)
			require.Greater(t, slices.Max(at[source]), ends*9/10)
			require.GreaterOrEqual(t, slices.Min(at[source]), ends/2)
			require.Less(t, slices.Min(at[source]), ends*6/10)
		}
	})
}

// atMost is how many of keys that came together may go in the same step where a window of that length is jittered: as
// many as a fair chance spreads them, and six standard deviations.
func atMost(keys int, step time.Duration, jitter float64, window time.Duration) int {
	fair := float64(keys) * float64(step) / (jitter * float64(window))
	return int(fair + 6*math.Sqrt(fair))
}

func TestHoweverKeysComeTogetherTheyDoNotExpireTogether(t *testing.T) {
	const keys, step, w = 4_000, 100 * time.Millisecond, 10 * time.Second
	config := cache.Config{
		MaxEntries: 2 * keys, Fresh: w, StaleIfError: w, LoadTimeout: time.Second,
		MaxLoads: cache.NoMaxLoads,
	}
	for name, write := range map[string]func(c *cache.Cache[int, int]) func(key int){
		"Set": func(c *cache.Cache[int, int]) func(int) { return func(key int) { c.Set(key, key) } },
		"Get": func(c *cache.Cache[int, int]) func(int) {
			return func(key int) { _, _, _ = c.Get(context.Background(), key, returns(key, nil)) }
		},
		"GetMany": func(c *cache.Cache[int, int]) func(int) {
			var all []int
			return func(key int) {
				if all = append(all, key); len(all) == keys {
					_, _ = c.GetMany(context.Background(), all, echo)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cache.MustNew[int, int](config)
				at := changes(c, keys, write(c), step, 0.1, w, 2*w)
				require.Len(t, at[cache.Stale], keys)
				require.LessOrEqual(t, largest(at[cache.Stale]), atMost(keys, step, 0.1, w))
				require.Len(t, at[cache.None], keys)
				require.LessOrEqual(t, largest(at[cache.None]), atMost(keys, step, 0.1, 2*w))
			})
		})
	}
	t.Run("NoJitter does not keep that", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			config.Jitter = cache.NoJitter
			c := cache.MustNew[int, int](config)
			at := changes(c, keys, func(key int) { c.Set(key, key) }, step, 0.1, w, 2*w)
			require.Equal(t, keys, largest(at[cache.Stale]))
			require.Equal(t, keys, largest(at[cache.None]))
		})
	})
}

// echo is a load of a GetMany whose values are the keys.
func echo(_ context.Context, keys []int) (map[int]int, error) {
	values := make(map[int]int, len(keys))
	for _, key := range keys {
		values[key] = key
	}
	return values, nil
}

// Keys that came together and are in use are not loaded ahead together either, nor is what there is nothing for.
func TestKeysWrittenTogetherAreNotLoadedTogether(t *testing.T) {
	const keys, step, fresh = 1_000, 100 * time.Millisecond, time.Minute
	for name, test := range map[string]struct {
		err    error
		window time.Duration
	}{"values": {nil, fresh * 8 / 10}, "nothing": {cache.ErrNotFound, fresh}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cache.MustNew[int, int](cache.Config{MaxEntries: 2 * keys, Fresh: fresh, NegativeFor: fresh, LoadTimeout: time.Second})
				o := backend{err: test.err}
				ask := func() int {
					before := o.calls()
					for key := range keys {
						_, _, _ = c.Get(t.Context(), key, o.load)
					}
					synctest.Wait()
					return o.calls() - before
				}
				require.Equal(t, keys, ask())
				most := 0
				time.Sleep(test.window*9/10 - time.Nanosecond)
				require.Zero(t, ask())
				for time.Sleep(step); o.calls() < 2*keys; time.Sleep(step) {
					most = max(most, ask())
				}
				require.LessOrEqual(t, most, atMost(keys, step, 0.1, test.window))
			})
		})
	}
}

// A numbered is a source of the call of that number.
type numbered uint64

func (s numbered) Float64(key string, n uint64) float64 {
	r := rand.New(rand.NewPCG(uint64(s), n+uint64(len(key))<<32))
	return r.Float64()
}

func TestLoadsWithASourceOfChanceRepeat(t *testing.T) {
	run := func(t *testing.T, seed uint64) (at map[cache.Source][]int) {
		synctest.Test(t, func(t *testing.T) {
			config := windowed()
			config.Jitter = 0.5
			c := cache.MustNew[int, int](config)
			at = changes(c, 40, func(key int) {
				switch ctx := steady.ContextWithSource(t.Context(), numbered(seed+uint64(key/10))); {
				case key < 20:
					_, _, _ = c.Get(ctx, key, returns(key, nil))
				case key%20 == 0:
					_, _ = c.GetMany(ctx, []int{20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39}, echo)
				}
			}, 10*time.Millisecond, 0.5, 10*time.Second)
		})
		return at
	}
	first := run(t, 1)
	require.Len(t, first[cache.Stale], 40)
	require.Equal(t, first, run(t, 1))
	require.NotEqual(t, first, run(t, 2))
	require.Less(t, largest(first[cache.Stale]), 40/2, "the keys of one GetMany draw for themselves")
}

func TestNegativeEntriesAreShortenedToo(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 5 * time.Second, 0.5: 3750 * time.Millisecond} {
		t.Run(fmt.Sprint(random), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := windowed()
				config.Jitter = 0.5
				c := cache.MustNew[string, int](config)
				_, _, err := c.Get(with(t.Context(), random), "a", returns(0, cache.ErrNotFound))
				require.Equal(t, cache.ErrNotFound, err)
				time.Sleep(want - time.Nanosecond)
				_, m, _ := c.Peek("a")
				require.Equal(t, cache.Negative, m.Source)
				time.Sleep(time.Nanosecond)
				_, m, _ = c.Peek("a")
				require.Equal(t, cache.None, m.Source)
			})
		})
	}
}
