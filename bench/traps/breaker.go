package traps

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// A Breaker is the circuit breaker of some library.
type Breaker interface {
	// Do runs call unless the breaker refuses it.
	Do(ctx context.Context, call func(context.Context) error) error
	// State is "closed", "open" or "half-open", as the library itself tells. Some
	// know only "closed" and "open".
	State() string
}

// A Counter is a breaker that tells how many failures its window holds.
type Counter interface{ Failures() int }

// A BreakerConfig is what a scenario needs of a breaker. What is zero does not
// matter to it.
type BreakerConfig struct {
	// Either this many failures in a row open it …
	Failures int
	// … or this share of at least MinCalls calls in a sliding window of ten seconds.
	Ratio    float64
	MinCalls int

	Excluded error  // is to be counted neither as success nor as failure
	OnChange func() // hears of every change of state
	Remedy   bool   // turn on the options that Remedies names
}

// What every breaker is configured with. Scenarios wait twice as long where they
// need the open time to be over, since some draw it at random.
const (
	window  = 10 * time.Second
	openFor = 5 * time.Second
	probes  = 3
)

// breaking makes a scenario of a test of a breaker.
func breaking(c BreakerConfig, test func(Breaker) Result) func(Library, bool) Result {
	return func(l Library, remedy bool) Result {
		c.Remedy = remedy
		b, err := l.Breaker(c)
		if err != nil {
			return notMade(err)
		}
		return test(b)
	}
}

var inARow = BreakerConfig{Failures: 10}

