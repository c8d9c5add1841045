package breaker

import (
	"sync/atomic"
	"time"
)

// cohorts is how many cohorts start within SlowAfter.
const cohorts = 8

// underWay counts the calls that did not end yet by the time of their start, so
// that those which take too long are known before they end. Calls that start
// within an eighth of SlowAfter form a cohort.
type underWay struct {
	after   int64 // SlowAfter, in nanoseconds
	width   int64 // of a cohort
	present atomic.Pointer[cohort]
}

// A cohort is the calls that started in one stretch of time.
type cohort struct {
	start   int64
	running *atomic.Int64
	older   []aged // newest first: the young ones, and those of which calls still run
}

// An aged is a cohort that no further call will join.
type aged struct {
	end     int64 // when its last call started at the latest
	running *atomic.Int64
}

func newUnderWay(slowAfter time.Duration, now int64) *underWay {
	u := &underWay{after: int64(slowAfter), width: max(int64(slowAfter)/cohorts, 1)}
	u.present.Store(&cohort{start: now, running: new(atomic.Int64)})
	return u
}

// begin counts a call that starts now, until the caller takes it out of running
// again. It reports whether it is the first of a cohort.
func (u *underWay) begin(now int64) (running *atomic.Int64, first bool) {
	for {
		c := u.present.Load()
		age := now - c.start
		if uint64(age) < uint64(u.width) || age < 0 && age > -int64(lateBy) {
			c.running.Add(1)
			return c.running, first
		}
		next := &cohort{start: now, running: new(atomic.Int64)}
		if age > 0 { // else the clock went back
			next.older = append(next.older, aged{c.start + u.width, c.running})
			for _, a := range c.older {
				if a.running.Load() > 0 || a.end > now-u.after {
					next.older = append(next.older, a)
				}
			}
		}
		first = u.present.CompareAndSwap(c, next)
	}
}

// overdue returns how many calls have been under way for SlowAfter.
func (u *underWay) overdue(now int64) (n int64) {
	c := u.present.Load()
	if c.start+u.width <= now-u.after { // nobody has started since
		n = c.running.Load()
	}
	for _, a := range c.older {
		if a.end <= now-u.after {
			n += a.running.Load()
		}
	}
	return n
}
