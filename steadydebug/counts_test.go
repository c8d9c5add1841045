package steadydebug_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/steadydebug"
)

// a is an event of a policy of this kind and name.
func a(kind steady.Kind, e steady.Event) steady.Event {
	e.Kind, e.Policy, e.Name = kind, "breaker", "db"
	return e
}

// Planted: since takes the oldest look, not the one nearest to 10 s → the last rates are not 0.
func TestRatesAreThoseOfTheLastTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steadydebug.MustNew(steadydebug.Config{})
		for range 20 {
			time.Sleep(time.Second)
			for range 4 {
				p.On(t.Context(), a(steady.KindDone, steady.Event{Outcome: steady.Success, Duration: time.Millisecond}))
			}
			p.On(t.Context(), a(steady.KindDone, steady.Event{Outcome: steady.Failure, Duration: time.Second, Err: errBoom}))
			p.On(t.Context(), a(steady.KindRejected, steady.Event{Reason: "open"}))
			p.On(t.Context(), a(steady.KindRejected, steady.Event{Reason: "open"}))
			p.On(t.Context(), a(steady.KindRejected, steady.Event{Reason: "ramp"}))
			get(t, p, "/panel")
		}
		c := policy(t, status(t, p), "breaker", "db").Calls
		require.Equal(t, 10.0, c.Seconds)
		require.Equal(t, steadydebug.Count{Total: 80, PerSecond: 4}, c.Success)
		require.Equal(t, steadydebug.Count{Total: 20, PerSecond: 1}, c.Failure)
		require.Equal(t, steadydebug.Count{Total: 60, PerSecond: 3}, c.Rejected)
		require.Equal(t, []steadydebug.Reason{
			{Reason: "open", Count: steadydebug.Count{Total: 40, PerSecond: 2}},
			{Reason: "ramp", Count: steadydebug.Count{Total: 20, PerSecond: 1}},
		}, c.RejectedFor)
		require.Equal(t, 0.2, *c.FailureShare)
		require.InEpsilon(t, 0.001, c.Latency.P50, 0.125)
		require.InEpsilon(t, 1.0, c.Latency.P90, 0.125)
		require.Contains(t, get(t, p, "/"), "<polyline")

		for range 10 {
			time.Sleep(time.Second)
			get(t, p, "/panel")
		}
		c = policy(t, status(t, p), "breaker", "db").Calls
		require.Equal(t, steadydebug.Count{Total: 80}, c.Success)
		require.Equal(t, steadydebug.Count{Total: 60}, c.Rejected)
		require.Nil(t, c.FailureShare)
		require.Nil(t, c.Latency)
	})
}

func TestTheFirstLookSeesAllSinceTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steadydebug.MustNew(steadydebug.Config{})
		start := time.Now()
		for range 100 {
			p.On(t.Context(), a(steady.KindDone, steady.Event{Outcome: steady.Success}))
		}
		c := policy(t, status(t, p), "breaker", "db").Calls
		require.Equal(t, steadydebug.Count{Total: 100}, c.Success, "in no time there is no rate")
		require.Zero(t, c.Seconds)

		time.Sleep(50 * time.Second)
		s := status(t, p)
		require.True(t, s.Since.Equal(start), s.Since)
		c = policy(t, s, "breaker", "db").Calls
		require.Equal(t, 50.0, c.Seconds)
		require.Equal(t, 2.0, c.Success.PerSecond)

		// Who looks again soon sees the rates since then.
		time.Sleep(2 * time.Second)
		p.On(t.Context(), a(steady.KindDone, steady.Event{Outcome: steady.Success}))
		c = policy(t, status(t, p), "breaker", "db").Calls
		require.Equal(t, 2.0, c.Seconds)
		require.Equal(t, steadydebug.Count{Total: 101, PerSecond: 0.5}, c.Success)
	})
}

func TestEachKindOfEventIsCounted(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	for n, kind := range []steady.Kind{steady.KindRetry, steady.KindAbandoned, steady.KindDryRun, steady.KindInjected, steady.KindDone} {
		for range n + 1 {
			p.On(t.Context(), a(kind, steady.Event{Reason: "why", Outcome: steady.Ignored}))
		}
	}
	c := policy(t, status(t, p), "breaker", "db").Calls
	require.EqualValues(t, 1, c.Retries.Total)
	require.EqualValues(t, 2, c.Abandoned.Total)
	require.EqualValues(t, 3, c.DryRun.Total)
	require.EqualValues(t, 3, c.DryRunFor[0].Total)
	require.EqualValues(t, 4, c.Injected.Total)
	require.EqualValues(t, 4, c.InjectedFor[0].Total)
	require.EqualValues(t, 5, c.Ignored.Total)
	require.Zero(t, c.Success.Total+c.Failure.Total+c.Rejected.Total)
}

func TestRealPoliciesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steadydebug.MustNew(steadydebug.Config{})
		full := bulkhead.MustNew(bulkhead.Config{Name: "full", Limit: 1, Hook: p})
		b := breaker.MustNew(breaker.Config{Name: "db", Hook: p})
		keep(t, full, b)
		require.NoError(t, full.Do(t.Context(), func(ctx context.Context) error {
			require.Error(t, full.Do(ctx, succeed))
			require.ErrorIs(t, b.Do(ctx, fail), errBoom)
			return nil
		}))
		s := status(t, p)
		require.EqualValues(t, 1, policy(t, s, "bulkhead", "full").Calls.Success.Total)
		require.Equal(t, "full", policy(t, s, "bulkhead", "full").Calls.RejectedFor[0].Reason)
		require.EqualValues(t, 1, policy(t, s, "breaker", "db").Calls.Failure.Total)
		require.Equal(t, 1.0, policy(t, s, "breaker", "db").Instances[0].Levels["window_failures"])
		require.Contains(t, policy(t, s, "breaker", "db").Instances[0].Levels, "open_for_seconds")
	})
}

func TestLatencyIsRightToWithinAnEighth(t *testing.T) {
	of := func(ran time.Duration) float64 {
		p := steadydebug.MustNew(steadydebug.Config{})
		p.On(t.Context(), a(steady.KindDone, steady.Event{Duration: ran}))
		return policy(t, status(t, p), "breaker", "db").Calls.Latency.P50
	}
	draw := rand.New(rand.NewPCG(1, 2))
	for power := 10; power < 42; power++ {
		low := time.Duration(1) << power
		for _, ran := range []time.Duration{low, low + low/4 - 1, low + low/4, 2*low - 1, low + time.Duration(draw.Int64N(int64(low)))} {
			require.InEpsilon(t, ran.Seconds(), of(ran), 0.125+1e-9, ran)
		}
	}
	for _, ran := range []time.Duration{-time.Hour, 0, time.Microsecond} {
		require.Equal(t, 512e-9, of(ran), ran)
	}
	for _, ran := range []time.Duration{2 * time.Hour, 1<<63 - 1} {
		require.InEpsilon(t, 4398.0, of(ran), 0.001, ran)
	}
}

func TestQuantilesAreThoseOfTheCalls(t *testing.T) {
	p := steadydebug.MustNew(steadydebug.Config{})
	for n := range 100 {
		p.On(t.Context(), a(steady.KindDone, steady.Event{Outcome: steady.Success, Duration: time.Duration(n+1) * time.Millisecond}))
	}
	l := policy(t, status(t, p), "breaker", "db").Calls.Latency
	require.InEpsilon(t, 0.050, l.P50, 0.125)
	require.InEpsilon(t, 0.090, l.P90, 0.125)
	require.InEpsilon(t, 0.099, l.P99, 0.125)
}