var breakerScenarios = []Scenario{
	{
		ID: "1a", Policy: BreakerPolicy, Name: "probe that panics",
		Promise: "A probe that panics gives its place back: the breaker does not stay half-open for ever.",
		Run: breaking(inARow, func(b Breaker) Result {
			return recovers(b, func() {
				_, _ = catch(func() error {
					return b.Do(context.Background(), func(context.Context) error { panic("a bug") })
				})
			})
		}),
	},
	{
		ID: "1b", Policy: BreakerPolicy, Name: "probe that ends by Goexit",
		Promise: "A probe that ends its goroutine, as t.FailNow does, gives its place back.",
		Run: breaking(inARow, func(b Breaker) Result {
			return recovers(b, func() {
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = b.Do(context.Background(), func(context.Context) error { runtime.Goexit(); return nil })
				}()
				<-done
			})
		}),
	},
	{
		ID: "2", Policy: BreakerPolicy, Name: "probe that never returns",
		Promise: "A probe that never returns does not keep the breaker half-open for ever.",
		Run: breaking(inARow, func(b Breaker) Result {
			return recovers(b, func() {
				go func() { _ = b.Do(context.Background(), func(context.Context) error { select {} }) }()
				synctest.Wait()
			})
		}),
	},
	{
		ID: "3", Policy: BreakerPolicy, Name: "panic counts",
		Promise: "A call that panics is a failure: a dependency on which every call panics opens the breaker.",
		Run: breaking(inARow, func(b Breaker) Result {
			for range 50 {
				_, _ = catch(func() error {
					return b.Do(context.Background(), func(context.Context) error { panic("a bug") })
				})
			}
			if admits(b) {
				return fail("closed after 50 calls that all panicked")
			}
			return pass("opens")
		}),
	},
	{
		ID: "7a", Policy: BreakerPolicy, Name: "late success closes",
		Promise: "A call that started before the breaker opened, and succeeds late, does not close it while its probe is still under way.",
		Run: breaking(inARow, func(b Breaker) Result {
			late, _, why := halfOpenWithLateCalls(b, 5, 1)
			if why != "" {
				return fail("%s", why)
			}
			late <- nil
			synctest.Wait()
			for range 4 {
				late <- nil
			}
			synctest.Wait()
			if b.State() == "closed" {
				return fail("closed by results of calls from before it opened, while its only probe is under way")
			}
			return pass("%s until the probe has ended", b.State())
		}),
	},
	{
		ID: "7b", Policy: BreakerPolicy, Name: "late failure reopens",
		Promise: "A call that started before the breaker opened, and fails late, does not keep successful probes from closing it.",
		Run: breaking(inARow, func(b Breaker) Result {
			late, running, why := halfOpenWithLateCalls(b, 5, 1)
			if why != "" {
				return fail("%s", why)
			}
			for range 5 {
				late <- errDown
			}
			synctest.Wait()
			running <- nil
			synctest.Wait()
			for range probes - 1 {
				admits(b)
			}
			if s := b.State(); s != "closed" {
				return fail("%s after %d probes that succeeded, because of failures from before it opened", s, probes)
			}
			return pass("closed by its probes")
		}),
	},
	{
		ID: "7c", Policy: BreakerPolicy, Name: "late result admits probes",
		Promise: "A late result of a call from before the breaker opened does not hand out one more probe.",
		Run: breaking(inARow, func(b Breaker) Result {
			late, _, why := halfOpenWithLateCalls(b, 2, probes)
			if why != "" {
				return fail("%s", why)
			}
			if extra := hold(b, 1, nil); extra > 0 {
				return Result{NotApplicable, "does not bound its probes to begin with; see 9"}
			}
			late <- nil
			late <- nil
			synctest.Wait()
			if extra := hold(b, 5, nil); extra > 0 {
				return fail("two late results let %d more calls in beside the probes under way", extra)
			}
			return pass("no more than its probes")
		}),
	},
	{
		ID: "8", Policy: BreakerPolicy, Name: "calls longer than the window",
		Promise: "Failing calls that run for longer than the window are counted: 300 calls that fail after 30 s open a breaker with a window of 10 s.",
		Run: breaking(BreakerConfig{Ratio: 0.5, MinCalls: 20}, func(b Breaker) Result {
			for range 3 {
				for range 100 {
					go func() {
						_ = b.Do(context.Background(), func(context.Context) error {
							time.Sleep(30 * time.Second)
							return errDown
						})
					}()
				}
				time.Sleep(30*time.Second + time.Millisecond)
				settle()
				if !admits(b) {
					return pass("opens")
				}
			}
			return fail("closed after 300 failures")
		}),
	},
	{
		ID: "9", Policy: BreakerPolicy, Name: "herd at half-open",
		Promise: "When the open time is over, a few probes are let through, not everybody who is waiting.",
		Run: breaking(inARow, func(b Breaker) Result {
			if !trip(b) {
				return fail("never opens")
			}
			time.Sleep(2 * openFor)
			if n := hold(b, 1000, nil); n > probes {
				return fail("admits %d of 1000 calls at once", n)
			} else if n == 0 {
				return fail("admits no probe")
			} else {
				return pass("admits %d of 1000", n)
			}
		}),
	},
	{
		ID: "10a", Policy: BreakerPolicy, Name: "old failures expire",
		Promise: "Failures from an hour ago do not open the breaker.",
		Run: breaking(BreakerConfig{Ratio: 0.5, MinCalls: 20}, func(b Breaker) Result {
			fails(b, 19)
			time.Sleep(time.Hour)
			fails(b, 2)
			if !admits(b) {
				return fail("opened by 2 failures, since 19 from an hour ago still count")
			}
			return pass("forgets them")
		}),
		Broken: &Library{Breaker: newUnforgivingBreaker},
	},
	{
		ID: "10b", Policy: BreakerPolicy, Name: "statistics expire",
		Promise: "The statistics show what the window holds now, not what it held at the last write an hour ago.",
		Run: breaking(BreakerConfig{Ratio: 0.5, MinCalls: 20}, func(b Breaker) Result {
			c, ok := b.(Counter)
			if !ok {
				return Result{NotApplicable, "has no statistics of its window"}
			}
			fails(b, 19)
			time.Sleep(time.Hour)
			if n := c.Failures(); n != 0 {
				return fail("shows %d failures after an hour without a call, with a window of 10 s", n)
			}
			return pass("shows none")
		}),
	},
	{
		ID: "11", Policy: BreakerPolicy, Name: "window slides",
		Promise: "A burst of failures counts as one, wherever in time it lies, and what is older than the window does not count.",
		Run: breaking(BreakerConfig{Ratio: 0.5, MinCalls: 20}, func(b Breaker) Result {
			fails(b, 15)
			time.Sleep(window + 2*time.Second)
			fails(b, 15)
			if !admits(b) {
				return fail("opened by failures that lie 12 s apart, with a window of 10 s")
			}
			// Around a multiple of the window after it was made.
			time.Sleep(3*window - (window + 2*time.Second) - time.Second)
			fails(b, 12)
			time.Sleep(2 * time.Second)
			fails(b, 12)
			if admits(b) {
				return fail("closed after 24 failures within 2 s, since they lie astride the end of a window")
			}
			return pass("slides")
		}),
		Broken: &Library{Breaker: newTumblingBreaker},
	},
	{
		ID: "12", Policy: BreakerPolicy, Name: "exact ratio",
		Promise: "A threshold of 50 % is not reached by 99 failures of 200.",
		Run: breaking(BreakerConfig{Ratio: 0.5, MinCalls: 200}, func(b Breaker) Result {
			for range 101 {
				admits(b)
			}
			fails(b, 99)
			if s := b.State(); s != "closed" {
				return fail("opened by 99 failures of 200, 49.5 %%, with a threshold of 50 %%")
			}
			fails(b, 8)
			if admits(b) {
				return fail("closed after 107 failures of 208, with a threshold of 50 %%")
			}
			return pass("exact")
		}),
	},
	{
		ID: "13a", Policy: BreakerPolicy, Name: "caller's cancel",
		Promise: "Callers who cancel do not open the breaker: it says nothing about what was called.",
		Run: breaking(inARow, func(b Breaker) Result {
			for range 50 {
				ctx, cancel := context.WithCancel(context.Background())
				_ = b.Do(ctx, func(ctx context.Context) error {
					cancel()
					return ctx.Err()
				})
			}
			settle()
			if !admits(b) {
				return fail("opened by callers who cancelled")
			}
			return pass("ignores them")
		}),
	},
	{
		ID: "13b", Policy: BreakerPolicy, Name: "excluded error",
		Promise: "An error that is excluded from the verdict is not taken for a success that closes a half-open breaker.",
		Run: breaking(BreakerConfig{Failures: 10, Excluded: errExcluded}, func(b Breaker) Result {
			if !trip(b) {
				return fail("never opens")
			}
			time.Sleep(2 * openFor)
			for range probes {
				_ = b.Do(context.Background(), func(context.Context) error { return errExcluded })
			}
			settle()
			if b.State() == "closed" {
				return fail("closed by %d excluded errors", probes)
			}
			for range 10 {
				admits(b)
				time.Sleep(2 * openFor)
			}
			if s := b.State(); s != "closed" {
				return fail("%s for ever after excluded errors", s)
			}
			return pass("neither closes nor sticks")
		}),
	},
	{
		ID: "13c", Policy: BreakerPolicy, Name: "hang behind callers' deadlines",
		Promise: "A dependency that hangs opens the breaker, although each caller gives up after two seconds.",
		Run: breaking(inARow, func(b Breaker) Result {
			for range 50 {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				_ = b.Do(ctx, func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				})
				cancel()
			}
			settle()
			if admits(b) {
				return fail("closed after 50 calls that all hung until the caller's deadline")
			}
			return pass("opens")
		}),
	},
	{
		ID: "14a", Policy: BreakerPolicy, Name: "hook asks for the state",
		Promise: "A hook that hears of a change of state may ask the breaker for its state.",
		Run: func(l Library, remedy bool) Result {
			var b Breaker
			heard := 0
			return breaking(BreakerConfig{Failures: 10, OnChange: func() { b.State(); heard++ }}, func(made Breaker) Result {
				b = made
				if !trip(b) {
					return fail("never opens")
				}
				return pass("asked %d times", heard)
			})(l, remedy)
		},
	},
	{
		ID: "14b", Policy: BreakerPolicy, Name: "hook that panics",
		Promise: "After a hook has panicked, and whoever called has recovered, the breaker works on.",
		Run: func(l Library, remedy bool) Result {
			broken := true
			return breaking(BreakerConfig{Failures: 10, OnChange: func() {
				if broken {
					panic("a bug in the hook")
				}
			}}, func(b Breaker) Result {
				opened := false
				for range 100 {
					started := false
					_, _ = catch(func() error {
						return b.Do(context.Background(), func(context.Context) error { started = true; return errDown })
					})
					if opened = !started; opened {
						break
					}
				}
				if !opened {
					return fail("never opens")
				}
				broken = false
				for range 10 {
					time.Sleep(2 * openFor)
					admits(b)
				}
				if s := b.State(); s != "closed" {
					return fail("%s for ever", s)
				}
				return pass("opens and closes all the same")
			})(l, remedy)
		},
	},
	{
		ID: "15a", Policy: BreakerPolicy, Name: "nonsense",
		Promise: "A configuration that cannot work is refused, not accepted or clamped in silence.",
		Run:     refusesNonsense(BreakerPolicy),
	},
}

