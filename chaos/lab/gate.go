package lab

import (
	"errors"
	"slices"
	"time"
)

// steady reports whether the system was steady in the baseline. Requests of the
// last moment are still under way: they count as failed if they have been for longer
// than a second, and than any that was answered.
func (r *run) steady() bool {
	now := r.now()
	s := newSample()
	var unanswered []time.Duration
	r.arms[0].each(func(due time.Duration, st status) {
		switch {
		case st.phase() != inBaseline:
		case st.how() == pending:
			unanswered = append(unanswered, now-due)
		default:
			s.add(st)
		}
	})
	longest := time.Second
	for _, took := range s.latencies {
		longest = max(longest, took)
	}
	for _, age := range unanswered {
		if age > longest {
			s.add(newStatus(failed, inBaseline, 0, 0))
		}
	}
	r.arms[0].fill(s, inBaseline)
	for _, p := range r.e.Steady {
		if !slices.Contains(p.in(), PhaseBaseline) {
			continue
		}
		if c := p.judge(s, PhaseBaseline); c.Verdict == Error {
			r.note(errors.New("lab: " + c.Why))
			return false
		} else if c.Verdict != Met {
			r.unbroken = append(r.unbroken, "not steady in the baseline, so nothing was broken: "+c.reason())
		}
	}
	return len(r.unbroken) == 0
}
