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

// requireClosed requires that no method of c does anything any more.
func requireClosed(t *testing.T, c *cache.Cache[string, int]) {
	t.Helper()
	err := requireError(t, c, unwanted(t), cache.ErrClosed)
	_, ok := steady.AsRejection(err)
	require.True(t, ok)
	require.True(t, steady.IsPermanent(err), "a retry gives up on it")
	items, err := c.GetMany(t.Context(), []string{"a", "b"}, unwantedMany(t))
	require.ErrorIs(t, err, cache.ErrClosed)
	require.Empty(t, items)
	c.Set("a", 1)
	c.Invalidate("a")
	c.InvalidateAll()
	_, m, ok := c.Peek("a")
	require.False(t, ok)
	require.Equal(t, cache.Meta{}, m)
	require.Zero(t, c.Len())
	require.Zero(t, c.Stats().Loading)
	require.NotEmpty(t, c.Inspect())
}

// The end of the bubble shows that no goroutine is left.
func TestCloseEndsAllLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := after(inWindows["stale"], windowed())
		var wg sync.WaitGroup
		load := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			require.Equal(t, context.Canceled, ctx.Err())
			require.Equal(t, cache.ErrClosed, context.Cause(ctx))
			return 0, ctx.Err()
		}
		requireValue(t, c, load, 100, cache.Stale)
		for range 3 {
			wg.Go(func() {
				_, _, err := c.Get(t.Context(), "b", load)
				require.Equal(t, cache.ErrClosed, err, "no rejection: the load was started")
			})
			wg.Go(func() {
				_, err := c.GetMany(t.Context(), []string{"c"}, func(ctx context.Context, _ []string) (map[string]int, error) {
					_, err := load(ctx)
					return nil, err
				})
				require.ErrorIs(t, err, cache.ErrClosed)
			})
		}
		synctest.Wait()
		require.Equal(t, 3, c.Stats().Loading)
		start := time.Now()
		c.Close()
		require.Zero(t, time.Since(start))
		require.Zero(t, c.Stats().Loading)
		wg.Wait()
		requireClosed(t, c)
	})
}

func TestCloseWaitsForLoadsToReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		returned := false
		go func() {
			_, _, err := c.Get(t.Context(), "a", func(ctx context.Context) (int, error) {
				<-ctx.Done()
				time.Sleep(time.Second) // to tidy up
				returned = true
				return 7, nil
			})
			require.ErrorIs(t, err, cache.ErrClosed, "who waits is told at once")
		}()
		synctest.Wait()
		start := time.Now()
		c.Close()
		require.True(t, returned)
		require.Equal(t, time.Second, time.Since(start))
		requireClosed(t, c)
	})
}

func TestCloseDoesNotWaitForALoadThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, o := cache.MustNew[string, int](windowed()), backend{takes: time.Hour, deaf: true}
		for _, key := range []string{"left", "a"} {
			go func() { _, _, _ = c.Get(t.Context(), key, o.load) }()
			time.Sleep(3 * time.Second)
		}
		start := time.Now()
		c.Close()
		require.InDelta(t, 2*time.Second, time.Since(start), float64(10*time.Millisecond), "LoadTimeout of the last load")
		require.Equal(t, 2, c.Stats().LeftBehind)
		time.Sleep(time.Hour)
		require.Equal(t, cache.Stats{MaxEntries: 1_000, Loads: 2, Failed: 2, LoadErrors: 1}, c.Stats())
		requireClosed(t, c)
	})
}

func TestCloseMayBeCalledMoreThanOnceAndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cache.MustNew[string, int](windowed())
		go func() {
			_, _, _ = c.Get(t.Context(), "a", func(ctx context.Context) (int, error) {
				<-ctx.Done()
				time.Sleep(time.Second)
				return 0, nil
			})
		}()
		synctest.Wait()
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				c.Close()
				require.Equal(t, time.Second, time.Since(start), "each waits")
			})
		}
		wg.Wait()
		c.Close()
		requireClosed(t, c)
	})
}

func TestCloseOfACacheThatLoadsNothingReturnsAtOnce(t *testing.T) {
	c := cache.MustNew[string, int](windowed())
	c.Set("a", 1)
	c.Close()
	requireClosed(t, c)
}

func TestAfterCloseAContextThatIsDoneComesFirst(t *testing.T) {
	c := cache.MustNew[string, int](windowed())
	c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := c.Get(ctx, "a", unwanted(t))
	require.Equal(t, context.Canceled, err)
}

func TestWhatEndsAfterCloseIsNotStoredAndIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		config := windowed()
		config.Hook = &r
		c := cache.MustNew[string, int](config)
		go func() {
			_, _, _ = c.Get(t.Context(), "a", func(ctx context.Context) (int, error) { <-ctx.Done(); return 7, nil })
		}()
		synctest.Wait()
		c.Close()
		synctest.Wait()
		require.Zero(t, c.Len())
		require.Empty(t, r.Events(steady.KindLoaded))
		require.Len(t, r.Events(steady.KindLate), 1)
		require.Len(t, r.Outcomes(), 1)
		e := r.Outcomes()[0]
		require.Equal(t, steady.KindDone, e.Kind)
		require.Equal(t, cache.ErrClosed, e.Err)
	})
}

// Whoever comes while the cache is closed is served or refused, and leaves nothing.
func TestCloseAmongGetsLeaksNothing(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			c := cache.MustNew[int, int](windowed())
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					var err error
					if i%2 == 0 {
						_, _, err = c.Get(t.Context(), i%4, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
					} else {
						_, err = c.GetMany(t.Context(), []int{i % 5, i, i + 1}, func(ctx context.Context, _ []int) (map[int]int, error) { <-ctx.Done(); return nil, ctx.Err() })
					}
					if !errors.Is(err, cache.ErrClosed) {
						t.Errorf("got %v", err)
					}
				})
				if i == 20 {
					wg.Go(c.Close)
				}
			}
			wg.Wait()
			c.Close()
			require.Zero(t, c.Stats().Loading)
			require.Zero(t, c.Len())
		})
	}
}
