package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/cache"
)

// brief is a configuration whose entries are soon stale, and for long, in the window that is asked for.
func brief(fresh time.Duration, window string) cache.Config {
	config := cache.Config{MaxEntries: 1_000, Fresh: fresh, LoadTimeout: time.Second, RefreshAhead: cache.NoRefreshAhead, Jitter: cache.NoJitter}
	if window == "stale" {
		config.StaleWhileRevalidate = 1000 * time.Hour
	} else {
		config.StaleIfError = 1000 * time.Hour
	}
	return config
}

// gaps asks for key "a" every step, and returns what is between the first n loads.
func gaps(ctx context.Context, t *testing.T, c *cache.Cache[string, int], o *backend, step time.Duration, n int) (all []time.Duration) {
	t.Helper()
	last := time.Now()
	for before := o.calls(); len(all) < n; time.Sleep(step) {
		_, _, err := c.Get(ctx, "a", o.load)
		require.NoError(t, err)
		synctest.Wait()
		if o.calls() != before {
			before = o.calls()
			all = append(all, time.Since(last))
			last = time.Now()
		}
	}
	return all[1:]
}

func TestFailuresHoldOffTheNextLoadUpToFresh(t *testing.T) {
	for _, window := range []string{"stale", "stale if error"} {
		for random, want := range map[float64][]time.Duration{
			0:   {100, 200, 400, 800, 1000, 1000, 1000},
			0.4: {80, 160, 320, 640, 800, 800, 800},
		} {
			t.Run(fmt.Sprint(window, "/", random), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := after(time.Minute, brief(time.Second, window))
					for i := range want {
						want[i] *= time.Millisecond
					}
					require.Equal(t, want, gaps(with(t.Context(), random), t, c, &backend{err: errDown}, time.Millisecond, len(want)+1))
				})
			})
		}
	}
}

func TestAFreshThatIsShorterThanTheFirstBackOffBoundsItToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(time.Minute, brief(10*time.Millisecond, "stale"))
		for _, gap := range gaps(with(t.Context(), 0), t, c, &backend{err: errDown}, time.Millisecond, 4) {
			require.Equal(t, 10*time.Millisecond, gap)
		}
	})
}

func TestASuccessEndsTheBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(time.Minute, brief(time.Second, "stale"))
		o := backend{err: errDown}
		ctx := with(t.Context(), 0)
		gaps(ctx, t, c, &o, time.Millisecond, 6)
		o.fail(nil)
		time.Sleep(time.Second)
		requireValue(t, c, o.load, 100, cache.Stale)
		synctest.Wait()
		requireValue(t, c, o.load, o.calls(), cache.Fresh)
		o.fail(errDown)
		time.Sleep(time.Second)
		require.Equal(t, []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}, gaps(ctx, t, c, &o, time.Millisecond, 3))
	})
}

func TestKeysThatFailedTogetherAreNotLoadedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 300
		c := cache.MustNew[int, int](brief(time.Second, "stale"))
		for key := range keys {
			c.Set(key, key)
		}
		time.Sleep(time.Minute)
		o := backend{err: errDown}
		most := 0
		for range 101 {
			before := o.calls()
			for key := range keys {
				_, _, err := c.Get(t.Context(), key, o.load)
				require.NoError(t, err)
			}
			synctest.Wait()
			if before > 0 {
				most = max(most, o.calls()-before)
			}
			time.Sleep(time.Millisecond)
		}
		require.GreaterOrEqual(t, o.calls(), 2*keys)
		require.Less(t, most, keys/10, "50 ms are a fiftieth of them for each")
	})
}

// While entries are fresh there is one load, and after it as many failed ones as back-offs fit in. A dead origin is
// asked no more often than twice in that time.
func TestHoweverAnOriginFlapsItIsCalledAtABoundedRate(t *testing.T) {
	fit := func(fresh time.Duration) float64 { return math.Log2(1 + float64(fresh)/float64(50*time.Millisecond)) }
	for how, test := range map[string]struct {
		flaps func(n int) error
		most  func(fresh time.Duration) float64 // calls in the time of Fresh
	}{
		"down":         {func(int) error { return errDown }, func(time.Duration) float64 { return 2 }},
		"every second": {func(n int) error { return [...]error{nil, errDown}[n%2] }, func(time.Duration) float64 { return 2 / 0.8 }},
		"long spells":  {func(n int) error { return [...]error{nil, errDown}[n/50%2] }, func(time.Duration) float64 { return 2 / 0.8 }},
		"one of five":  {func(n int) error { return [...]error{nil, errDown, errDown, errDown, errDown}[n%5] }, func(f time.Duration) float64 { return (1 + fit(f)) / 0.8 }},
	} {
		for _, window := range []string{"stale", "stale if error"} {
			for _, fresh := range []time.Duration{200 * time.Millisecond, time.Second, 10 * time.Second, time.Minute} {
				t.Run(fmt.Sprint(how, "/", window, "/", fresh), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						config := brief(fresh, window)
						config.RefreshAhead = 0.8
						c := after(0, config)
						calls := 0
						const rounds, asked = 25, 50
						for range rounds * asked {
							_, _, err := c.Get(t.Context(), "a", func(context.Context) (int, error) { calls++; return calls, test.flaps(calls) })
							require.NoError(t, err)
							synctest.Wait()
							time.Sleep(fresh / asked)
						}
						beginning := fit(fresh)
						require.LessOrEqual(t, float64(calls), rounds*test.most(fresh)+beginning+1, "calls in %v", rounds*fresh)
						require.Greater(t, calls, rounds/2)
					})
				})
			}
		}
	}
}

