package steadyotel

import (
	"errors"
	"fmt"
	"math"

	"go.opentelemetry.io/otel/metric"

	"github.com/steady-go/steady"
)

// observe shows where all policies stand: how many are in which state, and their levels.
// Policies of one series are added up, but for gauges, which show the largest. What cannot be
// looked into is left out, and is the error.
func (h *Hook) observe(states observable, levels []observable, to metric.Observer) error {
	statuses, err := h.policies.Statuses()
	faults := []error{err}
	all := make([]*series, len(statuses)) // found first: Config.Key is the user's, and no lock is held across it
	live := make(map[*series]bool)
	for n, s := range statuses {
		of, err := h.seriesOf(s)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		all[n], live[of] = of, true
	}
	h.counts.begin()
	defer h.counts.end()
	var inState ordered[*attributes, int64]
	values := make([]ordered[*series, float64], len(levels))
	for n, s := range statuses {
		of := all[n]
		if of == nil {
			continue
		}
		for _, name := range s.States {
			in := of.with(detail{kind: kindLevel, to: name})
			inState.add(in, 0) // the states in which nobody is are shown too
			if name == s.State {
				inState.add(in, 1)
			}
		}
		for n, o := range levels {
			value, ok := s.Level(o.of.level)
			switch {
			case !ok || math.IsNaN(value) || math.IsInf(value, 0):
			case o.of.Instrument == Counter:
				h.counts.saw(s, o.of.level, of, value)
			case o.of.Instrument == Gauge:
				values[n].max(of, value)
			default:
				values[n].add(of, value)
			}
		}
	}
	inState.each(func(in *attributes, n int64) { to.ObserveInt64(states.whole, n, in.observe...) })
	for n, o := range levels {
		of := &values[n]
		if o.of.Instrument == Counter {
			of = h.counts.of(o.of.level)
		}
		of.each(func(s *series, value float64) {
			if o.whole != nil {
				to.ObserveInt64(o.whole, int64(value), s.plain.observe...)
			} else {
				to.ObserveFloat64(o.part, value, s.plain.observe...)
			}
		})
	}
	h.makeRoom(live)
	return errors.Join(faults...)
}

// seriesOf is series for a status. Config.Key is the user's, and on the goroutine of a reader
// nobody recovers.
func (h *Hook) seriesOf(s steady.Status) (of *series, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("steadyotel: Config.Key panicked on the key %q: %v", s.Key, p)
		}
	}()
	return h.series(s.Policy, s.Name, s.Key), nil
}

// Ordered is a map that remembers in which order its keys came: the SDK drops series beyond
// its limit, and should drop the same ones each time. Its zero value is empty.
type ordered[K comparable, V int64 | float64] struct {
	keys   []K
	values map[K]V
}

func (o *ordered[K, V]) set(k K, v V) {
	if o.values == nil {
		o.values = make(map[K]V)
	}
	if _, known := o.values[k]; !known {
		o.keys = append(o.keys, k)
	}
	o.values[k] = v
}

func (o *ordered[K, V]) add(k K, v V) { o.set(k, o.values[k]+v) }
func (o *ordered[K, V]) max(k K, v V) { o.set(k, max(o.values[k], v)) }

func (o *ordered[K, V]) each(do func(K, V)) {
	for _, k := range o.keys {
		do(k, o.values[k])
	}
}

// keep drops the keys that are not among those.
func (o *ordered[K, V]) keep(those map[K]bool) {
	var kept ordered[K, V]
	for _, k := range o.keys {
		if those[k] {
			kept.set(k, o.values[k])
		}
	}
	*o = kept
}
