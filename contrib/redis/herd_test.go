package steadyredis_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/cache"
)

// A process is what one process of a service has of its own.
type process struct {
	rdb   *redis.Client
	tier  *steadyredis.Tier[string]
	cache *cache.Cache[string, string]
}

// get asks as a service does.
func (p *process) get(ctx context.Context, key string, load func(context.Context) (string, error)) (string, cache.Meta, error) {
	return p.cache.Get(ctx, key, p.tier.Load(key, load))
}

// processes returns some that share a Redis.
func processes(t *testing.T, s *server, n int, change func(*steadyredis.Config)) []*process {
	t.Helper()
	all := make([]*process, n)
	for i := range all {
		p := &process{rdb: s.client(t)}
		c := config(p.rdb)
		if change != nil {
			change(&c)
		}
		p.tier = steadyredis.MustNew[string](c)
		p.cache = cache.MustNew[string, string](cache.Config{MaxEntries: 100, Fresh: time.Hour, LoadTimeout: time.Hour})
		t.Cleanup(p.cache.Close)
		all[i] = p
	}
	return all
}

// waiting returns how many Gets have waited for the lease of another so far.
func waiting(all []*process) (n uint64) {
	for _, p := range all {
		n += p.tier.Stats().Waited
	}
	return n
}

// The second hazard: all processes miss the same key at once.
func TestOneProcessLoadsForAll(t *testing.T) {
	s := startRedis(t)
	all := processes(t, s, 8, nil)
	var loads atomic.Int64
	letGo := make(chan struct{})
	var wg sync.WaitGroup
	for _, p := range all {
		for range 50 {
			wg.Go(func() {
				got, _, err := p.get(t.Context(), "k", func(context.Context) (string, error) {
					loads.Add(1)
					<-letGo
					return "value", nil
				})
				if err != nil || got != "value" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
	}
	eventually(t, "all others to wait", func() bool { return waiting(all) == 7 })
	close(letGo)
	wg.Wait()
	require.Equal(t, int64(1), loads.Load())
}

func TestWhenALoadFailsTheNextLoads(t *testing.T) {
	s := startRedis(t)
	all := processes(t, s, 8, nil)
	var loads, failed atomic.Int64
	letGo := make(chan struct{})
	var wg sync.WaitGroup
	for _, p := range all {
		wg.Go(func() {
			got, _, err := p.get(t.Context(), "k", func(context.Context) (string, error) {
				<-letGo
				if loads.Add(1) == 1 {
					return "", errors.New("down")
				}
				return "value", nil
			})
			if err != nil {
				failed.Add(1)
			} else if got != "value" {
				t.Errorf("got %q", got)
			}
		})
	}
	eventually(t, "all others to wait", func() bool { return waiting(all) == 7 })
	close(letGo)
	wg.Wait()
	require.Equal(t, int64(2), loads.Load())
	require.Equal(t, int64(1), failed.Load(), "the one whose load it was")
}

func TestWhenWhoLoadsDiesAnotherLoads(t *testing.T) {
	s := startRedis(t)
	all := processes(t, s, 8, func(c *steadyredis.Config) {
		c.Lease = 2 * time.Second
		c.MaxWait = time.Minute
	})
	dying, others := all[0], all[1:]
	end := begin(t, dying.tier, "k", "of the dead")
	require.NoError(t, dying.rdb.Close()) // it cannot give its lease back

	var loads atomic.Int64
	var wg sync.WaitGroup
	for _, p := range others {
		wg.Go(func() {
			got, _, err := p.get(t.Context(), "k", func(context.Context) (string, error) {
				loads.Add(1)
				return "value", nil
			})
			if err != nil || got != "value" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), loads.Load())
	end()
	_, meta, err := others[0].tier.Get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Equal(t, cache.Fresh, meta.Source)
}

// The bound of loads: one with the lease, and one for each who has waited in vain.
func TestWhoHasWaitedForMaxWaitLoadsWithoutStoring(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.MaxWait = 20 * time.Millisecond
	tier := steadyredis.MustNew[string](c)
	end := begin(t, tier, "k", "of the lease")
	n := 0
	for range 3 {
		got, meta, err := tier.Get(t.Context(), "k", brings("own", &n))
		require.NoError(t, err)
		require.Equal(t, "own", got)
		require.Equal(t, cache.Loaded, meta.Source)
	}
	require.Equal(t, 3, n)
	end()
	got, _, err := tier.Get(t.Context(), "k", unwanted[string](t))
	require.NoError(t, err)
	require.Equal(t, "of the lease", got)
}

// Waiting for many keys must not be slower than for one.
func TestKeysDoNotWaitForEachOther(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[string](config(s.client(t)))
	end := begin(t, tier, "k", "of the lease")
	defer end()
	for i := range 20 {
		_, _, err := tier.Get(t.Context(), strconv.Itoa(i), brings("v", nil))
		require.NoError(t, err)
	}
	require.Zero(t, tier.Stats().Waited)
}
