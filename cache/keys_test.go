package cache_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
)

// undoers take back what is stored for key "a".
var undoers = map[string]func(c *cache.Cache[string, int]){
	"Invalidate":    func(c *cache.Cache[string, int]) { c.Invalidate("x", "a", "y") },
	"InvalidateAll": func(c *cache.Cache[string, int]) { c.InvalidateAll() },
}

func TestAGetAfterAnInvalidateLoadsAnew(t *testing.T) {
	for how, undo := range undoers {
		for window, age := range inWindows {
			t.Run(how+"/"+window, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := after(age, windowed())
					undo(c)
					require.Zero(t, c.Len())
					_, _, ok := c.Peek("a")
					require.False(t, ok)
					requireError(t, c, down, errDown)
					requireValue(t, c, returns(1, nil), 1, cache.Loaded)
				})
			})
		}
	}
}

func TestInvalidateLeavesOtherKeys(t *testing.T) {
	c := cache.MustNew[string, int](windowed())
	c.Set("a", 1)
	c.Set("b", 2)
	c.Invalidate("a")
	c.Invalidate()
	v, _, ok := c.Peek("b")
	require.True(t, ok)
	require.Equal(t, 2, v)
}

// What a load brings that began before goes to who waits for it, and nowhere else.
func TestALoadUnderWayCannotUndoAnInvalidate(t *testing.T) {
	for how, undo := range undoers {
		for _, window := range []string{"stale", "past all"} {
			t.Run(how+"/"+window, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, o := after(inWindows[window], windowed()), backend{takes: 2 * time.Second}
					var wg sync.WaitGroup
					wg.Go(func() {
						v, m, err := c.Get(t.Context(), "a", o.load)
						require.NoError(t, err)
						if window == "stale" {
							require.Equal(t, []any{100, cache.Stale}, []any{v, m.Source})
						} else {
							require.Equal(t, []any{1, cache.Loaded}, []any{v, m.Source})
						}
					})
					time.Sleep(time.Second)
					undo(c)
					wg.Go(func() { requireValue(t, c, o.load, 2, cache.Loaded) })
					time.Sleep(time.Second)
					synctest.Wait()
					_, _, ok := c.Peek("a")
					require.False(t, ok, "the first has ended")
					wg.Wait()
					requireValue(t, c, unwanted(t), 2, cache.Fresh)
					require.Equal(t, 2, o.calls())
				})
			})
		}
	}
}

func TestTheLateEndOfALoadDoesNotUndoTheNext(t *testing.T) {
	for how, undo := range undoers {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cache.MustNew[string, int](windowed())
				go func() {
					_, _, _ = c.Get(t.Context(), "a", func(context.Context) (int, error) { time.Sleep(3 * time.Second); return 1, nil })
				}()
				synctest.Wait()
				undo(c)
				requireValue(t, c, func(context.Context) (int, error) { time.Sleep(time.Second); return 2, nil }, 2, cache.Loaded)
				time.Sleep(3 * time.Second)
				requireValue(t, c, unwanted(t), 2, cache.Fresh)
			})
		})
	}
}

func TestALoadUnderWayCannotUndoASet(t *testing.T) {
	for _, window := range []string{"stale", "past all"} {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := after(inWindows[window], windowed()), backend{takes: 2 * time.Second}
				go func() {
					v, _, err := c.Get(t.Context(), "a", o.load)
					require.NoError(t, err)
					require.Contains(t, []int{100, 1}, v)
				}()
				time.Sleep(time.Second)
				c.Set("a", 7)
				requireValue(t, c, unwanted(t), 7, cache.Fresh)
				time.Sleep(2 * time.Second)
				require.Equal(t, 2*time.Second, requireValue(t, c, unwanted(t), 7, cache.Fresh).Age)
			})
		})
	}
}

// What was dropped must not come back as a stale value.
func TestWhatWasInvalidatedStandsInForNoLoad(t *testing.T) {
	for how, undo := range undoers {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := after(inWindows["stale if error"], windowed())
				time.AfterFunc(time.Second, func() { undo(c) })
				requireError(t, c, func(context.Context) (int, error) { time.Sleep(2 * time.Second); return 0, errDown }, errDown)
			})
		})
	}
}

