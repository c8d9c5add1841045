package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/steadytest"
)

var err404 = errors.New("404 not found")

// requireNothing is a Get of key "a" that must tell, from a source, that there is nothing.
func requireNothing(t *testing.T, c *cache.Cache[string, int], load func(context.Context) (int, error), from cache.Source) {
	t.Helper()
	v, m, err := c.Get(t.Context(), "a", load)
	require.ErrorIs(t, err, cache.ErrNotFound)
	require.Zero(t, v)
	require.Equal(t, from, m.Source)
}

func TestNotFoundMarksAnError(t *testing.T) {
	require.NoError(t, cache.NotFound(nil))
	err := cache.NotFound(err404)
	require.ErrorIs(t, err, cache.ErrNotFound)
	require.ErrorIs(t, err, err404)
	require.EqualError(t, err, err404.Error())
	require.True(t, steady.IsPermanent(err), "a retry gives up on it")
	require.NotErrorIs(t, err, cache.ErrOverloaded)
}

func TestThatThereIsNothingIsRemembered(t *testing.T) {
	for name, err := range map[string]error{
		"marked": cache.NotFound(err404), "as it is": cache.ErrNotFound, "wrapped": fmt.Errorf("users: %w", cache.NotFound(err404)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := cache.MustNew[string, int](windowed()), backend{err: err}
				requireNothing(t, c, o.load, cache.Loaded)
				time.Sleep(5*time.Second - time.Nanosecond)
				requireNothing(t, c, o.load, cache.Negative)
				v, m, ok := c.Peek("a")
				require.False(t, ok)
				require.Zero(t, v)
				require.Equal(t, cache.Meta{Source: cache.Negative, Age: 5*time.Second - time.Nanosecond, Err: err}, m)
				require.Equal(t, 1, o.calls())

				time.Sleep(time.Nanosecond)
				_, m, ok = c.Peek("a")
				require.False(t, ok)
				require.Equal(t, cache.Meta{}, m)
				requireNothing(t, c, o.load, cache.Loaded)
				require.Equal(t, 2, o.calls())
			})
		})
	}
}

func TestANegativeAnswerCarriesTheErrorThatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		err := cache.NotFound(err404)
		requireNothing(t, c, returns(0, err), cache.Loaded)
		time.Sleep(time.Second)
		_, m, got := c.Get(t.Context(), "a", unwanted(t))
		require.Equal(t, err, got)
		require.Equal(t, cache.Meta{Source: cache.Negative, Age: time.Second, Err: err}, m)
	})
}

func TestWhatWasNotFoundMayBeFoundLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		requireNothing(t, c, returns(0, cache.ErrNotFound), cache.Loaded)
		time.Sleep(5 * time.Second)
		requireValue(t, c, returns(7, nil), 7, cache.Loaded)
		time.Sleep(6 * time.Second)
		requireValue(t, c, unwanted(t), 7, cache.Fresh)
	})
}

func TestWhatIsGoneIsDropped(t *testing.T) {
	for _, negativeFor := range []time.Duration{0, 5 * time.Second} {
		for _, window := range []string{"refresh ahead", "stale", "stale if error"} {
			t.Run(fmt.Sprint(window, "/", negativeFor), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					config := windowed()
					config.NegativeFor = negativeFor
					c := after(inWindows[window], config)
					v, m, err := c.Get(t.Context(), "a", returns(0, cache.NotFound(err404)))
					synctest.Wait()
					if window == "stale if error" {
						require.ErrorIs(t, err, cache.ErrNotFound, "it is never masked")
						require.Equal(t, cache.Loaded, m.Source)
						require.Zero(t, v)
					} else {
						require.NoError(t, err)
					}
					_, _, ok := c.Peek("a")
					require.False(t, ok)
					if negativeFor > 0 {
						requireNothing(t, c, unwanted(t), cache.Negative)
					} else {
						requireNothing(t, c, returns(0, cache.ErrNotFound), cache.Loaded)
					}
				})
			})
		}
	}
}

func TestWhoMakesItTellsTheCache(t *testing.T) {
	for how, tell := range map[string]func(c *cache.Cache[string, int]){
		"Set":           func(c *cache.Cache[string, int]) { c.Set("a", 7) },
		"Invalidate":    func(c *cache.Cache[string, int]) { c.Invalidate("a") },
		"InvalidateAll": func(c *cache.Cache[string, int]) { c.InvalidateAll() },
	} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cache.MustNew[string, int](windowed())
				requireNothing(t, c, returns(0, cache.ErrNotFound), cache.Loaded)
				tell(c)
				if how == "Set" {
					requireValue(t, c, unwanted(t), 7, cache.Fresh)
				} else {
					requireValue(t, c, returns(7, nil), 7, cache.Loaded)
				}
			})
		})
	}
}

func TestWhatIsMadeDuringALoadIsNotUnmadeByIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		time.AfterFunc(time.Second, func() { c.Set("a", 7) })
		requireNothing(t, c, func(context.Context) (int, error) { time.Sleep(2 * time.Second); return 0, cache.ErrNotFound }, cache.Loaded)
		requireValue(t, c, unwanted(t), 7, cache.Fresh)
	})
}

func TestAFailureAfterANegativeEntryIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		requireNothing(t, c, returns(0, cache.ErrNotFound), cache.Loaded)
		time.Sleep(5 * time.Second)
		requireError(t, c, down, errDown)
		requireError(t, c, down, errDown)
	})
}

// A load that tells that there is nothing has done its work.
func TestNotFoundIsASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		config := windowed()
		config.Hook = &r
		c := cache.MustNew[string, int](config)
		requireNothing(t, c, returns(0, cache.ErrNotFound), cache.Loaded)
		requireNothing(t, c, unwanted(t), cache.Negative)
		synctest.Wait()
		for _, e := range r.Events(steady.KindDone, steady.KindLoaded) {
			require.Equal(t, steady.Success, e.Outcome, "%v", e.Kind)
		}
		s := c.Stats()
		require.Equal(t, []uint64{1, 1, 0, 0}, []uint64{s.Loaded, s.Negative, s.Failed, s.LoadErrors})
	})
}
