package steadyredis_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"

	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/idempotency/storetest"
)

func storeOf(c redis.UniversalClient) *steadyredis.IdempotencyStore {
	return steadyredis.MustNewIdempotencyStore(steadyredis.IdempotencyConfig{Client: c, Timeout: 5 * time.Second})
}

// recordKey returns a key as guards make them, and recordName what Redis has it under.
func recordKey(n int) string       { return fmt.Sprintf("%064x", n) }
func recordName(key string) string { return "steady:idempotency:" + key }

// claimOf returns a claim that holds for long.
func claimOf(key, token string) idempotency.Claim {
	return idempotency.Claim{Key: key, Token: token, Fingerprint: strings.Repeat("f", 64), Lease: time.Hour, Keep: 2 * time.Hour}
}

// acquire claims a key and requires that it succeeds.
func acquire(t *testing.T, s idempotency.Store, c idempotency.Claim) idempotency.Grant {
	t.Helper()
	g, err := s.Begin(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, idempotency.Acquired.String(), g.Status.String())
	return g
}

// requireDone requires that the outcome of a key is stored.
func requireDone(t *testing.T, s idempotency.Store, key string, want []byte) {
	t.Helper()
	g, err := s.Begin(t.Context(), claimOf(key, "who asks"))
	require.NoError(t, err)
	require.Equal(t, idempotency.Done.String(), g.Status.String())
	require.True(t, bytes.Equal(want, g.Outcome), "the outcome is another")
}

// requireNotTheOwner requires that a token may do nothing.
func requireNotTheOwner(t *testing.T, s idempotency.Store, key, token string) {
	t.Helper()
	require.ErrorIs(t, s.Extend(t.Context(), key, token, time.Hour), idempotency.ErrLost)
	require.ErrorIs(t, s.Extend(t.Context(), key, token, 0), idempotency.ErrLost)
	require.ErrorIs(t, s.Finish(t.Context(), key, token, idempotency.Outcome("late"), time.Hour), idempotency.ErrLost)
	require.ErrorIs(t, s.Release(t.Context(), key, token), idempotency.ErrLost)
}

