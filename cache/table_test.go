package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
)

// after returns a cache that has 100 for key "a", set that long ago.
func after(age time.Duration, config cache.Config) *cache.Cache[string, int] {
	c := cache.MustNew[string, int](config)
	c.Set("a", 100)
	time.Sleep(age)
	return c
}

// inWindows are ages: one in each window of windowed, by its name.
var inWindows = map[string]time.Duration{
	"fresh":          5 * time.Second,
	"refresh ahead":  8500 * time.Millisecond,
	"stale":          15 * time.Second,
	"stale if error": 30 * time.Second,
	"past all":       time.Hour,
}

// A sight is what one Get sees.
type sight struct {
	from  cache.Source
	value int
	err   error // of the Get
	why   error // of Meta
	loads int
}

func requireSight(t *testing.T, ctx context.Context, c *cache.Cache[string, int], o *backend, want sight) cache.Meta {
	t.Helper()
	before := o.calls()
	v, m, err := c.Get(ctx, "a", o.load)
	synctest.Wait()
	require.Equal(t, want, sight{m.Source, v, err, m.Err, o.calls() - before})
	return m
}

func TestTheTableOfWindows(t *testing.T) {
	const s, ns = time.Second, time.Nanosecond
	none, ahead, stale, waits, later := sight{from: cache.Fresh, value: 100}, sight{from: cache.Fresh, value: 100, loads: 1},
		sight{from: cache.Stale, value: 100, loads: 1}, sight{from: cache.Loaded, value: 1, loads: 1},
		sight{from: cache.StaleOnError, value: 100, why: errDown, loads: 1}
	fails := sight{err: errDown, loads: 1}

	onlyFresh := cache.Config{MaxEntries: 1, Fresh: 10 * s, LoadTimeout: s, Jitter: cache.NoJitter, RefreshAhead: cache.NoRefreshAhead}
	revalidating, ifError, early := onlyFresh, onlyFresh, onlyFresh
	revalidating.StaleWhileRevalidate = 10 * s
	ifError.StaleIfError = 10 * s
	early.RefreshAhead = 0.25
	for name, test := range map[string]struct {
		config cache.Config
		ages   map[time.Duration][2]sight // where the origin is well, and where it is down
	}{
		"all": {windowed(), map[time.Duration][2]sight{
			0:         {none, none},
			8*s - ns:  {none, none},
			8 * s:     {ahead, ahead},
			10*s - ns: {ahead, ahead},
			10 * s:    {stale, stale},
			20*s - ns: {stale, stale},
			20 * s:    {waits, later},
			70*s - ns: {waits, later},
			70 * s:    {waits, fails},
			1000 * s:  {waits, fails},
		}},
		"fresh only":             {onlyFresh, map[time.Duration][2]sight{10*s - ns: {none, none}, 10 * s: {waits, fails}}},
		"stale while revalidate": {revalidating, map[time.Duration][2]sight{10*s - ns: {none, none}, 10 * s: {stale, stale}, 20*s - ns: {stale, stale}, 20 * s: {waits, fails}}},
		"stale if error":         {ifError, map[time.Duration][2]sight{10*s - ns: {none, none}, 10 * s: {waits, later}, 20*s - ns: {waits, later}, 20 * s: {waits, fails}}},
		"refresh ahead":          {early, map[time.Duration][2]sight{2500*time.Millisecond - ns: {none, none}, 2500 * time.Millisecond: {ahead, ahead}, 10*s - ns: {ahead, ahead}, 10 * s: {waits, fails}}},
	} {
		for age, want := range test.ages {
			t.Run(name+"/"+age.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var well backend
					m := requireSight(t, t.Context(), after(age, test.config), &well, want[0])
					if m.Source != cache.Loaded {
						require.Equal(t, age, m.Age)
					}
					m = requireSight(t, t.Context(), after(age, test.config), &backend{err: errDown}, want[1])
					if m.Source != cache.None {
						require.Equal(t, age, m.Age)
					}
				})
			})
		}
	}
}

func TestARefreshBringsTheNextOneAFreshValue(t *testing.T) {
	for _, window := range []string{"refresh ahead", "stale"} {
		t.Run(window, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, o := after(inWindows[window], windowed()), backend{takes: time.Second}
				for range 5 {
					v, _, err := c.Get(t.Context(), "a", o.load)
					require.NoError(t, err)
					require.Equal(t, 100, v, "nobody waits")
				}
				time.Sleep(time.Second)
				synctest.Wait()
				m := requireValue(t, c, o.load, 1, cache.Fresh)
				require.Zero(t, m.Age)
				require.Equal(t, 1, o.calls())
			})
		})
	}
}

