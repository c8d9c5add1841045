package traps

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing/synctest"
	"time"
)

// A Retry is what repeats calls in some library.
type Retry interface {
	Do(ctx context.Context, call func(context.Context) error) error
}

// A Scheduler is a retry that tells, without waiting for them, the delays that it
// makes before its second attempt and the following ones.
type Scheduler interface {
	Delays(n int) []time.Duration
}

// A RetryConfig is what a scenario needs of a retry.
type RetryConfig struct {
	Attempts int           // the first included
	Delay    time.Duration // before the second, doubled for each that follows
	MaxDelay time.Duration // bounds the delay; 0: none that the library does not insist on
	Jitter   bool          // spread the delays at random

	RetryAfter bool   // heed a *RetryAfterError
	Budget     bool   // bound the retries of all calls together
	OnRetry    func() // hears of each retry

	Remedy bool // turn on the options that Remedies names
}

// A RetryAfterError is the error of a call whose server asks its callers to stay
// away. Adapters turn it into what their library understands.
type RetryAfterError struct{ After time.Duration }

func (e *RetryAfterError) Error() string { return fmt.Sprintf("come back in %v", e.After) }

// retrying makes a scenario of a test of a retry.
func retrying(c RetryConfig, test func(Retry) Result) func(Library, bool) Result {
	return func(l Library, remedy bool) Result {
		c.Remedy = remedy
		r, err := l.Retry(c)
		if err != nil {
			return notMade(err)
		}
		return test(r)
	}
}

