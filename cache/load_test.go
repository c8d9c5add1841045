package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/cache"
)

// getWithin gets key with so much patience.
func getWithin(t *testing.T, c *cache.Cache[string, int], patience time.Duration, o *origin) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, _, err := c.Get(ctx, "a", o.load)
	return err
}

// Impatient callers make a load each, and none of them is ever answered.
// Planted: flights.go: board keeps the caller's context → fails.
func TestTrap35ImpatientCallersAreAnsweredByOneLoad(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		o := origin{takes: 100 * time.Millisecond}
		answered := 0
		for range 20 {
			if getWithin(t, c, 50*time.Millisecond, &o) == nil {
				answered++
			}
		}
		require.GreaterOrEqual(t, answered, 18)
		require.EqualValues(t, 1, o.calls.Load())
	})
}

func TestTwoCrowdsOfImpatientCallersMakeOneLoad(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		o := origin{takes: 100 * time.Millisecond}
		crowd := func(answered *atomic.Int64) {
			for range 20 {
				go func() {
					if getWithin(t, c, 50*time.Millisecond, &o) == nil {
						answered.Add(1)
					}
				}()
			}
		}
		var first, second atomic.Int64
		crowd(&first)
		time.Sleep(60 * time.Millisecond)
		crowd(&second)
		time.Sleep(time.Second)
		require.Zero(t, first.Load())
		require.EqualValues(t, 20, second.Load())
		require.EqualValues(t, 1, o.calls.Load())
	})
}

func TestACrowdOnAColdKeyMakesOneLoad(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		o := origin{takes: 100 * time.Millisecond}
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				v, meta, err := c.Get(t.Context(), "a", o.load)
				if err != nil || v != 1 || meta.Source != cache.Loaded {
					t.Errorf("%d %v %v", v, meta, err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, o.calls.Load())
		require.EqualValues(t, 1000, c.Stats().Loaded)
	})
}

// The first caller's cancel fails every waiter of a coalesced load.
// Planted: flights.go: board keeps the caller's context → all ten fail.
func TestTrap35TheFirstCallersCancelFailsNobodyElse(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		o := origin{takes: time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() { _, _, err := c.Get(ctx, "a", o.load); first <- err }()
		synctest.Wait()
		others := make(chan error)
		for range 10 {
			go func() { _, _, err := c.Get(t.Context(), "a", o.load); others <- err }()
		}
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		for range 10 {
			require.NoError(t, <-others)
		}
		require.EqualValues(t, 1, o.calls.Load())
	})
}

func TestALoadThatTakesTooLongIsToldFromOtherDeadlines(t *testing.T) {
	config := exact()
	config.Name = "users"
	bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
		o := origin{takes: time.Minute}
		_, _, err := c.Get(t.Context(), "a", o.load)
		require.ErrorIs(t, err, cache.ErrLoadTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "cache: users: load timeout of 5s exceeded")
		own := fmt.Errorf("of a client: %w", context.DeadlineExceeded)
		_, _, err = c.Get(t.Context(), "a", func(context.Context) (int, error) { return 0, own })
		require.Equal(t, own, err)
	})
}

// A panic on a load's goroutine ends the process although the caller recovers, or leaves everybody waiting.
// Planted: load.go: fly does not recover → the process ends.
func TestTrap04APanicOfALoadIsAnErrorWithItsStack(t *testing.T) {
	for name, unwinds := range map[string]func(){"panic": func() { panic(errDown) }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
				bug := func(context.Context) (int, error) { time.Sleep(time.Second); unwinds(); return 0, nil }
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						_, _, err := c.Get(t.Context(), "a", bug)
						if p, ok := errors.AsType[*steady.PanicError](err); !ok || !containsFrame(p.Stack, "TestTrap04APanicOfALoadIsAnErrorWithItsStack") {
							t.Errorf("%v", err)
						}
					})
				}
				wg.Wait()
				var o origin
				requireGet(t, c, &o, 1, cache.Loaded, 0)
				time.Sleep(90 * time.Second)
				v, _, err := c.Get(t.Context(), "a", bug) // in the background
				require.NoError(t, err)
				require.Equal(t, 1, v)
				time.Sleep(60 * time.Second)
				_, meta, err := c.Get(t.Context(), "a", o.load)
				require.NoError(t, err)
				require.ErrorIs(t, meta.Err, steady.ErrNoReturn)
				items, err := c.GetMany(t.Context(), []string{"b"}, func(context.Context, []string) (map[string]int, error) { unwinds(); return nil, nil })
				require.ErrorIs(t, err, steady.ErrNoReturn)
				require.Empty(t, items)
				settle()
				require.Zero(t, c.Stats().Loading)
			})
		})
	}
}

func containsFrame(stack []byte, name string) bool { return strings.Contains(string(stack), name) }

