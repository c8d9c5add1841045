package steadyotel_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/steady-go/steady/steadyotel"
)

var errBoom = errors.New("boom")

func succeed(context.Context) error { return nil }
func fail(context.Context) error    { return errBoom }

// metered returns a hook, and what collects its metrics.
func metered(t *testing.T, c steadyotel.Config) (*steadyotel.Hook, func() metrics) {
	t.Helper()
	reader := metric.NewManualReader()
	c.MeterProvider = metric.NewMeterProvider(metric.WithReader(reader))
	h, err := steadyotel.New(c)
	require.NoError(t, err)
	return h, func() metrics {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(context.Background(), &all))
		m := metrics{}
		for _, s := range all.ScopeMetrics {
			for _, one := range s.Metrics {
				m[one.Name] = one
			}
		}
		return m
	}
}

// metrics are what was collected, by name.
type metrics map[string]metricdata.Metrics

// points returns the values of a metric by its attributes, as "policy/name/other=value". Of
// a histogram it is the sum.
func (m metrics) points(name string) map[string]float64 {
	points := map[string]float64{}
	each(m[name], func(set attribute.Set, value float64, _ uint64) { points[label(set)] = value })
	return points
}

// counts returns the number of recordings of a histogram by its attributes.
func (m metrics) counts(name string) map[string]int {
	points := map[string]int{}
	each(m[name], func(set attribute.Set, _ float64, n uint64) { points[label(set)] = int(n) })
	return points
}

func label(set attribute.Set) string {
	policy, _ := set.Value("steady.policy")
	name, _ := set.Value("steady.name")
	l := policy.AsString() + "/" + name.AsString()
	for _, kv := range set.ToSlice() {
		if kv.Key != "steady.policy" && kv.Key != "steady.name" {
			l += "/" + strings.TrimPrefix(string(kv.Key), "steady.") + "=" + kv.Value.String()
		}
	}
	return l
}

func each(m metricdata.Metrics, point func(set attribute.Set, value float64, n uint64)) {
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			point(p.Attributes, p.Sum, p.Count)
		}
	case metricdata.Histogram[int64]:
		for _, p := range d.DataPoints {
			point(p.Attributes, float64(p.Sum), p.Count)
		}
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			point(p.Attributes, float64(p.Value), 1)
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			point(p.Attributes, p.Value, 1)
		}
	}
}

// instrument returns what a collected metric is, in the words of steadyotel.
func instrument(m metricdata.Metrics) steadyotel.Instrument {
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64], metricdata.Histogram[int64]:
		return steadyotel.Histogram
	case metricdata.Sum[int64]:
		if d.IsMonotonic {
			return steadyotel.Counter
		}
		return steadyotel.UpDownCounter
	case metricdata.Gauge[float64]:
		return steadyotel.Gauge
	}
	return steadyotel.Instrument(fmt.Sprintf("%T", m.Data))
}

// sorted returns the keys of m in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
