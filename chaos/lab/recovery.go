package lab

import "time"

// What steady state is after the faults: five seconds in a row, in each of which at
// least 99 % of the requests due were answered without an error. A second in which none
// was due speaks for nothing, and breaks no row.
const (
	recoveryWindow = 5 * time.Second
	recoveryShare  = 0.99
)

// A recovering looks for the end of the recovery of one run, in seconds that count
// from the end of the faults.
type recovering struct {
	from, all   time.Duration
	offered, ok []int
}

func newRecovery(r *run) *recovering {
	all := r.e.Recovery
	return &recovering{
		from: r.end(inFault), all: all,
		offered: make([]int, all/time.Second), ok: make([]int, all/time.Second),
	}
}

func (r *recovering) add(due time.Duration, st status) {
	i := int((due - r.from) / time.Second)
	if i < 0 || i >= len(r.offered) {
		return
	}
	r.offered[i]++
	if st.how() == answered {
		r.ok[i]++
	}
}

// result returns how long the run took, and 1 if it did not get there. It returns
// nothing of a recovery phase that is too short to tell.
func (r *recovering) result() (took []time.Duration, never int) {
	const row = int(recoveryWindow / time.Second)
	if len(r.offered) < row {
		return nil, 0
	}
	good, seen := 0, 0
	for i, n := range r.offered {
		if float64(r.ok[i]) < recoveryShare*float64(n) {
			good, seen = 0, 0
			continue
		}
		if seen += n; seen == 0 {
			continue // nothing speaks for it yet
		}
		if good++; good >= row {
			return []time.Duration{time.Duration(i+1-row) * time.Second}, 0
		}
	}
	return []time.Duration{r.all}, 1
}
