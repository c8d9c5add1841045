package chaos

import (
	"sync"
	"time"
)

// A pace spreads bytes evenly over time. Its zero value has nothing due yet.
type pace struct {
	mu  sync.Mutex
	due time.Time // of the last byte so far; guarded by mu
}

// reserve returns how long it takes from now until n more bytes have passed.
func (p *pace) reserve(n, perSecond int) time.Duration {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Duration(float64(n) / float64(perSecond) * float64(time.Second)))
	return p.due.Sub(now)
}

// portion is how many bytes pass at once: what is due in a twentieth of a second, so that
// a slow stream flows rather than jumps.
func portion(perSecond int) int { return max(perSecond/20, 1) }