// require in StaleIf ends the goroutine that asks. Planted: load.go: settle does not go on when it is unwound → hangs.
func TestAStaleIfThatEndsItsGoroutineLeavesNobodyWaiting(t *testing.T) {
	config := exact()
	config.StaleIf = func(error) bool { runtime.Goexit(); return true }
	bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _, err := c.Get(t.Context(), "a", func(context.Context) (int, error) { return 0, errDown })
			if !errors.Is(err, steady.ErrNoReturn) {
				t.Errorf("%v", err)
			}
		}()
		<-ended
		settle()
		require.Zero(t, c.Stats().Loading)
		var o origin
		requireGet(t, c, &o, 1, cache.Loaded, 0)
	})
}

// What a load panics with is not its answer.
func TestAPanicWithNotFoundIsNotNotFound(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("a", 1)
		time.Sleep(500 * time.Second)
		v, meta, err := c.Get(t.Context(), "a", func(context.Context) (int, error) { panic(cache.NotFound(errDown)) })
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, cache.StaleOnError, meta.Source)
	})
}

// A 403 must not be masked: not to who waits, nor after a load in the background has met it, nor by a later failure
// of another kind.
func TestAFinalErrorIsNotMasked(t *testing.T) {
	forbidden := steady.Permanent(errors.New("403"))
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		var o origin
		requireGet(t, c, &o, 1, cache.Loaded, 0)
		o.fails = forbidden
		time.Sleep(150 * time.Second)
		requireGet(t, c, &o, 1, cache.Stale, 150*time.Second) // nobody knows yet
		settle()
		for range 3 {
			_, _, err := c.Get(t.Context(), "a", o.load)
			require.Equal(t, forbidden, err)
		}
		o.fails = errDown
		_, _, err := c.Get(t.Context(), "a", o.load)
		require.Equal(t, errDown, err)
		o.fails = nil
		requireGet(t, c, &o, int(o.calls.Load())+1, cache.Loaded, 0)
		o.fails = errDown
		time.Sleep(500 * time.Second)
		_, meta, err := c.Get(t.Context(), "a", o.load)
		require.NoError(t, err)
		require.Equal(t, cache.StaleOnError, meta.Source)
		time.Sleep(time.Minute)
		o.fails = forbidden
		requireGet(t, c, &o, int(o.calls.Load())-1, cache.StaleOnError, 560*time.Second) // nobody knows yet
		settle()
		_, _, err = c.Get(t.Context(), "a", o.load)
		require.Equal(t, forbidden, err)
	})
}

// A source of chance that panics is met while a load is judged. It must not make a failure of what is none.
func TestAPanickingSourceHidesNothing(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		ctx := steady.ContextWithSource(t.Context(), panicking{})
		_, _, err := c.Get(ctx, "a", func(context.Context) (int, error) { return 0, cache.NotFound(errors.New("404")) })
		require.ErrorIs(t, err, cache.ErrNotFound)
		_, meta, ok := c.Peek("a")
		require.False(t, ok)
		require.Equal(t, cache.Negative, meta.Source)
		require.Zero(t, c.Stats().LoadErrors)
		c.Set("b", 1)
		time.Sleep(500 * time.Second)
		_, meta, err = c.Get(ctx, "b", func(context.Context) (int, error) { return 0, errDown })
		require.NoError(t, err)
		require.Equal(t, cache.StaleOnError, meta.Source)
	})
}

type panicking struct{}

func (panicking) Float64(string, uint64) float64 { panic("no chance") }

func TestWhatKeepsALoadFromStartingIsMasked(t *testing.T) {
	for name, tt := range map[string]struct {
		guard func() steady.Policy
		want  error
	}{
		"open breaker": {func() steady.Policy {
			b := breaker.MustNew(breaker.Config{ConsecutiveFailures: 1})
			_ = b.Do(t.Context(), func(context.Context) error { return errDown })
			return b
		}, breaker.ErrOpen},
		"forced open": {func() steady.Policy {
			b := breaker.MustNew(breaker.Config{})
			b.ForceOpen()
			return b
		}, breaker.ErrOpen},
		"full bulkhead": {func() steady.Policy {
			b := bulkhead.MustNew(bulkhead.Config{Limit: 1})
			_, err := b.TryAcquire(t.Context())
			require.NoError(t, err)
			return b
		}, bulkhead.ErrFull},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
				c.Set("a", 1)
				time.Sleep(500 * time.Second)
				guard := tt.guard()
				v, meta, err := c.Get(t.Context(), "a", func(ctx context.Context) (int, error) {
					return steady.DoValue(ctx, guard, func(context.Context) (int, error) { return 2, nil })
				})
				require.NoError(t, err)
				require.Equal(t, 1, v)
				require.Equal(t, cache.StaleOnError, meta.Source)
				require.ErrorIs(t, meta.Err, tt.want)
			})
		})
	}
}