var errExcluded = errors.New("no such user")

// settle lets those catch up that count on a goroutine of their own.
func settle() {
	time.Sleep(time.Millisecond)
	synctest.Wait()
}

// admits makes a call that succeeds and reports whether it was started.
func admits(b Breaker) bool {
	started := false
	_ = b.Do(context.Background(), func(context.Context) error { started = true; return nil })
	settle()
	return started
}

// fails makes n calls that fail.
func fails(b Breaker, n int) {
	for range n {
		_ = b.Do(context.Background(), func(context.Context) error { return errDown })
	}
	settle()
}

// trip makes calls that fail until one is refused. It reports whether one was.
func trip(b Breaker) bool {
	for range 100 {
		started := false
		_ = b.Do(context.Background(), func(context.Context) error { started = true; return errDown })
		settle()
		if !started {
			return true
		}
	}
	return false
}

// hold makes n calls at once, which end with what comes out of end, and returns
// how many were started.
func hold(b Breaker, n int, end <-chan error) int {
	var started atomic.Int64
	for range n {
		go func() {
			_ = b.Do(context.Background(), func(context.Context) error { started.Add(1); return <-end })
		}()
	}
	synctest.Wait()
	return int(started.Load())
}

// halfOpenWithLateCalls brings a breaker to where the given number of calls from
// before it opened and that many probes are under way. They end with what is sent
// to late and running. why is not empty if that failed.
func halfOpenWithLateCalls(b Breaker, calls, underWay int) (late, running chan error, why string) {
	late, running = make(chan error), make(chan error)
	if hold(b, calls, late) != calls {
		return nil, nil, "refuses calls while closed"
	}
	if !trip(b) {
		return nil, nil, "never opens"
	}
	time.Sleep(2 * openFor)
	if hold(b, underWay, running) == 0 {
		return nil, nil, "admits no probe"
	}
	return late, running, ""
}

// recovers reports whether a half-open breaker whose probes all go wrong closes
// when the next calls are good.
func recovers(b Breaker, probe func()) Result {
	if !trip(b) {
		return fail("never opens")
	}
	time.Sleep(2 * openFor)
	for range probes {
		probe()
	}
	const minutes = 60
	for range minutes {
		time.Sleep(time.Minute)
		if admits(b) {
			return pass("admits calls again")
		}
	}
	return fail("refuses every call for an hour after it: half-open for ever")
}
