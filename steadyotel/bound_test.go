package steadyotel_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/operation"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadyotel"
	"github.com/steady-go/steady/timeout"
)

// Planted: series.go: no bound → 5,000 series for the names and 1,000 for the reasons.
func TestTrap17SeriesAreBounded(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{})
	for n := range 5000 {
		h.On(t.Context(), steady.Event{Kind: steady.KindDone, Policy: "mine", Name: fmt.Sprint(n), Outcome: steady.Success})
	}
	for n := range 1000 {
		h.On(t.Context(), steady.Event{Kind: steady.KindRejected, Policy: "mine", Name: "0", Outcome: steady.Ignored, Reason: fmt.Sprint(n)})
	}
	ctx := t.Context()
	for _, e := range []steady.Event{
		{Kind: steady.KindDone, Policy: "mine", Name: "of another", Outcome: steady.Success},
		{Kind: steady.KindRejected, Policy: "mine", Name: "0", Reason: "another"},
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() { h.On(ctx, e) }), "beyond the bounds too")
	}
	m := collect()
	calls := m.counts("steady.call.duration")
	require.Len(t, calls, 301)
	require.Equal(t, 4700+101, calls["_OTHER/_OTHER/outcome=success"])
	rejections := m.points("steady.call.rejections")
	require.Len(t, rejections, 101)
	require.EqualValues(t, 900+101, rejections["mine/0/reason=_OTHER"], "nothing is lost")
}

// All details shared one bound, and 150 types of errors took the place of the states.
func TestManyErrorTypesHideNoState(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{ErrorType: func(err error) string { return err.Error() }})
	b := breaker.MustNew(breaker.Config{Name: "db", MinCalls: 1000, Hook: h})
	for n := range 150 {
		_ = b.Do(t.Context(), func(context.Context) error { return fmt.Errorf("error %d", n) })
	}
	b.ForceOpen()
	_ = b.Do(t.Context(), succeed)
	m := collect()
	require.EqualValues(t, 1, m.points("steady.state")["breaker/db/state=forced-open"])
	require.Equal(t, map[string]float64{"breaker/db/reason=forced/state.from=closed/state.to=forced-open": 1}, m.points("steady.state.changes"))
	require.Equal(t, map[string]float64{"breaker/db/reason=forced-open": 1}, m.points("steady.call.rejections"))
}

// The SDK keeps 2,000 series of an instrument. Beyond that series came and went from scrape to
// scrape, since they were told in another order each time.
func TestTheStatesOfManyBreakersDoNotFlicker(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{})
	var all []*breaker.Breaker
	for n := range 400 {
		all = append(all, breaker.MustNew(breaker.Config{Name: fmt.Sprintf("b%03d", n), Hook: h}))
	}
	first := sorted(collect().points("steady.state"))
	require.Len(t, first, 301*6)
	require.NotContains(t, fmt.Sprint(first), "overflow")
	require.EqualValues(t, 100, collect().points("steady.state")["_OTHER/_OTHER/state=closed"])
	require.Equal(t, first, sorted(collect().points("steady.state")))
	runtime.KeepAlive(all)
}

// A program that makes policies for a while filled the table with their names for ever.
func TestCollectedPoliciesMakeRoomForOthers(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{})
	for n := range 1000 {
		_ = breaker.MustNew(breaker.Config{Name: fmt.Sprint(n), Hook: h}).Do(t.Context(), succeed)
	}
	for range 3 {
		runtime.GC()
	}
	collect()
	b := breaker.MustNew(breaker.Config{Name: "db", Hook: h})
	_ = b.Do(t.Context(), succeed)
	m := collect()
	require.Equal(t, 1, m.counts("steady.call.duration")["breaker/db/outcome=success"])
	require.Len(t, m.points("steady.state"), 6)
	runtime.KeepAlive(b)
}

// Two timeouts of one name, of 2 s and 1 s, had a limit of 3 s.
func TestGaugesAreNotAddedUp(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{})
	two := timeout.MustNew(timeout.Config{Name: "db", Limit: 2 * time.Second, Hook: h})
	one := timeout.MustNew(timeout.Config{Name: "db", Limit: time.Second, Hook: h})
	require.Equal(t, map[string]float64{"timeout/db": 2}, collect().points("steady.timeout.limit"))
	runtime.KeepAlive([]any{one, two})
}

// A counter that falls is a negative number for who exports differences.
func TestCountersNeverFall(t *testing.T) {
	reader := sdk.NewManualReader(sdk.WithTemporalitySelector(func(sdk.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }))
	h := steadyotel.MustNew(steadyotel.Config{MeterProvider: sdk.NewMeterProvider(sdk.WithReader(reader))})
	panics := func() (n int64) {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		for _, m := range all.ScopeMetrics[0].Metrics {
			if m.Name == "steady.hook.panics" {
				for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
					n += p.Value
				}
			}
		}
		return n
	}
	bad := steady.Hooks(h, steady.HookFunc(func(_ context.Context, e steady.Event) {
		if e.Kind == steady.KindDone {
			panic("bad")
		}
	}))
	kept := breaker.MustNew(breaker.Config{Name: "db", Hook: bad})
	gone := breaker.MustNew(breaker.Config{Name: "db", Hook: bad})
	for range 3 {
		_ = gone.Do(t.Context(), succeed)
	}
	_ = kept.Do(t.Context(), succeed)
	require.EqualValues(t, 4, panics())
	gone = nil
	for range 3 {
		runtime.GC()
	}
	_ = kept.Do(t.Context(), succeed)
	require.EqualValues(t, 1, panics(), "what was counted stays counted")
	runtime.KeepAlive(kept)
}

// Whoever collects does so on a goroutine on which nobody recovers.
func TestWhatPanicsInACollectionIsAnErrorOfThat(t *testing.T) {
	reader := sdk.NewManualReader()
	h := steadyotel.MustNew(steadyotel.Config{
		MeterProvider: sdk.NewMeterProvider(sdk.WithReader(reader)), Key: func(key string) string { return key[:3] },
	})
	g := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: h}})
	g.Get("a")
	r := retry.MustNew(retry.Config{Name: "db", Hook: h})
	var all metricdata.ResourceMetrics
	err := reader.Collect(t.Context(), &all)
	require.ErrorContains(t, err, `steadyotel: Config.Key panicked on the key "a": runtime error: slice bounds out of range`)
	seen := metrics{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		seen[m.Name] = m
	}
	require.Equal(t, map[string]float64{"retry/db": 500}, seen.points("steady.retry.budget"), "the others are shown")
	runtime.KeepAlive([]any{g, r})
}

func TestASuccessHasNoErrorType(t *testing.T) {
	h, collect := metered(t, steadyotel.Config{})
	o := operation.MustNew(operation.Config{Name: "x", Hook: h, Classify: func(error) steady.Outcome { return steady.Success }})
	_ = o.Do(t.Context(), fail)
	require.Equal(t, map[string]int{"operation/x/outcome=success": 1}, collect().counts("steady.call.duration"))
}
