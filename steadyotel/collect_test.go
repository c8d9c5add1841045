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
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/operation"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadyotel"
	"github.com/steady-go/steady/timeout"
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

// everything makes policies of every kind do all that they can report. It must run in a
// bubble. What it returns must be kept alive until the metrics have been collected.
func everything(t *testing.T, hook steady.Hook) []any {
	ctx := t.Context()
	o := operation.MustNew(operation.Config{Name: "checkout", Hook: hook})
	b := breaker.MustNew(breaker.Config{Name: "db", ConsecutiveFailures: 1, SlowAfter: time.Hour, Hook: hook})
	gate := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 1, Queue: 1, MaxWait: time.Second, Hook: hook})
	again := retry.MustNew(retry.Config{Name: "db", Hook: hook})
	limit := timeout.MustNew(timeout.Config{Name: "db", Limit: time.Second, Abandon: true, Hook: hook})
	group := breaker.MustNewGroup(breaker.GroupConfig{
		Config: breaker.Config{Name: "nodes", Hook: hook}, Peers: &breaker.Peers{}, MaxKeys: 2,
	})
	faults := chaos.MustNew(chaos.Config{Name: "db", Hook: hook, Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1}}})

	_ = o.Do(ctx, succeed)
	_ = o.Do(ctx, fail)
	_ = again.Do(ctx, fail)
	_ = b.Do(ctx, fail)    // opens
	_ = b.Do(ctx, succeed) // is refused
	b.SetDryRun(true)
	_ = b.Do(ctx, succeed) // would have been
	for _, key := range []string{"a", "b", "c"} {
		_ = group.Do(ctx, key, succeed)
	}
	_ = limit.Do(ctx, func(context.Context) error { time.Sleep(3 * time.Second); return errBoom }) // is abandoned, and ends later
	time.Sleep(10 * time.Second)
	require.NoError(t, faults.Arm(time.Hour))
	_ = faults.Do(ctx, succeed)
	p, err := gate.Acquire(ctx)
	require.NoError(t, err)
	_ = gate.Do(ctx, succeed) // waits in vain
	p.Release()
	return []any{o, b, gate, again, limit, group, faults}
}

// sorted returns the keys of m in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