// operations are the methods of a store, of a key that token owns.
func operations(ctx context.Context, s idempotency.Store, key, token string) map[string]func() error {
	return map[string]func() error{
		"Begin":   func() error { _, err := s.Begin(ctx, claimOf(key, token)); return err },
		"Extend":  func() error { return s.Extend(ctx, key, token, time.Hour) },
		"Finish":  func() error { return s.Finish(ctx, key, token, idempotency.Outcome("done"), time.Hour) },
		"Release": func() error { return s.Release(ctx, key, token) },
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func TestIdempotencyConfigFaultsAreToldTogether(t *testing.T) {
	_, err := steadyredis.NewIdempotencyStore(steadyredis.IdempotencyConfig{Timeout: -1})
	require.EqualError(t, err, `steadyredis: IdempotencyConfig.Client must be set, got <nil>
steadyredis: IdempotencyConfig.Timeout must be >= 0, got -1ns`)
	_, err = steadyredis.NewIdempotencyStore(steadyredis.IdempotencyConfig{Client: redis.NewRing(&redis.RingOptions{})})
	require.EqualError(t, err, `steadyredis: IdempotencyConfig.Client must have ContextTimeoutEnabled, got false
steadyredis: IdempotencyConfig.Client must keep each key on one server, got a ring`)
	require.Panics(t, func() { steadyredis.MustNewIdempotencyStore(steadyredis.IdempotencyConfig{}) })
}

// Each client has connections of its own.
func TestTheIdempotencyStoreConforms(t *testing.T) {
	s := startRedis(t, durable...)
	storetest.TestStore(t, func(t *testing.T) func() idempotency.Store {
		require.NoError(t, s.admin.FlushAll(t.Context()).Err())
		return func() idempotency.Store { return storeOf(s.client(t)) }
	})
}

func TestARecordIsOneKeySoThatAClusterWillDo(t *testing.T) {
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
	store := storeOf(rdb)
	for n := range 50 {
		key := recordKey(n)
		acquire(t, store, claimOf(key, "a"))
		require.NoError(t, store.Extend(t.Context(), key, "a", time.Minute))
		require.NoError(t, store.Finish(t.Context(), key, "a", idempotency.Outcome(key), time.Hour))
		requireDone(t, store, key, []byte(key))
	}
}

// The scripts do what idempotency.Record does, whatever comes in whatever order. Durations are none or long, so that the
// moments at which the two are asked do not matter.
func TestTheScriptsDoWhatARecordDoes(t *testing.T) {
	s := startRedis(t)
	store := storeOf(s.client(t))
	start := time.Now()
	answers := map[string]int{}
	for n := range 400 {
		random := mathrand.New(mathrand.NewPCG(uint64(n), 0))
		duration := func() time.Duration {
			return []time.Duration{0, time.Hour, 30 * time.Hour, math.MaxInt64}[random.IntN(4)]
		}
		token := func() string { return fmt.Sprint("t", random.IntN(3)) }
		key := recordKey(n)
		var record idempotency.Record
		var history []string
		var fence uint64
		for range 12 {
			now := time.Since(start)
			switch method := random.IntN(7); method {
			case 0, 1, 2, 3:
				c := idempotency.Claim{
					Key: key, Token: token(), Fingerprint: []string{"", "", "f", "g"}[random.IntN(4)],
					Lease: duration(), Keep: duration(), RefuseUnknown: random.IntN(3) == 0,
				}
				before := record.Fence
				want := record.Begin(now, c)
				got, err := store.Begin(t.Context(), c)
				history = append(history, fmt.Sprintf("%+v: %+v", c, got))
				require.NoError(t, err)
				require.Equal(t, want.LeaseLeft > 0, got.LeaseLeft > 0, history)
				if got.Status == idempotency.Acquired {
					require.GreaterOrEqual(t, got.Fence, fence, history)
					require.Equal(t, want.Fence > before, got.Fence > fence, history)
					fence = got.Fence
				}
				answers[got.Status.String()]++
				got.Fence, got.LeaseLeft = want.Fence, want.LeaseLeft
				require.Equal(t, want, got, history)
			default:
				by, d := token(), duration()
				var want, got error
				switch method {
				case 4:
					want, got = record.Extend(now, by, d), store.Extend(t.Context(), key, by, d)
				case 5:
					o := idempotency.Outcome(fmt.Sprint(len(history)))
					want, got = record.Finish(now, by, o, d), store.Finish(t.Context(), key, by, o, d)
				default:
					want, got = record.Release(now, by), store.Release(t.Context(), key, by)
				}
				history = append(history, fmt.Sprintf("%d %s %v: %v", method, by, d, got))
				answers[fmt.Sprint(method, got)]++
				require.Equal(t, want, got, history)
			}
		}
	}
	for _, status := range []idempotency.Status{idempotency.Acquired, idempotency.Busy, idempotency.Done, idempotency.Mismatch, idempotency.Unknown} {
		require.Greater(t, answers[status.String()], 20, answers)
	}
}

// Redis is told a number of 16 digits, and must not tell another one back.
func TestTheFenceIsExactAndGrowsWhateverIsForgotten(t *testing.T) {
	s := startRedis(t)
	store := storeOf(s.client(t))
	key := recordKey(0)
	before := uint64(time.Now().UnixMicro())
	last := acquire(t, store, claimOf(key, "a")).Fence
	require.GreaterOrEqual(t, last, before)
	require.LessOrEqual(t, last, uint64(time.Now().UnixMicro()))

	require.NoError(t, s.admin.FlushAll(t.Context()).Err())
	next := acquire(t, store, claimOf(key, "b")).Fence
	require.Greater(t, next, last)

	// A fence that is ahead of the clock grows by one: the clock was set back.
	ahead := uint64(time.Now().Add(time.Hour).UnixMicro()) | 1
	require.NoError(t, s.admin.HSet(t.Context(), recordName(key), "fence", ahead).Err())
	owner := "b"
	for n, token := range []string{"c", "d", "e"} {
		require.NoError(t, store.Release(t.Context(), key, owner))
		require.Equal(t, ahead+1+uint64(n), acquire(t, store, claimOf(key, token)).Fence)
		owner = token
	}

	// What is past retention and has not been dropped yet counts as forgotten, but for the fence.
	require.NoError(t, store.Finish(t.Context(), key, owner, idempotency.Outcome("done"), time.Hour))
	require.NoError(t, s.admin.HSet(t.Context(), recordName(key), "keep", time.Now().UnixMicro()).Err())
	c := claimOf(key, "f")
	c.Fingerprint = "another"
	g := acquire(t, store, c)
	require.Equal(t, idempotency.Grant{Status: idempotency.Acquired, Fence: ahead + 4, Attempt: 1}, g)
	require.False(t, s.admin.HExists(t.Context(), recordName(key), "outcome").Val())
}

func TestOutcomesOfAnyBytesComeBack(t *testing.T) {
	s := startRedis(t)
	one, other := storeOf(s.client(t)), storeOf(s.client(t))
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for n, want := range [][]byte{nil, all, []byte("$-1\r\n*0\r\n\x00"), randomBytes(1 << 20)} {
		acquire(t, one, claimOf(recordKey(n), "a"))
		require.NoError(t, one.Finish(t.Context(), recordKey(n), "a", want, time.Hour))
		requireDone(t, other, recordKey(n), want)
	}
}

// timesOf returns what Redis has of a record, in microseconds from now: its lease, its retention, and what is left until it is dropped.
func timesOf(t *testing.T, s *server, key string) (lease, keep, dropped int64) {
	t.Helper()
	ttl, err := s.admin.PTTL(t.Context(), recordName(key)).Result() // before the time, so that it is not too short by what passes between
	require.NoError(t, err)
	require.Positive(t, ttl)
	now, err := s.admin.Time(t.Context()).Result()
	require.NoError(t, err)
	fields, err := s.admin.HMGet(t.Context(), recordName(key), "lease", "keep").Result()
	require.NoError(t, err)
	for i, until := range []*int64{&lease, &keep} {
		at, err := strconv.ParseInt(fields[i].(string), 10, 64)
		require.NoError(t, err)
		*until = at - now.UnixMicro()
	}
	return lease, keep, ttl.Microseconds()
}

func TestRedisKeepsARecordForItsLeaseAndRetention(t *testing.T) {
	s := startRedis(t)
	store := storeOf(s.client(t))
	const (
		odd     = 5*time.Second + 1_501*time.Microsecond + 1 // to be rounded up twice
		endless = time.Duration(math.MaxInt64)
	)
	key := recordKey(0)
	begin := func(lease, keep time.Duration) func() error {
		return func() error {
			c := claimOf(key, "a")
			c.Lease, c.Keep = lease, keep
			_, err := store.Begin(t.Context(), c)
			return err
		}
	}
	extend := func(lease time.Duration) func() error {
		return func() error { return store.Extend(t.Context(), key, "a", lease) }
	}
	for _, step := range []struct {
		name        string
		do          func() error
		lease, keep time.Duration // that must be left
	}{
		{"a claim", begin(odd, 2*odd), odd, 2 * odd},
		{"its repetition", begin(2*odd, 3*odd), 2 * odd, 3 * odd},
		{"a lease longer than retention", begin(4*odd, odd), 4 * odd, 4 * odd},
		{"an extension", extend(5 * odd), 5 * odd, 5 * odd},
		{"an extension within retention", extend(odd), odd, 5 * odd},
		{"an extension that ends it", extend(0), 0, 5 * odd},
		{"an endless claim", begin(endless, endless), 200 * 365 * 24 * time.Hour, 200 * 365 * 24 * time.Hour},
		{"a claim again", begin(odd, odd), odd, odd},
		{"an endless extension", extend(endless), 200 * 365 * 24 * time.Hour, 200 * 365 * 24 * time.Hour},
		{"an outcome", func() error { return store.Finish(t.Context(), key, "a", nil, odd) }, 0, odd},
	} {
		require.NoError(t, step.do(), step.name)
		lease, keep, dropped := timesOf(t, s, key)
		require.GreaterOrEqual(t, dropped, lease, step.name)
		require.GreaterOrEqual(t, dropped, keep, step.name)
		require.InDelta(t, keep, dropped, 1e6, step.name)
		if step.keep < 100*365*24*time.Hour {
			require.InDelta(t, step.lease.Microseconds(), lease, 1e6, step.name)
			require.InDelta(t, step.keep.Microseconds(), keep, 1e6, step.name)
		} else {
			require.Greater(t, lease, step.lease.Microseconds(), step.name)
			require.Greater(t, keep, step.keep.Microseconds(), step.name)
		}
	}
	acquire(t, store, claimOf(recordKey(1), "a"))
	require.NoError(t, store.Release(t.Context(), recordKey(1), "a"))
	_, keep, dropped := timesOf(t, s, recordKey(1))
	require.InDelta(t, 2*time.Hour.Microseconds(), keep, 1e6, "a release")
	require.GreaterOrEqual(t, dropped, keep, "a release")
}

// sentTwice is a hook of a client that has lost each first answer.
type sentTwice struct{ redis.Hook }

func (sentTwice) DialHook(next redis.DialHook) redis.DialHook { return next }
func (sentTwice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		_ = next(ctx, command)
		command.SetErr(nil)
		return next(ctx, command)
	}
}
func (sentTwice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestWhatTheClientSendsTwiceIsDoneOnce(t *testing.T) {
	s := startRedis(t)
	rdb := s.client(t)
	rdb.AddHook(sentTwice{})
	store := storeOf(rdb)
	key := recordKey(0)
	first := acquire(t, store, claimOf(key, "a"))
	require.Equal(t, 1, first.Attempt)
	require.NoError(t, store.Extend(t.Context(), key, "a", time.Minute))
	require.NoError(t, store.Release(t.Context(), key, "a"))
	second := acquire(t, store, claimOf(key, "b"))
	require.Equal(t, 2, second.Attempt)
	require.False(t, second.Recovered)
	require.Greater(t, second.Fence, first.Fence)
	require.NoError(t, store.Extend(t.Context(), key, "b", 0))
	third := acquire(t, store, claimOf(key, "c"))
	require.Equal(t, 3, third.Attempt)
	require.True(t, third.Recovered)
	require.NoError(t, store.Finish(t.Context(), key, "c", idempotency.Outcome("done"), time.Hour))
	requireDone(t, store, key, []byte("done"))
}

func TestWhatIsNoRecordIsAnErrorAndLeftAlone(t *testing.T) {
	s := startRedis(t)
	store := storeOf(s.client(t))
	key := recordKey(0)
	require.NoError(t, s.admin.Set(t.Context(), recordName(key), "of another", 0).Err())
	for name, do := range operations(t.Context(), store, key, "a") {
		err := do()
		require.ErrorContains(t, err, "WRONGTYPE", name)
		require.ErrorContains(t, err, key, name)
		require.False(t, errors.Is(err, idempotency.ErrLost), name)
	}
	require.Equal(t, "of another", s.admin.Get(t.Context(), recordName(key)).Val())
}
