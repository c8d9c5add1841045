package cache_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/steadytest"
)

func TestAnErrorGoesToAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := cache.MustNew[string, int](windowed()), backend{takes: time.Second, err: errDown}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { require.Equal(t, errDown, requireError(t, c, o.load, errDown), "untouched") })
		}
		wg.Wait()
		require.Equal(t, 1, o.calls())
	})
}

func TestTheValueLandsThoughAllHaveLeft(t *testing.T) {
	for how, leave := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 10*time.Millisecond)
		},
		"cancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(10*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := cache.MustNew[string, int](windowed()), backend{takes: 100 * time.Millisecond}
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						ctx, cancel := leave(t.Context())
						defer cancel()
						_, _, err := c.Get(ctx, "a", o.load)
						require.ErrorIs(t, err, ctx.Err())
					})
				}
				wg.Wait()
				time.Sleep(100 * time.Millisecond)
				requireValue(t, c, unwanted(t), 1, cache.Fresh)
			})
		})
	}
}

// A load that ignores its context holds up nobody for longer than LoadTimeout, but it keeps its place, and what it
// brings in the end is not wanted any more.
func TestALoadThatIgnoresItsContextIsLeftRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		config := windowed()
		config.Name, config.Hook, config.MaxLoads = "users", &r, 2
		c, o := cache.MustNew[string, int](config), backend{takes: time.Minute, deaf: true}

		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := requireError(t, c, o.load, cache.ErrLoadTimeout)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.EqualError(t, err, "cache: users: load timeout of 5s exceeded")
			})
		}
		wg.Wait()
		synctest.Wait()
		require.Less(t, time.Since(start), 5*time.Second+10*time.Millisecond)
		require.Equal(t, 1, c.Stats().Loading)
		require.Equal(t, 1, c.Stats().LeftBehind)
		require.EqualValues(t, 1, c.Stats().LoadErrors)
		require.Len(t, r.Events(steady.KindAbandoned), 1)

		requireValue(t, c, returns(2, nil), 2, cache.Loaded)
		go func() { _, _, _ = c.Get(t.Context(), "b", hang) }()
		synctest.Wait()
		_, _, err := c.Get(t.Context(), "c", returns(3, nil))
		require.ErrorIs(t, err, cache.ErrOverloaded, "it keeps its place")

		r.Reset()
		c.Set("a", 4)
		time.Sleep(time.Minute)
		require.Len(t, r.Events(steady.KindLate), 1)
		require.Equal(t, time.Minute, r.Events(steady.KindLate)[0].Duration)
		v, _, _ := c.Peek("a")
		require.Equal(t, 4, v, "late")
		require.Zero(t, c.Stats().Loading)
		require.Zero(t, c.Stats().LeftBehind)
	})
}

func TestWhatALeftLoadBringsIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := cache.MustNew[string, int](windowed()), backend{takes: time.Minute, deaf: true}
		requireError(t, c, o.load, cache.ErrLoadTimeout)
		time.Sleep(time.Minute)
		require.Zero(t, c.Len())
		require.Equal(t, 1, o.calls())
	})
}

func TestALoadThatWasLeftInTheBackgroundLeavesTheEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := after(inWindows["stale"], windowed()), backend{takes: time.Minute, deaf: true}
		requireValue(t, c, o.load, 100, cache.Stale)
		time.Sleep(4 * time.Second)
		require.NoError(t, requireValue(t, c, o.load, 100, cache.Stale).Err)
		require.Equal(t, 1, o.calls())
		time.Sleep(2 * time.Second)
		c.Invalidate("a")
		requireValue(t, c, returns(7, nil), 7, cache.Loaded)
		time.Sleep(time.Minute)
		require.Equal(t, 0, c.Stats().LeftBehind)
	})
}

// The load's time is over, but it ends before anybody had to be told.
func TestASuccessOfALoadAtItsLimitIsASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		requireValue(t, c, func(ctx context.Context) (int, error) { <-ctx.Done(); return 7, nil }, 7, cache.Loaded)
		requireValue(t, c, unwanted(t), 7, cache.Fresh)
	})
}

