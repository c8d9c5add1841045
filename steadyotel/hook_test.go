package steadyotel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/operation"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadyotel"
	"github.com/steady-go/steady/steadytest"
	"github.com/steady-go/steady/timeout"
)

func TestConformance(t *testing.T) {
	steadytest.TestHook(t, func(t *testing.T) steady.Hook {
		h, _ := metered(t, steadyotel.Config{ErrorType: func(error) string { return "" }, Key: func(k string) string { return k }})
		return h
	})
}

func TestCallsAndTheirTimesByOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		b := breaker.MustNew(breaker.Config{Name: "db", Hook: h})
		for _, err := range []error{nil, nil, errBoom, context.DeadlineExceeded, steady.Permanent(os.ErrDeadlineExceeded)} {
			_ = b.Do(t.Context(), func(context.Context) error { time.Sleep(time.Second); return err })
		}
		ctx, cancel := context.WithCancel(t.Context())
		_ = b.Do(ctx, func(context.Context) error { cancel(); return ctx.Err() })
		_ = b.Do(ctx, succeed) // is not started
		full := bulkhead.MustNew(bulkhead.Config{Limit: 1})
		_, err := full.Acquire(t.Context())
		require.NoError(t, err)
		_ = b.Do(t.Context(), func(ctx context.Context) error { return full.Do(ctx, succeed) })
		require.Panics(t, func() { _ = b.Do(t.Context(), func(context.Context) error { panic("boom") }) })

		m := collect()
		require.Equal(t, map[string]int{
			"breaker/db/outcome=success":                     2,
			"breaker/db/error.type=_OTHER/outcome=failure":   1,
			"breaker/db/error.type=timeout/outcome=failure":  2,
			"breaker/db/error.type=panic/outcome=failure":    1,
			"breaker/db/error.type=canceled/outcome=ignored": 1,
			"breaker/db/error.type=rejected/outcome=ignored": 1,
		}, m.counts("steady.call.duration"))
		require.Equal(t, 2.0, m.points("steady.call.duration")["breaker/db/outcome=success"], "seconds")
		require.Equal(t, map[string]float64{"breaker/db/reason=context": 1}, m.points("steady.call.rejections"))
	})
}

func TestErrorTypeIsTheUsersFirst(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{ErrorType: func(err error) string {
		if errors.Is(err, errBoom) {
			return "boom"
		}
		return ""
	}})
	o := operation.MustNew(operation.Config{Name: "x", Hook: h})
	_ = o.Do(t.Context(), fail)
	_ = o.Do(t.Context(), func(context.Context) error { return context.DeadlineExceeded })
	require.Equal(t, []string{"operation/x/error.type=boom/outcome=failure", "operation/x/error.type=timeout/outcome=failure"},
		sorted(collect().counts("steady.call.duration")))
}

// One-hot, with the states in which it is not, from construction on; and right when no call comes.
func TestTheStateOfABreakerIsShownAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		b := breaker.MustNew(breaker.Config{Name: "db", ConsecutiveFailures: 1, Hook: h})
		state := func(is string) map[string]float64 {
			want := map[string]float64{}
			for _, s := range []string{"closed", "open", "half-open", "forced-open", "forced-closed", "disabled"} {
				want["breaker/db/state="+s] = 0
			}
			want["breaker/db/state="+is] = 1
			return want
		}
		require.Equal(t, state("closed"), collect().points("steady.state"))
		_ = b.Do(t.Context(), fail)
		require.Equal(t, state("open"), collect().points("steady.state"))
		time.Sleep(time.Minute) // without a call, and so without an event
		require.Equal(t, state("half-open"), collect().points("steady.state"))
		b.ForceOpen()
		m := collect()
		require.Equal(t, state("forced-open"), m.points("steady.state"))
		require.Equal(t, map[string]float64{
			"breaker/db/reason=failures in a row/state.from=closed/state.to=open": 1,
			"breaker/db/reason=forced/state.from=open/state.to=forced-open":       1,
		}, m.points("steady.state.changes"))
	})
}

