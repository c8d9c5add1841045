package breaker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
)

// A phase is one stay in one state. A change of state puts a new phase in the
// place of the old one, so a call that ends late is booked in the phase that
// admitted it and cannot touch the present one.
type phase struct {
	state State
	seq   uint64 // changes of state before it
	began int64

	// doublings is how many times the open time has been doubled since the last
	// healthy window.
	doublings int

	// free says that a call is admitted without a look at anything else. It becomes
	// true when a ramp is over.
	free atomic.Bool

	window   *window      // Closed, ForcedClosed: the calls that ended
	inARow   atomic.Int64 // Closed: failures since the last success
	failedAt atomic.Int64 // Closed: when the last of them ended
	ramp     int64        // Closed: how long to admit a growing share only
	underWay *underWay    // Closed, with SlowAfter: the calls that did not end yet
	trial    *trial       // HalfOpen: the probes

	length    time.Duration // Open, HalfOpen: the open time
	rejection *rejection    // what a refused call gets, where any is refused
}

// over reports whether the time of an open phase has passed. A clock that went
// back, which happens between synctest bubbles, ends it too.
func (p *phase) over(now int64) bool {
	return now < p.began || now-p.began >= int64(p.length)
}

func (b *Breaker) closed(now int64, doublings int, ramp time.Duration) *phase {
	p := &phase{state: Closed, began: now, doublings: doublings, window: newWindow(b.cfg.Window, now)}
	if ramp > 0 {
		p.ramp = int64(ramp)
		p.rejection = b.refusal("ramp", "closing slowly", 0)
	}
	if b.cfg.SlowAfter > 0 {
		p.underWay = newUnderWay(b.cfg.SlowAfter, now)
	}
	p.free.Store(p.ramp == 0 && p.underWay == nil)
	return p
}

func (b *Breaker) open(ctx context.Context, from *phase, now int64, doublings int) *phase {
	length := b.cfg.OpenFor
	for range doublings {
		if length >= b.cfg.MaxOpenFor/2 {
			length = b.cfg.MaxOpenFor
			break
		}
		length *= 2
	}
	jitter := 0.8 + 0.4*steady.Random(ctx, "breaker.open:"+b.name, from.seq)
	length = time.Duration(float64(length) * jitter)
	return &phase{
		state: Open, began: now, doublings: doublings, length: length,
		rejection: b.refusal("open", "open", now+int64(length)),
	}
}

func (b *Breaker) halfOpen(from *phase, now int64) *phase {
	ratio := b.cfg.FailureRatio
	if ratio == Off {
		ratio = 0.5
	}
	return &phase{
		state: HalfOpen, began: now, doublings: from.doublings, length: from.length,
		rejection: b.refusal("half-open", "half-open", now),
		trial:     newTrial(b.cfg.Probes, max(from.length, b.cfg.HangAfter), ratio),
	}
}

// decide admits a call in a phase that is not free, or returns the rejection to
// give it.
func (b *Breaker) decide(ctx context.Context) (ticket, *rejection) {
	for {
		p, now := b.phase.Load(), b.now()
		t := ticket{phase: p, started: now}
		switch p.state {
		case Closed:
			if b.heldBack(ctx, p, now) {
				return t, p.rejection
			}
			if p.underWay == nil {
				return t, nil
			}
			var first bool
			if t.cohort, first = p.underWay.begin(now); !first {
				return t, nil
			}
			// Calls that hang do not end, so somebody has to look at them: the first
			// call of each cohort.
			if !b.slow(p, now, p.window.sum(now)) || !b.trip(ctx, p, now, "slow ratio") {
				return t, nil
			}
		case Open:
			if !p.over(now) {
				return t, p.rejection
			}
			b.move(ctx, p, b.halfOpen(p, now), "open time is over")
		case HalfOpen:
			var v verdict
			if t.probe, v = p.trial.begin(now); t.probe != 0 {
				return t, nil
			}
			if v == undecided {
				return t, p.rejection
			}
			b.conclude(ctx, p, now, v)
		case ForcedOpen:
			return t, p.rejection
		default:
			return t, nil
		}
	}
}

