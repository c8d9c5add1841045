package cache_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
)

// A shop is what GetMany loads from. It keeps what it was asked for.
type shop struct {
	stock map[string]int
	err   error
	takes time.Duration

	mu    sync.Mutex
	asked [][]string
}

func (s *shop) load(ctx context.Context, keys []string) (map[string]int, error) {
	s.mu.Lock()
	s.asked = append(s.asked, slices.Clone(keys))
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(s.takes):
	}
	values := make(map[string]int)
	for _, key := range keys {
		if v, ok := s.stock[key]; ok {
			values[key] = v
		}
	}
	return values, s.err
}

func (s *shop) calls() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func unwantedMany(t *testing.T) func(context.Context, []string) (map[string]int, error) {
	return func(_ context.Context, keys []string) (map[string]int, error) {
		t.Error("loaded", keys)
		return nil, nil
	}
}

// found returns the values of items.
func found(items map[string]cache.Item[int]) map[string]int {
	values := make(map[string]int, len(items))
	for key, item := range items {
		values[key] = item.Value
	}
	return values
}

// sources returns the sources of items.
func sources(items map[string]cache.Item[int]) map[string]cache.Source {
	sources := make(map[string]cache.Source, len(items))
	for key, item := range items {
		sources[key] = item.Meta.Source
	}
	return sources
}

func TestGetManyLoadsWhatIsMissingInOneCallInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := cache.MustNew[string, int](windowed()), shop{stock: map[string]int{"d": 4, "b": 2, "c": 3}}
		c.Set("a", 100)
		time.Sleep(time.Second)
		items, err := c.GetMany(t.Context(), []string{"d", "a", "b", "d", "c", "a", "b"}, s.load)
		require.NoError(t, err)
		require.Equal(t, map[string]cache.Item[int]{
			"a": {Value: 100, Meta: cache.Meta{Source: cache.Fresh, Age: time.Second}},
			"b": {Value: 2, Meta: cache.Meta{Source: cache.Loaded}},
			"c": {Value: 3, Meta: cache.Meta{Source: cache.Loaded}},
			"d": {Value: 4, Meta: cache.Meta{Source: cache.Loaded}},
		}, items)
		require.Equal(t, [][]string{{"d", "b", "c"}}, s.calls(), "duplicates once")
		items, err = c.GetMany(t.Context(), []string{"a", "b", "c", "d"}, unwantedMany(t))
		require.NoError(t, err)
		require.Len(t, items, 4)
	})
}

func TestGetManyOfNothingLoadsNothing(t *testing.T) {
	c := cache.MustNew[string, int](windowed())
	items, err := c.GetMany(t.Context(), nil, unwantedMany(t))
	require.NoError(t, err)
	require.NotNil(t, items)
	require.Empty(t, items)
}

func TestWhatABatchDoesNotBringDoesNotExist(t *testing.T) {
	for name, values := range map[string]map[string]int{"partial": {"a": 1}, "empty": {}, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cache.MustNew[string, int](windowed())
				items, err := c.GetMany(t.Context(), []string{"a", "b"}, func(context.Context, []string) (map[string]int, error) { return values, nil })
				require.NoError(t, err)
				require.Len(t, items, len(values))
				_, m, ok := c.Peek("b")
				require.False(t, ok)
				require.Equal(t, cache.Meta{Source: cache.Negative, Err: cache.ErrNotFound}, m)
				items, err = c.GetMany(t.Context(), []string{"b"}, unwantedMany(t))
				require.NoError(t, err)
				require.Empty(t, items)
				_, m, err = c.Get(t.Context(), "b", unwanted(t))
				require.Equal(t, cache.ErrNotFound, err)
				require.Equal(t, cache.Negative, m.Source)
			})
		})
	}
}

func TestWhatABatchBringsUnaskedIsNotStored(t *testing.T) {
	c := cache.MustNew[string, int](windowed())
	items, err := c.GetMany(t.Context(), []string{"a"}, func(context.Context, []string) (map[string]int, error) {
		return map[string]int{"a": 1, "b": 2}, nil
	})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 1}, found(items))
	_, _, ok := c.Peek("b")
	require.False(t, ok)
	require.Equal(t, 1, c.Len())
}

func TestWhatABatchBringsBesideAnErrorIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		s := shop{stock: map[string]int{"a": 1, "c": 3}, err: errDown}
		items, err := c.GetMany(t.Context(), []string{"a", "b", "c", "d"}, s.load)
		require.Equal(t, errDown, err, "untouched, and once")
		require.Equal(t, map[string]int{"a": 1, "c": 3}, found(items))
		items, err = c.GetMany(t.Context(), []string{"a", "c"}, unwantedMany(t))
		require.NoError(t, err)
		require.Len(t, items, 2)
		_, m, _ := c.Peek("b")
		require.Equal(t, cache.None, m.Source, "errors are not remembered")
	})
}

func TestABatchThatFindsNothingAtAllSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		items, err := c.GetMany(t.Context(), []string{"a", "b"}, (&shop{err: cache.NotFound(err404)}).load)
		require.NoError(t, err)
		require.Empty(t, items)
		_, m, _ := c.Peek("b")
		require.ErrorIs(t, m.Err, err404)
	})
}

func TestABatchLeavesToOtherLoadsWhatTheyAreUnderWayFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		first, second := shop{stock: map[string]int{"a": 1, "b": 2}, takes: 2 * time.Second}, shop{stock: map[string]int{"c": 3}, takes: time.Second}
		go func() { _, _ = c.GetMany(t.Context(), []string{"a", "b"}, first.load) }()
		synctest.Wait()
		start := time.Now()
		items, err := c.GetMany(t.Context(), []string{"a", "b", "c"}, second.load)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"a": 1, "b": 2, "c": 3}, found(items))
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Equal(t, [][]string{{"c"}}, second.calls())
	})
}

func TestAGetJoinsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		s := shop{stock: map[string]int{"a": 1, "b": 2}, takes: time.Second}
		go func() { _, _ = c.GetMany(t.Context(), []string{"a", "b"}, s.load) }()
		synctest.Wait()
		requireValue(t, c, unwanted(t), 1, cache.Loaded)
	})
}

func TestABatchOfManyKeysTakesOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxLoads = 1
		c, o := cache.MustNew[string, int](config), backend{takes: time.Second}
		keys := make([]string, 100)
		for i := range keys {
			keys[i] = string(rune('a' + i))
		}
		go func() { _, _ = c.GetMany(t.Context(), keys, o.loads) }()
		synctest.Wait()
		s := c.Stats()
		require.Equal(t, []int{1, 100}, []int{s.Loading, int(s.Loads)})
		items, err := c.GetMany(t.Context(), []string{"a", "other"}, unwantedMany(t))
		require.ErrorIs(t, err, cache.ErrOverloaded)
		require.Equal(t, map[string]int{"a": 1}, found(items), "the key that is under way")
		require.Equal(t, 1, o.calls())
	})
}

func TestWhatIsStaleIsLoadedTogetherInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale"], windowed())
		c.Set("ahead", 200)
		time.Sleep(9 * time.Second)
		c.Set("stale", 300)
		time.Sleep(inWindows["stale"])
		c.Set("ahead", 400)
		time.Sleep(inWindows["refresh ahead"])
		c.Set("stale", 500)
		c.Set("stale too", 600)
		time.Sleep(inWindows["stale"])
		c.Set("ahead", 700)
		time.Sleep(4 * time.Second)
		c.Set("fresh", 800)
		time.Sleep(100 * time.Millisecond)
		// Now "ahead" is 4 s old, "stale" and "stale too" 19 s.
		s := shop{stock: map[string]int{"stale": 1, "stale too": 2, "missing": 3}, takes: time.Second}
		items, err := c.GetMany(t.Context(), []string{"stale", "fresh", "missing", "ahead", "stale too"}, s.load)
		require.NoError(t, err)
		require.Equal(t, map[string]cache.Source{
			"fresh": cache.Fresh, "ahead": cache.Fresh, "stale": cache.Stale, "stale too": cache.Stale, "missing": cache.Loaded,
		}, sources(items))
		synctest.Wait()
		require.ElementsMatch(t, [][]string{{"missing"}, {"stale", "stale too"}}, s.calls())
		items, err = c.GetMany(t.Context(), []string{"stale", "stale too"}, unwantedMany(t))
		require.NoError(t, err)
		require.Equal(t, map[string]int{"stale": 1, "stale too": 2}, found(items))
	})
}

func TestABatchInTheBackgroundIsWaitedForByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale"], windowed())
		s := shop{takes: time.Second}
		start := time.Now()
		items, err := c.GetMany(t.Context(), []string{"a"}, s.load)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"a": 100}, found(items))
		require.Zero(t, time.Since(start))
		time.Sleep(time.Second)
		synctest.Wait()
		_, m, ok := c.Peek("a")
		require.False(t, ok, "it does not exist any more")
		require.Equal(t, cache.Negative, m.Source)
	})
}

// mixed returns a cache that has a fresh key, one that is stale if error, and none that is missing.
func mixed(t *testing.T) *cache.Cache[string, int] {
	c := cache.MustNew[string, int](windowed())
	c.Set("old", 100)
	time.Sleep(inWindows["stale if error"])
	c.Set("new", 200)
	return c
}

