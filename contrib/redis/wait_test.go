package steadyredis_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	steadyredis "github.com/steady-go/steady/contrib/redis"
)

// leased is a hook of a client that answers in place of a Redis: another has the lease of every key, and does not
// give it back. It takes no time, so that waiting can be measured in virtual time.
type leased struct{ lookUps atomic.Int64 }

func (l *leased) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *leased) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if err := ctx.Err(); err != nil {
			command.SetErr(err)
			return err
		}
		l.lookUps.Add(1)
		command.(*redis.Cmd).SetVal([]any{"theirs"})
		return nil
	}
}

func (l *leased) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// inBubble runs a test with a tier whose keys are all leased to another, in virtual time.
func inBubble(t *testing.T, change func(*steadyredis.Config), f func(*testing.T, *steadyredis.Tier[string], *leased)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true}) // no name: what is looked up stays in package net, and a bubble ends
		defer rdb.Close()
		l := &leased{}
		rdb.AddHook(l)
		c := config(rdb)
		if change != nil {
			change(&c)
		}
		f(t, steadyredis.MustNew[string](c), l)
	})
}

// loadsAfter makes a Get and requires that it waits for so long until it loads by itself.
func loadsAfter(t *testing.T, ctx context.Context, tier *steadyredis.Tier[string], after time.Duration) {
	t.Helper()
	start := time.Now()
	var began time.Duration
	got, _, err := tier.Get(ctx, "k", func(context.Context) (string, error) {
		began = time.Since(start)
		return "own", nil
	})
	require.NoError(t, err)
	require.Equal(t, "own", got)
	require.Equal(t, after, began)
}

func TestAGetWaitsForMaxWait(t *testing.T) {
	inBubble(t, func(c *steadyredis.Config) { c.MaxWait = 3 * time.Second }, func(t *testing.T, tier *steadyredis.Tier[string], _ *leased) {
		loadsAfter(t, t.Context(), tier, 3*time.Second)
		require.Equal(t, steadyredis.Stats{Alone: 1, Waited: 1}, tier.Stats())
	})
}

func TestAGetWaitsForTwoLeasesByDefault(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, tier *steadyredis.Tier[string], _ *leased) {
		loadsAfter(t, t.Context(), tier, 2*time.Minute)
	})
}

func TestAGetThatMustNotWaitDoesNot(t *testing.T) {
	inBubble(t, func(c *steadyredis.Config) { c.MaxWait = steadyredis.NoWait }, func(t *testing.T, tier *steadyredis.Tier[string], l *leased) {
		loadsAfter(t, t.Context(), tier, 0)
		require.Equal(t, steadyredis.Stats{Alone: 1}, tier.Stats())
		require.Equal(t, int64(1), l.lookUps.Load())
	})
}

// Who waits to the end of its time has none left to load.
func TestWaitingLeavesHalfOfTheTimeToLoad(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, tier *steadyredis.Tier[string], _ *leased) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		loadsAfter(t, ctx, tier, time.Second/2)
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, tier *steadyredis.Tier[string], _ *leased) {
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		time.AfterFunc(1_001*time.Millisecond, func() { cancel(why) })
		start := time.Now()
		_, _, err := tier.Get(ctx, "k", unwanted[string](t))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, why)
		require.Equal(t, 1_001*time.Millisecond, time.Since(start))
		require.Equal(t, steadyredis.Stats{Failed: 1, Waited: 1}, tier.Stats())
	})
}

// Redis has more to do than to tell those who wait that there is nothing as yet, and who waits for a quick load must not
// wait for much longer than that takes.
func TestWhoWaitsLooksSeldomerTheLongerItWaits(t *testing.T) {
	inBubble(t, func(c *steadyredis.Config) { c.MaxWait = 10 * time.Second }, func(t *testing.T, tier *steadyredis.Tier[string], l *leased) {
		time.AfterFunc(2*time.Millisecond, func() { require.GreaterOrEqual(t, l.lookUps.Load(), int64(2)) })
		loadsAfter(t, t.Context(), tier, 10*time.Second)
		require.Greater(t, l.lookUps.Load(), int64(10_000/64))
		require.Less(t, l.lookUps.Load(), int64(10_000/32+10))
	})
}
