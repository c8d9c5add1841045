package bulkhead

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
)

// A Permit is leave for one call, for callers that cannot wrap it in a func. It
// must be released; releasing it again is harmless. Its methods may be called by
// several goroutines at once.
type Permit struct {
	bulkhead *Bulkhead
	ctx      context.Context
	start    time.Time
	entry    entry
	released atomic.Bool
}

// Acquire returns a permit, for which it waits like [Bulkhead.Do], or the error
// that Do would return. It makes one allocation.
func (b *Bulkhead) Acquire(ctx context.Context) (*Permit, error) { return b.permit(ctx, true) }

// TryAcquire is like Acquire but never waits: unless a permit is free it returns
// a rejection that matches [ErrFull].
func (b *Bulkhead) TryAcquire(ctx context.Context) (*Permit, error) { return b.permit(ctx, false) }

func (b *Bulkhead) permit(ctx context.Context, mayWait bool) (*Permit, error) {
	e, err := b.enter(ctx, mayWait)
	if err != nil {
		return nil, err
	}
	return &Permit{bulkhead: b, ctx: ctx, start: b.report.Start(), entry: e}, nil
}

// Release gives the permit back. The hook hears of a successful call: a bulkhead
// that does not make the call itself cannot know how it ended.
func (p *Permit) Release() {
	if p.released.Swap(true) {
		return
	}
	p.bulkhead.leave(p.entry)
	p.bulkhead.report.Done(p.ctx, steady.Classifier{}, p.start, p.entry.wait, true, nil)
}
