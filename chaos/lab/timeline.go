package lab

import (
	"slices"
	"time"
)

// A timeline counts the requests of an arm by the second in which they were due. They
// are added in that order.
type timeline struct {
	arm       *arm
	seconds   []Second
	present   int
	latencies []time.Duration // of the present second
}

// newTimeline returns one that is as long as the run was, its last second begun.
func newTimeline(a *arm) *timeline {
	n := int((a.run.ended + time.Second - 1) / time.Second)
	return &timeline{arm: a, seconds: make([]Second, min(n, len(a.seconds)))}
}

func (t *timeline) add(due time.Duration, st status) {
	i := int(due / time.Second)
	if i >= len(t.seconds) {
		return
	}
	if i != t.present {
		t.quantiles()
		t.present = i
	}
	t.seconds[i].Offered++
	if st.how() == answered {
		t.seconds[i].OK++
		t.latencies = append(t.latencies, st.latency())
	}
}

func (t *timeline) quantiles() {
	if len(t.latencies) == 0 {
		return
	}
	slices.Sort(t.latencies)
	s := &t.seconds[t.present]
	s.P50, s.P99 = quantile(t.latencies, 0.5), quantile(t.latencies, 0.99)
	t.latencies = t.latencies[:0]
}

// done returns the seconds, with what was heard of the policies in each.
func (t *timeline) done() []Second {
	t.quantiles()
	for i := range t.seconds {
		heard, s := &t.arm.seconds[i], &t.seconds[i]
		s.Attempts, s.Injected = int(heard.attempts.Load()), int(heard.injected.Load())
		s.Rejected, s.Gauges = int(heard.rejected.Load()), heard.gauges
	}
	return t.seconds
}
