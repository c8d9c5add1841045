package cache_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/steadytest"
)

// recorded is windowed with a hook.
func recorded(r steady.Hook) cache.Config {
	config := windowed()
	config.Name, config.Hook = "users", r
	return config
}

// told is an event as its fields are set by every event of the cache.
func told(e steady.Event) steady.Event {
	e.Policy, e.Name = "cache", "users"
	return e
}

func TestEachGetHasOneOutcomeEvent(t *testing.T) {
	const s = time.Second
	done := func(from string, age, waited time.Duration, why error) steady.Event {
		return told(steady.Event{Kind: steady.KindDone, Outcome: steady.Success, Reason: from, Age: age, Duration: waited, Err: why})
	}
	failed := func(o steady.Outcome, err error, waited time.Duration) steady.Event {
		return told(steady.Event{Kind: steady.KindDone, Outcome: o, Reason: "none", Err: err, Duration: waited})
	}
	refused := func(reason string, err error) steady.Event {
		return told(steady.Event{Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: reason, Err: err})
	}
	slow := func(v int, err error) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { time.Sleep(s); return v, err }
	}
	within := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
	}
	cancelled := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(d, cancel)
			return ctx, cancel
		}
	}
	deadline := context.DeadlineExceeded
	nothing := cache.NotFound(err404)
	notFound := told(steady.Event{Kind: steady.KindDone, Outcome: steady.Success, Reason: "loaded", Duration: s, Err: nothing})
	for name, test := range map[string]struct {
		age  time.Duration
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		load func(context.Context) (int, error)
		want steady.Event
	}{
		"fresh":                  {5 * s, nil, nil, done("fresh", 5*s, 0, nil)},
		"ahead":                  {9 * s, nil, slow(1, nil), done("fresh", 9*s, 0, nil)},
		"stale":                  {15 * s, nil, slow(1, nil), done("stale", 15*s, 0, nil)},
		"loaded":                 {30 * s, nil, slow(1, nil), done("loaded", 0, s, nil)},
		"stale on error":         {30 * s, nil, slow(0, errDown), done("stale on error", 31*s, s, errDown)},
		"failed":                 {100 * s, nil, slow(0, errDown), failed(steady.Failure, errDown, s)},
		"nothing":                {30 * s, nil, slow(0, nothing), notFound},
		"deadline":               {100 * s, within(s / 2), slow(0, errDown), failed(steady.Ignored, deadline, s/2)},
		"deadline after a hang":  {100 * s, within(s), hang, failed(steady.Failure, deadline, s)},
		"deadline with a value":  {30 * s, within(s / 2), slow(0, errDown), done("stale on error", 30*s+s/2, s/2, deadline)},
		"cancel":                 {30 * s, cancelled(s / 2), slow(0, errDown), failed(steady.Ignored, context.Canceled, s/2)},
		"done on entry":          {100 * s, within(-s), nil, refused("context", deadline)},
		"done, with a value":     {30 * s, within(-s), nil, done("stale on error", 30*s, 0, deadline)},
		"done, and a fresh one":  {5 * s, within(-s), nil, done("fresh", 5*s, 0, nil)},
		"an ignored rejection":   {100 * s, nil, slow(0, notStarted{}), failed(steady.Ignored, notStarted{}, s)},
		"forbidden, not masked":  {30 * s, nil, slow(0, forbidden), failed(steady.Failure, forbidden, s)},
		"long cancelled":         {100 * s, cancelled(3 * s), hang, failed(steady.Ignored, context.Canceled, 3*s)},
		"a deadline of its own":  {100 * s, nil, slow(0, deadline), failed(steady.Failure, deadline, s)},
		"a cancel of the load's": {100 * s, nil, slow(0, context.Canceled), failed(steady.Failure, context.Canceled, s)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r steadytest.Recorder
				c := after(test.age, recorded(&r))
				ctx := t.Context()
				if test.ctx != nil {
					var cancel context.CancelFunc
					ctx, cancel = test.ctx(ctx)
					defer cancel()
				}
				load := test.load
				if load == nil {
					load = unwanted(t)
				}
				_, _, _ = c.Get(ctx, "a", load)
				require.Equal(t, []steady.Event{test.want}, r.Outcomes())
				time.Sleep(10 * s)
				require.Len(t, r.Outcomes(), 1)
			})
		})
	}
}

// notStarted is a rejection.
type notStarted struct{}

func (notStarted) Error() string                          { return "not started" }
func (notStarted) RejectedBy() (policy, name, key string) { return "test", "", "" }
func (notStarted) RetryAfter() (d time.Duration, ok bool) { return 0, false }

func TestARefusedGetHasOneOutcomeEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		c := full(t, 100*time.Second, recorded(&r))
		err := requireError(t, c, unwanted(t), cache.ErrOverloaded)
		require.Equal(t, []steady.Event{
			told(steady.Event{Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: "overloaded", Err: err}),
		}, r.Outcomes())
		c.Close()
		r.Reset()
		err = requireError(t, c, unwanted(t), cache.ErrClosed)
		require.Equal(t, []steady.Event{
			told(steady.Event{Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: "closed", Err: err}),
		}, r.Outcomes())
		time.Sleep(time.Hour)
	})
}

