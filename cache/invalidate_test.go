package cache_test

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/steadytest"
)

// A load that races an invalidate stores the deleted value.
// Planted: cache.go: Invalidate, or InvalidateAll (shard.clear), or Set does not unlist → fails.
func TestTrap36ALoadDoesNotUndoWhatHappensMeanwhile(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*cache.Cache[string, int])
		value  int // of the next Get
		loads  int64
	}{
		"Invalidate":    {func(c *cache.Cache[string, int]) { c.Invalidate("b", "a") }, 2, 2},
		"InvalidateAll": {func(c *cache.Cache[string, int]) { c.InvalidateAll() }, 2, 2},
		"Set":           {func(c *cache.Cache[string, int]) { c.Set("a", 9) }, 9, 1},
	} {
		for _, many := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " many ", many), func(t *testing.T) {
				bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
					o := origin{takes: time.Second}
					var waiters sync.WaitGroup
					waiters.Go(func() {
						if many {
							items, err := c.GetMany(t.Context(), []string{"a"}, func(ctx context.Context, _ []string) (map[string]int, error) {
								v, err := o.load(ctx)
								return map[string]int{"a": v}, err
							})
							if err != nil || items["a"].Value != 1 {
								t.Errorf("%v %v", items, err)
							}
							return
						}
						if v, _, err := c.Get(t.Context(), "a", o.load); err != nil || v != 1 {
							t.Errorf("%d %v: who waits gets what was loaded", v, err)
						}
					})
					time.Sleep(500 * time.Millisecond)
					tt.change(c)
					v, _, err := c.Get(t.Context(), "a", o.load) // begins while the first load is under way
					require.NoError(t, err)
					require.Equal(t, tt.value, v)
					waiters.Wait()
					time.Sleep(time.Second)
					v, _, err = c.Get(t.Context(), "a", o.load)
					require.NoError(t, err)
					require.Equal(t, tt.value, v)
					require.Equal(t, tt.loads, o.calls.Load())
				})
			})
		}
	}
}

func TestAnInvalidatedValueIsNotReturnedAsStale(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("a", 1)
		time.Sleep(500 * time.Second)
		o := origin{takes: time.Second, fails: errDown}
		time.AfterFunc(500*time.Millisecond, func() { c.Invalidate("a") })
		_, _, err := c.Get(t.Context(), "a", o.load)
		require.Equal(t, errDown, err)
	})
}

func TestGetManyLoadsWhatIsMissingInOneCall(t *testing.T) {
	config := exact()
	config.MaxLoads = 2
	var r steadytest.Recorder
	config.Hook = &r
	bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("stale", 1)
		time.Sleep(150 * time.Second)
		c.Set("fresh", 2)
		var mu sync.Mutex
		var asked [][]string // guarded by mu
		load := func(_ context.Context, keys []string) (map[string]int, error) {
			mu.Lock()
			asked = append(asked, keys)
			mu.Unlock()
			time.Sleep(time.Second)
			return map[string]int{"b": 3, "stale": 4, "extra": 5}, nil
		}
		items, err := c.GetMany(t.Context(), []string{"b", "fresh", "none", "b", "stale", "fresh"}, load)
		require.NoError(t, err)
		require.Equal(t, map[string]cache.Item[int]{
			"b": {Value: 3, Meta: cache.Meta{Source: cache.Loaded}}, "fresh": {Value: 2, Meta: cache.Meta{Source: cache.Fresh}},
			"stale": {Value: 1, Meta: cache.Meta{Source: cache.Stale, Age: 150 * time.Second}},
		}, items)
		settle()
		require.ElementsMatch(t, [][]string{{"b", "none"}, {"stale"}}, asked)
		require.Len(t, r.Outcomes(), 4, "one for each key")
		for key, want := range map[string]int{"b": 3, "stale": 4} {
			v, meta, ok := c.Peek(key)
			require.True(t, ok)
			require.Equal(t, want, v)
			require.Equal(t, cache.Fresh, meta.Source)
		}
		_, meta, ok := c.Peek("none")
		require.False(t, ok)
		require.Equal(t, cache.Negative, meta.Source)
		_, _, ok = c.Peek("extra")
		require.False(t, ok, "nobody has asked for it")
		require.Equal(t, 4, c.Len())
		items, err = c.GetMany(t.Context(), nil, load)
		require.NoError(t, err)
		require.Empty(t, items)
		require.Len(t, asked, 2)
	})
}

