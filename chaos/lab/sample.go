package lab

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A sample is what a probe looks at: the requests due in one phase of a run or of
// several, or those that ended in a window.
type sample struct {
	tally     Tally
	latencies []time.Duration // of those answered without an error, sorted when it is complete
	errors    map[string]int  // all kinds
	gauges    map[string]extremes
	recovered []time.Duration // how long each run took to recover
	never     int             // of which did not
}

// extremes are the lowest and the highest of some readings.
type extremes struct{ low, high float64 }

func newSample() *sample {
	return &sample{tally: Tally{Injected: map[string]int{}}, errors: map[string]int{}, gauges: map[string]extremes{}}
}

// add counts a request.
func (s *sample) add(st status) {
	s.tally.Offered++
	switch st.how() {
	case answered:
		s.tally.OK++
		s.latencies = append(s.latencies, st.latency())
		return
	case overflown:
		s.tally.Overflow++
	}
	s.tally.Failed++
}

func (s *sample) read(gauges map[string]float64) {
	for name, v := range gauges {
		s.widen(name, extremes{v, v})
	}
}

func (s *sample) widen(name string, e extremes) {
	if old, ok := s.gauges[name]; ok {
		e = extremes{min(old.low, e.low), max(old.high, e.high)}
	}
	s.gauges[name] = e
}

// merge adds another run's sample.
func (s *sample) merge(o *sample) {
	s.tally.Phase = o.tally.Phase
	s.tally.Lasted += o.tally.Lasted
	s.tally.Offered += o.tally.Offered
	s.tally.OK += o.tally.OK
	s.tally.Failed += o.tally.Failed
	s.tally.Overflow += o.tally.Overflow
	s.tally.Attempts += o.tally.Attempts
	s.tally.Rejected += o.tally.Rejected
	for name, n := range o.tally.Injected {
		s.tally.Injected[name] += n
	}
	for text, n := range o.errors {
		s.errors[text] += n
	}
	for name, e := range o.gauges {
		s.widen(name, e)
	}
	s.latencies = append(s.latencies, o.latencies...)
	s.recovered = append(s.recovered, o.recovered...)
	s.never += o.never
}

// complete fills in what is computed from the rest.
func (s *sample) complete() *sample {
	slices.Sort(s.latencies)
	t := &s.tally
	if t.Offered > 0 {
		t.Availability = float64(t.OK) / float64(t.Offered)
	}
	t.Low, t.High = interval(t.OK, t.Offered)
	if n := len(s.latencies); n > 0 {
		t.P50, t.P99, t.P999 = quantile(s.latencies, 0.5), quantile(s.latencies, 0.99), quantile(s.latencies, 0.999)
		t.Max = s.latencies[n-1]
	}
	if started := t.Offered - t.Overflow; started > 0 {
		t.Amplification = float64(t.Attempts) / float64(started)
	}
	t.Errors = commonest(s.errors)
	return s
}

const (
	otherErrors = "other"
	errorKinds  = 10
)

// commonest returns the ten kinds of errors that there were most of, and the sum of
// the others.
func commonest(all map[string]int) map[string]int {
	kinds := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b))
	})
	out := make(map[string]int, min(len(kinds), errorKinds+1))
	told := 0
	for _, kind := range kinds {
		if told == errorKinds || kind == otherErrors {
			out[otherErrors] += all[kind]
			continue
		}
		out[kind] = all[kind]
		told++
	}
	return out
}
