package steadyotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"
)

// A maker makes instruments, and collects what goes wrong with that.
type maker struct {
	meter metric.Meter
	errs  []error
}

func made[T any](m *maker, instrument T, err error) T {
	if err != nil {
		m.errs = append(m.errs, err)
	}
	return instrument
}

func (m *maker) seconds(of Metric, bounds metric.HistogramOption) metric.Float64Histogram {
	i, err := m.meter.Float64Histogram(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Description), bounds)
	return made(m, i, err)
}

func (m *maker) attempts(of Metric) metric.Int64Histogram {
	i, err := m.meter.Int64Histogram(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Description),
		metric.WithExplicitBucketBoundaries(1, 2, 3, 4, 5, 10))
	return made(m, i, err)
}

func (m *maker) counter(of Metric) metric.Int64Counter {
	i, err := m.meter.Int64Counter(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Description))
	return made(m, i, err)
}

// An observable is an instrument that shows a level. One of whole and part is set.
type observable struct {
	of    Metric
	whole metric.Int64Observable
	part  metric.Float64Observable
}

// observe registers h to be asked where policies stand.
func (m *maker) observe(h *Hook) metric.Registration {
	var shown []observable
	var all []metric.Observable
	for _, of := range append([]Metric{states, hookPanics, unguardedCalls}, levels...) {
		o := observable{of: of}
		unit, text := metric.WithUnit(of.Unit), metric.WithDescription(of.Description)
		switch of.Instrument {
		case Counter:
			i, err := m.meter.Int64ObservableCounter(of.Name, unit, text)
			o.whole = made(m, i, err)
			all = append(all, i)
		case UpDownCounter:
			i, err := m.meter.Int64ObservableUpDownCounter(of.Name, unit, text)
			o.whole = made(m, i, err)
			all = append(all, i)
		default:
			i, err := m.meter.Float64ObservableGauge(of.Name, unit, text)
			o.part = made(m, i, err)
			all = append(all, i)
		}
		shown = append(shown, o)
	}
	if m.errs != nil {
		return nil
	}
	r, err := m.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		return h.observe(shown[0], shown[1:], to)
	}, all...)
	return made(m, r, err)
}
