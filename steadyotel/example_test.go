package steadyotel_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/steadyotel"
)

// In a service the reader is an exporter, such as that for Prometheus.
func ExampleNew() {
	reader := sdk.NewManualReader()
	hook := steadyotel.MustNew(steadyotel.Config{
		MeterProvider: sdk.NewMeterProvider(sdk.WithReader(reader)),
	})
	db := breaker.MustNew(breaker.Config{Name: "db", Hook: hook})
	_ = db.Do(context.Background(), func(context.Context) error { return nil })

	var collected metricdata.ResourceMetrics
	_ = reader.Collect(context.Background(), &collected)
	for _, m := range collected.ScopeMetrics[0].Metrics {
		fmt.Println(m.Name, m.Unit)
	}
	// Output:
	// steady.call.duration s
	// steady.state {policy}
	// steady.hook.panics {panic}
	// steady.window.calls {call}
	// steady.window.failures {call}
}