func TestWhoLeavesABatchGetsWhatThereIs(t *testing.T) {
	all := []string{"missing", "old", "new", "missing too"}
	old, fresh := cache.StaleOnError, cache.Fresh
	for name, test := range map[string]struct {
		leave func(ctx context.Context) (context.Context, context.CancelFunc)
		want  map[string]cache.Source
		err   error
	}{
		"deadline": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Second)
			},
			map[string]cache.Source{"old": old, "new": fresh}, context.DeadlineExceeded,
		},
		"cancel": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(time.Second, cancel)
				return ctx, cancel
			},
			map[string]cache.Source{"new": fresh}, context.Canceled,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := mixed(t), shop{takes: 2 * time.Second, stock: map[string]int{"missing": 1, "missing too": 1, "old": 1}}
				ctx, cancel := test.leave(t.Context())
				defer cancel()
				start := time.Now()
				items, err := c.GetMany(ctx, all, s.load)
				require.Equal(t, time.Second, time.Since(start))
				require.Equal(t, test.err, err, "once for all keys")
				require.Equal(t, test.want, sources(items))
				if name == "deadline" {
					require.Equal(t, test.err, items["old"].Meta.Err)
				}
				time.Sleep(2 * time.Second)
				items, err = c.GetMany(t.Context(), all, unwantedMany(t))
				require.NoError(t, err)
				require.Len(t, items, 4, "it has landed")
			})
		})
		t.Run(name+" on entry", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := mixed(t)
				ctx, cancel := test.leave(t.Context())
				defer cancel()
				<-ctx.Done()
				items, err := c.GetMany(ctx, all, unwantedMany(t))
				require.Equal(t, test.err, err)
				require.Equal(t, test.want, sources(items))
			})
		})
	}
}

func TestABatchThatFailsReturnsWhatIsStaleAndItsErrorOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items, err := mixed(t).GetMany(t.Context(), []string{"missing", "old", "new", "missing too"}, (&shop{err: errDown}).load)
		require.Equal(t, errDown, err)
		require.Equal(t, map[string]cache.Source{"old": cache.StaleOnError, "new": cache.Fresh}, sources(items))
		require.Equal(t, errDown, items["old"].Meta.Err)
	})
}

func TestDifferentErrorsOfABatchAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		another := errors.New("reset by peer")
		go func() {
			_, _, _ = c.Get(t.Context(), "a", func(context.Context) (int, error) { time.Sleep(time.Second); return 0, another })
		}()
		synctest.Wait()
		items, err := c.GetMany(t.Context(), []string{"a", "b", "c"}, (&shop{err: errDown}).load)
		require.Empty(t, items)
		require.EqualError(t, err, "reset by peer\nthe origin is down")
		require.ErrorIs(t, err, another)
		require.ErrorIs(t, err, errDown)
	})
}

func TestALimitOfABatchIsOneError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		items, err := c.GetMany(t.Context(), []string{"a", "b", "c"}, (&shop{takes: time.Hour}).load)
		require.Empty(t, items)
		require.EqualError(t, err, "cache: load timeout of 5s exceeded")
	})
}

func TestAForbiddenBatchIsNotMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		items, err := mixed(t).GetMany(t.Context(), []string{"old", "new"}, (&shop{err: forbidden}).load)
		require.Equal(t, forbidden, err)
		require.Equal(t, map[string]cache.Source{"new": cache.Fresh}, sources(items))
	})
}

func TestTheKeysOfABatchMayBeChangedByItsLoad(t *testing.T) {
	c := cache.MustNew[string, int](windowed())
	keys := []string{"b", "a"}
	items, err := c.GetMany(t.Context(), keys, func(_ context.Context, keys []string) (map[string]int, error) {
		slices.Sort(keys)
		return map[string]int{"a": 1, "b": 2}, nil
	})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a": 1, "b": 2}, found(items))
	require.Equal(t, []string{"b", "a"}, keys)
}

// The context's error is one, whichever loads were waited for.
// Planted: many.go: source takes no notice of left → it comes twice.
func TestTheErrorOfAContextComesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		go func() { _, _, _ = c.Get(t.Context(), "a", hang) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.GetMany(ctx, []string{"a", "b"}, (&shop{takes: time.Hour}).load)
		require.Equal(t, context.DeadlineExceeded, err)
		c.Close()
	})
}

// A rejection means that nothing was started.
// Planted: many.go: hideRejections is not called → a rejection.
func TestARefusalBesideALoadIsNoRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := windowed()
		config.MaxLoads = 1
		c := cache.MustNew[string, int](config)
		go func() {
			_, _, _ = c.Get(t.Context(), "a", func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil })
		}()
		synctest.Wait()
		items, err := c.GetMany(t.Context(), []string{"a", "b"}, unwantedMany(t))
		require.Equal(t, map[string]int{"a": 1}, found(items))
		require.ErrorIs(t, err, cache.ErrOverloaded)
		_, rejected := steady.AsRejection(err)
		require.False(t, rejected)

		go func() { _, _, _ = c.Get(t.Context(), "c", hang) }()
		synctest.Wait()
		_, err = c.GetMany(t.Context(), []string{"b", "d"}, unwantedMany(t))
		_, rejected = steady.AsRejection(err)
		require.True(t, rejected, "here nothing was")
		c.Close()
	})
}