func TestMembersOfAGroupAreCountedByState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", ConsecutiveFailures: 1, Hook: h}, MaxKeys: 3})
		for _, key := range []string{"a", "b", "c"} {
			_ = g.Do(t.Context(), key, succeed)
		}
		_ = g.Do(t.Context(), "a", fail)
		points := collect().points("steady.state")
		require.EqualValues(t, 2, points["breaker/nodes/state=closed"])
		require.EqualValues(t, 1, points["breaker/nodes/state=open"])

		time.Sleep(time.Hour)
		_ = g.Do(t.Context(), "d", succeed) // in the place of another
		_ = g.Do(t.Context(), "e", succeed)
		_ = g.Do(t.Context(), "f", succeed)
		points = collect().points("steady.state")
		require.EqualValues(t, 3, points["breaker/nodes/state=closed"])
		require.EqualValues(t, 0, points["breaker/nodes/state=open"], "nothing stays behind of members that were dropped")
		runtime.KeepAlive(g)
	})
}

func TestLevelsAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 2, Queue: 5, MaxWait: time.Minute, Hook: h})
		r := retry.MustNew(retry.Config{Name: "db", Attempts: 2, Hook: h})
		limit := timeout.MustNew(timeout.Config{Name: "db", Limit: 250 * time.Millisecond, Hook: h})
		_ = r.Do(t.Context(), fail)
		release := make(chan struct{})
		var calls sync.WaitGroup
		for range 5 {
			calls.Go(func() { _ = b.Do(t.Context(), func(context.Context) error { <-release; return nil }) })
		}
		synctest.Wait()
		m := collect() // while the calls hang: no event tells of them
		for name, want := range map[string]float64{
			"steady.in_flight": 2, "steady.in_flight.limit": 2, "steady.queue.depth": 3, "steady.queue.limit": 5,
		} {
			require.Equal(t, map[string]float64{"bulkhead/db": want}, m.points(name), name)
		}
		require.Equal(t, map[string]float64{"retry/db": 500 - 14}, m.points("steady.retry.budget"))
		require.Equal(t, map[string]float64{"retry/db": 500}, m.points("steady.retry.budget.limit"))
		require.Equal(t, map[string]float64{"timeout/db": 0.25}, m.points("steady.timeout.limit"))
		time.Sleep(time.Second)
		close(release)
		calls.Wait()
		m = collect()
		require.Equal(t, map[string]float64{"bulkhead/db": 3}, m.points("steady.queue.wait"))
		require.Equal(t, map[string]int{"bulkhead/db": 3}, m.counts("steady.queue.wait"), "who did not wait is left out")
		require.Equal(t, map[string]float64{"bulkhead/db": 0}, m.points("steady.queue.depth"))
		runtime.KeepAlive([]any{b, r, limit})
	})
}

func TestRetriesAndTheirDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, collect := metered(t, steadyotel.Config{})
		r := retry.MustNew(retry.Config{Name: "db", Hook: h})
		_ = r.Do(t.Context(), succeed)
		_ = r.Do(t.Context(), fail)
		m := collect()
		require.Equal(t, map[string]float64{"retry/db/outcome=success": 1, "retry/db/error.type=_OTHER/outcome=failure": 3}, m.points("steady.retry.attempts"))
		require.Equal(t, map[string]int{"retry/db": 2}, m.counts("steady.retry.delay"))
	})
}