func TestGetManyKeepsWhatCameWithAnError(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		items, err := c.GetMany(t.Context(), []string{"a", "b", "c"}, func(context.Context, []string) (map[string]int, error) {
			return map[string]int{"a": 1}, errDown
		})
		require.Equal(t, errDown, err, "once, untouched")
		require.Len(t, items, 1)
		require.Equal(t, 1, items["a"].Value)
		_, _, ok := c.Peek("b")
		require.False(t, ok)
		v, _, ok := c.Peek("a")
		require.True(t, ok)
		require.Equal(t, 1, v)
	})
}

func TestGetManyJoinsLoadsUnderWayAndObeysItsDeadline(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("old", 1)
		time.Sleep(500 * time.Second)
		slow := origin{takes: 4 * time.Second}
		go func() { _, _, _ = c.Get(t.Context(), "a", slow.load) }()
		settle()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		items, err := c.GetMany(ctx, []string{"a", "b", "old"}, func(_ context.Context, keys []string) (map[string]int, error) {
			require.Equal(t, []string{"b", "old"}, keys)
			time.Sleep(3 * time.Second)
			return map[string]int{"b": 2, "old": 3}, nil
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, items, 1)
		require.Equal(t, cache.StaleOnError, items["old"].Meta.Source)
		require.ErrorIs(t, items["old"].Meta.Err, context.DeadlineExceeded)
		time.Sleep(5 * time.Second)
		items, err = c.GetMany(t.Context(), []string{"a", "b", "old"}, nil)
		require.NoError(t, err)
		require.Equal(t, []int{1, 2, 3}, []int{items["a"].Value, items["b"].Value, items["old"].Value})
	})
}

func TestABatchTakesOnePlace(t *testing.T) {
	config := exact()
	config.MaxLoads = 1
	bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
		_, err := c.GetMany(t.Context(), []string{"a", "b", "c"}, func(ctx context.Context, keys []string) (map[string]int, error) {
			require.Equal(t, 1, c.Stats().Loading)
			items, err := c.GetMany(ctx, []string{"x", "y"}, nil)
			require.ErrorIs(t, err, cache.ErrOverloaded)
			require.Equal(t, "cache: too many loads", err.Error(), "once")
			require.Empty(t, items)
			return nil, nil
		})
		require.NoError(t, err)
	})
}

func TestCloseEndsLoadsAndLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](exact())
		c.Set("old", 1)
		time.Sleep(150 * time.Second)
		o := origin{takes: time.Hour}
		_, _, err := c.Get(t.Context(), "old", o.load) // in the background
		require.NoError(t, err)
		waits := make(chan error)
		for key := range 10 {
			go func() { _, _, err := c.Get(t.Context(), fmt.Sprint(key), o.load); waits <- err }()
		}
		synctest.Wait()
		start := time.Now()
		var closing sync.WaitGroup
		for range 3 {
			closing.Go(c.Close)
		}
		for range 10 {
			err := <-waits
			require.Equal(t, cache.ErrClosed, err, "no rejection: the load was started")
		}
		closing.Wait()
		require.Equal(t, start, time.Now())
		require.Zero(t, c.Stats().Loading)
		require.Zero(t, c.Len())

		c.Set("a", 1)
		c.Invalidate("a")
		c.InvalidateAll()
		c.Close()
		_, _, ok := c.Peek("a")
		require.False(t, ok)
		_, _, err = c.Get(t.Context(), "a", o.load)
		require.ErrorIs(t, err, cache.ErrClosed)
		_, isRejection := steady.AsRejection(err)
		require.True(t, isRejection)
		_, err = c.GetMany(t.Context(), []string{"a", "b"}, nil)
		require.ErrorIs(t, err, cache.ErrClosed)
		require.EqualValues(t, 11, o.calls.Load())
	}) // which fails if a goroutine is left
}

func TestCloseWaitsForNoLoadThatIgnoresItsContextForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](exact())
		release := make(chan struct{})
		go func() {
			_, _, _ = c.Get(t.Context(), "a", func(context.Context) (int, error) { <-release; return 1, nil })
		}()
		time.Sleep(2 * time.Second)
		start := time.Now()
		c.Close()
		require.Equal(t, 3*time.Second+5*time.Millisecond, time.Since(start))
		require.Equal(t, 1, c.Stats().LeftBehind)
		close(release)
		settle()
		require.Zero(t, c.Stats().Loading)
	})
}

// Planted: flights.go: leave does not give a landed flight up → Close waits for an hour.
func TestCloseDoesNotWaitForAHookForLong(t *testing.T) {
	config := exact()
	config.Hook = steady.HookFunc(func(_ context.Context, e steady.Event) {
		if e.Kind == steady.KindLoaded {
			time.Sleep(time.Hour)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](config)
		var o origin
		requireGet(t, c, &o, 1, cache.Loaded, 0)
		start := time.Now()
		c.Close()
		require.Equal(t, 5*time.Second+5*time.Millisecond, time.Since(start))
		time.Sleep(time.Hour)
	})
}

