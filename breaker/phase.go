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

	window *window      // Closed, ForcedClosed: the calls that ended
	inARow atomic.Int64 // Closed: failures since the last success
	trial  *trial       // HalfOpen: the probes

	length    time.Duration // Open, HalfOpen: the open time
	rejection *rejection    // Open, HalfOpen, ForcedOpen: what a refused call gets
}

// over reports whether the time of an open phase has passed. A clock that went
// back, which happens between synctest bubbles, ends it too.
func (p *phase) over(now int64) bool {
	return now < p.began || now-p.began >= int64(p.length)
}

func (b *Breaker) closed(now int64, doublings int) *phase {
	return &phase{state: Closed, began: now, doublings: doublings, window: newWindow(b.cfg.Window, now)}
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
		rejection: b.refusal(Open, now+int64(length)),
	}
}

func (b *Breaker) halfOpen(from *phase, now int64) *phase {
	return &phase{
		state: HalfOpen, began: now, doublings: from.doublings, length: from.length,
		rejection: b.refusal(HalfOpen, now),
		trial:     newTrial(b.cfg.Probes, from.length),
	}
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
		b.group.moved(from.state, to.state)
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
	p.window.add(now, failed)
	if b.group != nil {
		b.group.book(b, now, failed)
	}
	if p.state != Closed {
		return
	}
	if !failed {
		if b.cfg.ConsecutiveFailures > 0 && p.inARow.Load() != 0 {
			p.inARow.Store(0)
		}
		return
	}
	if reason := b.verdict(p, now); reason != "" {
		b.trip(ctx, p, now, reason)
	}
}

// verdict tells why a closed phase in which a call has just failed must end, or
// "". Only failures are asked about: a success never opens a breaker.
func (b *Breaker) verdict(p *phase, now int64) string {
	if n := int64(b.cfg.ConsecutiveFailures); n > 0 && p.inARow.Add(1) >= n {
		return "failures in a row"
	}
	if b.cfg.FailureRatio == Off {
		return ""
	}
	calls, failures := p.window.sum(now)
	if calls >= int64(b.cfg.MinCalls) && float64(failures)/float64(calls) >= b.cfg.FailureRatio {
		return "failure ratio"
	}
	return ""
}

// trip opens a closed breaker.
func (b *Breaker) trip(ctx context.Context, p *phase, now int64, reason string) {
	doublings := p.doublings
	if now-p.began >= int64(b.cfg.Window) {
		doublings = 0
	}
	to := b.open(ctx, p, now, doublings)
	if b.group == nil || b.group.peers == nil {
		b.move(ctx, p, to, reason)
	} else if b.group.openMember(b, p, to, now) {
		b.emitState(ctx, p, to, reason)
	}
}

// bookProbe counts the end of a probe and decides by it.
func (b *Breaker) bookProbe(ctx context.Context, t ticket, now int64, outcome steady.Outcome) {
	p := t.phase
	ratio := b.cfg.FailureRatio
	if ratio == Off {
		ratio = 0.5
	}
	verdict := p.trial.end(t.probe, outcome, ratio)
	if b.group != nil && outcome != steady.Ignored {
		b.group.book(b, now, outcome == steady.Failure)
	}
	switch verdict {
	case passed:
		b.move(ctx, p, b.closed(now, p.doublings), "probes succeeded")
	case failed:
		if b.group != nil && !b.group.othersSucceed(b, now) {
			b.move(ctx, p, b.closed(now, p.doublings), "peers fail too")
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
	for {
		from, now := b.phase.Load(), b.now()
		if s == from.state && s != Closed {
			return
		}
		to := b.closed(now, 0)
		switch s {
		case ForcedOpen:
			to = &phase{began: now, rejection: b.refusal(s, 0)}
		case Disabled:
			to = &phase{began: now}
		}
		to.state = s
		if b.move(context.Background(), from, to, "forced") {
			return
		}
	}
}