// With an origin that hangs, who finds that out waits, and nobody who asks later, however short Fresh is beside what a load
// takes. Loads go on in the background.
func TestOneCallerWaitsForAnOriginThatHangs(t *testing.T) {
	for _, fresh := range []time.Duration{50 * time.Millisecond, time.Second, 10 * time.Second} {
		t.Run(fresh.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := after(time.Minute, brief(fresh, "stale if error"))
				o := backend{takes: time.Hour}
				waited := 0
				for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
					before := time.Now()
					v, m, err := c.Get(with(t.Context(), 0), "a", o.load)
					require.NoError(t, err)
					require.Equal(t, 100, v)
					require.Equal(t, cache.StaleOnError, m.Source)
					require.ErrorIs(t, m.Err, cache.ErrLoadTimeout)
					if time.Since(before) > 0 {
						waited++
					}
				}
				require.Equal(t, 1, waited)
				require.GreaterOrEqual(t, o.calls(), 6, "1 s each, and at most 10 s between them")
				time.Sleep(time.Second + fresh) // what is under way, and the back-off
				_, _, err := c.Get(t.Context(), "a", returns(101, nil))
				require.NoError(t, err)
				synctest.Wait()
				requireValue(t, c, unwanted(t), 101, cache.Fresh)
			})
		})
	}
}

// That an entry cannot be loaded is known for a Fresh from when another attempt was due. Then somebody has to wait again.
func TestAfterALongPauseTheNextCallerWaitsAgain(t *testing.T) {
	for name, test := range map[string]struct {
		pause time.Duration
		takes time.Duration
	}{"just known": {pause: 100*time.Millisecond + 10*time.Second - 1}, "known no more": {pause: 100*time.Millisecond + 10*time.Second, takes: time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := after(time.Minute, brief(10*time.Second, "stale if error"))
				ctx := with(t.Context(), 0)
				_, m, err := c.Get(ctx, "a", down)
				require.NoError(t, err)
				require.Equal(t, errDown, m.Err)
				time.Sleep(test.pause)
				before := time.Now()
				_, m, err = c.Get(ctx, "a", hang)
				require.NoError(t, err)
				require.Equal(t, test.takes, time.Since(before))
				require.Equal(t, cache.StaleOnError, m.Source)
				time.Sleep(2 * time.Second)
			})
		})
	}
}

func TestNothingIsEvictedByAFailure(t *testing.T) {
	for window, age := range inWindows {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := after(age, windowed())
				for range 20 {
					_, _, _ = c.Get(t.Context(), "a", down)
					_, _, _ = c.Get(t.Context(), "b", down)
					synctest.Wait()
					time.Sleep(10 * time.Millisecond)
				}
				require.Equal(t, 1, c.Len())
				require.Zero(t, c.Stats().Evictions)
				v, _, ok := c.Peek("a")
				require.Equal(t, window != "past all", ok)
				if ok {
					require.Equal(t, 100, v)
				}
			})
		})
	}
}

func TestErrorsAreNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		o := backend{err: errDown}
		for range 3 {
			require.Equal(t, errDown, requireError(t, c, o.load, errDown), "as it is")
		}
		require.Equal(t, 3, o.calls())
		require.Zero(t, c.Len())
		o.fail(nil)
		requireValue(t, c, o.load, 4, cache.Loaded)
	})
}

// forbidden is what must be known at once.
var forbidden = steady.Permanent(errors.New("403 forbidden"))

func TestAForbiddenIsNotMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale if error"], windowed())
		require.Equal(t, forbidden, requireError(t, c, returns(0, forbidden), forbidden))
	})
}

// Who asks in that window sees no errors of loads, but the next one must not get what it may not see any more.
func TestAForbiddenInTheBackgroundEndsTheStaleWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale"], windowed())
		requireValue(t, c, returns(0, forbidden), 100, cache.Stale)
		synctest.Wait()
		requireError(t, c, returns(0, forbidden), forbidden)
		time.Sleep(15 * time.Second) // stale if error
		requireError(t, c, returns(0, forbidden), forbidden)
		v, m, ok := c.Peek("a")
		require.True(t, ok, "it is not evicted")
		require.Equal(t, 100, v)
		require.Equal(t, forbidden, m.Err)
	})
}