// A map whose key is not equal to itself can never be rid of it.
func TestKeysThatEqualNothingLeakNoLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[float64, int](cache.Config{MaxEntries: 100, Fresh: time.Hour, LoadTimeout: time.Second})
		for range 1000 {
			_, _, err := c.Get(t.Context(), math.NaN(), func(context.Context) (int, error) { return 1, nil })
			require.NoError(t, err)
			_, _, err = c.Get(t.Context(), math.NaN(), func(context.Context) (int, error) { return 0, errDown })
			require.Equal(t, errDown, err)
		}
		settle()
		require.Zero(t, c.Stats().Loading)
		require.Equal(t, 100, c.Len())
		c.Close()
		require.Zero(t, c.Len())
	})
}

func TestAKeyThatCannotBeComparedPanicsInItsCallerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[any, int](cache.Config{MaxEntries: 100, Fresh: time.Hour, LoadTimeout: time.Second})
		defer c.Close()
		load := func(context.Context) (int, error) { return 1, nil }
		require.Panics(t, func() { _, _, _ = c.Get(t.Context(), []int{1}, load) })
		require.Panics(t, func() { c.Set([]int{1}, 1) })
		require.Panics(t, func() { _, _ = c.GetMany(t.Context(), []any{1, []int{1}}, nil) })
		v, _, err := c.Get(t.Context(), 1, load)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Zero(t, c.Stats().Loading)
	})
}

// What has just come is never what goes, however small the cache and hot the rest.
// Planted: eviction.go: the small queue may be empty (a tenth of less than ten) → fails.
func TestWhatWasJustSetIsThere(t *testing.T) {
	for room := range 12 {
		config := exact()
		config.MaxEntries = room + 1
		bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
			for key := range 40 {
				c.Set(fmt.Sprint(key), key)
				for other := range key {
					_, _, _ = c.Get(t.Context(), fmt.Sprint(other), func(context.Context) (int, error) { return 0, errDown })
				}
				v, _, ok := c.Peek(fmt.Sprint(key))
				require.True(t, ok, "%d of %d", key, config.MaxEntries)
				require.Equal(t, key, v)
				require.LessOrEqual(t, c.Len(), config.MaxEntries)
			}
		})
	}
}

func TestEveryRequestReportsOnce(t *testing.T) {
	var r steadytest.Recorder
	config := exact()
	config.Name, config.Hook, config.MaxEntries = "users", &r, 1
	bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
		o := origin{takes: time.Second}
		requireGet(t, c, &o, 1, cache.Loaded, 0)
		requireGet(t, c, &o, 1, cache.Fresh, 0)
		time.Sleep(150 * time.Second)
		requireGet(t, c, &o, 1, cache.Stale, 150*time.Second)
		settle()
		time.Sleep(2 * time.Second)
		c.Set("b", 1)
		of := func(e steady.Event) steady.Event {
			e.Policy, e.Name = "cache", "users"
			return e
		}
		require.Equal(t, []steady.Event{
			of(steady.Event{Kind: steady.KindDone, Outcome: steady.Success, Duration: time.Second, Reason: "loaded"}),
			of(steady.Event{Kind: steady.KindDone, Outcome: steady.Success, Reason: "fresh"}),
			of(steady.Event{Kind: steady.KindDone, Outcome: steady.Success, Reason: "stale", Age: 150 * time.Second}),
		}, r.Outcomes())
		require.Equal(t, []steady.Event{
			of(steady.Event{Kind: steady.KindLoad, Reason: "miss"}),
			of(steady.Event{Kind: steady.KindLoaded, Outcome: steady.Success, Duration: time.Second, Reason: "miss"}),
			of(steady.Event{Kind: steady.KindLoad, Reason: "refresh"}),
			of(steady.Event{Kind: steady.KindLoaded, Outcome: steady.Success, Duration: time.Second, Reason: "refresh"}),
			of(steady.Event{Kind: steady.KindEvicted, Reason: "room", Age: time.Second}),
		}, r.Events(steady.KindLoad, steady.KindLoaded, steady.KindEvicted))
		s := c.Stats()
		require.Equal(t, cache.Stats{Entries: 1, MaxEntries: 1, Fresh: 1, Loaded: 1, Stale: 1, Loads: 2, Evictions: 1}, s)
	})
}
