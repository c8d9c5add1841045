package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/steadytest"
)

// The tests of this file are named after the faults that caches and other parts of libraries of this kind have
// shipped. Each of these was planted here once, as the line "Planted" tells, and the test was seen to fail.

// Who cancels says nothing about the origin.
// Planted: stats.go: answer calls each error a failure → failure; flights.go: board keeps the caller's cancel → the load
// ends with it, a failure.
func TestTrap13TheCallersCancelIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		c := cache.MustNew[string, int](recorded(&r))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		_, _, err := c.Get(ctx, "a", (&backend{takes: 3 * time.Second}).load)
		require.Equal(t, context.Canceled, err)
		require.Equal(t, steady.Ignored, r.Outcomes()[0].Outcome)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, steady.Success, r.Events(steady.KindLoaded)[0].Outcome)
		require.Zero(t, c.Stats().LoadErrors)
	})
}

// Where a load dies with its impatient callers, nobody ever hears that the origin hangs.
// Planted: load.go: land tells of no load that ended in time → none; leave counts nothing → 0.
func TestTrap13AHangIsSeenThoughAllCallersLeaveEarly(t *testing.T) {
	for name, deaf := range map[string]bool{"obedient": false, "deaf": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r steadytest.Recorder
				c, o := cache.MustNew[string, int](recorded(&r)), backend{takes: time.Minute, deaf: deaf}
				for range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					_, _, err := c.Get(ctx, "a", o.load)
					require.Equal(t, context.DeadlineExceeded, err)
					cancel()
				}
				time.Sleep(6 * time.Second)
				require.EqualValues(t, 1, c.Stats().LoadErrors)
				if deaf {
					require.Len(t, r.Events(steady.KindAbandoned), 1)
				} else {
					require.Equal(t, steady.Failure, r.Events(steady.KindLoaded)[0].Outcome)
					require.ErrorIs(t, r.Events(steady.KindLoaded)[0].Err, cache.ErrLoadTimeout)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// Hooks that are called under the lock deadlock when they use what calls them.
// Planted: cache.go: Set tells of evictions before it unlocks; load.go: store tells of the load with the lock held → the
// test hangs.
func TestTrap14AHookMayUseItsCacheWhateverItHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type inHook struct{}
		var c *cache.Cache[string, int]
		var mu sync.Mutex
		heard := map[steady.Kind]int{}
		config := recorded(steady.HookFunc(func(ctx context.Context, e steady.Event) {
			mu.Lock()
			heard[e.Kind]++
			enough := heard[e.Kind] > 5 // each use of the cache makes more of them
			mu.Unlock()
			if e.Kind == steady.KindNew || ctx.Value(inHook{}) != nil || enough {
				return
			}
			ctx = context.WithValue(ctx, inHook{}, true)
			for range 2 {
				_, _, _ = c.Get(ctx, "hook", returns(1, nil))
				_, _ = c.GetMany(ctx, []string{"hook", "hook too"}, new(backend).loads)
				c.Set("hook", 2)
				c.Peek("a")
				c.Len()
				c.Stats()
				c.Inspect()
				c.Invalidate("a", "hook")
				c.InvalidateAll()
			}
			c.Set("one", 1)
		}))
		config.MaxEntries = 1
		c = cache.MustNew[string, int](config)
		for _, load := range []func(context.Context) (int, error){returns(1, nil), down, hang, (&backend{takes: time.Minute, deaf: true}).load} {
			c.Set("a", 100)
			c.Set("b", 100)
			c.Invalidate("a")
			_, _, _ = c.Get(t.Context(), "a", load)
			synctest.Wait()
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		c.InvalidateAll()
		_, _, _ = c.Get(done, "a", nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		for kind := steady.KindDone; kind <= steady.KindEvicted; kind++ {
			switch kind {
			case steady.KindState, steady.KindRetry, steady.KindDryRun, steady.KindInjected:
			default:
				require.NotZero(t, heard[kind], "%v", kind)
			}
		}
	})
}

// A hook that panics under a lock leaves it locked; one that panics on a load's goroutine kills the process.
// Planted: internal/report: Emit does not recover → the panic reaches the test.
func TestTrap14AHookThatPanicsChangesNothingWhateverItHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := recorded(steady.HookFunc(func(context.Context, steady.Event) { panic("hook") }))
		config.MaxEntries, config.MaxLoads = 1, 1
		c := cache.MustNew[string, int](config)
		requireValue(t, c, returns(1, nil), 1, cache.Loaded) // new, load, loaded, done
		requireValue(t, c, unwanted(t), 1, cache.Fresh)      // done
		_, _, err := c.Get(t.Context(), "b", down)           // load, loaded, done
		require.Equal(t, errDown, err)
		c.Set("b", 2) // evicted
		o := backend{takes: time.Minute, deaf: true}
		requireError(t, c, o.load, cache.ErrLoadTimeout) // load, abandoned, done
		time.Sleep(time.Minute)                          // late
		require.EqualValues(t, 4+1+3+1+4, c.Stats().HookPanics)
		requireValue(t, c, returns(1, nil), 1, cache.Loaded)
		require.Zero(t, c.Stats().Loading)
	})
}