// Who leaves gets the stale value where there is one and the deadline is the reason. What is at hand is
// returned to anybody. For who has gone already nothing is loaded.
func TestWhoLeavesInEachWindow(t *testing.T) {
	gone := errors.New("gone")
	leaving := map[string]func(ctx context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, gone)
		},
		"cancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(gone) })
			return ctx, func() { cancel(nil) }
		},
	}
	deadline, cancel := context.DeadlineExceeded, context.Canceled
	for window, want := range map[string]struct {
		value  int
		from   map[string]cache.Source
		err    map[string]error
		waited bool // for the end of the context, or would have
		loads  int
	}{
		"fresh":         {100, map[string]cache.Source{"deadline": cache.Fresh, "cancel": cache.Fresh}, nil, false, 0},
		"refresh ahead": {100, map[string]cache.Source{"deadline": cache.Fresh, "cancel": cache.Fresh}, nil, false, 1},
		"stale":         {100, map[string]cache.Source{"deadline": cache.Stale, "cancel": cache.Stale}, nil, false, 1},
		"stale if error": {100, map[string]cache.Source{"deadline": cache.StaleOnError, "cancel": cache.None},
			map[string]error{"cancel": cancel}, true, 1},
		"past all": {0, map[string]cache.Source{"deadline": cache.None, "cancel": cache.None},
			map[string]error{"deadline": deadline, "cancel": cancel}, true, 1},
	} {
		for how, leave := range leaving {
			for _, onEntry := range []bool{false, true} {
				name := window + "/" + how
				if onEntry {
					name += " on entry"
				}
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c, o := after(inWindows[window], windowed()), backend{takes: 4 * time.Second}
						ctx, release := leave(t.Context())
						defer release()
						age, waits, loads := inWindows[window], time.Second, want.loads
						if onEntry {
							<-ctx.Done()
							age, waits, loads = age+time.Second, 0, 0
						}
						start := time.Now()
						v, m, err := c.Get(ctx, "a", o.load)
						if !want.waited {
							waits = 0
						}
						require.Equal(t, waits, time.Since(start), "waited")
						synctest.Wait()
						require.Equal(t, loads, o.calls(), "loads")
						require.Equal(t, want.from[how], m.Source)
						if wantErr := want.err[how]; wantErr != nil {
							require.ErrorIs(t, err, wantErr)
							require.ErrorIs(t, err, gone, "the cause")
							require.Zero(t, v)
						} else {
							require.NoError(t, err)
							require.Equal(t, 100, v)
							require.Equal(t, age+waits, m.Age)
						}
						if m.Source == cache.StaleOnError {
							require.ErrorIs(t, m.Err, deadline)
							require.ErrorIs(t, m.Err, gone)
						}
						c.Close()
					})
				})
			}
		}
	}
}

func TestAnOriginThatIsDownIsSeenThroughTheWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(0, windowed())
		seen := map[cache.Source]time.Duration{} // for how long
		const step = 100 * time.Millisecond
		var o backend
		o.fail(errDown)
		for range 90 * time.Second / step {
			v, m, err := c.Get(t.Context(), "a", o.load)
			if m.Source == cache.None {
				require.ErrorIs(t, err, errDown)
			} else {
				require.NoError(t, err)
				require.Equal(t, 100, v)
			}
			seen[m.Source] += step
			synctest.Wait()
			time.Sleep(step)
		}
		require.Equal(t, map[cache.Source]time.Duration{
			cache.Fresh: 10 * time.Second, cache.Stale: 10 * time.Second, cache.StaleOnError: 50 * time.Second, cache.None: 20 * time.Second,
		}, seen)
		o.fail(nil)
		requireValue(t, c, o.load, o.calls()+1, cache.Loaded)
	})
}

func TestPeekTellsWhatIsThere(t *testing.T) {
	const s = time.Second
	for age, want := range map[time.Duration]cache.Source{
		0: cache.Fresh, 9 * s: cache.Fresh, 10*s - 1: cache.Fresh,
		10 * s: cache.Stale, 30 * s: cache.Stale, 70*s - 1: cache.Stale,
		70 * s: cache.None,
	} {
		t.Run(age.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, m, ok := after(age, windowed()).Peek("a")
				require.Equal(t, want != cache.None, ok)
				if !ok {
					require.Zero(t, v)
					require.Equal(t, cache.Meta{}, m)
					return
				}
				require.Equal(t, 100, v)
				require.Equal(t, cache.Meta{Source: want, Age: age}, m)
			})
		})
	}
}

func TestMetaTellsWhyAnEntryIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale"], windowed())
		require.NoError(t, requireValue(t, c, down, 100, cache.Stale).Err, "nothing has failed as yet")
		synctest.Wait()
		require.Equal(t, errDown, requireValue(t, c, unwanted(t), 100, cache.Stale).Err)
		_, m, _ := c.Peek("a")
		require.Equal(t, errDown, m.Err)

		time.Sleep(100 * time.Millisecond)
		release := make(chan struct{})
		m = requireValue(t, c, func(context.Context) (int, error) { <-release; return 1, nil }, 100, cache.Stale)
		require.Equal(t, errDown, m.Err)
		require.Equal(t, errDown, requireValue(t, c, unwanted(t), 100, cache.Stale).Err, "the next one is under way")
		close(release)
		synctest.Wait()
		requireValue(t, c, unwanted(t), 1, cache.Fresh)
	})
}

func TestAValueThatWasGoodWhenTheGetBeganStandsInForItsLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(69*time.Second, windowed())
		m := requireValue(t, c, func(context.Context) (int, error) { time.Sleep(2 * time.Second); return 0, errDown }, 100, cache.StaleOnError)
		require.Equal(t, 71*time.Second, m.Age)
		require.Equal(t, errDown, m.Err)
		requireError(t, c, down, errDown)
	})
}

func TestTheNamesOfTheSources(t *testing.T) {
	for s, want := range map[cache.Source]string{
		cache.None: "none", cache.Fresh: "fresh", cache.Loaded: "loaded", cache.Stale: "stale",
		cache.StaleOnError: "stale on error", cache.Negative: "negative", cache.Negative + 1: "none",
	} {
		require.Equal(t, want, s.String())
	}
}

// A value that was set while a Get waited is as good as one that it loads.
func TestASetDuringALoadStandsInForItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		time.AfterFunc(time.Second, func() { c.Set("a", 7) })
		m := requireValue(t, c, func(context.Context) (int, error) { time.Sleep(3 * time.Second); return 0, errDown }, 7, cache.Fresh)
		require.Equal(t, 2*time.Second, m.Age)
	})
}