func TestEachKeyOfABatchHasOneOutcomeEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		c := cache.MustNew[string, int](recorded(&r))
		c.Set("old", 100)
		time.Sleep(inWindows["stale if error"])
		c.Set("new", 200)
		s := shop{stock: map[string]int{"b": 1}, err: errDown, takes: time.Second}
		_, err := c.GetMany(t.Context(), []string{"new", "b", "old", "missing", "b", "new"}, s.load)
		require.Equal(t, errDown, err)
		done := steady.Event{Kind: steady.KindDone, Outcome: steady.Success}
		fresh, loaded, old, failed := done, done, done, done
		fresh.Reason, loaded.Reason, old.Reason, failed.Reason = "fresh", "loaded", "stale on error", "none"
		loaded.Duration, old.Duration, failed.Duration = time.Second, time.Second, time.Second
		old.Age = inWindows["stale if error"] + time.Second
		failed.Outcome, failed.Err = steady.Failure, errDown
		old.Err = errDown
		require.Equal(t, []steady.Event{told(fresh), told(loaded), told(old), told(failed)}, r.Outcomes())
	})
}

func TestLoadsAreTold(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct {
		age     time.Duration
		reason  string
		err     error
		outcome steady.Outcome
	}{
		"miss":                 {100 * s, "miss", nil, steady.Success},
		"miss that fails":      {100 * s, "miss", errDown, steady.Failure},
		"in the last window":   {30 * s, "miss", errDown, steady.Failure},
		"refresh":              {15 * s, "refresh", nil, steady.Success},
		"refresh that fails":   {15 * s, "refresh", errDown, steady.Failure},
		"refresh ahead":        {9 * s, "refresh ahead", nil, steady.Success},
		"of nothing":           {9 * s, "refresh ahead", cache.ErrNotFound, steady.Success},
		"refused further in":   {9 * s, "refresh ahead", notStarted{}, steady.Ignored},
		"refresh past a limit": {15 * s, "refresh", context.DeadlineExceeded, steady.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r steadytest.Recorder
				c := after(test.age, recorded(&r))
				_, _, _ = c.Get(t.Context(), "a", func(context.Context) (int, error) {
					require.Len(t, r.Events(steady.KindLoad), 1, "before it begins")
					time.Sleep(s)
					return 1, test.err
				})
				time.Sleep(s)
				synctest.Wait()
				err := test.err
				if test.outcome == steady.Success {
					err = nil
				}
				require.Equal(t, []steady.Event{
					told(steady.Event{Kind: steady.KindLoad, Reason: test.reason}),
					told(steady.Event{Kind: steady.KindLoaded, Reason: test.reason, Outcome: test.outcome, Duration: s, Err: err}),
				}, r.Events(steady.KindLoad, steady.KindLoaded, steady.KindAbandoned, steady.KindLate))
			})
		})
	}
}

func TestTheEventsOfALoadHaveItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type trace struct{}
		var mu sync.Mutex
		heard := map[steady.Kind]any{}
		c := cache.MustNew[string, int](recorded(steady.HookFunc(func(ctx context.Context, e steady.Event) {
			mu.Lock()
			defer mu.Unlock()
			heard[e.Kind] = ctx.Value(trace{})
		})))
		_, _, _ = c.Get(context.WithValue(t.Context(), trace{}, "first"), "a", returns(1, nil))
		synctest.Wait()
		require.Equal(t, map[steady.Kind]any{steady.KindNew: nil, steady.KindLoad: "first", steady.KindLoaded: "first", steady.KindDone: "first"}, heard)
	})
}

func TestALoadThatPanicsIsToldAsAFailure(t *testing.T) {
	for name, test := range didNotReturn {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r steadytest.Recorder
				c := cache.MustNew[string, int](recorded(&r))
				_, _, err := c.Get(t.Context(), "a", test.one)
				synctest.Wait()
				e := r.Events(steady.KindLoaded)
				require.Len(t, e, 1)
				require.Equal(t, steady.Failure, e[0].Outcome)
				require.Equal(t, err, e[0].Err)
			})
		})
	}
}

func TestALoadThatIsLeftAndComesBackIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		c := cache.MustNew[string, int](recorded(&r))
		o := backend{takes: time.Minute, deaf: true, err: errDown}
		requireError(t, c, o.load, cache.ErrLoadTimeout)
		time.Sleep(time.Minute)
		e := r.Events(steady.KindLoad, steady.KindLoaded, steady.KindAbandoned, steady.KindLate)
		require.Len(t, e, 3)
		require.InDelta(t, 5*time.Second, e[1].Duration, float64(10*time.Millisecond))
		e[1].Duration = 0
		require.Equal(t, []steady.Event{
			told(steady.Event{Kind: steady.KindLoad, Reason: "miss"}),
			told(steady.Event{Kind: steady.KindAbandoned, Reason: "miss"}),
			told(steady.Event{Kind: steady.KindLate, Reason: "miss", Duration: time.Minute, Err: errDown}),
		}, e)
	})
}

func TestWhatHasToGoIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		config := recorded(&r)
		config.MaxEntries = 1
		c := cache.MustNew[string, int](config)
		c.Set("a", 1)
		time.Sleep(15 * time.Second)
		c.Set("a", 2)
		require.Empty(t, r.Events(steady.KindEvicted), "in the place of its own")
		time.Sleep(15 * time.Second)
		c.Set("b", 3)
		time.Sleep(70 * time.Second)
		_, _, err := c.Get(t.Context(), "c", returns(1, nil))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, []steady.Event{
			told(steady.Event{Kind: steady.KindEvicted, Reason: "room", Age: 15 * time.Second}),
			told(steady.Event{Kind: steady.KindEvicted, Reason: "expired", Age: 70 * time.Second}),
		}, r.Events(steady.KindEvicted))
		require.EqualValues(t, 2, c.Stats().Evictions)
		c.Invalidate("c")
		c.InvalidateAll()
		c.Close()
		require.EqualValues(t, 2, c.Stats().Evictions, "what is dropped is not evicted")
	})
}

// Goexit is what require does in a hook. It ends the goroutine that it is called on, and nothing else.
func TestAHookThatEndsItsGoroutineEndsNoOther(t *testing.T) {
	for kind, want := range map[steady.Kind]error{
		steady.KindLoad:      steady.ErrNoReturn,
		steady.KindLoaded:    nil,
		steady.KindEvicted:   nil,
		steady.KindAbandoned: cache.ErrLoadTimeout,
		steady.KindLate:      cache.ErrLoadTimeout,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended atomic.Bool
				config := recorded(steady.HookFunc(func(_ context.Context, e steady.Event) {
					if e.Kind == kind && !ended.Swap(true) {
						runtime.Goexit()
					}
				}))
				config.MaxEntries, config.MaxLoads = 1, 1
				c := cache.MustNew[string, int](config)
				c.Set("old", 1)
				load := returns(1, nil)
				if errors.Is(want, cache.ErrLoadTimeout) {
					load = (&backend{takes: time.Minute, deaf: true}).load
				}
				_, _, err := c.Get(t.Context(), "a", load)
				require.ErrorIs(t, err, want)
				time.Sleep(time.Minute)
				synctest.Wait()
				require.True(t, ended.Load())
				require.Zero(t, c.Stats().Loading)
				c.Invalidate("a")
				requireValue(t, c, returns(2, nil), 2, cache.Loaded)
				c.Close()
			})
		})
	}
}

func TestInspectTellsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.Name, config.MaxLoads = "users", 5
		c := cache.MustNew[string, int](config)
		c.Set("b", 1)
		left := backend{takes: time.Hour, deaf: true}
		requireError(t, c, left.load, cache.ErrLoadTimeout)
		go func() { _, _, _ = c.Get(t.Context(), "c", hang) }()
		synctest.Wait()
		all := c.Inspect()
		require.Len(t, all, 1)
		s := all[0]
		require.Equal(t, []string{"cache", "users", "", ""}, []string{s.Policy, s.Name, s.Key, s.State})
		require.NotZero(t, s.ID)
		require.Equal(t, []steady.Level{
			{Name: steady.LevelEntries, Value: 1},
			{Name: steady.LevelMaxEntries, Value: 1_000},
			{Name: steady.LevelInFlight, Value: 2},
			{Name: steady.LevelAbandoned, Value: 1},
			{Name: steady.LevelTimeLimit, Value: 5},
			{Name: steady.LevelLimit, Value: 5},
			{Name: steady.LevelHookPanics, Value: 0},
		}, s.Levels)
		time.Sleep(time.Hour)
	})
}

// Each request for a key is counted once.
func TestStatsCountWhatWasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxLoads = 1
		c := cache.MustNew[string, int](config)
		get := func(key string, load func(context.Context) (int, error)) {
			_, _, _ = c.Get(t.Context(), key, load)
			synctest.Wait()
		}
		get("a", returns(1, nil))               // loaded
		get("a", nil)                           // fresh
		time.Sleep(inWindows["stale"])          //
		get("a", down)                          // stale
		time.Sleep(10 * time.Second)            //
		get("a", down)                          // stale on error
		get("a", nil)                           // stale on error, while it is held off
		get("b", down)                          // failed
		get("c", returns(0, cache.ErrNotFound)) // loaded
		get("c", nil)                           // negative
		get("c", nil)                           // negative
		done, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, _ = c.Get(done, "d", nil)                                                 // rejected
		_, _ = c.GetMany(t.Context(), []string{"c", "e", "f", "e"}, new(backend).loads) // negative, loaded, loaded
		synctest.Wait()
		c.Peek("e")
		require.Equal(t, cache.Stats{
			Entries: 4, MaxEntries: 1_000,
			Fresh: 1, Loaded: 4, Stale: 1, StaleOnError: 2, Negative: 3, Failed: 1, Rejected: 1,
			Loads: 1 + 1 + 1 + 1 + 1 + 2, LoadErrors: 3,
		}, c.Stats())
	})
}
