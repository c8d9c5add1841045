package breaker

import (
	"context"
	"sync/atomic"

	"github.com/steady-go/steady"
)

// A Permit is leave for one call, for callers that cannot wrap it in a func, such
// as a stream that outlives the func that opens it. End it with Done, Cancel or
// Do: whichever comes first counts, and the rest does nothing. One that is never
// ended holds a probe's place until its lease ends, and otherwise nothing but its
// place in a [Group].
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
	return &Permit{breaker: b, ctx: ctx, ticket: t}, nil
}

// Done books the end of the call: err is what it returned.
func (p *Permit) Done(err error) {
	if p.end() {
		p.breaker.leave(p.ctx, p.ticket, true, err)
	}
}

// Cancel gives the permit back for a call that was not made. Its end is
// [steady.Ignored].
func (p *Permit) Cancel() {
	if p.end() {
		p.breaker.finish(p.ctx, p.ticket, p.breaker.now(), steady.Ignored, nil)
	}
}

// Do makes the call, books its end, and returns its error. Unlike Done it also
// sees a panic, as [Breaker.Do] does. It must not be called on a permit that has
// ended.
func (p *Permit) Do(ctx context.Context, call func(context.Context) error) (err error) {
	returned := false
	defer func() {
		if p.end() {
			p.breaker.leave(p.ctx, p.ticket, returned, err)
		}
	}()
	err = call(ctx)
	returned = true
	return err
}

// end reports whether the permit was still to be ended, and takes it out of its
// group's calls in flight.
func (p *Permit) end() bool {
	if p.ended.Swap(true) {
		return false
	}
	if p.member {
		p.breaker.inFlight.Add(-1)
	}
	return true
}
