package timeout

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A limited is the context of one call. It does what that of
// context.WithDeadlineCause does, for less. A call that asks for no more than the
// deadline and the caller's values, as most that succeed, costs nothing beyond the
// limited itself. Who asks for more gets the real context, made then, or, where the
// calls are known to do no more than wait, a context without a timer of its own, which
// the [line] ends.
//
// While the call runs nobody can tell the difference: Done, Err, Cause, AfterFunc
// and contexts derived from it are those of the real context, but for two things. One
// that is asked for the first time after the limit has passed, and then the caller has
// cancelled, says that the caller did: it did not listen. And a context that is derived
// from a lined one ends a moment after it, on a goroutine of its own. After the call,
// a context that nobody had asked says Canceled, also where the limit had passed
// meanwhile. It is not reused, since a call may keep it.
type limited struct {
	caller   context.Context
	deadline time.Time // ours; the caller's may be earlier
	timeout  *Timeout

	mu    sync.Mutex
	made  atomic.Bool        // set when the next three are, which do not change any more
	lined bool               // it is the line that ends real with the limit; guarded by mu until made
	real  context.Context    // ends with the call, the caller and, unless it is lined, the limit; guarded by mu until made
	stop  context.CancelFunc // nil if the call has returned before; guarded by mu until made

	by         atomic.Uint32 // what has ended a real context that is lined; once somebody was told it stays
	inLine     bool          // guarded by the line's mu
	prev, next *limited      // guarded by the line's mu
}

// What may have ended a context that is lined.
const (
	nobody    = iota
	theLimit  // real says Canceled, and should say DeadlineExceeded
	elsewhere // real says what
)

// over is the context of a call that has returned before anybody asked for it.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// exceededBy returns a context whose deadline has passed, with that cause.
func exceededBy(cause error) context.Context {
	ctx, cancel := context.WithDeadlineCause(context.Background(), time.Time{}, cause)
	cancel()
	return ctx
}

// get returns the real context.
func (c *limited) get() context.Context {
	if !c.made.Load() {
		c.make(c.timeout.habit.onlyWait() && c.fitsTheLine())
	}
	return c.real
}

// make makes the real context, unless that has been done. It is lined only if the line
// has a place.
func (c *limited) make(lined bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real != nil {
		return
	}
	if lined {
		c.real, c.stop = context.WithCancel(c.caller)
		if c.lined = c.timeout.line.join(c); !c.lined {
			c.stop()
		}
	}
	if !c.lined {
		caller := c.caller
		if theirs, ok := caller.Deadline(); ok && c.deadline.Before(theirs) && caller.Err() == context.DeadlineExceeded {
			caller = context.WithoutCancel(caller) // both have passed, and ours first
		}
		c.real, c.stop = context.WithDeadlineCause(caller, c.deadline, c.timeout.cause)
	}
	c.made.Store(true)
}

// fitsTheLine reports whether our deadline is still to come, earlier than the
// caller's, and of the clock that the line goes by: in a synctest bubble times have no
// monotonic reading.
func (c *limited) fitsTheLine() bool {
	if c.deadline == c.deadline.Round(0) && !linesEverywhere || time.Until(c.deadline) <= 0 {
		return false
	}
	theirs, ok := c.caller.Deadline()
	return !ok || c.deadline.Before(theirs)
}

// linesEverywhere is for tests alone: it uses lines in bubbles too, by policies that
// do not leave theirs, and from the first call on.
var linesEverywhere bool

// expire ends a lined context because of the limit.
func (c *limited) expire() {
	if c.real.Err() == nil { // else the caller was first
		c.by.CompareAndSwap(nobody, theLimit)
	}
	c.stop()
}

// expired reports whether a real context that has ended should say that the limit was
// exceeded, and does not. The answer stays.
func (c *limited) expired() bool {
	return c.lined && !c.by.CompareAndSwap(nobody, elsewhere) && c.by.Load() == theLimit
}

// end ends the context, as its CancelFunc would.
func (c *limited) end() {
	if c.caller.Err() != nil && !c.made.Load() {
		c.make(false) // which takes over the caller's error and cause
	}
	if !c.made.Load() {
		c.mu.Lock()
		if c.real == nil {
			c.real = over
			c.made.Store(true)
		}
		c.mu.Unlock()
	}
	if c.stop == nil {
		return
	}
	if c.lined {
		c.timeout.line.leave(c)
	}
	c.timeout.habit.waited()
	c.stop()
}

func (c *limited) Deadline() (time.Time, bool) {
	if theirs, ok := c.caller.Deadline(); ok && theirs.Before(c.deadline) {
		return theirs, true
	}
	return c.deadline, true
}

func (c *limited) Done() <-chan struct{} { return c.get().Done() }

func (c *limited) Err() error {
	if !c.made.Load() {
		if c.caller.Err() == nil && time.Now().Before(c.deadline) {
			return nil
		}
		c.make(false)
	}
	err := c.real.Err()
	if err != nil && c.expired() {
		return context.DeadlineExceeded
	}
	return err
}

func (c *limited) Value(key any) any {
	if key != cancelKey {
		return c.caller.Value(key)
	}
	return c.cancellable().Value(key)
}

// cancelKey is the key under which package context looks for the context that can be
// cancelled, to register a derived one with it, and for the one that has the cause of
// an end.
var cancelKey = func() any {
	p := probe{Context: context.Background(), done: make(chan struct{}), asked: new(any)}
	_, cancel := context.WithCancel(p)
	cancel()
	return *p.asked
}()

// A probe is a context that remembers what it was asked for.
type probe struct {
	context.Context
	done  chan struct{}
	asked *any
}

func (p probe) Done() <-chan struct{}        { return p.done }
func (p probe) Value(key any) any            { *p.asked = key; return nil }
func (p probe) AfterFunc(func()) func() bool { return func() bool { return true } }

// cancellable returns the context that is found under cancelKey in place of c.
func (c *limited) cancellable() context.Context {
	real := c.get()
	switch {
	case real.Err() == nil:
		c.timeout.habit.derived()
		if c.lined {
			// One derived from real would say Canceled at the limit. By the caller's, package
			// context sees that it has to wait for Done.
			return c.caller
		}
	case c.expired():
		return c.timeout.exceeded
	}
	return real
}

// AfterFunc lets package context register derived contexts without a goroutine.
func (c *limited) AfterFunc(f func()) (stop func() bool) {
	return context.AfterFunc(c.get(), f)
}

// String keeps package fmt from reading the fields, which may be changing.
func (c *limited) String() string {
	return fmt.Sprintf("timeout.Context(%s, %v)", c.deadline, c.caller)
}

// A habit is what the calls of one Timeout do with their contexts, as far as they
// have shown.
type habit struct {
	waits atomic.Int32 // how many asked for Done and derived no context, or derives if one did
}

const (
	enough  = 100
	derives = -1
)

// onlyWait reports whether enough calls have waited, and none has ever derived a
// context.
func (h *habit) onlyWait() bool {
	n := h.waits.Load()
	return n >= enough || n >= 0 && linesEverywhere
}

// waited notes that a call has asked for Done.
func (h *habit) waited() {
	if n := h.waits.Load(); n >= 0 && n < enough {
		h.waits.CompareAndSwap(n, n+1)
	}
}

// derived notes that a call has derived a context.
func (h *habit) derived() {
	if h.waits.Load() != derives {
		h.waits.Store(derives)
	}
}
