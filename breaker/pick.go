package breaker

import (
	"context"
	"errors"
	"slices"

	"github.com/steady-go/steady"
)

// ErrNoCandidate is matched by the rejection of a [Group.Pick] that was given
// nothing to pick from.
var ErrNoCandidate = errors.New("breaker: no candidate to pick from")

// Pick chooses a member to call and admits the call: at random among those
// candidates that are not in tried and whose breaker admits a call. Only when
// there is none of these does it take one that has been tried. So a retry goes to
// another node, and spends no attempt on one that is known to be down.
//
// The permit is that of the chosen member; see [Breaker.Allow]. When every
// candidate refuses, Pick returns the rejection of the one to which it pays to come
// back soonest, which matches [ErrOpen]. Without candidates its rejection matches
// [ErrNoCandidate]; with Peers it may match [ErrShed].
//
//	node, permit, err := group.Pick(ctx, nodes, tried)
//	if err != nil {
//		return err
//	}
//	tried = append(tried, node)
//	return permit.Do(ctx, func(ctx context.Context) error { return get(ctx, node) })
func (g *Group) Pick(ctx context.Context, candidates, tried []string) (key string, p *Permit, err error) {
	if ctx.Err() != nil {
		return "", nil, g.report.ContextDone(ctx, 0)
	}
	if refused := g.shed(ctx); refused != nil {
		return "", nil, g.report.Reject(ctx, refused.reason, 0, refused)
	}
	fresh := func(key string) bool { return !slices.Contains(tried, key) }
	if key, p := g.pickOf(ctx, candidates, fresh); p != nil {
		return key, p, nil
	}
	again := func(key string) bool { return slices.Contains(tried, key) }
	if key, p := g.pickOf(ctx, candidates, again); p != nil {
		return key, p, nil
	}
	refused := g.soonest(candidates)
	return "", nil, g.report.Reject(ctx, refused.reason, 0, refused)
}

// pickOf picks among the candidates for which may holds. It returns no permit if
// none admits a call.
func (g *Group) pickOf(ctx context.Context, candidates []string, may func(string) bool) (string, *Permit) {
	var refused []bool // by index; made when one that seemed to admit a call refuses it, as in a ramp
	eligible := func(i int) bool {
		return may(candidates[i]) && (refused == nil || !refused[i]) && g.admits(candidates[i])
	}
	for draw := range len(candidates) {
		count := 0
		for i := range candidates {
			if eligible(i) {
				count++
			}
		}
		if count == 0 {
			return "", nil
		}
		n := uint64(steady.Attempt(ctx))<<16 | uint64(draw)
		skip := int(steady.Random(ctx, g.drawKey, n) * float64(count))
		for i, key := range candidates {
			if !eligible(i) {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if p := g.permit(ctx, key); p != nil {
				return key, p
			}
			if refused == nil {
				refused = make([]bool, len(candidates))
			}
			refused[i] = true
			break
		}
	}
	return "", nil
}

// admits reports whether the breaker of key would admit a call now.
func (g *Group) admits(key string) bool {
	g.mu.RLock()
	b := g.members[key]
	g.mu.RUnlock()
	if b == nil {
		return true
	}
	p := b.phase.Load()
	switch {
	case p.state.admitsAll(), b.dryRun.Load():
		return true
	case p.state == Open:
		return p.over(b.now())
	case p.state == HalfOpen:
		return p.trial.worthACall(b.now())
	}
	return false
}

// permit admits a call to key, or returns nil.
func (g *Group) permit(ctx context.Context, key string) *Permit {
	b := g.hold(key, false)
	t, refused := b.admit(ctx)
	if refused != nil {
		b.inFlight.Add(-1)
		return nil
	}
	return newPermit(ctx, b, t, true)
}

// soonest returns the rejection of the candidate for which it pays to come back
// soonest: one that ramps up, then one that probes, then the open one that will probe
// first, then one that is forced open.
func (g *Group) soonest(candidates []string) *rejection {
	if len(candidates) == 0 {
		return g.noneToPick
	}
	best := g.allRefused
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, key := range candidates {
		if b := g.members[key]; b != nil {
			if r := b.phase.Load().rejection; r != nil && (best == g.allRefused || r.before(best)) {
				best = r
			}
		}
	}
	return best
}

// before reports whether it pays to come back to r before other.
func (r *rejection) before(other *rejection) bool {
	rank := func(r *rejection) int {
		return slices.Index([]string{"ramp", "half-open", "open", "forced-open"}, r.reason)
	}
	if rank(r) != rank(other) {
		return rank(r) < rank(other)
	}
	return r.until < other.until
}
