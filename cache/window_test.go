package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
)

// The table of cache.md, at both sides of each border.
func TestEachWindowEndsWhereItSays(t *testing.T) {
	for _, tt := range []struct {
		age    time.Duration
		source cache.Source
		loads  int64 // besides the first
	}{
		{0, cache.Fresh, 0},
		{80*time.Second - 1, cache.Fresh, 0},
		{80 * time.Second, cache.Fresh, 1},
		{100*time.Second - 1, cache.Fresh, 1},
		{100 * time.Second, cache.Stale, 1},
		{200*time.Second - 1, cache.Stale, 1},
		{200 * time.Second, cache.Loaded, 1},
		{1000*time.Second - 1, cache.Loaded, 1},
		{1000 * time.Second, cache.Loaded, 1},
	} {
		t.Run(tt.age.String(), func(t *testing.T) {
			bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
				var o origin
				requireGet(t, c, &o, 1, cache.Loaded, 0)
				time.Sleep(tt.age)
				v, meta, err := c.Get(t.Context(), "a", o.load)
				require.NoError(t, err)
				require.Equal(t, tt.source.String(), meta.Source.String())
				require.NoError(t, meta.Err)
				if tt.source == cache.Loaded {
					require.Equal(t, 2, v)
					require.Zero(t, meta.Age)
				} else {
					require.Equal(t, 1, v)
					require.Equal(t, tt.age, meta.Age)
				}
				settle()
				require.Equal(t, 1+tt.loads, o.calls.Load())
			})
		})
	}
}

func TestWithTheOriginDownEachWindowAnswersAsItSays(t *testing.T) {
	bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
		var o origin
		requireGet(t, c, &o, 1, cache.Loaded, 0)
		o.fails = errDown
		time.Sleep(90 * time.Second)
		requireGet(t, c, &o, 1, cache.Fresh, 90*time.Second)
		settle()
		time.Sleep(60 * time.Second) // 150: the load of before has failed
		v, meta, err := c.Get(t.Context(), "a", o.load)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, cache.Meta{Source: cache.Stale, Age: 150 * time.Second, Err: errDown}, meta)
		settle()
		time.Sleep(350 * time.Second)
		v, meta, err = c.Get(t.Context(), "a", o.load)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Equal(t, cache.Meta{Source: cache.StaleOnError, Age: 500 * time.Second, Err: errDown}, meta)
		time.Sleep(500 * time.Second)
		v, meta, err = c.Get(t.Context(), "a", o.load)
		require.ErrorIs(t, err, errDown)
		require.Equal(t, cache.Meta{}, meta)
		require.Zero(t, v)
		o.fails = nil
		requireGet(t, c, &o, int(o.calls.Load())+1, cache.Loaded, 0)
	})
}

// In the last window only the end of the caller's patience gives it the stale value, not its cancel.
func TestACallersDeadlineGetsTheStaleValueAndItsCancelDoesNot(t *testing.T) {
	boom := errors.New("the user has left")
	for _, age := range []time.Duration{500 * time.Second, 2000 * time.Second} {
		for _, cancels := range []bool{false, true} {
			t.Run(fmt.Sprint(age, " cancels ", cancels), func(t *testing.T) {
				bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
					var o origin
					requireGet(t, c, &o, 1, cache.Loaded, 0)
					time.Sleep(age)
					o.takes = time.Second
					ctx, cancel := context.WithCancelCause(t.Context())
					if cancels {
						time.AfterFunc(50*time.Millisecond, func() { cancel(boom) })
					} else {
						var end context.CancelFunc
						ctx, end = context.WithTimeout(ctx, 50*time.Millisecond)
						defer end()
					}
					start := time.Now()
					v, meta, err := c.Get(ctx, "a", o.load)
					require.Equal(t, 50*time.Millisecond, time.Since(start))
					switch {
					case cancels:
						require.ErrorIs(t, err, context.Canceled)
						require.ErrorIs(t, err, boom)
						require.Zero(t, v)
					case age > 1000*time.Second:
						require.ErrorIs(t, err, context.DeadlineExceeded)
					default:
						require.NoError(t, err)
						require.Equal(t, 1, v)
						require.Equal(t, cache.StaleOnError, meta.Source)
						require.ErrorIs(t, meta.Err, context.DeadlineExceeded)
						require.Equal(t, age+50*time.Millisecond, meta.Age)
					}
					time.Sleep(2 * time.Second)
					requireGet(t, c, &o, 2, cache.Fresh, 1050*time.Millisecond) // the load went on
					cancel(nil)
				})
			})
		}
	}
}

