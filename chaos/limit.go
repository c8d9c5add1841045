package chaos

import (
	"sync"
	"time"
)

// A limit is the deadline of the reads or of the writes of a connection. Its zero value is
// none.
type limit struct {
	mu      sync.Mutex
	at      time.Time     // guarded by mu
	changed chan struct{} // of those who wait, or nil; guarded by mu
}

// set changes the deadline, for operations under way too.
func (l *limit) set(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = at
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// get returns the deadline, zero if there is none, and what is closed when it changes.
func (l *limit) get() (at time.Time, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.at, l.changed
}
