package steadyredis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/idempotency"
)

// guardOf returns a guard that makes unknown calls again.
func guardOf(s idempotency.Store, lease time.Duration) *idempotency.Guard {
	return idempotency.MustNew(idempotency.Config{Store: s, OnUnknown: idempotency.Rerun, Lease: lease})
}

// never is a call that must not be made.
func never(t *testing.T) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		t.Error("the call was made")
		return "", nil
	}
}

// Writers never stop while the server is killed. What it had acknowledged by then is there when it is back, and what was claimed recovers.
func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	s := startRedis(t, durable...)
	store := storeOf(s.hasty(t))
	const lease = 2 * time.Second
	var mu sync.Mutex
	done, claimed, fences := map[string][]byte{}, map[string]bool{}, map[string]uint64{}
	var last int
	for round := range 3 {
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for writer := range 4 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					key := recordKey(round<<20 | writer<<16 | n)
					c := claimOf(key, "first")
					c.Lease = lease
					g, err := store.Begin(t.Context(), c)
					if err != nil {
						return // the server is gone, and nothing was acknowledged
					}
					mu.Lock()
					claimed[key], fences[key] = true, g.Fence
					mu.Unlock()
					if n%3 == 0 {
						continue // as of a process that died
					}
					o := randomBytes(1 + n%300)
					err = store.Finish(t.Context(), key, "first", o, time.Hour)
					mu.Lock()
					delete(claimed, key) // done or, if the answer was lost, either
					if err == nil {
						done[key] = o
					}
					mu.Unlock()
				}
			})
		}
		grown := func() bool { mu.Lock(); defer mu.Unlock(); return len(done) > last+50 && len(claimed) > (round+1)*10 }
		eventually(t, "writers to have written", grown)
		s.kill()
		stop()
		wg.Wait()
		require.NoError(t, s.start())
		last = len(done)
		for key, o := range done {
			requireDone(t, store, key, o)
		}
	}
	for key := range claimed {
		eventually(t, "the lease to pass", func() bool {
			g, err := store.Begin(t.Context(), claimOf(key, "second"))
			require.NoError(t, err)
			if g.Status == idempotency.Busy {
				require.LessOrEqual(t, g.LeaseLeft, lease)
				return false
			}
			require.Equal(t, idempotency.Acquired.String(), g.Status.String())
			require.Equal(t, 2, g.Attempt)
			require.True(t, g.Recovered)
			require.Greater(t, g.Fence, fences[key])
			return true
		})
		requireNotTheOwner(t, store, key, "first")
	}
	t.Logf("%d outcomes and %d claims survived 3 kills", len(done), len(claimed))
}

func TestAnOwnerGoesOnAfterARestart(t *testing.T) {
	s := startRedis(t, durable...)
	store := storeOf(s.client(t))
	guard := guardOf(store, 10*time.Second)
	got, info, err := idempotency.Do(t.Context(), guard, "k", "", func(context.Context) (string, error) {
		s.kill()
		require.NoError(t, s.start())
		return "done", nil
	})
	require.NoError(t, err)
	require.NoError(t, info.Err)
	require.Equal(t, "done", got)
	got, info, err = idempotency.Do(t.Context(), guard, "k", "", never(t))
	require.NoError(t, err)
	require.Equal(t, "done", got)
	require.True(t, info.Replayed)
}

func TestWithoutRedisNoCallIsMade(t *testing.T) {
	s := startRedis(t)
	store := storeOf(s.hasty(t))
	acquire(t, store, claimOf(recordKey(0), "a"))
	s.kill()
	for name, do := range operations(t.Context(), store, recordKey(0), "a") {
		err := do()
		require.ErrorContains(t, err, "connection refused", name)
		require.ErrorContains(t, err, recordKey(0), name)
		require.False(t, errors.Is(err, idempotency.ErrLost), name)
	}
	_, _, err := idempotency.Do(t.Context(), guardOf(store, 0), "k", "", never(t))
	require.ErrorIs(t, err, idempotency.ErrStore)
	require.ErrorContains(t, err, "connection refused")
}