// heldBack reports whether the ramp of a closed phase keeps a call out.
func (b *Breaker) heldBack(ctx context.Context, p *phase, now int64) bool {
	if p.ramp == 0 {
		return false
	}
	since := now - p.began
	if since < 0 || since >= p.ramp {
		p.free.Store(p.underWay == nil)
		return false
	}
	share := 0.1 + 0.9*float64(since)/float64(p.ramp)
	return steady.Random(ctx, b.rampKey, p.seq) >= share
}

// move puts to in the place of from and reports it, unless from is no longer the
// present phase.
func (b *Breaker) move(ctx context.Context, from, to *phase, reason string) bool {
	if !b.replace(from, to) {
		return false
	}
	b.emitState(ctx, from, to, reason)
	return true
}

func (b *Breaker) replace(from, to *phase) bool {
	to.seq = from.seq + 1
	if !b.phase.CompareAndSwap(from, to) {
		return false
	}
	if b.group != nil {
		b.group.moved()
	}
	return true
}

// emitState reports that to has begun. from is nil at construction.
func (b *Breaker) emitState(ctx context.Context, from, to *phase, reason string) {
	if !b.report.On() {
		return
	}
	e := steady.Event{Kind: steady.KindState, Seq: to.seq, To: to.state.String(), Reason: reason}
	if from != nil {
		e.From = from.state.String()
	}
	if to.state == Open {
		e.Delay = to.length
	}
	b.report.Emit(ctx, e)
}

// emitDropped reports that its group has dropped b, in phase p.
func (b *Breaker) emitDropped(p *phase) {
	b.report.Emit(context.Background(), steady.Event{
		Kind: steady.KindState, Seq: p.seq + 1, From: p.state.String(), Reason: "dropped by its group",
	})
}

// book counts the end of a call in the phase that admitted it, and changes the
// state if that is what it comes to.
func (b *Breaker) book(ctx context.Context, t ticket, now int64, outcome steady.Outcome) {
	p := t.phase
	if p.state == HalfOpen {
		b.bookProbe(ctx, t, now, outcome)
		return
	}
	if p.window == nil || outcome == steady.Ignored {
		return
	}
	failed := outcome == steady.Failure
	slow := b.cfg.SlowAfter > 0 && t.ran(now) >= b.cfg.SlowAfter
	p.window.add(now, failed, slow)
	if b.group != nil {
		b.group.book(ctx, b, now, failed || slow)
	}
	if p.state != Closed {
		return
	}
	if !failed && b.cfg.ConsecutiveFailures > 0 && p.inARow.Load() != 0 {
		p.inARow.Store(0)
	}
	if !failed && !slow {
		return
	}
	if reason := b.verdict(p, now, failed); reason != "" {
		b.trip(ctx, p, now, reason)
	}
}

// verdict tells why a closed phase in which a call has just failed or been slow
// must end, or "". Other ends are not asked about: a good call never opens a
// breaker.
func (b *Breaker) verdict(p *phase, now int64, failed bool) string {
	if n := int64(b.cfg.ConsecutiveFailures); failed && n > 0 && b.row(p, now) >= n {
		return "failures in a row"
	}
	if b.cfg.FailureRatio == Off && b.cfg.SlowAfter == 0 {
		return ""
	}
	n := p.window.sum(now)
	switch {
	case b.cfg.FailureRatio != Off && n.calls >= int64(b.cfg.MinCalls) && share(n.failures, n.calls) >= b.cfg.FailureRatio:
		return "failure ratio"
	case b.slow(p, now, n):
		return "slow ratio"
	}
	return ""
}

// row counts a failure in the row of a closed phase and returns its length.
func (b *Breaker) row(p *phase, now int64) int64 {
	if last := p.failedAt.Swap(now); now-last >= int64(b.cfg.Window) {
		p.inARow.Store(0) // what failed an idle hour ago is no part of this
	}
	return p.inARow.Add(1)
}

