package steadyredis_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/cache"
)

func TestARedisThatWasNeverThereIsDoneWithout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	rdb := redis.NewClient(&redis.Options{Addr: l.Addr().String(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	var heard faults
	c := config(rdb)
	c.OnError, c.Timeout = heard.hear, 50*time.Millisecond
	tier := steadyredis.MustNew[int](c)

	got, meta, err := tier.Get(t.Context(), "k", brings(1, nil))
	require.NoError(t, err)
	require.Equal(t, 1, got)
	require.Equal(t, cache.Loaded, meta.Source)
	require.Len(t, heard.all(), 1)
	require.ErrorContains(t, heard.all()[0], `steadyredis: "test:": look-up of "k": `)
	require.Equal(t, steadyredis.Stats{Alone: 1, Errors: 1}, tier.Stats())

	require.ErrorIs(t, tier.Invalidate(t.Context(), "a", "b"), steadyredis.ErrMayBeStale)
	got, err = tier.Write(t.Context(), "k", brings(2, nil))
	require.ErrorIs(t, err, steadyredis.ErrMayBeStale)
	require.Equal(t, 2, got, "it was written")
}

// Callers that never stop asking get an answer each time while Redis is killed, is gone, and comes back.
func TestAKilledRedisRefusesNobody(t *testing.T) {
	s := startRedis(t)
	all := processes(t, s, 3, func(c *steadyredis.Config) { c.Timeout = 50 * time.Millisecond })
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, p := range all {
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					p.cache.InvalidateAll() // so that each Get goes to the tier
					if got, _, err := p.get(t.Context(), "k", brings("value", nil)); err != nil || got != "value" {
						t.Errorf("got %q, %v", got, err)
						return
					}
				}
			})
		}
	}
	grows := func(what string, of func(steadyredis.Stats) uint64) {
		t.Helper()
		for _, p := range all {
			before := of(p.tier.Stats())
			eventually(t, what, func() bool { return of(p.tier.Stats()) > before })
		}
	}
	found := func(s steadyredis.Stats) uint64 { return s.Found }
	alone := func(s steadyredis.Stats) uint64 { return s.Alone }
	grows("values from Redis", found)
	s.kill()
	grows("loads without Redis", alone)
	require.NoError(t, s.start())
	grows("values from Redis again", found)
	stop()
	wg.Wait()
}

// What was in Redis when it was killed must not come back with it, since it has missed what was written meanwhile. This server keeps nothing on disk:
// the documentation says what happens to one that does.
func TestARedisThatComesBackIsEmpty(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[string](config(s.client(t)))
	_, _, _ = tier.Get(t.Context(), "k", brings("old", nil))
	s.kill()
	require.NoError(t, s.start())
	eventually(t, "the client to be connected again", func() bool { return tier.Invalidate(t.Context(), "other") == nil })
	got, _, err := tier.Get(t.Context(), "k", brings("new", nil))
	require.NoError(t, err)
	require.Equal(t, "new", got)
}

func TestARedisThatIsKilledDuringALoadCostsTheCallerNothing(t *testing.T) {
	s := startRedis(t)
	var heard faults
	c := config(s.hasty(t))
	c.OnError = heard.hear
	tier := steadyredis.MustNew[int](c)
	got, meta, err := tier.Get(t.Context(), "k", func(context.Context) (int, error) { s.kill(); return 1, nil })
	require.NoError(t, err)
	require.Equal(t, 1, got)
	require.Equal(t, cache.Loaded, meta.Source)
	require.Len(t, heard.all(), 1)
	require.ErrorContains(t, heard.all()[0], `storing of "k"`)
}

func TestWhoWaitsWhenRedisIsKilledLoads(t *testing.T) {
	s := startRedis(t)
	tier := steadyredis.MustNew[string](config(s.hasty(t)))
	end := begin(t, tier, "k", "of the lease")
	done := make(chan string, 1)
	go func() {
		got, _, _ := tier.Get(t.Context(), "k", brings("own", nil))
		done <- got
	}()
	eventually(t, "it to wait", func() bool { return tier.Stats().Waited == 1 })
	s.kill()
	require.Equal(t, "own", <-done)
	end()
}

