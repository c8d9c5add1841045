package steadyotel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/steady-go/steady"
)

// addSpanEvent adds e to the span that is active in ctx, if that is recorded: what a
// person who looks at one request wants to know about it. Its name is that of the kind,
// such as "steady.retry". Times are in seconds.
func addSpanEvent(ctx context.Context, e steady.Event) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	kvs := make([]attribute.KeyValue, 0, 10)
	str := func(key, value string) {
		if value != "" {
			kvs = append(kvs, attribute.String(key, value))
		}
	}
	str(attrPolicy, e.Policy)
	str(attrName, e.Name)
	str(attrKey, e.Key)
	switch e.Kind {
	case steady.KindInjected:
		str(attrFault, e.Reason)
		str(attrEffect, e.To)
	case steady.KindDone:
		reason := attrSource
		if e.Policy == idempotency {
			reason = attrResult
		}
		str(reason, e.Reason)
	default:
		str(attrReason, e.Reason)
		str(attrFrom, e.From)
		str(attrTo, e.To)
	}
	if e.Attempt != 0 {
		kvs = append(kvs, attribute.Int("steady.attempt", e.Attempt))
	}
	if e.Delay != 0 {
		kvs = append(kvs, attribute.Float64("steady.delay", e.Delay.Seconds()))
	}
	if e.Wait != 0 {
		kvs = append(kvs, attribute.Float64("steady.wait", e.Wait.Seconds()))
	}
	if e.Age != 0 {
		kvs = append(kvs, attribute.Float64("steady.age", e.Age.Seconds()))
	}
	if e.Duration != 0 {
		kvs = append(kvs, attribute.Float64("steady.duration", e.Duration.Seconds()))
	}
	if e.Err != nil {
		kvs = append(kvs, attribute.String("error.message", e.Err.Error()))
	}
	span.AddEvent("steady."+e.Kind.String(), trace.WithAttributes(kvs...))
}

// TraceID returns the ID of the trace that is active in ctx, in hexadecimal, or "". It fits
// into the Config of steadydebug.
func TraceID(ctx context.Context) string {
	if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
		return id.String()
	}
	return ""
}