func TestAStoreThatHangsObeysTheDeadline(t *testing.T) {
	s := startRedis(t)
	connected, fresh := s.client(t), s.client(t)
	acquire(t, storeOf(connected), claimOf(recordKey(0), "a"))
	goOn := s.hang(t)
	for _, rdb := range []*redis.Client{connected, fresh} {
		store := storeOf(rdb) // with a Timeout of 5 s
		for _, method := range []string{"Begin", "Extend", "Finish", "Release"} {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := operations(ctx, store, recordKey(1), "a")[method]()
			require.ErrorIs(t, err, context.DeadlineExceeded, method)
			require.False(t, errors.Is(err, idempotency.ErrLost), method)
			require.GreaterOrEqual(t, time.Since(start), 45*time.Millisecond, "it did hang")
			require.Less(t, time.Since(start), readTimeout, method)
			cancel()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, _, err := idempotency.Do(ctx, guardOf(store, 0), "k", "", never(t))
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	goOn()
	require.NoError(t, storeOf(connected).Finish(t.Context(), recordKey(0), "a", idempotency.Outcome("done"), time.Hour))
	requireDone(t, storeOf(fresh), recordKey(0), []byte("done"))
}

func TestAStoreThatHangsIsGivenUpAfterTimeout(t *testing.T) {
	s := startRedis(t)
	rdb := s.client(t)
	store := steadyredis.MustNewIdempotencyStore(steadyredis.IdempotencyConfig{Client: rdb, Timeout: 50 * time.Millisecond})
	require.NoError(t, rdb.Ping(t.Context()).Err())
	defer s.hang(t)()
	for name, do := range operations(t.Context(), store, recordKey(0), "a") {
		start := time.Now()
		require.ErrorContains(t, do(), "no answer within 50ms", name)
		require.GreaterOrEqual(t, time.Since(start), 45*time.Millisecond, name)
		require.Less(t, time.Since(start), readTimeout, name)
	}
	_, _, err := idempotency.Do(t.Context(), guardOf(store, 0), "k", "", never(t))
	require.ErrorIs(t, err, idempotency.ErrStore)
}

// A claim whose answer was lost holds the key for no longer than its lease.
func TestAClaimThatArrivesTooLateLapses(t *testing.T) {
	s := startRedis(t)
	way := newLink(t, s.address)
	far := redis.NewClient(&redis.Options{Addr: way.address, ContextTimeoutEnabled: true, MaxRetries: -1, PoolSize: 1})
	t.Cleanup(func() { _ = far.Close() })
	guard := guardOf(storeOf(far), time.Second)
	_, _, err := idempotency.Do(t.Context(), guard, "warm", "", func(context.Context) (string, error) { return "", nil })
	require.NoError(t, err)

	way.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err = idempotency.Do(ctx, guard, "k", "", never(t))
	require.Error(t, err)
	require.Positive(t, way.goOn())

	near := guardOf(storeOf(s.client(t)), time.Minute)
	eventually(t, "the key", func() bool {
		got, _, err := idempotency.Do(t.Context(), near, "k", "", func(context.Context) (string, error) { return "done", nil })
		if errors.Is(err, idempotency.ErrInFlight) {
			return false
		}
		require.NoError(t, err)
		return got == "done"
	})
}

// An owner is cut off until its lease has passed and another has claimed the key. What it sends then, and what it had sent, changes nothing.
func TestAnOwnerThatWasCutOffIsRefused(t *testing.T) {
	s := startRedis(t)
	way := newLink(t, s.address)
	far := redis.NewClient(&redis.Options{Addr: way.address, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = far.Close() })
	farStore, nearStore := storeOf(far), storeOf(s.client(t))
	owner, next := guardOf(farStore, time.Second), guardOf(nearStore, time.Minute)

	var first, second idempotency.Execution
	_, info, err := idempotency.Do(t.Context(), owner, "k", "", func(ctx context.Context) (string, error) {
		first, _ = idempotency.FromContext(ctx)
		way.stop()
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), idempotency.ErrLeaseLost)

		got := ""
		eventually(t, "the lease to pass", func() bool {
			var err error
			got, _, err = idempotency.Do(t.Context(), next, "k", "", func(ctx context.Context) (string, error) {
				second, _ = idempotency.FromContext(ctx)
				require.Positive(t, way.goOn(), "extensions that were held up")
				requireNotTheOwner(t, farStore, first.Key, first.Token)
				return "of the second", nil
			})
			if errors.Is(err, idempotency.ErrInFlight) {
				return false
			}
			require.NoError(t, err)
			return true
		})
		require.Equal(t, "of the second", got)
		return "of the first", nil
	})
	require.ErrorIs(t, err, idempotency.ErrLost)
	require.ErrorIs(t, err, idempotency.ErrUnknown)
	require.ErrorIs(t, info.Err, idempotency.ErrLost)
	require.True(t, second.Recovered)
	require.Equal(t, 2, second.Attempt)
	require.Greater(t, second.Fence, first.Fence)

	got, _, err := idempotency.Do(t.Context(), owner, "k", "", never(t))
	require.NoError(t, err)
	require.Equal(t, "of the second", got)
}

