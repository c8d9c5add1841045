package steadydebug_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/steadydebug"
)

func brings(context.Context) (int, error)      { return 1, nil }
func bringsNone(context.Context) (int, error)  { return 0, errBoom }
func bringsPanic(context.Context) (int, error) { panic("oh no") }

// used is a cache that has had all kinds of requests in ten seconds.
func used(t *testing.T, p *steadydebug.Page) *cache.Cache[string, int] {
	c := cache.MustNew[string, int](cache.Config{
		Name: "users", MaxEntries: 2, Fresh: time.Second, StaleWhileRevalidate: time.Second, StaleIfError: time.Hour, NegativeFor: time.Hour,
		RefreshAhead: cache.NoRefreshAhead, Jitter: cache.NoJitter, LoadTimeout: time.Minute, MaxLoads: 4, Hook: p,
	})
	get := func(key string, load func(context.Context) (int, error)) { _, _, _ = c.Get(t.Context(), key, load) }
	get("a", brings)
	for range 8 {
		get("a", nil)
	}
	time.Sleep(1500 * time.Millisecond)
	get("a", bringsPanic) // stale
	synctest.Wait()
	time.Sleep(8500 * time.Millisecond)
	get("a", bringsNone) // stale on error
	get("b", bringsNone)
	for range 2 {
		get("c", func(context.Context) (int, error) { return 0, cache.ErrNotFound })
	}
	c.Set("d", 1)
	synctest.Wait()
	return c
}

func TestWhatACacheDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steadydebug.MustNew(steadydebug.Config{})
		c := used(t, p)
		keep(t, c)
		s := policy(t, status(t, p), "cache", "users")
		reason := func(text string, n uint64) steadydebug.Reason {
			return steadydebug.Reason{Reason: text, Count: steadydebug.Count{Total: n, PerSecond: float64(n) / 10}}
		}
		require.Equal(t, steadydebug.Count{Total: 13, PerSecond: 1.3}, s.Calls.Success)
		require.Equal(t, []steadydebug.Reason{
			reason("loaded", 2), reason("fresh", 8), reason("stale", 1), reason("stale on error", 1), reason("negative", 1),
		}, s.Calls.SuccessFrom)
		require.Equal(t, reason("", 1).Count, s.Calls.Failure)
		require.Equal(t, reason("", 5).Count, s.Calls.Loads)
		require.Equal(t, []steadydebug.Reason{reason("miss", 4), reason("refresh", 1)}, s.Calls.LoadsFor)
		require.Equal(t, reason("", 3).Count, s.Calls.Fruitless)
		require.Equal(t, []steadydebug.Reason{reason("room", 1)}, s.Calls.EvictedFor)
		require.Equal(t, map[string]float64{
			"entries": 2, "max_entries": 2, "in_flight": 0, "limit": 4, "abandoned": 0, "time_limit_seconds": 60, "hook_panics": 0,
		}, s.Instances[0].Levels)
	})
}

// Planted: view.go: the source of an answer is no part of a row → red.
func TestTheSectionOfACache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steadydebug.MustNew(steadydebug.Config{})
		keep(t, used(t, p))
		panel := get(t, p, "/panel")
		var rows []string
		for _, r := range regexp.MustCompile(`(?s)<tr[^>]*><th scope="row">([^<]*)</th><td[^>]*>([^<]*)</td><td>([^<]*)</td></tr>`).FindAllStringSubmatch(panel, -1) {
			rows = append(rows, strings.Join(r[1:], " "))
		}
		require.Equal(t, []string{
			"success 1.3 13", "loaded 0.2 2", "fresh 0.8 8", "stale 0.1 1", "stale on error 0.1 1", "negative 0.1 1", "failure 0.1 1",
			"loads 0.5 5", "miss 0.4 4", "refresh 0.1 1", "loads that brought nothing 0.3 3", "evicted 0.1 1", "room 0.1 1",
		}, rows)
		require.Contains(t, panel, `<th scope="row">stale on error</th><td class="bad">`)
		require.Contains(t, panel, `<dt>Entries</dt><dd>2 of 2</dd>`, "without a bar that warns: a cache is to be full")
		require.Contains(t, panel, "a load panicked")
		require.Contains(t, panel, "steady: the call panicked: oh no")
	})
}

// A thousand loads of one origin that panic alike are one change.
func TestLoadsThatPanicAreOneMoment(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	for range 200 {
		p.On(t.Context(), steady.Event{Kind: steady.KindLoaded, Policy: "cache", Name: "users", Outcome: steady.Failure, Err: &steady.PanicError{Value: "oh no"}})
	}
	moments := status(t, p).Moments
	require.Len(t, moments, 1)
	require.Equal(t, "load panic", moments[0].Kind)
	require.Equal(t, 200, moments[0].Times)
}
