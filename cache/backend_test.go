package cache_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/cache"
)

// windowed has all windows, to the nanosecond: an entry is as good as new to 8 s, loaded ahead to 10 s, stale
// to 20 s, good if a load fails to 70 s.
func windowed() cache.Config {
	return cache.Config{
		MaxEntries:           1_000,
		Fresh:                10 * time.Second,
		StaleWhileRevalidate: 10 * time.Second,
		StaleIfError:         60 * time.Second,
		NegativeFor:          5 * time.Second,
		LoadTimeout:          5 * time.Second,
		Jitter:               cache.NoJitter,
	}
}

// A backend is what loads ask. It answers how often it was asked.
type backend struct {
	takes time.Duration
	deaf  bool // to its context

	mu            sync.Mutex
	err           error
	asked         int
	running, most int
}

// load is what a Get loads with.
func (o *backend) load(ctx context.Context) (int, error) {
	o.mu.Lock()
	o.asked++
	n, err := o.asked, o.err
	o.running++
	o.most = max(o.most, o.running)
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running--
	}()
	if o.takes > 0 {
		gone := ctx.Done()
		if o.deaf {
			gone = nil
		}
		select {
		case <-gone:
			return 0, ctx.Err()
		case <-time.After(o.takes):
		}
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// loads is what a GetMany loads with: it has all keys.
func (o *backend) loads(ctx context.Context, keys []string) (map[string]int, error) {
	v, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	values := make(map[string]int, len(keys))
	for _, key := range keys {
		values[key] = v
	}
	return values, nil
}

// fail makes the backend answer with err from now on, or well if that is nil.
func (o *backend) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

func (o *backend) calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

// down is a load that fails.
func down(context.Context) (int, error) { return 0, errDown }

// returns returns a load that returns.
func returns(v int, err error) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return v, err }
}

// hang is a load that takes until its context ends.
func hang(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// unwanted is a load that must not be called.
func unwanted(t *testing.T) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { t.Error("loaded"); return 0, nil }
}

// requireValue is a Get of key "a" that must return v from a source.
func requireValue(t *testing.T, c *cache.Cache[string, int], load func(context.Context) (int, error), want int, from cache.Source) cache.Meta {
	t.Helper()
	v, m, err := c.Get(t.Context(), "a", load)
	require.NoError(t, err)
	require.Equal(t, from, m.Source, "got %d, %+v", v, m)
	require.Equal(t, want, v)
	return m
}

// requireError is a Get of key "a" that must return an error that matches want, and nothing else.
func requireError(t *testing.T, c *cache.Cache[string, int], load func(context.Context) (int, error), want error) error {
	t.Helper()
	v, m, err := c.Get(t.Context(), "a", load)
	require.ErrorIs(t, err, want)
	require.Zero(t, v)
	require.Equal(t, cache.Meta{}, m)
	return err
}

// with returns a context whose draws are all the same number.
func with(ctx context.Context, n float64) context.Context {
	return steady.ContextWithSource(ctx, fixedSource(n))
}
