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
// Its times must come from one monotonic clock. One that goes back by more than
// the window empties it.
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

// A counter holds calls in the upper and failures in the lower 32 bits, so that
// both are added and read at once.
type counter struct{ atomic.Uint64 }

const oneCall = 1 << 32

func newWindow(length time.Duration, now int64) *window {
	w := &window{width: int64(length) / steps}
	w.present.Store(&step{start: now, count: new(counter)})
	return w
}

// add counts a call that ended now.
func (w *window) add(now int64, failed bool) {
	n := uint64(oneCall)
	if failed {
		n++
	}
	w.at(now).count.Add(n)
}

// sum returns the calls that the window holds now, and how many of them failed.
func (w *window) sum(now int64) (calls, failures int64) {
	s := w.at(now)
	n := s.count.Load()
	for _, c := range s.older {
		if c != nil {
			n += c.Load()
		}
	}
	return int64(n >> 32), int64(n & (oneCall - 1))
}

// at returns the step that holds now, sliding on if need be.
func (w *window) at(now int64) *step {
	s := w.present.Load()
	if uint64(now-s.start) < uint64(w.width) {
		return s
	}
	return w.slide(now)
}

func (w *window) slide(now int64) *step {
	for {
		s := w.present.Load()
		ahead := now - s.start
		switch {
		case ahead >= 0 && ahead < w.width:
			return s // another goroutine was faster
		case ahead < 0 && ahead > -steps*w.width:
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