func TestTheLoadsTimeoutIsMasked(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("a", 1)
		time.Sleep(500 * time.Second)
		o := origin{takes: time.Minute}
		v, meta, err := c.Get(t.Context(), "a", o.load)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.ErrorIs(t, meta.Err, cache.ErrLoadTimeout)
	})
}

func TestStaleIfDecides(t *testing.T) {
	config := exact()
	config.StaleIf = func(err error) bool { return errors.Is(err, errDown) }
	bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("a", 1)
		time.Sleep(500 * time.Second)
		other := errors.New("other")
		o := origin{fails: other}
		_, _, err := c.Get(t.Context(), "a", o.load)
		require.Equal(t, other, err)
		c.Set("a", 2)
		time.Sleep(500 * time.Second)
		o.fails = errDown
		requireGet(t, c, &o, 2, cache.StaleOnError, 500*time.Second)
	})
}

func TestNothingIsRememberedForNegativeFor(t *testing.T) {
	gone := errors.New("404")
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		o := origin{fails: cache.NotFound(gone)}
		for _, source := range []cache.Source{cache.Loaded, cache.Negative, cache.Negative} {
			v, meta, err := c.Get(t.Context(), "a", o.load)
			require.ErrorIs(t, err, gone)
			require.ErrorIs(t, err, cache.ErrNotFound)
			require.True(t, steady.IsPermanent(err))
			require.Equal(t, source.String(), meta.Source.String())
			require.Zero(t, v)
			time.Sleep(4 * time.Second)
		}
		require.EqualValues(t, 1, o.calls.Load())
		o.fails = nil
		requireGet(t, c, &o, 2, cache.Loaded, 0)
		// What the origin says is gone is not returned as stale.
		o.fails = cache.NotFound(gone)
		time.Sleep(150 * time.Second)
		requireGet(t, c, &o, 2, cache.Stale, 150*time.Second)
		settle()
		_, _, err := c.Get(t.Context(), "a", o.load)
		require.ErrorIs(t, err, gone)
		c.Set("a", 9)
		requireGet(t, c, &o, 9, cache.Fresh, 0)
	})
}

func TestWithoutNegativeForNothingIsRemembered(t *testing.T) {
	config := exact()
	config.NegativeFor = 0
	bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("a", 1)
		time.Sleep(500 * time.Second)
		o := origin{fails: cache.ErrNotFound}
		for range 2 {
			_, _, err := c.Get(t.Context(), "a", o.load)
			require.ErrorIs(t, err, cache.ErrNotFound)
		}
		require.EqualValues(t, 2, o.calls.Load())
		require.Zero(t, c.Len())
	})
}

func TestLoadsBeyondMaxLoadsAreRejected(t *testing.T) {
	config := exact()
	config.MaxLoads, config.Name = 50, "users"
	bubble(t, config, func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("stale", 1)
		time.Sleep(500 * time.Second)
		var under, most, rejected atomic.Int64
		for key := range 1000 {
			go func() {
				_, _, err := c.Get(t.Context(), fmt.Sprint(key), func(context.Context) (int, error) {
					most.Store(max(most.Load(), under.Add(1)))
					time.Sleep(time.Second)
					under.Add(-1)
					return key, nil
				})
				if r, ok := steady.AsRejection(err); ok && errors.Is(err, cache.ErrOverloaded) {
					if policy, name, _ := r.RejectedBy(); policy == "cache" && name == "users" {
						rejected.Add(1)
					}
				}
			}()
		}
		synctest.Wait()
		v, meta, err := c.Get(t.Context(), "stale", func(context.Context) (int, error) { return 2, nil })
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.ErrorIs(t, meta.Err, cache.ErrOverloaded)
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 50, most.Load())
		require.EqualValues(t, 950, rejected.Load())
		require.EqualValues(t, 950, c.Stats().Rejected)
		require.Zero(t, c.Stats().Loading)
	})
}

// 20,000 readers of a stale entry wait for nobody, and one of them begins the load.
func TestReadersOfAStaleEntryAddNoGoroutines(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		c.Set("a", 1)
		time.Sleep(150 * time.Second)
		o := origin{takes: 3 * time.Second}
		before, start := runtime.NumGoroutine(), time.Now()
		for range 20_000 {
			_, meta, err := c.Get(t.Context(), "a", o.load)
			require.NoError(t, err)
			require.Equal(t, cache.Stale, meta.Source)
		}
		settle()
		require.LessOrEqual(t, runtime.NumGoroutine(), before+2)
		require.Equal(t, start, time.Now())
		require.EqualValues(t, 1, o.calls.Load())
	})
}
