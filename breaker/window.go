package breaker

import (
	"sync/atomic"
	"time"
)

// steps is how many steps a window slides in.
const steps = 10

// A window counts calls over a sliding time. It takes no lock: the present step
// is an atomic counter, and sliding on puts a new one in its place, so a slow
// writer can only add to the step that it has read.
//
// Its times must come from one monotonic clock. A writer may be late: what it
// brings is counted in the present step. Only a clock that goes back by more than
// anybody is late, which happens between synctest bubbles, empties the window.
type window struct {
	width   int64 // nanoseconds of a step
	present atomic.Pointer[step]
}

// A step is the present part of a window, with what it needs of the parts before.
type step struct {
	start int64
	count *counter
	older [steps - 1]*counter // newest first; nil where nothing ended
}

// A counter counts the calls of one step.
type counter struct {
	ends atomic.Uint64 // calls in the upper and failures in the lower 32 bits, added at once
	slow atomic.Int64
}

const oneCall = 1 << 32

// A tally is what a window holds.
type tally struct{ calls, failures, slow int64 }

func newWindow(length time.Duration, now int64) *window {
	w := &window{width: int64(length) / steps}
	w.present.Store(&step{start: now, count: new(counter)})
	return w
}

// add counts a call that ended now.
func (w *window) add(now int64, failed, slow bool) {
	n := uint64(oneCall)
	if failed {
		n++
	}
	c := w.at(now).count
	c.ends.Add(n)
	if slow {
		c.slow.Add(1)
	}
}

// sum returns what the window holds now.
func (w *window) sum(now int64) tally {
	s := w.at(now)
	t := s.count.tally()
	for _, c := range s.older {
		if c != nil {
			older := c.tally()
			t.calls += older.calls
			t.failures += older.failures
			t.slow += older.slow
		}
	}
	return t
}

func (c *counter) tally() tally {
	n := c.ends.Load()
	return tally{calls: int64(n / oneCall), failures: int64(n % oneCall), slow: c.slow.Load()}
}

// at returns the step that holds now, sliding on if need be.
func (w *window) at(now int64) *step {
	s := w.present.Load()
	if uint64(now-s.start) < uint64(w.width) {
		return s
	}
	return w.slide(now)
}

// lateBy is by how much a clock may seem to go back because it was read some time
// ago. Bubbles are decades apart.
const lateBy = time.Hour

func (w *window) slide(now int64) *step {
	for {
		s := w.present.Load()
		ahead := now - s.start
		switch {
		case ahead >= 0 && ahead < w.width:
			return s // another goroutine was faster
		case ahead < 0 && ahead > -int64(lateBy):
			return s // the clock was read before another goroutine slid on
		}
		next := &step{start: now, count: new(counter)}
		if ahead > 0 {
			n := ahead / w.width
			next.start = s.start + n*w.width
			if n <= int64(len(next.older)) {
				next.older[n-1] = s.count
				copy(next.older[n:], s.older[:])
			}
		}
		if w.present.CompareAndSwap(s, next) {
			return next
		}
	}
}