// Here the owner is well, but Redis has ended its lease, as when its clock is set forward.
func TestAnOwnerWhoseKeyWasTakenOverIsTold(t *testing.T) {
	s := startRedis(t)
	store := storeOf(s.client(t))
	const lease = 3 * time.Second // long before it has passed by the owner's clock, at the next extension, it is told
	start := time.Now()
	_, _, err := idempotency.Do(t.Context(), guardOf(store, lease), "k", "", func(ctx context.Context) (string, error) {
		e, _ := idempotency.FromContext(ctx)
		require.NoError(t, s.admin.HSet(t.Context(), recordName(e.Key), "lease", time.Now().UnixMicro()).Err())
		c := claimOf(e.Key, "another")
		require.True(t, acquire(t, store, c).Recovered)
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), idempotency.ErrLeaseLost)
		require.Less(t, time.Since(start), lease)
		requireNotTheOwner(t, store, e.Key, e.Token)
		return "", ctx.Err()
	})
	require.ErrorIs(t, err, idempotency.ErrUnknown)
}

// The lease is many times shorter than the call.
func TestAnOwnerKeepsItsKeyForAsLongAsItRuns(t *testing.T) {
	s := startRedis(t)
	const lease = 500 * time.Millisecond
	owner, other := guardOf(storeOf(s.client(t)), lease), guardOf(storeOf(s.client(t)), lease)
	_, info, err := idempotency.Do(t.Context(), owner, "k", "", func(ctx context.Context) (string, error) {
		for end := time.Now().Add(6 * lease); time.Now().Before(end); time.Sleep(lease / 5) {
			_, _, err := idempotency.Do(t.Context(), other, "k", "", never(t))
			require.ErrorIs(t, err, idempotency.ErrInFlight)
		}
		return "done", ctx.Err()
	})
	require.NoError(t, err)
	require.NoError(t, info.Err)
}

func TestARedisThatIsFullRefusesAndForgetsNothing(t *testing.T) {
	s := startRedis(t, durable...)
	store := storeOf(s.client(t))
	const outcomes = 50
	for n := range outcomes {
		acquire(t, store, claimOf(recordKey(n), "a"))
		require.NoError(t, store.Finish(t.Context(), recordKey(n), "a", idempotency.Outcome(fmt.Sprint("outcome ", n)), time.Hour))
	}
	claimed := recordKey(outcomes)
	acquire(t, store, claimOf(claimed, "a"))
	before := s.admin.HGetAll(t.Context(), recordName(claimed)).Val()
	require.NoError(t, s.admin.ConfigSet(t.Context(), "maxmemory", "1").Err())

	for name, do := range operations(t.Context(), store, claimed, "a") {
		err := do()
		require.ErrorContains(t, err, "OOM", name)
		require.False(t, errors.Is(err, idempotency.ErrLost), name)
	}
	require.Equal(t, before, s.admin.HGetAll(t.Context(), recordName(claimed)).Val(), "nothing was done by half")
	_, _, err := idempotency.Do(t.Context(), guardOf(store, 0), "k", "", never(t))
	require.ErrorIs(t, err, idempotency.ErrStore)
	require.ErrorContains(t, err, "OOM")
	for n := range outcomes {
		requireDone(t, store, recordKey(n), fmt.Append(nil, "outcome ", n))
	}
	g, err := store.Begin(t.Context(), claimOf(claimed, "b"))
	require.NoError(t, err)
	require.Equal(t, idempotency.Busy, g.Status)

	require.NoError(t, s.admin.ConfigSet(t.Context(), "maxmemory", "0").Err())
	require.NoError(t, store.Finish(t.Context(), claimed, "a", idempotency.Outcome("done"), time.Hour))
	requireDone(t, store, claimed, []byte("done"))
	require.Equal(t, int64(outcomes+1), s.admin.DBSize(t.Context()).Val())
}