// readTimeout is how long go-redis waits for an answer if it is not told by a context, times the attempts it makes.
const readTimeout = 3 * time.Second

func TestARedisThatHangsHoldsNobodyForLongerThanTimeout(t *testing.T) {
	s := startRedis(t)
	connected := config(s.client(t))
	fresh := config(s.client(t)) // has yet to connect
	var heard faults
	for _, c := range []*steadyredis.Config{&connected, &fresh} {
		c.Timeout, c.OnError = 50*time.Millisecond, heard.hear
	}
	require.NoError(t, connected.Client.Ping(t.Context()).Err())

	goOn := s.hang(t)
	for _, tier := range []*steadyredis.Tier[int]{steadyredis.MustNew[int](connected), steadyredis.MustNew[int](fresh)} {
		start := time.Now()
		got, _, err := tier.Get(t.Context(), "k", brings(1, nil))
		require.NoError(t, err)
		require.Equal(t, 1, got)
		require.ErrorIs(t, tier.Invalidate(t.Context(), "k"), steadyredis.ErrMayBeStale)
		_, err = tier.Write(t.Context(), "k", brings(2, nil))
		require.ErrorIs(t, err, steadyredis.ErrMayBeStale)
		require.GreaterOrEqual(t, time.Since(start), 4*50*time.Millisecond, "it did hang")
		require.Less(t, time.Since(start), readTimeout)
	}
	require.Len(t, heard.all(), 4, "two look-ups, and the first half of two writes")
	goOn()

	connected.Timeout = 5 * time.Second
	tier := steadyredis.MustNew[int](connected)
	require.NoError(t, tier.Invalidate(t.Context(), "k"))
	_, _, err := tier.Get(t.Context(), "k", brings(3, nil))
	require.NoError(t, err)
	got, meta, err := tier.Get(t.Context(), "k", unwanted[int](t))
	require.NoError(t, err)
	require.Equal(t, 3, got)
	require.Equal(t, cache.Fresh, meta.Source)
}

func TestARedisThatHangsHoldsNobodyPastItsDeadline(t *testing.T) {
	s := startRedis(t)
	var heard faults
	c := config(s.client(t)) // with a Timeout of 5 s
	c.OnError = heard.hear
	tier := steadyredis.MustNew[int](c)
	_, _, err := tier.Get(t.Context(), "warm", brings(0, nil))
	require.NoError(t, err)
	defer s.hang(t)()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, _, err = tier.Get(ctx, "k", unwanted[int](t))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), readTimeout)
	require.Empty(t, heard.all(), "it is not Redis whose time was up")
}

// A breaker learns that Redis hangs, and then nobody waits for it.
func TestWithABreakerARedisThatHangsCostsNothing(t *testing.T) {
	s := startRedis(t)
	guard := breaker.MustNew(breaker.Config{Name: "redis", ConsecutiveFailures: 3, OpenFor: time.Hour, MaxOpenFor: time.Hour})
	var heard faults
	c := config(s.client(t))
	c.Timeout, c.Guard, c.OnError = 20*time.Millisecond, guard, heard.hear
	tier := steadyredis.MustNew[int](c)
	defer s.hang(t)()
	n := 0
	for range 100 {
		_, _, err := tier.Get(t.Context(), "k", brings(1, &n))
		require.NoError(t, err)
	}
	require.Equal(t, 100, n)
	require.Equal(t, breaker.Open, guard.State())
	require.Len(t, heard.all(), 3)
}

