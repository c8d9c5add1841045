package breaker

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/check"
)

// ErrShed is matched by the rejection of a call to a [Group] with Peers while all
// members fail.
var ErrShed = errors.New("breaker: shed")

// A shedder refuses a share of the calls to a group of peers while all of them
// fail. To open one member after the other would then only move the load, and to open
// none leaves an overload to feed itself: the members work through a queue of calls
// whose callers have left.
//
// It is the client-side throttling of the SRE Book (Google, 2016, chapter 21): of what
// is asked it lets through as much as keeps the failed and refused together at the
// bound. So it lets through nearly nothing when all fails, and with the default bound
// of a half twice as much as succeeds: where that succeeds too, twice as much again,
// until nothing is refused.
//
// Where one member does well it is no overload, and to shed would not help: with
// two of three nodes dead, half of the calls fail whatever their number.
type shedder struct {
	above    float64       // the share of calls that may fail
	window   time.Duration // over which that is looked at
	probes   int64         // calls let through in a window whatever fails
	minCalls int64
	refusal  *rejection
	drawKey  string

	changes atomic.Uint64 // of state: while it is odd, calls are shed
	began   atomic.Int64  // when the state changed
	failing atomic.Int64  // since when too many calls fail; 0 while they do not
	share   atomic.Uint64 // of calls to refuse, the bits of a float64
	lookAt  atomic.Int64  // when to look at the members again
	refused *window       // of the calls that were refused, as failures
	soFar   atomic.Uint64 // all that were
}

// look is how often the members are looked at, at most: not for each call.
const look = 50 * time.Millisecond

const (
	admitting = "admitting"
	shedding  = "shedding"
)

// newShedder returns nil if p sheds nothing.
func newShedder(p *Peers, c Config, f *check.Faults) *shedder {
	if p == nil || p.ShedAbove == Off {
		return nil
	}
	s := &shedder{above: p.ShedAbove, minCalls: int64(c.MinCalls), probes: int64(c.Probes), drawKey: "breaker.shed:" + c.Name}
	if s.above == 0 {
		s.above = 0.5
	}
	f.Require(s.above > 0 && s.above < 1, "Peers.ShedAbove", "be above 0 and below 1, or Off", p.ShedAbove)
	// A tenth: it must let go as soon as the members are well again.
	s.window = c.Window / steps
	s.refused = newWindow(s.window, 0)
	return s
}

func (s *shedder) on() bool { return s.changes.Load()%2 == 1 }

// refusing returns the share of the calls that are refused now.
func (s *shedder) refusing() float64 {
	if !s.on() {
		return 0
	}
	return math.Float64frombits(s.share.Load())
}

// shed returns the rejection to give to a call, which it counts, or nil.
func (g *Group) shed(ctx context.Context) *rejection {
	s := g.shedder
	if s == nil || !s.on() {
		return nil
	}
	now := g.surplus.now()
	g.review(ctx, now)
	if steady.Random(ctx, s.drawKey, uint64(steady.Attempt(ctx))) >= s.refusing() {
		return nil
	}
	if g.dryRun.Load() {
		g.report.Emit(ctx, steady.Event{Kind: steady.KindDryRun, Reason: s.refusal.reason, Err: s.refusal})
		return nil
	}
	s.refused.add(now, true, false)
	s.soFar.Add(1)
	return s.refusal
}

// review looks at the members, unless somebody has just done so, and sets the
// share to refuse by what it sees. It must be called when a call has failed, and
// before calls are refused.
func (g *Group) review(ctx context.Context, now int64) {
	s := g.shedder
	if s == nil {
		return
	}
	at := s.lookAt.Load()
	if left := at - now; left > 0 && left <= int64(look) || !s.lookAt.CompareAndSwap(at, now+int64(look)) {
		return
	}
	changes := s.changes.Load()
	on := changes%2 == 1
	asked, succeeded := g.lately(now)
	asked += s.refused.sum(now).failures
	surplus := float64(asked) - float64(succeeded)/(1-s.above)
	s.share.Store(math.Float64bits(max(0, surplus/float64(asked+s.probes))))

	tooMany := asked >= s.minCalls && surplus > 0
	if !tooMany {
		s.failing.Store(0)
	} else if s.failing.Load() == 0 {
		s.failing.Store(now)
	}
	switch fail := tooMany && !g.oneIsWell(now, on); {
	case fail && !on:
		g.turn(ctx, now, changes, admitting, shedding, "all members fail")
	case !fail && on:
		g.turn(ctx, now, changes, shedding, admitting, "members succeed")
	}
}

// lately returns how many calls to all members ended and how many succeeded
// within the shedder's window.
func (g *Group) lately(now int64) (calls, succeeded int64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, m := range g.members {
		n := m.lately.sum(now)
		calls, succeeded = calls+n.calls, succeeded+n.calls-n.failures
	}
	return calls, succeeded
}

// oneIsWell reports whether there is a member that does well by itself, or may do
// so: one that few calls have reached gets as long as the shedder's window to show
// it. While calls are shed it shows only over a whole Window of that: few reach a
// member then, and those may do well because they are few. What it has shown must
// hold until enough calls have come to show it again.
func (g *Group) oneIsWell(now int64, shed bool) bool {
	s := g.shedder
	lasts := now - s.began.Load()
	recent := lasts < int64(s.window)
	if shed {
		recent = lasts >= int64(g.cfg.Window)
	}
	benefitOfTheDoubt := now-s.failing.Load() < int64(s.window)
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, m := range g.members {
		if recent && g.isWell(m.recent.sum(now)) {
			return true
		}
		if shed {
			continue
		}
		n := m.lately.sum(now)
		if g.isWell(n) || benefitOfTheDoubt && n.calls < s.probes {
			return true
		}
	}
	return false
}

// well is the share of the calls to a member that must succeed for it to do well. It is
// less than MinSuccess, since while calls are shed those that few calls reach speak for all.
const well = 0.7

func (g *Group) isWell(n tally) bool {
	return n.calls >= g.shedder.probes && share(n.calls-n.failures, n.calls) >= well
}

// turn begins or ends the shedding and reports it, unless somebody else did.
func (g *Group) turn(ctx context.Context, now int64, changes uint64, from, to, reason string) {
	g.shedder.began.Store(now) // before anybody can see that the state has changed
	if g.shedder.changes.CompareAndSwap(changes, changes+1) {
		g.report.Emit(ctx, steady.Event{Kind: steady.KindState, Seq: changes + 1, From: from, To: to, Reason: reason})
	}
}
