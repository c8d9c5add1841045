package lab

import (
	"sync"
	"time"
)

// A group counts what is under way. Other than a [sync.WaitGroup] it can be waited
// for with a bound, and grow while somebody waits. Its zero value is ready.
type group struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n falls to 0; nil while nobody waits
}

func (g *group) add() {
	g.mu.Lock()
	g.n++
	g.mu.Unlock()
}

func (g *group) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// wait waits until nothing is under way, for at most d or until stop is closed, and
// returns how much still is.
func (g *group) wait(d time.Duration, stop <-chan struct{}) int {
	g.mu.Lock()
	if g.n == 0 {
		g.mu.Unlock()
		return 0
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	case <-stop:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}
