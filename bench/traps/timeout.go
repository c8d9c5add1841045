package traps

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// A Timeout is what bounds the time of calls in some library.
type Timeout interface {
	Do(ctx context.Context, call func(context.Context) error) error
	// TimedOut reports whether the library says by err that its own limit was
	// exceeded.
	TimedOut(err error) bool
}

// A TimeoutConfig is what a scenario needs of a timeout.
type TimeoutConfig struct {
	Limit  time.Duration
	Mode   Mode
	Remedy bool // turn on the options that Remedies names
}

// A Mode is what happens to a call at its limit. Some libraries know only one.
type Mode int

const (
	AnyMode  Mode = iota
	Contexts      // the call gets a context that ends
	Waits         // … and the caller waits until the call returns
	Abandons      // the caller leaves; a call that ignores its context runs on
)

// What adapters lack of the modes.
const (
	hasNoContext = Lacks("gives the call no context, only a channel or nothing")
	cannotWait   = Lacks("always leaves the call at its limit, so that nobody waits for its result")
	cannotLeave  = Lacks("always waits for the call, so none is abandoned")
)

// limiting makes a scenario of a test of a timeout.
func limiting(c TimeoutConfig, test func(Timeout) Result) func(Library, bool) Result {
	return func(l Library, remedy bool) Result {
		c.Remedy = remedy
		t, err := l.Timeout(c)
		if err != nil {
			return notMade(err)
		}
		return test(t)
	}
}

var timeoutScenarios = []Scenario{
	{
		ID: "4a", Policy: TimeoutPolicy, Name: "call that panics",
		Promise: "A panic of the call reaches the caller, who can recover: it does not kill the process.",
		Run: limiting(TimeoutConfig{Limit: time.Second}, func(t Timeout) Result {
			panicked, _ := catch(func() error {
				return t.Do(context.Background(), func(context.Context) error { panic("a bug") })
			})
			if !panicked {
				return pass("comes back as an error")
			}
			return pass("reaches the caller")
		}),
	},
	{
		ID: "4b", Policy: TimeoutPolicy, Name: "abandoned call that panics",
		Promise: "A call that panics after its caller has left does not kill the process.",
		Run: limiting(TimeoutConfig{Limit: time.Second, Mode: Abandons}, func(t Timeout) Result {
			_ = t.Do(context.Background(), func(context.Context) error {
				time.Sleep(2 * time.Second)
				panic("a bug")
			})
			time.Sleep(time.Minute)
			synctest.Wait()
			return pass("is recovered")
		}),
	},
	{
		ID: "15d", Policy: TimeoutPolicy, Name: "nonsense",
		Promise: "A configuration that cannot work is refused, not accepted or clamped in silence.",
		Run:     refusesNonsense(TimeoutPolicy),
	},
	{
		ID: "27a", Policy: TimeoutPolicy, Name: "late success thrown away",
		Promise: "When the caller has waited for the call anyway, a success that comes late is handed over, not thrown away.",
		Run: limiting(TimeoutConfig{Limit: time.Second, Mode: Waits}, func(t Timeout) Result {
			start := time.Now()
			err := t.Do(context.Background(), takes(3*time.Second))
			if err != nil {
				return fail("waits for the call for %v, and then returns %q although it succeeded", time.Since(start), err)
			}
			return pass("is handed over")
		}),
	},
	{
		ID: "27b", Policy: TimeoutPolicy, Name: "context without a deadline",
		Promise: "The call can see the limit as the deadline of its context, and at the limit the context says DeadlineExceeded.",
		Run: limiting(TimeoutConfig{Limit: time.Second, Mode: Contexts}, func(t Timeout) Result {
			var has bool
			var ended error
			_ = t.Do(context.Background(), func(ctx context.Context) error {
				_, has = ctx.Deadline()
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
				}
				ended = ctx.Err()
				return ended
			})
			time.Sleep(2 * time.Minute) // for who leaves the call
			switch {
			case ended == nil:
				return fail("the context has no deadline, and does not end")
			case !has:
				return fail("the context has no deadline, and ends with %q", ended)
			case !errors.Is(ended, context.DeadlineExceeded):
				return fail("the context ends with %q", ended)
			}
			return pass("it can")
		}),
	},
	{
		ID: "29", Policy: TimeoutPolicy, Name: "abandoned calls pile up",
		Promise: "Calls that never return do not pile up without bound: at some point no further ones are started.",
		Run: limiting(TimeoutConfig{Limit: time.Second, Mode: Abandons}, func(t Timeout) Result {
			var running atomic.Int64
			var callers sync.WaitGroup
			for range 1000 / 20 {
				for range 20 {
					callers.Go(func() {
						_ = t.Do(context.Background(), func(context.Context) error { running.Add(1); select {} })
					})
				}
				callers.Wait()
			}
			settle()
			if n := running.Load(); n == 1000 {
				return fail("%d calls are left behind, and each further one is started too", n)
			}
			return pass("stops at %d", running.Load())
		}),
	},
	{
		ID: "30a", Policy: TimeoutPolicy, Name: "caller's cancel taken for the timeout",
		Promise: "A caller who cancels gets its answer then, and it is not reported as a timeout.",
		Run: limiting(TimeoutConfig{Limit: time.Minute}, func(t Timeout) Result {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Second, cancel)
			return notOurs(t, ctx, "cancelled")
		}),
		Broken: &Library{Timeout: newGreedyTimeout},
	},
	{
		ID: "30b", Policy: TimeoutPolicy, Name: "caller's deadline taken for the timeout",
		Promise: "When the caller's own deadline ends the call, that can be told from the limit of the timeout.",
		Run: limiting(TimeoutConfig{Limit: time.Minute}, func(t Timeout) Result {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return notOurs(t, ctx, "reached its own deadline")
		}),
	},
}

// notOurs reports whether a call that waits for its context, which the caller ends
// after a second, ends then and not as a timeout.
func notOurs(t Timeout, ctx context.Context, what string) Result {
	start := time.Now()
	err := t.Do(ctx, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Hour):
			return nil
		}
	})
	switch ran := time.Since(start); {
	case ran > 2*time.Second:
		return fail("answers %v after the caller has %s", (ran - time.Second).Round(time.Second), what)
	case t.TimedOut(err):
		return fail("says that its limit of one minute was exceeded, when the caller has %s after a second", what)
	}
	return pass("%s", errorText(err))
}

func errorText(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}