// Keys that somebody makes up grow a map without bound, and what is remembered of their loads does too.
// Planted: shard.go: put evicts nothing → 101 entries; load.go: store unlists nothing that failed → the error is
// remembered for ever.
func TestTrap17MadeUpKeysDoNotGrowIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxEntries = 100
		c := cache.MustNew[int, int](config)
		for key := range 1_500 {
			o := backend{err: [...]error{nil, errDown, cache.ErrNotFound}[key%3]}
			for range 2 {
				if _, _, err := c.Get(t.Context(), key, o.load); !errors.Is(err, o.err) {
					t.Fatalf("key %d: %v", key, err)
				}
			}
			if o.err == errDown {
				require.Equal(t, 2, o.calls())
			}
			require.LessOrEqual(t, c.Len(), 100)
		}
		require.Zero(t, c.Stats().Loading)
	})
}

// A delay that doubles without bound is negative or zero one day, and the origin is called without end.
// Planted: window.go: fail shifts without bound → it is loaded once more at once.
func TestTrap18TheBackOffDoesNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fresh = 20_000 * time.Hour
		c := cache.MustNew[string, int](cache.Config{
			MaxEntries: 1, Fresh: fresh, StaleWhileRevalidate: 100 * fresh, LoadTimeout: time.Second,
			RefreshAhead: cache.NoRefreshAhead, Jitter: cache.NoJitter,
		})
		c.Set("a", 100)
		time.Sleep(fresh)
		ctx := with(t.Context(), 0)
		held := 100 * time.Millisecond
		for range 80 {
			before := c.Stats().Loads
			_, _, _ = c.Get(ctx, "a", down)
			synctest.Wait()
			require.Equal(t, before+1, c.Stats().Loads)
			time.Sleep(held - time.Nanosecond)
			requireValue(t, c, unwanted(t), 100, cache.Stale)
			time.Sleep(time.Nanosecond)
			held = min(2*held, fresh)
		}
	})
}

// A load that is begun for who has gone is work in vain.
// Planted: get.go: get does not ask ctx.Err before it holds → loaded; it does not ask ContextErr → loaded.
func TestTrap23NothingIsLoadedForADoneContext(t *testing.T) {
	for window, age := range inWindows {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := after(age, windowed())
				for _, end := range []func(context.Context) (context.Context, context.CancelFunc){
					context.WithCancel,
					func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, 0) },
				} {
					ctx, cancel := end(t.Context())
					cancel()
					_, _, _ = c.Get(ctx, "a", unwanted(t))
					_, _ = c.GetMany(ctx, []string{"a", "b"}, unwantedMany(t))
				}
				synctest.Wait()
				require.Zero(t, c.Stats().Loads)
			})
		})
	}
}

// Waiting that does not look at the context keeps a caller who has gone until the load has ended.
// Planted: get.go: await does not select on ctx.Done → 3 s.
func TestTrap23WaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := cache.MustNew[string, int](windowed()), shop{takes: 3 * time.Second}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, err := c.Get(ctx, "a", func(context.Context) (int, error) { time.Sleep(3 * time.Second); return 1, nil })
			require.ErrorIs(t, err, gone)
			require.Equal(t, time.Second, time.Since(start))
		})
		wg.Go(func() {
			_, err := c.GetMany(ctx, []string{"a", "b", "c"}, s.load)
			require.ErrorIs(t, err, gone)
			require.Equal(t, time.Second, time.Since(start))
		})
		wg.Wait()
		time.Sleep(2 * time.Second)
	})
}

// Loads that ignore their context pile up unseen, one for each back-off, while the origin hangs.
// Planted: flights.go: leave gives the place back → a fourth is begun; it does not count → 0 left behind.
func TestTrap29WhatIsLeftRunningIsBoundedAndSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxLoads = 3
		c, o := cache.MustNew[int, int](config), backend{takes: time.Hour, deaf: true}
		for key := range 20 {
			_, _, err := c.Get(t.Context(), key, o.load)
			if key < 3 {
				require.ErrorIs(t, err, cache.ErrLoadTimeout)
			} else {
				require.ErrorIs(t, err, cache.ErrOverloaded)
			}
		}
		require.Equal(t, 3, o.most)
		require.Equal(t, []int{3, 3}, []int{c.Stats().Loading, c.Stats().LeftBehind})
		time.Sleep(time.Hour)
		require.Equal(t, []int{0, 0}, []int{c.Stats().Loading, c.Stats().LeftBehind})
		_, _, err := c.Get(t.Context(), 1, returns(1, nil))
		require.NoError(t, err)
	})
}

// A timeout that takes each deadline for its own tells operators of a slow origin where callers were impatient.
// Planted: load.go: the error of a deadline before the load's own is wrapped → ErrLoadTimeout.
func TestTrap30TheCallersDeadlineIsNotTheLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := c.Get(ctx, "a", hang)
		require.Equal(t, context.DeadlineExceeded, err)
		c.Close()
		_, _, err = cache.MustNew[string, int](windowed()).Get(t.Context(), "a", func(ctx context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return hang(ctx)
		})
		require.Equal(t, context.DeadlineExceeded, err)
	})
}

// A loader that fails is run once more for the one who waited.
// Planted: load.go: bringOne calls again after an error → 2 calls.
func TestTrap36AFailingLoadRunsOnce(t *testing.T) {
	for window, age := range inWindows {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := after(age, windowed()), backend{err: errDown}
				_, _, _ = c.Get(t.Context(), "a", o.load)
				synctest.Wait()
				if window == "fresh" {
					require.Zero(t, o.calls())
					return
				}
				require.Equal(t, 1, o.calls())
				_, err := c.GetMany(t.Context(), []string{"b", "c"}, o.loads)
				require.Equal(t, errDown, err)
				require.Equal(t, 2, o.calls())
			})
		})
	}
}