var retryScenarios = []Scenario{
	{
		ID: "1e", Policy: RetryPolicy, Name: "attempt that panics",
		Promise: "A retry that panics gives back what it took from the budget: after many calls that go well, one that fails is retried.",
		Run: retrying(RetryConfig{Attempts: 2, Delay: time.Millisecond, Budget: true}, func(r Retry) Result {
			for range 50 {
				first := true
				_, _ = catch(func() error {
					return r.Do(context.Background(), func(context.Context) error {
						if first {
							first = false
							return errDown
						}
						panic("a bug")
					})
				})
			}
			for range 10_000 {
				_ = r.Do(context.Background(), func(context.Context) error { return nil })
			}
			if calls := failing(r); calls != 2 {
				return fail("never retries again: after 50 retries that panicked and 10,000 calls that went well the budget is spent")
			}
			return pass("retries again")
		}),
	},
	{
		ID: "15c", Policy: RetryPolicy, Name: "nonsense",
		Promise: "A configuration that cannot work is refused, not accepted or clamped in silence.",
		Run:     refusesNonsense(RetryPolicy),
	},
	{
		ID: "18", Policy: RetryPolicy, Name: "backoff overflows",
		Promise: "Delays that double for a hundred attempts never become zero or negative.",
		Run: retrying(RetryConfig{Attempts: 101, Delay: 100 * time.Millisecond}, func(r Retry) Result {
			s, ok := r.(Scheduler)
			if !ok {
				return Result{NotApplicable, "tells its delays to nobody"}
			}
			// One delay may be zero by jitter, three in a row are no chance.
			inARow := 0
			for i, d := range s.Delays(100) {
				if d > 0 {
					inARow = 0
					continue
				}
				if inARow++; d < 0 || inARow == 3 {
					return fail("the delay before attempt %d is %v: from there on it calls in a hot loop", i+2, d)
				}
			}
			return pass("all of 100 delays are positive")
		}),
	},
	{
		ID: "19a", Policy: RetryPolicy, Name: "jitter at the cap",
		Promise: "Callers that have reached the longest delay do not all come back at the same moment.",
		Run: retrying(RetryConfig{Attempts: 10, Delay: time.Second, MaxDelay: 8 * time.Second, Jitter: true}, func(r Retry) Result {
			last := map[time.Duration]bool{}
			for _, gaps := range manyGaps(r, 100, errDown) {
				if len(gaps) == 0 {
					return fail("does not retry")
				}
				last[gaps[len(gaps)-1].Round(time.Millisecond)] = true
			}
			if len(last) < 20 {
				return fail("the last delay of 100 callers that failed together has %d different value(s)", len(last))
			}
			return pass("%d different delays", len(last))
		}),
	},
	{
		ID: "19b", Policy: RetryPolicy, Name: "jitter below Retry-After",
		Promise: "A server that asks for ten seconds of peace gets them: jitter does not bring callers back earlier.",
		Run: retrying(RetryConfig{Attempts: 2, Delay: time.Second, MaxDelay: 30 * time.Second, Jitter: true, RetryAfter: true}, func(r Retry) Result {
			const after = 10 * time.Second
			early := false
			for _, gaps := range manyGaps(r, 100, &RetryAfterError{after}) {
				switch {
				case len(gaps) == 0:
					return fail("does not retry")
				case gaps[0] < after:
					early = true
				}
			}
			if early {
				return fail("callers come back before the %v that the server asked for are over", after)
			}
			return pass("nobody comes back before it")
		}),
	},
	{
		ID: "20a", Policy: RetryPolicy, Name: "Retry-After of ten years",
		Promise: "A server that asks to come back in ten years cannot park its callers: within an hour they have an answer.",
		Run: retrying(RetryConfig{Attempts: 2, Delay: time.Second, MaxDelay: 30 * time.Second, RetryAfter: true}, func(r Retry) Result {
			start := time.Now()
			_ = r.Do(context.Background(), func(context.Context) error {
				return &RetryAfterError{10 * 365 * 24 * time.Hour}
			})
			if waited := time.Since(start); waited > time.Hour {
				return fail("the caller hangs for %.0f years", waited.Hours()/24/365)
			}
			return pass("answers within the hour")
		}),
	},
	{
		ID: "20b", Policy: RetryPolicy, Name: "negative Retry-After",
		Promise: "A Retry-After that lies in the past does not make the retry come at once: the usual delay is kept.",
		Run: retrying(RetryConfig{Attempts: 4, Delay: time.Second, MaxDelay: 30 * time.Second, RetryAfter: true}, func(r Retry) Result {
			_, gaps := gaps(context.Background(), r, &RetryAfterError{-5 * time.Second})
			if len(gaps) == 0 {
				return fail("does not retry")
			}
			for _, gap := range gaps {
				if gap > 0 {
					return pass("keeps the usual delay")
				}
			}
			return fail("retries at once, without any delay")
		}),
	},
	{
		ID: "21a", Policy: RetryPolicy, Name: "sleeping into the deadline",
		Promise: "When the next attempt could only start after the caller's deadline, the caller gets its error at once.",
		Run: retrying(RetryConfig{Attempts: 3, Delay: time.Hour}, func(r Retry) Result {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			start := time.Now()
			_ = r.Do(ctx, down)
			switch waited := time.Since(start); {
			case waited > time.Second:
				return fail("sleeps for %v, although the caller's deadline is after a second", waited)
			case waited == time.Second:
				return fail("sleeps until the deadline, for nothing")
			}
			return pass("answers at once")
		}),
	},
	{
		ID: "21b", Policy: RetryPolicy, Name: "real error lost",
		Promise: "When the caller's deadline ends the retrying, the error still tells what went wrong with the call.",
		Run: retrying(RetryConfig{Attempts: 6, Delay: time.Second, MaxDelay: 2 * time.Second}, func(r Retry) Result {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err := r.Do(ctx, down)
			if !errors.Is(err, errDown) {
				return fail("returns %q: what the server said is lost", err)
			}
			return pass("is kept")
		}),
	},
	{
		ID: "21c", Policy: RetryPolicy, Name: "empty budget looked at after the sleep",
		Promise: "When the budget has nothing left for a retry, the caller gets its error before the delay, not after.",
		Run: retrying(RetryConfig{Attempts: 2, Delay: time.Minute, MaxDelay: time.Minute, Budget: true}, func(r Retry) Result {
			// In an outage with 1,000 callers every budget is spent.
			var wg sync.WaitGroup
			waited := make([]time.Duration, 1000)
			calls := make([]int, len(waited))
			for i := range waited {
				wg.Go(func() {
					start := time.Now()
					_ = r.Do(context.Background(), func(context.Context) error {
						if calls[i]++; calls[i] == 2 {
							// Retries that take their time: of those that run side by side most
							// have to be refused.
							time.Sleep(time.Hour)
						}
						return errDown
					})
					waited[i] = time.Since(start)
				})
			}
			wg.Wait()
			refused, late := 0, 0
			for i := range waited {
				if calls[i] == 1 {
					refused++
					if waited[i] > 0 {
						late++
					}
				}
			}
			switch {
			case refused == 0:
				return fail("the budget bounds nothing: 1,000 failing calls are all retried")
			case late > 0:
				return fail("refuses retries only after the delay before them")
			}
			return pass("at once")
		}),
	},
	{
		ID: "22a", Policy: RetryPolicy, Name: "sleep after the last attempt",
		Promise: "After the last attempt the caller gets its error at once.",
		Run: retrying(RetryConfig{Attempts: 3, Delay: time.Second, MaxDelay: time.Minute}, func(r Retry) Result {
			calls, last := 0, time.Time{}
			_ = r.Do(context.Background(), func(context.Context) error { calls++; last = time.Now(); return errDown })
			switch waited := time.Since(last); {
			case calls != 3:
				return fail("makes %d attempts of 3", calls)
			case waited > 0:
				return fail("sleeps for %v after the last attempt", waited)
			}
			return pass("at once")
		}),
		Broken: &Library{Retry: newSleepyRetry},
	},
	{
		ID: "22b", Policy: RetryPolicy, Name: "callback after the last attempt",
		Promise: "Who hears of retries hears of two when three attempts were made.",
		Run: func(l Library, remedy bool) Result {
			heard := 0
			return retrying(RetryConfig{Attempts: 3, Delay: time.Second, MaxDelay: time.Minute, OnRetry: func() { heard++ }}, func(r Retry) Result {
				if calls := failing(r); heard != calls-1 {
					return fail("reports %d retries of %d attempts", heard, calls)
				}
				return pass("hears of 2")
			})(l, remedy)
		},
	},
	{
		ID: "23c", Policy: RetryPolicy, Name: "waiting that ignores the context",
		Promise: "A caller who cancels during a delay gets its answer at once.",
		Run: retrying(RetryConfig{Attempts: 3, Delay: time.Hour, MaxDelay: time.Hour}, func(r Retry) Result {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			_ = r.Do(ctx, down)
			if waited := time.Since(start); waited > time.Second {
				return fail("waits on for %v after the caller has cancelled", (waited - time.Second).Round(time.Second))
			}
			return pass("at once")
		}),
	},
	{
		ID: "23d", Policy: RetryPolicy, Name: "call on a done context",
		Promise: "No call is started for a caller whose context is done already.",
		Run: retrying(RetryConfig{Attempts: 3, Delay: time.Second, MaxDelay: time.Minute}, func(r Retry) Result {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if calls, _ := gaps(ctx, r, errDown); calls > 0 {
				return fail("makes the call of a caller who has cancelled before")
			}
			return pass("starts none")
		}),
	},
	{
		ID: "24", Policy: RetryPolicy, Name: "success while cancelled",
		Promise: "A call that succeeded while its context was cancelled is reported as what it is, a success.",
		Run: retrying(RetryConfig{Attempts: 3, Delay: time.Second, MaxDelay: time.Minute}, func(r Retry) Result {
			ctx, cancel := context.WithCancel(context.Background())
			err := r.Do(ctx, func(context.Context) error {
				cancel()
				return nil
			})
			if err != nil {
				return fail("the order is placed, and the caller is told %q", err)
			}
			return pass("a success")
		}),
	},
	{
		ID: "25a", Policy: RetryPolicy, Name: "nested retries multiply",
		Promise: "Retries of three attempts around each other, in three layers of a program, do not make 27 calls of one.",
		Run: func(l Library, remedy bool) Result {
			var outer, middle Retry
			c := RetryConfig{Attempts: 3, Delay: time.Second, MaxDelay: time.Minute}
			for _, r := range []*Retry{&outer, &middle} {
				var err error
				if *r, err = l.Retry(c); err != nil {
					return notMade(err)
				}
			}
			return retrying(c, func(inner Retry) Result {
				calls := 0
				_ = outer.Do(context.Background(), func(ctx context.Context) error {
					return middle.Do(ctx, func(ctx context.Context) error {
						return inner.Do(ctx, func(context.Context) error { calls++; return errDown })
					})
				})
				if calls >= 27 {
					return fail("makes %d calls", calls)
				}
				return pass("makes %d", calls)
			})(l, remedy)
		},
	},
	{
		ID: "25b", Policy: RetryPolicy, Name: "budget without a floor",
		Promise: "A budget does not keep the only call of a quiet hour from being retried.",
		Run: retrying(RetryConfig{Attempts: 2, Delay: time.Second, MaxDelay: time.Minute, Budget: true}, func(r Retry) Result {
			for hour := range 3 {
				if failing(r) != 2 {
					return fail("does not retry the only call of hour %d", hour+1)
				}
				time.Sleep(time.Hour)
			}
			return pass("retries it")
		}),
		Broken: &Library{Retry: newStingyRetry},
	},
}

// down is a call that fails.
func down(context.Context) error { return errDown }

// failing makes a call that always fails and returns how many attempts were made.
func failing(r Retry) int {
	calls, _ := gaps(context.Background(), r, errDown)
	return calls
}

// gaps makes a call that always fails with err and returns how many attempts were
// made and the time between them.
func gaps(ctx context.Context, r Retry, err error) (calls int, gaps []time.Duration) {
	var last time.Time
	_ = r.Do(ctx, func(context.Context) error {
		if calls++; calls > 1 {
			gaps = append(gaps, time.Since(last))
		}
		last = time.Now()
		return err
	})
	return calls, gaps
}

// manyGaps is the gaps of n callers that start at once.
func manyGaps(r Retry, n int, err error) [][]time.Duration {
	all := make([][]time.Duration, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { _, all[i] = gaps(context.Background(), r, err) })
	}
	wg.Wait()
	synctest.Wait()
	return all
}
