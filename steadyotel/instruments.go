package steadyotel

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"github.com/steady-go/steady"
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

func (m *maker) seconds(of Metric) metric.Float64Histogram {
	i, err := m.meter.Float64Histogram(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Description), seconds)
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

// An observable is an instrument that shows a level. One of both is set.
type observable struct {
	level string
	whole metric.Int64Observable
	part  metric.Float64Observable
}

// observe registers h to be asked where policies stand.
func (m *maker) observe(h *Hook) metric.Registration {
	var shown []observable
	var all []metric.Observable
	for _, of := range append([]Metric{states, hookPanics, unguardedCalls}, levels...) {
		o := observable{level: of.level}
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
		h.observe(shown[0], shown[1:], to)
		return nil
	}, all...)
	return made(m, r, err)
}

// observe shows where all policies stand: how many are in which state, and the sums of
// their levels.
func (h *Hook) observe(states observable, levels []observable, to metric.Observer) {
	inState := make(map[*attributes]int64)
	sums := make(map[*series]map[string]float64)
	for _, s := range h.policies.Statuses() {
		of := h.series(s.Policy, s.Name, s.Key)
		for _, name := range s.States {
			in := of.with(detail{kind: kindLevel, to: name})
			inState[in] += 0 // the states in which nobody is are shown too
			if name == s.State {
				inState[in]++
			}
		}
		if sums[of] == nil {
			sums[of] = make(map[string]float64)
		}
		for _, l := range s.Levels {
			sums[of][l.Name] += l.Value
		}
	}
	for in, n := range inState {
		to.ObserveInt64(states.whole, n, in.observe...)
	}
	for of, sum := range sums {
		for _, o := range levels {
			value, ok := sum[o.level]
			switch {
			case !ok:
			case o.whole != nil:
				to.ObserveInt64(o.whole, int64(value), of.plain.observe...)
			default:
				to.ObserveFloat64(o.part, value, of.plain.observe...)
			}
		}
	}
}

var _ steady.Hook = (*Hook)(nil)
