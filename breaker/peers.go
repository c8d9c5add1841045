package breaker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady/internal/check"
)

// peers is what a group of equals knows of its members together.
type peers struct {
	Peers // with defaults

	// mu is held while a member is opened, so that two cannot take the last place.
	mu sync.Mutex

	// crowded is until when no further member may open, for want of room or because the
	// others fail too, unless one changes its state before. To see that takes a look at
	// every member, which must not happen for each call that fails.
	crowded atomic.Int64
}

// recount is how often the members are looked at at most while no further one may open.
const recount = 100 * time.Millisecond

// early is the part of OpenFor after which a member may be made to probe because
// its place is wanted. TestAFleetHoldsWhileFailuresMoveFromNodeToNode holds with a
// fifth, and with the half does not.
const early = 5

func newPeers(p *Peers, c Config, f *check.Faults) *peers {
	if p == nil {
		return nil
	}
	p = &Peers{MinSuccess: cmp.Or(p.MinSuccess, 0.9), MaxOpenShare: cmp.Or(p.MaxOpenShare, 0.3)}
	f.Require(p.MinSuccess > 0 && p.MinSuccess <= 1, "Peers.MinSuccess", "be above 0 and at most 1", p.MinSuccess)
	f.Require(p.MaxOpenShare > 0 && p.MaxOpenShare <= 1, "Peers.MaxOpenShare", "be above 0 and at most 1", p.MaxOpenShare)
	return &peers{Peers: *p}
}

// book counts the end of a call to member b among its peers. One that was slow did
// not go well either: otherwise an overload would open one slow node after the
// other.
func (g *Group) book(ctx context.Context, b *Breaker, now int64, failed bool) {
	if g.peers != nil {
		b.recent.add(now, failed, false)
		b.lately.add(now, failed, false)
		if failed {
			g.review(ctx, now)
		}
	}
}

// moved notes that a member has changed its state.
func (g *Group) moved() {
	if g.peers != nil {
		g.peers.crowded.Store(0)
	}
}

// mayOpen reports whether it is worth while to try to open member b.
func (g *Group) mayOpen(b *Breaker, now int64) bool {
	if g.peers == nil {
		return true
	}
	if left := g.peers.crowded.Load() - now; left > 0 && left <= int64(recount) {
		return false
	}
	if !g.othersSucceed(b, now) {
		g.peers.crowded.Store(now + int64(recount))
		return false
	}
	return true
}

// open opens member b, unless the rules for peers forbid it or from is no longer
// its phase. When there is no room for it, the member that has been open for
// longest, if that is for a fifth of OpenFor or more, probes now: it may be well again
// and hold the place of one that is not.
func (g *Group) open(ctx context.Context, b *Breaker, from, to *phase, now int64, reason string) bool {
	if g.peers == nil {
		return b.move(ctx, from, to, reason)
	}
	g.peers.mu.Lock()
	if b.phase.Load() != from { // a late result, or another call was faster
		g.peers.mu.Unlock()
		return false
	}
	room, oldest := g.look(b, now)
	opened := room && b.replace(from, to)
	if !room {
		g.peers.crowded.Store(now + int64(recount))
	}
	g.peers.mu.Unlock()
	switch {
	case opened:
		b.emitState(ctx, from, to, reason)
	case !room && oldest != nil:
		if p := oldest.phase.Load(); p.state == Open && now-p.began >= int64(g.cfg.OpenFor)/early {
			oldest.move(ctx, p, oldest.halfOpen(p, now), "its place is wanted")
		}
	}
	return opened
}

// look reports whether the group can do without b too, and which other member has
// been open for longest.
func (g *Group) look(b *Breaker, now int64) (room bool, oldest *Breaker) {
	var seen, out, began int64
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, m := range g.members {
		if m.recent.sum(now).calls > 0 {
			seen++
		}
		p := m.phase.Load()
		if m == b || p.state.admitsAll() || m.forgotten(now) {
			continue
		}
		out++
		if p.state == Open && (oldest == nil || p.began < began) {
			oldest, began = m, p.began
		}
	}
	return out == 0 || share(out+1, seen) <= g.peers.MaxOpenShare, oldest
}

// others returns what the members but b did in the window, without the worst of them:
// as many as may be out together with b. With those that are down among them, what is to
// pass for success would have to be so low that an overload passes for it too.
func (g *Group) others(b *Breaker, now int64) (calls, succeeded int64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	all := make([]tally, 0, len(g.members))
	for _, m := range g.members {
		if n := m.recent.sum(now); m != b && n.calls > 0 {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b tally) int {
		return cmp.Compare(share(a.failures, a.calls), share(b.failures, b.calls))
	})
	worst := int(g.peers.MaxOpenShare*float64(len(all)+1)) - 1
	worst = max(0, min(worst, len(all)-1)) // with the best at least b is compared
	for _, n := range all[:len(all)-worst] {
		calls, succeeded = calls+n.calls, succeeded+n.calls-n.failures
	}
	return calls, succeeded
}

// othersSucceed reports whether the calls to the others show that a fault of
// member b is its own.
func (g *Group) othersSucceed(b *Breaker, now int64) bool {
	calls, succeeded := g.others(b, now)
	return calls > 0 && share(succeeded, calls) >= g.peers.MinSuccess
}

// othersFail reports whether they show that it is not.
func (g *Group) othersFail(b *Breaker, now int64) bool {
	if g.peers == nil {
		return false
	}
	calls, succeeded := g.others(b, now)
	return calls > 0 && share(succeeded, calls) < g.peers.MinSuccess
}