func TestALoadSeesTheValuesOfTheFirstCallerButNotItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		type trace struct{}
		start := time.Now()
		load := func(ctx context.Context) (int, error) {
			require.Equal(t, "first", ctx.Value(trace{}))
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, 5*time.Second, deadline.Sub(start))
			time.Sleep(2 * time.Second)
			require.NoError(t, ctx.Err(), "the caller has gone")
			<-ctx.Done()
			require.Equal(t, 5*time.Second, time.Since(start))
			require.Equal(t, context.DeadlineExceeded, ctx.Err())
			require.Equal(t, cache.ErrLoadTimeout, context.Cause(ctx))
			return 7, nil
		}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), trace{}, "first"), time.Second)
		defer cancel()
		go func() { _, _, _ = c.Get(ctx, "a", load) }()
		synctest.Wait()
		v, _, err := c.Get(context.WithValue(t.Context(), trace{}, "second"), "a", load)
		require.NoError(t, err)
		require.Equal(t, 7, v)
	})
}

func TestALoadInTheBackgroundSeesTheValuesOfWhoseGetBeganItButNotItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale"], windowed())
		type trace struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), trace{}, "first"))
		_, _, err := c.Get(ctx, "a", func(ctx context.Context) (int, error) {
			time.Sleep(time.Second)
			return ctx.Value(trace{}).(int), ctx.Err()
		})
		require.NoError(t, err)
		c.Invalidate("a")
		_, _, err = c.Get(ctx, "a", func(ctx context.Context) (int, error) { return len(ctx.Value(trace{}).(string)), nil })
		require.NoError(t, err)
		cancel()
		time.Sleep(2 * time.Second)
		requireValue(t, c, unwanted(t), len("first"), cache.Fresh)
	})
}

// Only our own limit is ours.
func TestWhoseDeadlineItWas(t *testing.T) {
	wrapped := fmt.Errorf("query: %w", context.DeadlineExceeded)
	for name, test := range map[string]struct {
		load func(context.Context) (int, error)
		text string // if it is our own
	}{
		"a deadline of the load's own": {func(ctx context.Context) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return hang(ctx)
		}, ""},
		"an error that says so early":    {returns(0, wrapped), ""},
		"that of a net.Conn, early":      {returns(0, os.ErrDeadlineExceeded), ""},
		"another error at the end":       {func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, errDown }, ""},
		"the context's error":            {hang, "cache: users: load timeout of 5s exceeded"},
		"its cause":                      {func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, context.Cause(ctx) }, "cache: users: load timeout of 5s exceeded: cache: load timeout exceeded"},
		"an error that wraps it":         {func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, wrapped }, "cache: users: load timeout of 5s exceeded: query: context deadline exceeded"},
		"that of a net.Conn, at the end": {func(ctx context.Context) (int, error) { time.Sleep(5 * time.Second); return 0, os.ErrDeadlineExceeded }, "cache: users: load timeout of 5s exceeded: i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := windowed()
				config.Name = "users"
				var brought error
				_, _, err := cache.MustNew[string, int](config).Get(t.Context(), "a", func(ctx context.Context) (int, error) {
					v, err := test.load(ctx)
					brought = err
					return v, err
				})
				if test.text == "" {
					require.Equal(t, brought, err, "untouched")
					require.NotErrorIs(t, err, cache.ErrLoadTimeout)
					return
				}
				require.EqualError(t, err, test.text)
				require.ErrorIs(t, err, cache.ErrLoadTimeout)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, brought)
				timeout, ok := errors.AsType[interface {
					error
					Timeout() bool
				}](err)
				require.True(t, ok && timeout.Timeout())
			})
		})
	}
}

func panickingLoad(context.Context) (int, error) { panic(errDown) }
func vanishingLoad(context.Context) (int, error) { runtime.Goexit(); return 0, nil }

func panickingLoads(context.Context, []string) (map[string]int, error) { panic(errDown) }
func vanishingLoads(context.Context, []string) (map[string]int, error) {
	runtime.Goexit()
	return nil, nil
}