// slow reports whether too many of the calls that ended or are overdue were slow.
func (b *Breaker) slow(p *phase, now int64, n tally) bool {
	if p.underWay == nil {
		return false
	}
	overdue := p.underWay.overdue(now)
	calls := n.calls + overdue
	return calls >= int64(b.cfg.MinCalls) && share(n.slow+overdue, calls) >= b.cfg.SlowRatio
}

// share is exact where it matters: the quotient of two counts is the very number
// that a ratio such as 0.1 is read as.
func share(part, whole int64) float64 { return float64(part) / float64(whole) }

// trip opens a closed breaker, unless its peers forbid it.
func (b *Breaker) trip(ctx context.Context, p *phase, now int64, reason string) bool {
	if b.group != nil && !b.group.mayOpen(b, now) {
		return false
	}
	doublings := p.doublings
	if now-p.began >= int64(b.cfg.Window) {
		doublings = 0
	}
	to := b.open(ctx, p, now, doublings)
	if b.group != nil {
		return b.group.open(ctx, b, p, to, now, reason)
	}
	return b.move(ctx, p, to, reason)
}

// bookProbe counts the end of a probe and decides by it.
func (b *Breaker) bookProbe(ctx context.Context, t ticket, now int64, outcome steady.Outcome) {
	p := t.phase
	if outcome == steady.Success && b.cfg.SlowAfter > 0 && t.ran(now) >= b.cfg.SlowAfter {
		outcome = steady.Failure
	}
	if b.group != nil && outcome != steady.Ignored {
		b.group.book(ctx, b, now, outcome == steady.Failure)
	}
	b.conclude(ctx, p, now, p.trial.end(now, t.probe, outcome))
}

// conclude does what a trial has come to.
func (b *Breaker) conclude(ctx context.Context, p *phase, now int64, v verdict) {
	switch v {
	case passed:
		b.move(ctx, p, b.closed(now, p.doublings, b.cfg.Ramp), "probes succeeded")
	case failed:
		if b.group != nil && b.group.othersFail(b, now) {
			b.move(ctx, p, b.closed(now, p.doublings, b.cfg.Ramp), "peers fail too")
			return
		}
		b.move(ctx, p, b.open(ctx, p, now, p.doublings+1), "probes failed")
	}
}

// ForceOpen refuses every call until [Breaker.Reset], or until another state is
// forced: for a dependency that is known to be down, or is to be left alone.
func (b *Breaker) ForceOpen() { b.force(ForcedOpen) }

// ForceClosed admits every call until [Breaker.Reset], or until another state is
// forced. Calls are counted, so that Stats and the hook tell how they go.
func (b *Breaker) ForceClosed() { b.force(ForcedClosed) }

// Disable admits every call until [Breaker.Reset], or until another state is
// forced, as if there were no breaker. Calls are not counted; the hook hears of
// them.
func (b *Breaker) Disable() { b.force(Disabled) }

// Reset makes a new start: closed, with nothing counted and OpenFor as the next
// open time, whatever the state was.
func (b *Breaker) Reset() { b.force(Closed) }

func (b *Breaker) force(s State) {
	reason := "forced"
	if s == Closed {
		reason = "reset"
	}
	for {
		from, now := b.phase.Load(), b.now()
		if s == from.state && s != Closed {
			return
		}
		if b.move(context.Background(), from, b.phaseOf(s, now), reason) {
			return
		}
	}
}

// phaseOf returns a phase in a state that needs no history.
func (b *Breaker) phaseOf(s State, now int64) *phase {
	p := &phase{state: s, began: now}
	switch s {
	case Closed:
		return b.closed(now, 0, 0)
	case ForcedOpen:
		p.rejection = b.refusal(s.String(), s.String(), 0)
	case ForcedClosed:
		p.window = newWindow(b.cfg.Window, now)
		p.free.Store(b.cfg.SlowAfter == 0) // else the start of each call is to be read
	case Disabled:
		p.free.Store(true)
	}
	return p
}
