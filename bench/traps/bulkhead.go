package traps

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// A Bulkhead is what bounds calls in flight in some library.
type Bulkhead interface {
	Do(ctx context.Context, call func(context.Context) error) error
}

// An Acquirer is a bulkhead that also gives out permits by hand.
type Acquirer interface {
	Acquire(ctx context.Context) (release func(), err error)
}

// A BulkheadConfig is what a scenario needs of a bulkhead.
type BulkheadConfig struct {
	Limit   int
	MaxWait time.Duration // 0: a call that finds it full is refused at once
	Remedy  bool          // turn on the options that Remedies names
}

// bounding makes a scenario of a test of a bulkhead.
func bounding(c BulkheadConfig, test func(Bulkhead) Result) func(Library, bool) Result {
	return func(l Library, remedy bool) Result {
		c.Remedy = remedy
		b, err := l.Bulkhead(c)
		if err != nil {
			return notMade(err)
		}
		return test(b)
	}
}

var bulkheadScenarios = []Scenario{
	{
		ID: "1c", Policy: BulkheadPolicy, Name: "call that panics",
		Promise: "A call that panics gives its permit back.",
		Run: bounding(BulkheadConfig{Limit: 3}, func(b Bulkhead) Result {
			for range 10 {
				_, _ = catch(func() error {
					return b.Do(context.Background(), func(context.Context) error { panic("a bug") })
				})
			}
			return hasPermits(b, 3)
		}),
	},
	{
		ID: "1d", Policy: BulkheadPolicy, Name: "call that ends by Goexit",
		Promise: "A call that ends its goroutine, as t.FailNow does, gives its permit back.",
		Run: bounding(BulkheadConfig{Limit: 3}, func(b Bulkhead) Result {
			for range 10 {
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = b.Do(context.Background(), func(context.Context) error { runtime.Goexit(); return nil })
				}()
				<-done
			}
			return hasPermits(b, 3)
		}),
	},
	{
		ID: "5", Policy: BulkheadPolicy, Name: "waiter gives up as its permit comes",
		Promise: "When a waiter gives up at the very moment at which a permit is freed, the next in the queue gets it, and none is lost.",
		Run: bounding(BulkheadConfig{Limit: 1, MaxWait: time.Minute}, func(b Bulkhead) Result {
			for range 300 {
				go func() { _ = b.Do(context.Background(), takes(time.Second)) }()
				synctest.Wait()
				for range 3 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					go func() { _ = b.Do(ctx, takes(0)) }()
				}
				synctest.Wait()
				var got atomic.Bool
				go func() { _ = b.Do(context.Background(), func(context.Context) error { got.Store(true); return nil }) }()
				time.Sleep(time.Second + time.Millisecond)
				if synctest.Wait(); !got.Load() {
					return fail("a call waits although no other holds a permit")
				}
			}
			return hasPermits(b, 1)
		}),
		Broken: &Library{Bulkhead: newForgetfulBulkhead},
	},
	{
		ID: "6", Policy: BulkheadPolicy, Name: "permit released twice",
		Promise: "Releasing a permit a second time does not free that of somebody else.",
		Run: bounding(BulkheadConfig{Limit: 2}, func(b Bulkhead) Result {
			a, ok := b.(Acquirer)
			if !ok {
				return Result{NotApplicable, "gives out no permits"}
			}
			mine, err := a.Acquire(context.Background())
			if err != nil {
				return fail("refuses the first of 2 permits: %v", err)
			}
			if _, err = a.Acquire(context.Background()); err != nil {
				return fail("refuses the second of 2 permits: %v", err)
			}
			mine()
			panicked, _ := catch(func() error { mine(); return nil })
			if free := started(b, 3); free > 1 {
				return fail("lets %d calls in beside the one that still holds the other of 2 permits", free)
			}
			if panicked {
				return pass("panics")
			}
			return pass("does nothing")
		}),
	},
	{
		ID: "15b", Policy: BulkheadPolicy, Name: "nonsense",
		Promise: "A configuration that cannot work is refused, not accepted or clamped in silence.",
		Run:     refusesNonsense(BulkheadPolicy),
	},
	{
		ID: "23a", Policy: BulkheadPolicy, Name: "waiting that ignores the context",
		Promise: "A caller who cancels while it waits for a permit gets its answer at once.",
		Run: bounding(BulkheadConfig{Limit: 1, MaxWait: time.Minute}, func(b Bulkhead) Result {
			go func() { _ = b.Do(context.Background(), takes(time.Hour)) }()
			synctest.Wait()
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			_ = b.Do(ctx, takes(0))
			if waited := time.Since(start); waited > time.Second {
				return fail("waits on for %v after the caller has cancelled", waited-time.Second)
			}
			return pass("at once")
		}),
	},
	{
		ID: "23b", Policy: BulkheadPolicy, Name: "call on a done context",
		Promise: "No call is started for a caller whose context is done already.",
		Run: bounding(BulkheadConfig{Limit: 1, MaxWait: time.Minute}, func(b Bulkhead) Result {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			calls := 0
			for range 100 {
				_ = b.Do(ctx, func(context.Context) error { calls++; return nil })
			}
			if calls > 0 {
				return fail("starts some of the calls of a caller who has cancelled before")
			}
			return pass("starts none")
		}),
	},
}

// takes is a call that takes so long, whatever its context says.
func takes(d time.Duration) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return nil }
}

// started makes n calls that do not end and returns how many were started.
func started(b Bulkhead, n int) int {
	var count atomic.Int64
	for range n {
		go func() {
			_ = b.Do(context.Background(), func(context.Context) error { count.Add(1); select {} })
		}()
	}
	synctest.Wait()
	return int(count.Load())
}

// hasPermits reports whether so many calls, and no more, may run at once.
func hasPermits(b Bulkhead, limit int) Result {
	if n := started(b, limit+1); n != limit {
		return fail("afterwards %d of %d calls may run", n, limit)
	}
	return pass("all permits are back")
}