// didNotReturn are loads that do not return, by the name of their func.
var didNotReturn = map[string]struct {
	value any // of the panic
	one   func(context.Context) (int, error)
	many  func(context.Context, []string) (map[string]int, error)
}{
	"panicking": {errDown, panickingLoad, panickingLoads},
	"vanishing": {nil, vanishingLoad, vanishingLoads},
}

// requireUnwound requires the error of a load that panicked, or vanished, with a stack that names it.
func requireUnwound(t *testing.T, err error, value any, name string) {
	t.Helper()
	p, ok := errors.AsType[*steady.PanicError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, value, p.Value)
	require.Contains(t, string(p.Stack), name)
	require.ErrorIs(t, err, steady.ErrNoReturn)
}

func TestALoadThatDoesNotReturnIsAnErrorForAllWhoWait(t *testing.T) {
	for name, test := range didNotReturn {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := windowed()
				config.MaxLoads = 1
				c := cache.MustNew[string, int](config)
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						_, _, err := c.Get(t.Context(), "a", func(ctx context.Context) (int, error) {
							time.Sleep(time.Second)
							return test.one(ctx)
						})
						requireUnwound(t, err, test.value, name+"Load")
					})
				}
				wg.Wait()
				require.Zero(t, c.Stats().Loading)
				requireValue(t, c, returns(1, nil), 1, cache.Loaded)
			})
		})
	}
}

func TestARefreshThatDoesNotReturnLeavesTheEntry(t *testing.T) {
	for name, test := range didNotReturn {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := windowed()
				config.MaxLoads = 1
				c := after(inWindows["stale"], config)
				requireValue(t, c, test.one, 100, cache.Stale)
				synctest.Wait()
				requireUnwound(t, requireValue(t, c, unwanted(t), 100, cache.Stale).Err, test.value, name+"Load")
				require.Zero(t, c.Stats().Loading)
				time.Sleep(time.Second)
				requireValue(t, c, returns(1, nil), 100, cache.Stale)
				synctest.Wait()
				requireValue(t, c, unwanted(t), 1, cache.Fresh)
			})
		})
	}
}

func TestABatchThatDoesNotReturnIsOneErrorForItsKeys(t *testing.T) {
	for name, test := range didNotReturn {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := windowed()
				config.MaxLoads = 2
				c := after(inWindows["stale"], config)
				items, err := c.GetMany(t.Context(), []string{"a", "b", "c"}, test.many)
				requireUnwound(t, err, test.value, name+"Loads")
				require.Len(t, items, 1)
				require.Equal(t, 100, items["a"].Value)
				synctest.Wait()
				require.Zero(t, c.Stats().Loading)
				_, m, _ := c.Peek("a")
				requireUnwound(t, m.Err, test.value, name+"Loads")
				requireValue(t, c, unwanted(t), 100, cache.Stale)
				items, err = c.GetMany(t.Context(), []string{"b", "c"}, new(backend).loads)
				require.NoError(t, err)
				require.Len(t, items, 2)
			})
		})
	}
}

// All calls of what is the user's, on the load's goroutine, may fail without harm to the process.
func TestAStaleIfThatPanicsMasksNothing(t *testing.T) {
	for _, window := range []string{"stale", "stale if error"} {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := windowed()
				config.MaxLoads = 1
				config.StaleIf = func(error) bool { panic("StaleIf") }
				c := after(inWindows[window], config)
				if window == "stale" {
					requireValue(t, c, down, 100, cache.Stale)
					synctest.Wait()
				}
				require.Equal(t, errDown, requireError(t, c, down, errDown))
				require.Zero(t, c.Stats().Loading)
				requireValue(t, c, returns(1, nil), 1, cache.Loaded)
			})
		})
	}
}

// An oddError is one that panics when it is looked into.
type oddError struct{ is, unwrap bool }

func (oddError) Error() string { return "odd" }

func (e oddError) Is(error) bool {
	if e.is {
		panic("odd")
	}
	return false
}

func (e oddError) Unwrap() error {
	if e.unwrap {
		panic("odd")
	}
	return nil
}

