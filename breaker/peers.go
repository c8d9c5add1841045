package breaker

import (
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/steady-go/steady/internal/check"
)

// peers is what a group of equals knows of its members together.
type peers struct {
	Peers              // with defaults
	calls *window      // of all members
	out   atomic.Int64 // members that are open, half-open or forced open

	mu sync.Mutex // held while a member is opened, so that two cannot take the last place
}

func newPeers(p *Peers, c Config, now int64, f *check.Faults) *peers {
	if p == nil {
		return nil
	}
	p = &Peers{MinSuccess: cmp.Or(p.MinSuccess, 0.7), MaxOpenShare: cmp.Or(p.MaxOpenShare, 0.3)}
	f.Require(p.MinSuccess > 0 && p.MinSuccess <= 1, "Peers.MinSuccess", "be above 0 and at most 1", p.MinSuccess)
	f.Require(p.MaxOpenShare > 0 && p.MaxOpenShare <= 1, "Peers.MaxOpenShare", "be above 0 and at most 1", p.MaxOpenShare)
	return &peers{Peers: *p, calls: newWindow(c.Window, now)}
}

// book counts the end of a call to member b among its peers.
func (g *Group) book(b *Breaker, now int64, failed bool) {
	if g.peers != nil {
		b.recent.add(now, failed)
		g.peers.calls.add(now, failed)
	}
}

// moved notes that a member has changed its state.
func (g *Group) moved(from, to State) {
	if g.peers == nil || from.admitsAll() == to.admitsAll() {
		return
	}
	if from.admitsAll() {
		g.peers.out.Add(1)
	} else {
		g.peers.out.Add(-1)
	}
}

// openMember opens member b, unless the rules for peers forbid it or from is no
// longer its phase.
func (g *Group) openMember(b *Breaker, from, to *phase, now int64) bool {
	g.peers.mu.Lock()
	defer g.peers.mu.Unlock()
	return g.othersSucceed(b, now) && g.mayLose(now) && b.replace(from, to)
}

// othersSucceed reports whether a fault of member b is its own, as far as the
// calls to the others tell.
func (g *Group) othersSucceed(b *Breaker, now int64) bool {
	if g.peers == nil {
		return true
	}
	calls, failures := g.peers.calls.sum(now)
	ownCalls, ownFailures := b.recent.sum(now)
	calls, failures = calls-ownCalls, failures-ownFailures
	return calls > 0 && float64(calls-failures)/float64(calls) >= g.peers.MinSuccess
}

// mayLose reports whether the group can do without one more member.
func (g *Group) mayLose(now int64) bool {
	out := g.peers.out.Load()
	if out == 0 {
		return true
	}
	seen := 0
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, b := range g.members {
		if calls, _ := b.recent.sum(now); calls > 0 {
			seen++
		}
	}
	return float64(out+1)/float64(seen) <= g.peers.MaxOpenShare
}
