package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady/cache"
)

var errDown = errors.New("the origin is down")

// exact is a configuration whose windows have the same length each time, and end at
// 80, 100, 200 and 1,000 s.
func exact() cache.Config {
	return cache.Config{
		MaxEntries: 10_000, Fresh: 100 * time.Second, StaleWhileRevalidate: 100 * time.Second, StaleIfError: 900 * time.Second,
		NegativeFor: 10 * time.Second, LoadTimeout: 5 * time.Second, Jitter: cache.NoJitter,
	}
}

// An origin is what is loaded from. Its values are the numbers of its calls.
type origin struct {
	calls atomic.Int64
	takes time.Duration
	fails error
}

// load obeys its context.
func (o *origin) load(ctx context.Context) (int, error) {
	n := o.calls.Add(1)
	select {
	case <-time.After(o.takes):
		return int(n), o.fails
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// bubble runs a test in virtual time with a cache that is closed at its end.
func bubble(t *testing.T, c cache.Config, test func(t *testing.T, c *cache.Cache[string, int])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		made := cache.MustNew[string, int](c)
		defer made.Close()
		test(t, made)
	})
}

// requireGet gets key and checks what comes.
func requireGet(t *testing.T, c *cache.Cache[string, int], o *origin, value int, source cache.Source, age time.Duration) {
	t.Helper()
	v, meta, err := c.Get(t.Context(), "a", o.load)
	require.NoError(t, err)
	require.Equal(t, value, v)
	require.Equal(t, source.String(), meta.Source.String())
	require.Equal(t, age, meta.Age)
}

// settle lets what is under way in the background end.
func settle() {
	time.Sleep(0)
	synctest.Wait()
}
