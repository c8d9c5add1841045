package timeout

import (
	"sync"
	"time"
	"weak"
)

// A line is the contexts of one Timeout that somebody waits for, by their deadlines.
// Since all have the same Limit, who comes last is due last, and one timer serves
// them all: it is set for the first, and not touched when that is gone before.
//
// It must not be used in a [testing/synctest] bubble, whose timers die with it, while
// a Timeout may outlive it.
type line struct {
	mu          sync.Mutex
	first, last *limited    // guarded by mu, as are the links between them
	timer       *time.Timer // guarded by mu
	set         bool        // the timer is running, for due; guarded by mu
	due         time.Time   // guarded by mu
}

// far is how many places from the end one may join a line. Who asks so late that it is
// farther gets a timer of its own, rather than have the others wait.
const far = 32

// join puts c in the line, which it leaves by leave, or when it expires. It reports
// false if c's place is far from the end.
func (l *line) join(c *limited) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.last
	for n := 0; before != nil && c.deadline.Before(before.deadline); n++ {
		if n == far {
			return false
		}
		before = before.prev
	}
	c.prev, c.inLine = before, true
	if before != nil {
		c.next, before.next = before.next, c
	} else {
		c.next, l.first = l.first, c
	}
	if c.next != nil {
		c.next.prev = c
	} else {
		l.last = c
	}
	l.await()
	return true
}

// leave takes c out of the line, if it is still there.
func (l *line) leave(c *limited) {
	l.mu.Lock()
	l.remove(c)
	l.mu.Unlock()
}

// remove requires mu held.
func (l *line) remove(c *limited) {
	if !c.inLine {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.prev, c.next, c.inLine = nil, nil, false
}

// await sets the timer, unless it comes in time for the first in the line. It
// requires mu held.
func (l *line) await() {
	if l.first == nil || l.set && !l.first.deadline.Before(l.due) {
		return
	}
	l.set, l.due = true, l.first.deadline
	if wait := time.Until(l.due); l.timer == nil {
		kept := weak.Make(l) // nobody's timer keeps a Timeout that is not used any more
		l.timer = time.AfterFunc(wait, func() {
			if l := kept.Value(); l != nil {
				l.expire(time.Now())
			}
		})
	} else {
		l.timer.Reset(wait)
	}
}

// expire ends the contexts that are due, each on a goroutine of its own, as timers of
// their own would: the caller's context may be anybody's, and take its time.
func (l *line) expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := l.first; c != nil && !now.Before(c.deadline); c = l.first {
		l.remove(c)
		go c.expire()
	}
	l.set = false
	l.await()
}
