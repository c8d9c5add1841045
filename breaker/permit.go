package breaker

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/steady-go/steady"
)

// A Permit is leave for one call, for callers that cannot wrap it in a func, such
// as a stream that outlives the func that opens it. End it with Done, Cancel or
// Do: whichever comes first counts, and the rest does nothing. One that is never
// ended counts as a failed probe when its lease ends, keeps its breaker in its
// [Group], and with SlowAfter counts as a call that hangs until the state changes.
//
// Its methods may be called by several goroutines at once.
type Permit struct {
	breaker *Breaker
	ctx     context.Context
	ticket  ticket
	member  bool // it counts as in flight in the breaker's group
	ended   atomic.Bool
}

// Allow admits one call without making it, or returns what Do would. It makes one
// allocation. ctx is the context of the call: if it is done when the call ends,
// that is judged as in Do.
func (b *Breaker) Allow(ctx context.Context) (*Permit, error) {
	t, err := b.enter(ctx)
	if err != nil {
		return nil, err
	}
	return newPermit(ctx, b, t, false), nil
}

// newPermit makes the permit of an admitted call. Whether that will have a deadline
// is not known, so the clock is read.
func newPermit(ctx context.Context, b *Breaker, t ticket, member bool) *Permit {
	if t.started == notRead {
		t.started = b.now()
	}
	return &Permit{breaker: b, ctx: ctx, ticket: t, member: member}
}

// Done books the end of the call: err is what it returned. In a defer statement
// take care that err is not evaluated before the call is made, and that a panic
// does not pass as a success: [Permit.Do] is safer.
func (p *Permit) Done(err error) {
	if p.end() {
		defer p.leaveGroup()
		p.breaker.leave(p.ctx, p.ticket, true, err)
	}
}

// Cancel gives the permit back for a call that was not made. Its end is
// [steady.Ignored].
func (p *Permit) Cancel() {
	if p.end() {
		defer p.leaveGroup()
		p.breaker.finish(p.ctx, p.ticket, p.breaker.now(), steady.Ignored, nil)
	}
}

// Do makes the call, books its end, and returns its error. Unlike Done it also
// sees a panic, as [Breaker.Do] does. Where the call gets a context of its own, that
// is the one by which its end is judged; when it is done already, the permit is
// given back and Do returns [steady.ContextErr]. On a permit that has ended Do makes
// no call and returns [ErrPermitEnded].
func (p *Permit) Do(ctx context.Context, call func(context.Context) error) (err error) {
	if !p.end() {
		return ErrPermitEnded
	}
	defer p.leaveGroup()
	if ctx.Err() != nil {
		err = steady.ContextErr(ctx)
		p.breaker.finish(ctx, p.ticket, p.breaker.now(), steady.Ignored, err)
		return err
	}
	returned := false
	defer func() { p.breaker.leave(ctx, p.ticket, returned, err) }()
	err = call(ctx)
	returned = true
	return err
}

// ErrPermitEnded is returned by [Permit.Do] on a permit that has ended.
var ErrPermitEnded = errors.New("breaker: the permit has ended")

// end reports whether the permit was still to be ended.
func (p *Permit) end() bool { return !p.ended.Swap(true) }

// leaveGroup takes the call out of those of its group.
func (p *Permit) leaveGroup() {
	if p.member {
		p.breaker.inFlight.Add(-1)
	}
}