// Who waits for it meets it too; nobody else does.
func TestAnErrorThatPanicsWhenAskedHarmsOnlyWhoWaits(t *testing.T) {
	for name, err := range map[string]oddError{"Is": {is: true}, "Unwrap": {unwrap: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := windowed()
				config.MaxLoads = 1
				c := cache.MustNew[string, int](config)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						require.PanicsWithValue(t, "odd", func() {
							_, _, _ = c.Get(t.Context(), "a", func(context.Context) (int, error) { time.Sleep(time.Second); return 0, err })
						})
					})
				}
				wg.Wait()
				require.Zero(t, c.Stats().Loading)
				requireValue(t, c, returns(1, nil), 1, cache.Loaded)

				time.Sleep(inWindows["stale"])
				requireValue(t, c, returns(0, err), 1, cache.Stale)
				synctest.Wait()
				require.Zero(t, c.Stats().Loading)
				requireValue(t, c, returns(2, nil), 2, cache.Loaded)
			})
		})
	}
}

func TestNoMaxLoadsIsNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxLoads = cache.NoMaxLoads
		c, o := cache.MustNew[int, int](config), backend{takes: time.Second}
		for key := range 2_000 {
			go func() { _, _, _ = c.Get(t.Context(), key, o.load) }()
		}
		synctest.Wait()
		require.Equal(t, 2_000, c.Stats().Loading)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, c.Stats().Loading)
		_, ok := c.Inspect()[0].Level(steady.LevelLimit)
		require.False(t, ok)
	})
}

// full is a cache as after makes it, with its one place for loads taken for an hour.
func full(t *testing.T, age time.Duration, config cache.Config) *cache.Cache[string, int] {
	config.MaxLoads, config.LoadTimeout = 1, 2*time.Hour
	c := after(age, config)
	go func() {
		_, _, _ = c.Get(t.Context(), "slow", func(ctx context.Context) (int, error) { time.Sleep(time.Hour); return 0, nil })
	}()
	synctest.Wait()
	return c
}

func TestWithoutAPlaceWhatIsStaleIsGoodEnough(t *testing.T) {
	for window, want := range map[string]sight{
		"fresh":          {from: cache.Fresh, value: 100},
		"refresh ahead":  {from: cache.Fresh, value: 100},
		"stale":          {from: cache.Stale, value: 100},
		"stale if error": {from: cache.StaleOnError, value: 100},
	} {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := full(t, inWindows[window], windowed())
				for range 3 {
					v, m, err := c.Get(t.Context(), "a", unwanted(t))
					require.NoError(t, err)
					require.Equal(t, want.value, v)
					require.Equal(t, want.from, m.Source)
					if m.Source == cache.StaleOnError {
						require.ErrorIs(t, m.Err, cache.ErrOverloaded)
					}
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestWhatStaleIfDoesNotLetPassIsRefusedWithoutAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.StaleIf = func(err error) bool { return !errors.Is(err, cache.ErrOverloaded) }
		c := full(t, inWindows["stale if error"], config)
		requireError(t, c, unwanted(t), cache.ErrOverloaded)
		time.Sleep(time.Hour)
	})
}

func TestARefreshWithoutAPlaceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxLoads = 1
		c := after(inWindows["stale"], config)
		go func() {
			_, _, _ = c.Get(t.Context(), "slow", func(ctx context.Context) (int, error) { time.Sleep(time.Second); return 0, nil })
		}()
		synctest.Wait()
		requireValue(t, c, unwanted(t), 100, cache.Stale)
		require.ErrorIs(t, requireValue(t, c, unwanted(t), 100, cache.Stale).Err, cache.ErrOverloaded)
		time.Sleep(time.Second)
		synctest.Wait()
		requireValue(t, c, returns(1, nil), 100, cache.Stale)
		synctest.Wait()
		requireValue(t, c, unwanted(t), 1, cache.Fresh)
	})
}

// Who joins a load needs no place.
func TestALoadUnderWayIsJoinedWithoutAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxLoads = 1
		c, o := cache.MustNew[string, int](config), backend{takes: time.Second}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { requireValue(t, c, o.load, 1, cache.Loaded) })
		}
		wg.Wait()
	})
}