func TestAForbiddenWhileTheEntryIsFreshEndsItsStaleWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["refresh ahead"], windowed())
		requireValue(t, c, returns(0, forbidden), 100, cache.Fresh)
		synctest.Wait()
		requireValue(t, c, unwanted(t), 100, cache.Fresh)
		time.Sleep(time.Second)
		requireValue(t, c, down, 100, cache.Fresh) // a failure of another kind, in the background too, changes nothing
		synctest.Wait()
		time.Sleep(time.Second)
		requireError(t, c, down, errDown)
	})
}

func TestAForbiddenHoldsUntilASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale"], windowed())
		requireError := func(load func(context.Context) (int, error), want error) {
			t.Helper()
			requireError(t, c, load, want)
		}
		requireValue(t, c, returns(0, forbidden), 100, cache.Stale)
		synctest.Wait()
		requireError(down, errDown)
		requireError(hang, cache.ErrLoadTimeout)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := c.Get(ctx, "a", hang)
		require.Equal(t, context.DeadlineExceeded, err)
		time.Sleep(5 * time.Second)

		requireValue(t, c, returns(101, nil), 101, cache.Loaded)
		time.Sleep(inWindows["stale"])
		requireValue(t, c, down, 101, cache.Stale)
		synctest.Wait()
		require.Equal(t, errDown, requireValue(t, c, unwanted(t), 101, cache.Stale).Err)
	})
}

// None of these tells anything of the value. The last two may be permanent, by what a retry is told.
func TestWhatIsMasked(t *testing.T) {
	open, forced := breaker.MustNew(breaker.Config{ConsecutiveFailures: 1}), breaker.MustNew(breaker.Config{})
	forced.ForceOpen()
	full := bulkhead.MustNew(bulkhead.Config{Limit: 1})
	under := func(p steady.Policy) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) { return steady.DoValue(ctx, p, returns(1, nil)) }
	}
	closed := cache.MustNew[string, int](windowed())
	closed.Close()
	for name, test := range map[string]struct {
		load func(context.Context) (int, error)
		why  error
	}{
		"error":           {down, errDown},
		"panic":           {func(context.Context) (int, error) { panic("boom") }, steady.ErrNoReturn},
		"open breaker":    {under(open), breaker.ErrOpen},
		"full bulkhead":   {under(full), bulkhead.ErrFull},
		"load timeout":    {hang, cache.ErrLoadTimeout},
		"its own timeout": {returns(0, context.DeadlineExceeded), context.DeadlineExceeded},
		"its own cancel":  {returns(0, context.Canceled), context.Canceled},
		"forced open":     {under(forced), breaker.ErrOpen},
		"another closed":  {func(ctx context.Context) (int, error) { v, _, err := closed.Get(ctx, "a", down); return v, err }, cache.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, err := full.Acquire(t.Context())
				require.NoError(t, err)
				defer p.Release()
				c := after(inWindows["stale if error"], windowed())
				_ = open.Do(t.Context(), func(context.Context) error { return errDown })
				m := requireValue(t, c, test.load, 100, cache.StaleOnError)
				require.ErrorIs(t, m.Err, test.why)
			})
		})
	}
}

func TestStaleIfIsAskedAboutAllButNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		asked := make(chan error, 100)
		config.StaleIf = func(err error) bool { asked <- err; return errors.Is(err, forbidden) }
		c := after(inWindows["stale if error"], config)
		requireError(t, c, down, errDown)
		require.Equal(t, errDown, <-asked)

		c = after(inWindows["stale if error"], config)
		require.Equal(t, forbidden, requireValue(t, c, returns(0, forbidden), 100, cache.StaleOnError).Err)

		c = after(inWindows["stale if error"], config)
		_, _, err := c.Get(t.Context(), "a", returns(0, cache.ErrNotFound))
		require.Equal(t, cache.ErrNotFound, err)
		for len(asked) > 0 {
			require.NotErrorIs(t, <-asked, cache.ErrNotFound)
		}
	})
}

// That the caller has no time left tells nothing of the value either; nobody is asked.
func TestStaleIfIsNotAskedAboutTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.StaleIf = func(error) bool { t.Error("asked"); return false }
		c := after(inWindows["stale if error"], config)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		v, m, err := c.Get(ctx, "a", func(context.Context) (int, error) { time.Sleep(2 * time.Second); return 1, nil })
		require.NoError(t, err)
		require.Equal(t, 100, v)
		require.Equal(t, context.DeadlineExceeded, m.Err)
		time.Sleep(time.Second)
	})
}
