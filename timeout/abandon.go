package timeout

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/steady-go/steady"
)

// grace is how long after the end of its context a call may still return without
// being abandoned: enough for one that obeys its context to come back.
const grace = 5 * time.Millisecond

// A detached is a call on a goroutine of its own, which its caller may leave.
type detached struct {
	parted atomic.Bool // set by whoever is first: the caller who leaves, or the call that ends
	ended  chan struct{}
	told   chan struct{} // closed when the hook has heard how the caller fared

	// How the call ended; set before ended is closed.
	err      error
	panicked *steady.PanicError // nil if it returned
}

// mayLeave makes a call on a goroutine of its own, and leaves it there if it does
// not return when its context ends.
func (t *Timeout) mayLeave(ctx context.Context, call func(context.Context) error) (err error) {
	if t.abandoned.Load() >= t.maxAbandoned && ctx.Err() == nil {
		return t.report.Reject(ctx, "saturated", 0, t.saturated)
	}
	limited, err := t.enter(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	returned := false
	d := &detached{ended: make(chan struct{}), told: make(chan struct{})}
	defer close(d.told)
	defer func() { t.report.Done(ctx, steady.Classifier{}, start, 0, returned, err) }()

	go t.run(ctx, d, limited, start, call)
	switch {
	case d.await(limited) || !t.leave(ctx, d, start):
		<-d.ended
		resume(d.panicked)
		err = d.err
	case ctx.Err() != nil:
		err = t.attribute(ctx, limited, steady.ContextErr(ctx))
	default:
		err = t.attribute(ctx, limited, context.DeadlineExceeded)
	}
	returned = true
	return err
}

// run makes the call. If its caller has left when it ends, nobody else will tell.
func (t *Timeout) run(ctx context.Context, d *detached, limited *limited, start time.Time, call func(context.Context) error) {
	returned := false
	defer func() {
		if !returned {
			d.unwound(recover())
		}
		// Before the context ends: the caller must not take that for the limit.
		left := d.parted.Swap(true)
		d.end(limited)
		if !left {
			close(d.ended)
			return
		}
		t.abandoned.Add(-1)
		<-d.told
		t.report.Emit(ctx, steady.Event{Kind: steady.KindLate, Duration: time.Since(start), Err: d.err})
	}()
	d.err = t.attribute(ctx, limited, call(limited))
	returned = true
}

// unwound notes that the call has panicked with v, or ended its goroutine if v is nil.
func (d *detached) unwound(v any) {
	d.panicked = &steady.PanicError{Value: v, Stack: debug.Stack()}
	d.err = d.panicked
}

// end ends the context. The caller's, which it asks, may be anybody's, and panic.
func (d *detached) end(limited *limited) {
	defer func() {
		if v := recover(); v != nil {
			d.unwound(v)
		}
	}()
	limited.end()
}

// await waits for the call to end, until a moment after its context has ended.
func (d *detached) await(limited *limited) bool {
	select {
	case <-d.ended:
		return true
	case <-limited.Done():
	}
	if d.parted.Load() { // it was the end of the call that has ended the context
		<-d.ended
		return true
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-d.ended:
		return true
	case <-timer.C:
		return false
	}
}

// leave abandons the call, unless it has just ended.
func (t *Timeout) leave(ctx context.Context, d *detached, start time.Time) bool {
	t.abandoned.Add(1)
	if d.parted.Swap(true) {
		t.abandoned.Add(-1)
		return false
	}
	t.abandonedSoFar.Add(1)
	t.report.Emit(ctx, steady.Event{Kind: steady.KindAbandoned, Duration: time.Since(start)})
	return true
}

// resume lets a panic or a Goexit of the call go on in its caller.
func resume(p *steady.PanicError) {
	switch {
	case p == nil:
	case p.Value == nil:
		runtime.Goexit()
	default:
		panic(p.Value)
	}
}