func TestAFailureThatWasInvalidatedIsNotHeldAgainstTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale"], windowed())
		requireValue(t, c, func(context.Context) (int, error) { time.Sleep(time.Second); return 0, forbidden }, 100, cache.Stale)
		c.Set("a", 7)
		time.Sleep(2 * time.Second)
		_, m, _ := c.Peek("a")
		require.Equal(t, cache.Meta{Source: cache.Fresh, Age: 2 * time.Second}, m)
		time.Sleep(inWindows["stale"] - 2*time.Second)
		requireValue(t, c, down, 7, cache.Stale)
	})
}

func TestABatchUnderWayCannotUndoAnInvalidateOfOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := cache.MustNew[string, int](windowed()), backend{takes: 2 * time.Second}
		time.AfterFunc(time.Second, func() { c.Invalidate("a"); c.Set("b", 7) })
		items, err := c.GetMany(t.Context(), []string{"a", "b", "c"}, o.loads)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1}, found(items))
		_, _, ok := c.Peek("a")
		require.False(t, ok)
		v, _, _ := c.Peek("b")
		require.Equal(t, 7, v)
		v, _, _ = c.Peek("c")
		require.Equal(t, 1, v)
	})
}

// NaN is no key that is ever found again. It must leave no load behind, and no more entries than there is room for.
func TestAKeyThatIsNotEqualToItselfLeavesNoLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxEntries = 10
		c := cache.MustNew[float64, int](config)
		nan := math.NaN()
		for i := range 100 {
			v, m, err := c.Get(t.Context(), nan, returns(i, nil))
			require.NoError(t, err)
			require.Equal(t, []any{i, cache.Loaded}, []any{v, m.Source})
			_, _, err = c.Get(t.Context(), nan, down)
			require.Equal(t, errDown, err)
			c.Set(nan, i)
			_, _, ok := c.Peek(nan)
			require.False(t, ok)
			c.Invalidate(nan)
			items, err := c.GetMany(t.Context(), []float64{nan, nan, 1}, func(_ context.Context, keys []float64) (map[float64]int, error) {
				return map[float64]int{nan: 1, 1: 1}, nil
			})
			require.NoError(t, err)
			require.Len(t, items, 1)
			require.LessOrEqual(t, c.Len(), 10)
		}
		synctest.Wait()
		require.Zero(t, c.Stats().Loading)
		c.InvalidateAll()
		require.Zero(t, c.Len())
	})
}

func TestKeysThatAreEqualAreOne(t *testing.T) {
	c := cache.MustNew[any, int](windowed())
	for i, keys := range [][2]any{{0.0, math.Copysign(0, -1)}, {nil, nil}, {[2]string{"a", "b"}, [2]string{"a", "b"}}, {struct{ a any }{1}, struct{ a any }{1}}} {
		c.Set(keys[0], i)
		v, _, ok := c.Peek(keys[1])
		require.True(t, ok, "%v", keys)
		require.Equal(t, i, v)
	}
	_, _, ok := c.Peek(int64(1))
	require.False(t, ok)
}

// The panic is that of a map, in the caller. No lock stays held, and no load is left.
func TestAKeyThatCannotBeComparedPanicsInTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[any, int](windowed())
		c.Set("a", 1)
		bad := []int{1}
		many := func(_ context.Context, keys []any) (map[any]int, error) {
			t.Error("loaded", keys)
			return nil, nil
		}
		for name, call := range map[string]func(){
			"Get":           func() { _, _, _ = c.Get(t.Context(), bad, unwanted(t)) },
			"GetMany":       func() { _, _ = c.GetMany(t.Context(), []any{"b", bad}, many) },
			"Set":           func() { c.Set(bad, 1) },
			"Invalidate":    func() { c.Invalidate("b", bad) },
			"Peek":          func() { c.Peek(bad) },
			"Get, a struct": func() { _, _, _ = c.Get(t.Context(), struct{ a any }{bad}, unwanted(t)) },
		} {
			require.Panics(t, call, name)
			v, m, err := c.Get(t.Context(), "a", unwanted(t))
			require.NoError(t, err)
			require.Equal(t, []any{1, cache.Fresh}, []any{v, m.Source})
			c.Set("b", 2)
			c.Invalidate("b")
		}
		require.Equal(t, 1, c.Len())
		c.InvalidateAll()
		c.Close()
		require.Zero(t, c.Stats().Loading)
	})
}