// A Redis that is full and evicts nothing can still be read, and told of writes.
func TestARedisThatIsFullIsDoneWithout(t *testing.T) {
	s := startRedis(t, "--maxmemory-policy", "noeviction")
	var heard faults
	c := config(s.client(t))
	c.OnError = heard.hear
	tier := steadyredis.MustNew[int](c)
	_, _, err := tier.Get(t.Context(), "old", brings(1, nil))
	require.NoError(t, err)
	require.NoError(t, s.admin.ConfigSet(t.Context(), "maxmemory", "1").Err())

	_, meta, err := tier.Get(t.Context(), "old", unwanted[int](t))
	require.NoError(t, err)
	require.Equal(t, cache.Fresh, meta.Source)
	got, _, err := tier.Get(t.Context(), "new", brings(2, nil))
	require.NoError(t, err)
	require.Equal(t, 2, got)
	require.Len(t, heard.all(), 1)
	require.ErrorContains(t, heard.all()[0], "OOM")
	require.NoError(t, tier.Invalidate(t.Context(), "old"))
	require.Equal(t, int64(0), s.admin.Exists(t.Context(), "test:old").Val())
}

// Each command names one key, and a cluster sends it where that is.
func TestAClusterNeedsNoHashTags(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, bus, err := net.SplitHostPort(free.Addr().String())
	require.NoError(t, err)
	require.NoError(t, free.Close())
	s := startRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus)
	require.NoError(t, s.admin.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	eventually(t, "the cluster", func() bool {
		return s.admin.Set(t.Context(), "probe", "", time.Millisecond).Err() == nil
	})
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.address}, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	tier := steadyredis.MustNew[string](config(rdb))
	keys := []string{"a", "b", "c", "{d}", "e{}", "f{g}h"}
	for _, key := range keys {
		_, _, err := tier.Get(t.Context(), key, brings(key, nil))
		require.NoError(t, err)
		got, _, err := tier.Get(t.Context(), key, unwanted[string](t))
		require.NoError(t, err)
		require.Equal(t, key, got)
	}
	require.Zero(t, tier.Stats().Errors)
	require.NoError(t, tier.Invalidate(t.Context(), keys...))
	for _, key := range keys {
		require.Equal(t, int64(0), rdb.Exists(t.Context(), "test:"+key).Val())
	}
}

// half is a guard that lets a look-up through and then fails, as a Redis does that answers now and then.
type half struct{ n int }

func (h *half) Do(ctx context.Context, call func(context.Context) error) error {
	if h.n++; h.n%2 == 0 {
		return errors.New("of the guard")
	}
	return call(ctx)
}

func TestALeaseThatCannotBeFilledEndsByItself(t *testing.T) {
	s := startRedis(t)
	var heard faults
	c := config(s.client(t))
	c.Guard, c.OnError, c.Lease = &half{}, heard.hear, 50*time.Millisecond
	_, _, err := steadyredis.MustNew[int](c).Get(t.Context(), "k", brings(1, nil))
	require.NoError(t, err)
	require.Len(t, heard.all(), 1)
	require.ErrorContains(t, heard.all()[0], "of the guard")

	c.Guard = nil
	n := 0
	_, _, err = steadyredis.MustNew[int](c).Get(t.Context(), "k", brings(2, &n))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Len(t, heard.all(), 1)
}

// twice is a guard that makes each call again, as a client does that has lost the answer.
type twice struct{}

func (twice) Do(ctx context.Context, call func(context.Context) error) error {
	return errors.Join(call(ctx), call(ctx))
}

func TestOperationsMayBeRepeated(t *testing.T) {
	s := startRedis(t)
	c := config(s.client(t))
	c.Guard = twice{}
	tier := steadyredis.MustNew[int](c)
	down := errors.New("down")
	_, _, err := tier.Get(t.Context(), "k", fails[int](down))
	require.Equal(t, down, err)
	_, _, err = tier.Get(t.Context(), "k", brings(1, nil))
	require.NoError(t, err)
	got, _, err := tier.Get(t.Context(), "k", unwanted[int](t))
	require.NoError(t, err)
	require.Equal(t, 1, got)
	require.Zero(t, tier.Stats().Waited, "for one's own lease")
}