// A key is never an attribute, unless somebody says what it stands for.
func TestKeysAreLeftOutUnlessAskedFor(t *testing.T) {
	do := func(c steadyotel.Config) metrics {
		h, collect := metered(t, c)
		g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "tenants", Hook: h}})
		for n := range 100 {
			_ = g.Do(t.Context(), fmt.Sprintf("tenant-%02d", n), succeed)
		}
		defer runtime.KeepAlive(g)
		return collect()
	}
	require.Equal(t, map[string]int{"breaker/tenants/outcome=success": 100}, do(steadyotel.Config{}).counts("steady.call.duration"))
	m := do(steadyotel.Config{Key: func(key string) string { return key[:8] + "x" }})
	require.Equal(t, 10, m.counts("steady.call.duration")["breaker/tenants/key=tenant-3x/outcome=success"])
	require.EqualValues(t, 10, m.points("steady.state")["breaker/tenants/key=tenant-3x/state=closed"])
}

func TestPoliciesWithoutTheHookAreRegistered(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{})
	b := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 7})
	heard := retry.MustNew(retry.Config{Name: "db", Hook: h})
	require.NoError(t, h.Register(steady.Chain(b, heard), heard))
	require.Error(t, h.Register("not a policy"))
	m := collect()
	require.Equal(t, map[string]float64{"bulkhead/db": 7}, m.points("steady.in_flight.limit"))
	require.Equal(t, map[string]float64{"retry/db": 500}, m.points("steady.retry.budget"), "once, although it was registered twice and heard of")
}

func TestAfterCloseNobodyAsksForLevels(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{})
	b := breaker.MustNew(breaker.Config{Name: "db", Hook: h})
	require.NotEmpty(t, collect().points("steady.state"))
	require.NoError(t, h.Close())
	require.NoError(t, b.Do(t.Context(), succeed))
	m := collect()
	require.Empty(t, m.points("steady.state"))
	require.Len(t, m.counts("steady.call.duration"), 1)
}

// failing is a MeterProvider whose meters fail to make one of the instruments.
type failing struct {
	noop.MeterProvider
	name string
}

func (f failing) Meter(string, ...metric.MeterOption) metric.Meter { return failingMeter{name: f.name} }

type failingMeter struct {
	noop.Meter
	name string
}

func (m failingMeter) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	if name == m.name {
		return nil, errBoom
	}
	return noop.Float64Histogram{}, nil
}

func TestErrorsOfTheProviderAreReturned(t *testing.T) {
	c := steadyotel.Config{MeterProvider: failing{name: "steady.queue.wait"}}
	_, err := steadyotel.New(c)
	require.EqualError(t, err, "steadyotel: boom")
	require.ErrorIs(t, err, errBoom)
	require.Panics(t, func() { steadyotel.MustNew(c) })
}

// The hook allocates nothing where the SDK does not.
// Planted: hook.go: done makes the options anew → 3 allocations.
func TestAllocatesNothingOfItsOwn(t *testing.T) {
	h := steadyotel.MustNew(steadyotel.Config{MeterProvider: sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader()))})
	open := breaker.MustNew(breaker.Config{Name: "db"})
	open.ForceOpen()
	refused := open.Do(t.Context(), succeed)
	ctx := t.Context()
	for _, e := range []steady.Event{
		{Kind: steady.KindDone, Outcome: steady.Success, Duration: time.Millisecond},
		{Kind: steady.KindDone, Outcome: steady.Success, Duration: time.Millisecond, Attempt: 2, Wait: time.Millisecond},
		{Kind: steady.KindDone, Outcome: steady.Failure, Duration: time.Millisecond, Err: errBoom},
		{Kind: steady.KindRejected, Outcome: steady.Ignored, Reason: "open", Err: refused},
		{Kind: steady.KindRetry, Attempt: 1, Delay: time.Second, Err: errBoom},
		{Kind: steady.KindDryRun, Reason: "open", Err: refused},
		{Kind: steady.KindInjected, Reason: "down", To: "error"},
	} {
		e.Policy, e.Name = "breaker", "db"
		h.On(ctx, e)
		require.Zero(t, testing.AllocsPerRun(1000, func() { h.On(ctx, e) }), "%s %s", e.Kind, e.Outcome)
	}
}
