package timeout

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A limited is the context of one call. It is what context.WithDeadlineCause
// returns, made only when somebody asks for more of it than the deadline and
// values of the caller: most calls that succeed never do, and then there is no
// timer to start and stop.
//
// While the call runs nobody can tell the difference: Done, Err, Cause, AfterFunc
// and contexts derived from it are those of the real context, with no goroutine in
// between. After the call, a context that nobody had asked says Canceled, also
// where the limit had passed meanwhile. It is not reused, since a call may keep it.
type limited struct {
	caller   context.Context
	deadline time.Time // ours; the caller's may be earlier
	cause    *cause

	mu   sync.Mutex
	made atomic.Bool        // set when real and stop are, which do not change any more
	real context.Context    // guarded by mu until made
	stop context.CancelFunc // guarded by mu until made
}

// ended is the context of a call that has returned before anybody asked for it.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// get returns the real context.
func (c *limited) get() context.Context {
	if c.made.Load() {
		return c.real
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		c.real, c.stop = context.WithDeadlineCause(c.caller, c.deadline, c.cause)
		c.made.Store(true)
	}
	return c.real
}

// end cancels the context, as its CancelFunc would.
func (c *limited) end() {
	if c.caller.Err() != nil {
		c.get() // which takes over the caller's error and cause
	}
	if !c.made.Load() {
		c.mu.Lock()
		if c.real == nil {
			c.real = ended
			c.made.Store(true)
		}
		c.mu.Unlock()
	}
	if c.stop != nil {
		c.stop()
	}
}

func (c *limited) Deadline() (time.Time, bool) {
	if theirs, ok := c.caller.Deadline(); ok && theirs.Before(c.deadline) {
		return theirs, true
	}
	return c.deadline, true
}

func (c *limited) Done() <-chan struct{} { return c.get().Done() }

func (c *limited) Err() error {
	if !c.made.Load() && c.caller.Err() == nil && time.Now().Before(c.deadline) {
		return nil
	}
	return c.get().Err()
}

func (c *limited) Value(key any) any {
	// Package context finds the context that can be cancelled under a key of this
	// type. It must find the real one.
	if _, ok := key.(*int); ok {
		if v := c.get().Value(key); v != nil {
			return v
		}
	}
	return c.caller.Value(key)
}

// String keeps package fmt from reading the fields, which may be changing.
func (c *limited) String() string {
	return fmt.Sprintf("timeout.Context(%s, %v)", c.deadline, c.caller)
}
