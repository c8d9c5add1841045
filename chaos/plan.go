package chaos

import (
	"context"
	"sync/atomic"
	"time"
)

// A plan is one arming of an injector. It ends by the clock, with nobody's help: nothing
// may be injected once over says so.
type plan struct {
	injector *Injector
	epoch    uint64
	start    time.Time
	lasts    time.Duration
	ended    atomic.Bool
	calls    atomic.Uint64
	tallies  []tally // by the place of the rule
}

// A tally counts what became of one fault.
type tally struct {
	drawn    atomic.Uint64 // draws
	injected atomic.Uint64
}

// elapsed returns the time since arming.
func (p *plan) elapsed() time.Duration { return time.Since(p.start) }

// over returns why the plan is no longer in force, and nothing if it is. A clock that has
// gone back is that of a synctest bubble.
func (p *plan) over() string {
	switch at := p.elapsed(); {
	case p.ended.Load():
		return "disarmed"
	case epoch.Load() != p.epoch:
		return "killed"
	case at < 0 || at >= p.lasts:
		return "time is up"
	}
	return ""
}

// end ends the plan, and releases who waits in it.
func (p *plan) end() {
	p.ended.Store(true)
	release(func(w *waiting) bool { return w.plan == p })
}

// draws reports whether the fault is to be injected into a call at a site that goes to
// key, at the time since arming, and returns the number of the draw.
func (p *plan) draws(ctx context.Context, r *rule, s site, key string, at time.Duration) (n uint64, hit bool) {
	if !r.concerns(s, key) {
		return 0, false
	}
	t := &p.tallies[r.n]
	share := r.share(at)
	if share == 0 || t.injected.Load() >= r.most || r.when != nil && !r.when(ctx) {
		return 0, false
	}
	n = t.drawn.Add(1) - 1
	return n, r.decide.of(ctx, key, n) < share
}

// takes counts an injection, unless there have been as many as there may be or the plan
// is over.
func (p *plan) takes(r *rule) bool {
	if p.over() != "" {
		return false
	}
	injected := &p.tallies[r.n].injected
	for {
		n := injected.Load()
		if n >= r.most {
			return false
		}
		if injected.CompareAndSwap(n, n+1) {
			return true
		}
	}
}
