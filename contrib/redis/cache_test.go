package steadyredis_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/cache"
)

func TestTwoCachesShareATier(t *testing.T) {
	s := startRedis(t)
	all := processes(t, s, 2, nil)
	one, other := all[0], all[1]

	got, meta, err := one.get(t.Context(), "k", brings("value", nil))
	require.NoError(t, err)
	require.Equal(t, "value", got)
	require.Equal(t, cache.Loaded, meta.Source)

	got, meta, err = other.get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Equal(t, "value", got)
	require.Equal(t, cache.Loaded, meta.Source, "from Redis, by a load of the cache")

	require.NoError(t, s.admin.FlushAll(t.Context()).Err())
	_, meta, err = other.get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Equal(t, cache.Fresh, meta.Source, "from the first tier")
}

func TestBothTiersRememberThatThereIsNothing(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.NegativeFor = time.Minute
	tier := steadyredis.MustNew[int](c)
	first := func() *cache.Cache[string, int] {
		return cache.MustNew[string, int](cache.Config{MaxEntries: 10, Fresh: time.Hour, NegativeFor: time.Minute, LoadTimeout: time.Minute})
	}
	one, other := first(), first()
	_, _, err := one.Get(t.Context(), "k", tier.Load("k", fails[int](cache.NotFound(context.Canceled))))
	require.ErrorIs(t, err, cache.ErrNotFound)
	for _, source := range []cache.Source{cache.Loaded, cache.Negative} {
		_, meta, err := other.Get(t.Context(), "k", tier.Load("k", unwanted[int](t)))
		require.ErrorIs(t, err, cache.ErrNotFound)
		require.Equal(t, source, meta.Source)
	}
}

// The cache counts from its own load, and the tier from when the entry was stored.
func TestTheAgeInACacheIsThatOfItsOwnLoad(t *testing.T) {
	s := startRedis(t)
	p := processes(t, s, 1, nil)[0]
	stored := time.Now().Add(-30 * time.Minute)
	require.NoError(t, s.admin.Set(t.Context(), "test:k", entry(stored, `"value"`), time.Hour).Err())
	_, _, err := p.get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	_, meta, err := p.get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Less(t, meta.Age, time.Minute)
	_, meta, err = p.tier.Get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Greater(t, meta.Age, 29*time.Minute)
}

// First the tier and then the cache. A Get that falls between the two finds nothing old below, and what it found before is
// dropped.
func TestInvalidatingTheTierBeforeTheCacheLeavesNothingOld(t *testing.T) {
	s := startRedis(t)
	p := processes(t, s, 1, nil)[0]
	for name, between := range map[string]func(){
		"nothing": func() {},
		"a Get":   func() { _, _, _ = p.get(t.Context(), "k", brings("new", nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := p.get(t.Context(), "k", brings("old", nil))
			require.NoError(t, err)
			// Here the new value is written to the origin.
			require.NoError(t, p.tier.Invalidate(t.Context(), "k"))
			between()
			p.cache.Invalidate("k")

			got, _, err := p.get(t.Context(), "k", brings("new", nil))
			require.NoError(t, err)
			require.Equal(t, "new", got)
			require.NoError(t, p.tier.Invalidate(t.Context(), "k"))
			p.cache.Invalidate("k")
		})
	}
}

// A load of the cache that was under way when the value was written has found the old one in Redis.
func TestInvalidatingTheCacheLastDropsWhatItsLoadsFoundBefore(t *testing.T) {
	s := startRedis(t)
	p := processes(t, s, 1, nil)[0]
	_, _, err := p.tier.Get(t.Context(), "k", brings("old", nil))
	require.NoError(t, err)
	h := hold("")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = p.cache.Get(t.Context(), "k", func(ctx context.Context) (string, error) {
			v, _, err := p.tier.Get(ctx, "k", unwanted[string](t))
			_, _ = h.load(ctx) // and the answer takes its time
			return v, err
		})
	}()
	<-h.read
	require.NoError(t, p.tier.Invalidate(t.Context(), "k"))
	p.cache.Invalidate("k")
	close(h.letGo)
	<-done
	got, _, err := p.get(t.Context(), "k", brings("new", nil))
	require.NoError(t, err)
	require.Equal(t, "new", got)
}

// Why not the other way round: this is what the documentation warns of.
func TestInvalidatingTheCacheBeforeTheTierLeavesTheOldValue(t *testing.T) {
	s := startRedis(t)
	p := processes(t, s, 1, nil)[0]
	_, _, err := p.get(t.Context(), "k", brings("old", nil))
	require.NoError(t, err)
	p.cache.Invalidate("k")
	_, _, err = p.get(t.Context(), "k", brings("new", nil)) // between the two
	require.NoError(t, err)
	require.NoError(t, p.tier.Invalidate(t.Context(), "k"))
	got, _, err := p.get(t.Context(), "k", brings("new", nil))
	require.NoError(t, err)
	require.Equal(t, "old", got)
}