// A value that need not be waited for is returned, but nothing is loaded for a context that is done.
func TestForADoneContextNothingIsLoaded(t *testing.T) {
	for age, want := range map[time.Duration]error{
		0: nil, 90 * time.Second: nil, 150 * time.Second: nil, 500 * time.Second: context.Canceled, 2000 * time.Second: context.Canceled,
	} {
		bubble(t, exact(), func(t *testing.T, c *cache.Cache[string, int]) {
			var o origin
			requireGet(t, c, &o, 1, cache.Loaded, 0)
			time.Sleep(age)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			v, _, err := c.Get(ctx, "a", o.load)
			require.ErrorIs(t, err, want)
			if want == nil {
				require.Equal(t, 1, v)
			}
			settle()
			require.EqualValues(t, 1, o.calls.Load(), age)

			ctx, cancel = context.WithDeadline(t.Context(), time.Now())
			defer cancel()
			_, meta, err := c.Get(ctx, "a", o.load)
			switch age {
			case 500 * time.Second:
				require.NoError(t, err)
				require.Equal(t, cache.StaleOnError, meta.Source)
			case 2000 * time.Second:
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			settle()
			require.EqualValues(t, 1, o.calls.Load(), age)
		})
	}
}

// The origin fails at once, and is asked for an hour, ten times a second.
func TestAFlappingOriginIsCalledAtABoundedRate(t *testing.T) {
	for _, fresh := range []time.Duration{time.Second, 10 * time.Second} {
		c := exact()
		c.Fresh, c.StaleWhileRevalidate, c.StaleIfError = fresh, 0, 2*time.Hour
		t.Run(fresh.String(), func(t *testing.T) {
			bubble(t, c, func(t *testing.T, c *cache.Cache[string, int]) {
				var o origin
				requireGet(t, c, &o, 1, cache.Loaded, 0)
				o.fails = errDown
				for range 36_000 {
					time.Sleep(100 * time.Millisecond)
					_, _, err := c.Get(t.Context(), "a", o.load)
					require.NoError(t, err)
					settle()
				}
				// Once backed off, one load in between a half and the whole of Fresh.
				n := float64(o.calls.Load())
				hour := time.Hour.Seconds()
				require.Less(t, n, 2*hour/fresh.Seconds()+20)
				require.Greater(t, n, hour/fresh.Seconds())
				o.fails = nil
				time.Sleep(fresh)
				_, _, err := c.Get(t.Context(), "a", o.load)
				require.NoError(t, err)
				settle()
				requireGet(t, c, &o, int(n)+1, cache.Fresh, 0)
				o.fails = errDown
				time.Sleep(fresh)
				_, meta, err := c.Get(t.Context(), "a", o.load)
				require.NoError(t, err)
				require.ErrorIs(t, meta.Err, errDown)
				time.Sleep(100 * time.Millisecond) // the back-off has begun anew
				before := o.calls.Load()
				_, _, err = c.Get(t.Context(), "a", o.load)
				require.NoError(t, err)
				settle()
				require.Equal(t, before+1, o.calls.Load())
			})
		})
	}
}

// 10,000 keys that are written together expire over a tenth of the window, each at another time; without
// jitter all at once.
func TestKeysThatAreWrittenTogetherDoNotExpireTogether(t *testing.T) {
	const keys = 10_000
	// largest is how many of them expire in the same 100 ms at most, between 90 s and the end of Fresh.
	largest := func(jitter float64) int {
		c := cache.MustNew[int, int](cache.Config{MaxEntries: 2 * keys, Fresh: 100 * time.Second, LoadTimeout: time.Second, Jitter: jitter})
		defer c.Close()
		for key := range keys {
			c.Set(key, key)
		}
		var alive []int
		for key := range keys {
			alive = append(alive, key)
		}
		look := func() int {
			alive = slices.DeleteFunc(alive, func(key int) bool { _, _, ok := c.Peek(key); return !ok })
			return len(alive)
		}
		time.Sleep(90*time.Second - 1)
		most, left := 0, look()
		require.Equal(t, keys, left, "by a tenth at most")
		for range 101 {
			time.Sleep(100 * time.Millisecond)
			most, left = max(most, left-look()), len(alive)
		}
		require.Zero(t, left, "jitter only shortens")
		return most
	}
	synctest.Test(t, func(t *testing.T) {
		require.Less(t, largest(0), 160, "100 on average, and six standard deviations")
	})
	synctest.Test(t, func(t *testing.T) {
		require.Equal(t, keys, largest(cache.NoJitter))
	})
}

type fixedSource float64

func (f fixedSource) Float64(string, uint64) float64 { return float64(f) }

func TestJitterComesFromTheContextsSource(t *testing.T) {
	c := exact()
	c.Jitter = 0.5
	bubble(t, c, func(t *testing.T, c *cache.Cache[string, int]) {
		var o origin
		ctx := steady.ContextWithSource(t.Context(), fixedSource(0.5))
		_, _, err := c.Get(ctx, "a", o.load)
		require.NoError(t, err)
		time.Sleep(75*time.Second - time.Millisecond)
		_, meta, ok := c.Peek("a")
		require.True(t, ok)
		require.Equal(t, cache.Fresh, meta.Source)
		time.Sleep(2 * time.Millisecond)
		_, meta, _ = c.Peek("a")
		require.Equal(t, cache.Stale, meta.Source, "100 s less a quarter")
		time.Sleep(675*time.Second - 3*time.Millisecond)
		_, _, ok = c.Peek("a")
		require.True(t, ok)
		time.Sleep(3 * time.Millisecond)
		_, _, ok = c.Peek("a")
		require.False(t, ok, "1,000 s less a quarter")
	})
}

// outside is a cache as a package-level variable is one.
var outside = cache.MustNew[string, int](cache.Config{MaxEntries: 10, Fresh: time.Minute, StaleIfError: time.Hour, LoadTimeout: time.Second})

func TestACacheMayBeCarriedIntoABubbleAndOut(t *testing.T) {
	var o origin
	for range 2 {
		_, _, err := outside.Get(t.Context(), "a", o.load)
		require.NoError(t, err)
		synctest.Test(t, func(t *testing.T) {
			_, meta, err := outside.Get(t.Context(), "a", o.load)
			require.NoError(t, err)
			require.Equal(t, cache.Fresh, meta.Source)
			time.Sleep(2 * time.Minute)
			_, meta, err = outside.Get(t.Context(), "a", o.load)
			require.NoError(t, err)
			require.Equal(t, cache.Loaded, meta.Source, "windows go on in the bubble")
		})
	}
	_, meta, err := outside.Get(t.Context(), "a", o.load)
	require.NoError(t, err)
	require.Equal(t, cache.Loaded, meta.Source, "what comes from the bubble is years old")
}
