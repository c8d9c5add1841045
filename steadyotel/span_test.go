package steadyotel_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadyotel"
)

// traced runs do in a span and returns the events of that.
func traced(t *testing.T, do func(ctx context.Context)) []string {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	tracer := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)).Tracer("test")
	ctx, span := tracer.Start(t.Context(), "request")
	do(ctx)
	span.End()
	var events []string
	for _, e := range recorder.Ended()[0].Events() {
		line := e.Name
		for _, kv := range e.Attributes {
			line += fmt.Sprintf(" %s=%s", kv.Key, kv.Value.String())
		}
		events = append(events, line)
	}
	return events
}

func TestASpanTellsWhatBecameOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := metered(t, steadyotel.Config{})
		b := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", ConsecutiveFailures: 2, Hook: h}})
		r := retry.MustNew(retry.Config{Name: "calls", Delay: time.Second, Hook: h})
		events := traced(t, func(ctx context.Context) {
			ctx = steady.ContextWithSource(ctx, half{})
			_ = r.Do(ctx, func(ctx context.Context) error { return b.Do(ctx, "n1", fail) })
			_ = b.Do(ctx, "n1", succeed)
		})
		require.Equal(t, []string{
			"steady.retry steady.policy=retry steady.name=calls steady.attempt=1 steady.delay=0.5 error.message=boom",
			"steady.state steady.policy=breaker steady.name=nodes steady.key=n1 steady.reason=failures in a row steady.state.from=closed steady.state.to=open steady.delay=5",
			"steady.retry steady.policy=retry steady.name=calls steady.attempt=2 steady.delay=1 error.message=boom",
			"steady.rejected steady.policy=breaker steady.name=nodes steady.key=n1 steady.reason=open error.message=breaker: nodes/n1 is open",
			"steady.rejected steady.policy=breaker steady.name=nodes steady.key=n1 steady.reason=open error.message=breaker: nodes/n1 is open",
		}, events, "and not of each call that ended")
	})
}

// half is a source of draws in the middle.
type half struct{}

func (half) Float64(string, uint64) float64 { return 0.5 }

func TestSpansAreLeftAloneIfAskedTo(t *testing.T) {
	h, _ := metered(t, steadyotel.Config{NoSpanEvents: true})
	require.Empty(t, traced(t, func(ctx context.Context) {
		h.On(ctx, steady.Event{Kind: steady.KindRetry, Policy: "retry"})
	}))
}

func TestTraceID(t *testing.T) {
	require.Empty(t, steadyotel.TraceID(t.Context()))
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}}))
	require.Equal(t, "01020000000000000000000000000000", steadyotel.TraceID(ctx))
}
