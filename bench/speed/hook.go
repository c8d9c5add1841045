package speed

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/steadydebug"
	"github.com/steady-go/steady/steadyotel"
)

// hooks are what it costs to hear that a call has ended. The call itself is not made: what is
// measured is what comes on top of any policy.
func hooks() []Case {
	return []Case{{
		Name: "HookOTel", About: "one event of a call that succeeded, told to OpenTelemetry's SDK", Call: same(measure.Ignores), Runs: SerialOnly, Parallelism: 1,
		Floor: byHandOTel.Lib, Reason: "it finds the attributes by the policy's kind and name",
		Variants: []Variant{bareCall, byHandOTel, {Lib: Steady, New: func() measure.Do {
			return hear(steadyotel.MustNew(steadyotel.Config{MeterProvider: meters()}))
		}}},
	}, {
		Name: "HookDebug", About: "one event of a call that succeeded, told to the status page", Call: same(measure.Ignores), Runs: SerialOnly, Parallelism: 1,
		Floor: bareCall.Lib,
		Variants: []Variant{bareCall, {Lib: Steady, New: func() measure.Do {
			return hear(steadydebug.MustNew(steadydebug.Config{}))
		}}},
	}}
}

// hear tells hook of a call that has ended.
func hear(hook steady.Hook) measure.Do {
	e := steady.Event{Kind: steady.KindDone, Policy: "breaker", Name: "db", Outcome: steady.Success, Duration: 3 * time.Millisecond}
	return func(ctx context.Context, call func(context.Context) error) error {
		hook.On(ctx, e)
		return call(ctx)
	}
}

func meters() metric.MeterProvider {
	return sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader()))
}

// byHandOTel makes the same recording with attributes that were made before.
var byHandOTel = Variant{
	Lib: "by-hand", Floor: true,
	New: func() measure.Do {
		duration, err := meters().Meter("by hand").Float64Histogram("steady.call.duration", metric.WithUnit("s"),
			metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30))
		if err != nil {
			panic(err)
		}
		attributes := []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(
			attribute.String("steady.policy", "breaker"), attribute.String("steady.name", "db"), attribute.String("steady.outcome", "success"),
		))}
		ran := 3 * time.Millisecond
		return func(ctx context.Context, call func(context.Context) error) error {
			duration.Record(ctx, ran.Seconds(), attributes...)
			return call(ctx)
		}
	},
}
