package lab

import (
	"errors"
	"slices"
	"time"
)

// A watch is the sliding window that the abort probes look at. Only the goroutine that
// takes the run through its phases uses it.
type watch struct {
	from, now time.Duration
	endings   []ending  // of the requests that ended in the window, in that order
	totals    []total   // at each look in it, and at the one before
	stuck     []*record // of requests that were due before the window and have not ended
	seen      int       // how many requests were due before the window
}

// An ending is the end of a request.
type ending struct {
	at      time.Duration
	latency time.Duration
	how     int
}

// A total is what had been heard of the policies at one time.
type total struct {
	at                 time.Duration
	attempts, rejected int
	injected           []int // by the place of the fault
}

// slide moves the window on.
func (w *watch) slide(a *arm, from, now time.Duration) {
	w.from, w.now = max(from, 0), now
	a.mu.Lock()
	w.endings = append(w.endings, a.ended...)
	a.ended = a.ended[:0]
	records, n := a.records, a.n
	a.mu.Unlock()
	w.endings = slices.DeleteFunc(w.endings, func(e ending) bool { return e.at < w.from })
	w.stuck = slices.DeleteFunc(w.stuck, func(r *record) bool { return !r.pending() })
	for ; w.seen < n; w.seen++ {
		r := &records[w.seen/chunk][w.seen%chunk]
		if r.due >= w.from {
			break
		}
		if r.pending() {
			w.stuck = append(w.stuck, r)
		}
	}
	w.totals = append(w.totals, a.total(now))
	for len(w.totals) > 1 && w.totals[1].at <= w.from {
		w.totals = w.totals[1:]
	}
}

func (a *arm) total(now time.Duration) total {
	t := total{at: now, injected: make([]int, len(a.faults))}
	for i := range a.counts {
		c := &a.counts[i]
		t.attempts += int(c.attempts.Load())
		t.rejected += int(c.rejected.Load())
		for j := range c.injected {
			t.injected[j] += int(c.injected[j].Load())
		}
	}
	return t
}

// sample returns what is in the window.
func (w *watch) sample(a *arm) *sample {
	s := newSample()
	s.tally.Phase, s.tally.Lasted = PhaseFault, w.now-w.from
	for _, e := range w.endings {
		s.add(newStatus(e.how, inFault, 0, e.latency))
	}
	for range w.stuck {
		s.add(newStatus(pending, inFault, 0, 0))
	}
	for end := w.from.Truncate(time.Second) + time.Second; end <= w.now; end += time.Second {
		if sec := a.second(end - time.Second); sec != nil {
			s.read(sec.gauges)
		}
	}
	now, before := w.totals[len(w.totals)-1], w.totals[0]
	if before.at > w.from { // the window reaches back to the beginning of the run
		before = total{injected: make([]int, len(a.faults))}
	}
	s.tally.Attempts, s.tally.Rejected = now.attempts-before.attempts, now.rejected-before.rejected
	for name, i := range a.faults {
		if n := now.injected[i] - before.injected[i]; n > 0 {
			s.tally.Injected[name] = n
		}
	}
	return s.complete()
}

// breach returns why p is breached in the window, or "" if it is not, or nothing is to
// be seen.
func (w *watch) breach(p Probe, a *arm, s *sample) (string, error) {
	if p.kind == latency {
		s = w.withSlow(duration(p.bound), a, s)
	}
	v, err := p.value(s)
	var fault *probeError
	switch {
	case errors.As(err, &fault):
		return "", err
	case err != nil, p.keeps(v, p.bound):
		return "", nil
	}
	return p.title(p.bound) + ": it was " + p.text(v) + " in the last " + (w.now - w.from).Round(10*time.Millisecond).String(), nil
}

// withSlow returns s with the requests that have been under way for longer than bound
// as if they were answered now.
func (w *watch) withSlow(bound time.Duration, a *arm, s *sample) *sample {
	slow := *s
	slow.latencies = slices.Clone(s.latencies)
	for _, r := range w.stuck {
		if age := w.now - r.due; age > bound {
			slow.latencies = append(slow.latencies, age)
		}
	}
	a.mu.Lock()
	records, n := a.records, a.n
	a.mu.Unlock()
	for i := w.seen; i < n; i++ {
		r := &records[i/chunk][i%chunk]
		age := w.now - r.due
		if age <= bound {
			break
		}
		if r.pending() {
			slow.latencies = append(slow.latencies, age)
		}
	}
	slices.Sort(slow.latencies)
	return &slow
}
