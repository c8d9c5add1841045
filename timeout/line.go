package timeout

import (
	"sync"
	"time"
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

// join puts c in the line. It is left again by leave, or when c expires.
func (l *line) join(c *limited) {
	l.mu.Lock()
	before := l.last // whose clock was read later stands behind, but may be here first
	for before != nil && c.deadline.Before(before.deadline) {
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
	l.mu.Unlock()
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
		l.timer = time.AfterFunc(wait, l.expire)
	} else {
		l.timer.Reset(wait)
	}
}

// expire ends the contexts that are due.
func (l *line) expire() {
	for {
		c := l.next(time.Now())
		if c == nil {
			return
		}
		c.expire()
	}
}

// next takes the first in the line out of it if that is due. Otherwise it sets the
// timer for it and returns nil.
func (l *line) next(now time.Time) *limited {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.first; c != nil && !now.Before(c.deadline) {
		l.remove(c)
		return c
	}
	l.set = false
	l.await()
	return nil
}
