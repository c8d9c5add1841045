package retry_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/internal/unwind"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
)

// The tests of this file are named after the faults that retries of other libraries
// have shipped. Each of these was planted here once, as the line "Planted" tells, and
// the test was seen to fail.

// Where an attempt takes from the budget and gives back when it returns, a panic
// leaks what it took.
// Planted: retry.go: run takes from the budget before the first attempt too, and gives
// that back after it → 472 tokens.
func TestTrap01APanicLeaksNoBudget(t *testing.T) {
	r := retry.MustNew(retry.Config{})
	unwind.Under(t.Context(), r)
	require.Equal(t, 500, r.Stats().Budget.Tokens)
}

// Libraries report nothing of a call that panics, or a success.
// Planted: retry.go: done judges a Do that did not return by its error, nil → success.
func TestTrap03APanicIsReportedAsAFailure(t *testing.T) {
	var r steadytest.Recorder
	unwind.Under(t.Context(), retry.MustNew(retry.Config{Hook: &r}))
	require.Len(t, r.Outcomes(), 2)
	for _, e := range r.Outcomes() {
		require.Equal(t, steady.Failure, e.Outcome)
		require.ErrorIs(t, e.Err, steady.ErrNoReturn)
	}
}

// Hooks that are called under a lock deadlock when they use the policy.
// Planted: internal/report: Emit holds a mutex → the test hangs.
func TestTrap14AHookMayUseItsRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *retry.Retry
		var budget []int
		r = retry.MustNew(retry.Config{Hook: steady.HookFunc(func(ctx context.Context, e steady.Event) {
			if e.Kind == steady.KindRetry {
				budget = append(budget, r.Stats().Budget.Tokens)
				require.NoError(t, r.Do(ctx, fails(0).call))
			}
		})})
		require.NoError(t, r.Do(t.Context(), fails(2).call))
		require.Equal(t, []int{500 - 14, 500 - 14 + 1 - 14}, budget)
	})
}

// A metrics hook with a nil map must not cost the call its retries.
// Planted: internal/report: Emit does not recover → the panic of the hook reaches
// the test.
func TestTrap14AHookThatPanicsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := retry.MustNew(retry.Config{Hook: steady.HookFunc(func(context.Context, steady.Event) { panic("hook") })})
		require.NoError(t, r.Do(t.Context(), fails(2).call))
		require.Equal(t, uint64(4), r.Stats().HookPanics, "construction, two retries and the end")
	})
}

// Libraries take a delay below zero, or one that shrinks, and turn it into a hot loop.
// Planted: retry.go: withDefaults does not want Delay > 0; it does not want Multiplier
// >= 1; budget.go: NewBudget does not bound Cost → no error.
func TestTrap15NonsenseIsRefused(t *testing.T) {
	for field, c := range map[string]retry.Config{
		"Attempts":      {Attempts: -1},
		"Delay":         {Delay: -time.Second},
		"MaxDelay":      {Delay: time.Minute, MaxDelay: time.Second},
		"Multiplier":    {Multiplier: math.NaN()},
		"MaxRetryAfter": {MaxRetryAfter: -1},
	} {
		_, err := retry.New(c)
		require.ErrorContains(t, err, "retry: Config."+field+" must ")
	}
	_, err := retry.New(retry.Config{Multiplier: 0.5})
	require.Error(t, err)
	_, err = retry.NewBudget(retry.BudgetConfig{Tokens: 10, Cost: 11})
	require.ErrorContains(t, err, "Cost must ", "it would never grant a retry")
}

// A delay that is doubled by shifting is 0 or negative after some forty attempts, and
// the retry a hot loop; in others it panics.
// Planted: retry.go: backoff shifts first by the attempt, and then looks at limit; it
// turns the float64 into a time before it does → attempt 40 comes centuries later.
func TestTrap18TheBackoffDoesNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fails(2000)
		r := retry.MustNew(retry.Config{Attempts: 2001, Budget: retry.NoBudget})
		require.NoError(t, r.Do(steady.ContextWithSource(t.Context(), constant(0.5)), s.call))
		for i, d := range s.delays()[6:] {
			require.Equal(t, time.Second, d, "attempt %d", i+8)
		}
	})
}

// The longest delay there is, with a Retry-After on top.
// Planted: retry.go: delay returns the sum without a look at its sign → below 0.
func TestTrap18TheLongestDelayDoesNotOverflow(t *testing.T) {
	var events steadytest.Recorder
	ctx, cancel := context.WithCancel(steady.ContextWithSource(t.Context(), constant(1-0x1p-53)))
	hook := steady.Hooks(&events, steady.HookFunc(func(_ context.Context, e steady.Event) {
		if e.Kind == steady.KindRetry {
			cancel()
		}
	}))
	r := retry.MustNew(retry.Config{Delay: math.MaxInt64, Multiplier: math.MaxFloat64, Attempts: math.MaxInt, Hook: hook})
	s := &script{errs: []error{steady.RetryAfter(errBoom, time.Minute)}}
	require.ErrorIs(t, r.Do(ctx, s.call), context.Canceled)
	require.Equal(t, time.Duration(math.MaxInt64), events.Events(steady.KindRetry)[0].Delay)
}

// When the draw comes before the cap, all who have reached the cap wait for the same
// time and meet at its end.
// Planted: retry.go: delay draws from the bound without its cap, and caps what it
// drew → no spread.
func TestTrap19TheJitterComesAfterTheCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := func(draw float64) time.Duration {
			s := fails(11)
			r := retry.MustNew(retry.Config{Attempts: 12})
			require.NoError(t, r.Do(steady.ContextWithSource(t.Context(), constant(draw)), s.call))
			return s.delays()[10]
		}
		require.Equal(t, 500*time.Millisecond, last(0.25))
		require.Equal(t, 1500*time.Millisecond, last(0.75))
	})
}

// Who is asked to come back in a second and draws a random part of that is sent away
// again.
// Planted: retry.go: delay draws from the sum of bound and Retry-After → 0 s.
func TestTrap19NoJitterBelowRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{errs: []error{steady.RetryAfter(errBoom, time.Second)}}
		require.NoError(t, retry.MustNew(retry.Config{}).Do(steady.ContextWithSource(t.Context(), constant(0)), s.call))
		require.Equal(t, []time.Duration{time.Second}, s.delays())
	})
}

// A server that asks for ten years parks its callers for ten years, and one whose
// clock is late, so that it asks for a time before now, takes the backoff away. (Dates
// belong to who reads the header.)
// Planted: retry.go: delay does not cap Retry-After → 10 years; rejection.go: RetryAfter
// and RetryAfterOf let negative times through → 0 s.
func TestTrap20RetryAfterIsAFloorUnderACap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, want := range map[time.Duration]time.Duration{
			0:                            25 * time.Millisecond,
			time.Second:                  time.Second + 25*time.Millisecond,
			10 * 365 * 24 * 3600e9:       30*time.Second + 25*time.Millisecond,
			math.MaxInt64:                30*time.Second + 25*time.Millisecond,
			-time.Second:                 25 * time.Millisecond,
			time.Duration(math.MinInt64): 25 * time.Millisecond,
		} {
			s := &script{errs: []error{steady.RetryAfter(errBoom, asked)}}
			require.NoError(t, retry.MustNew(retry.Config{}).Do(steady.ContextWithSource(t.Context(), constant(0.5)), s.call))
			require.Equal(t, []time.Duration{want}, s.delays(), "asked for %v", asked)
		}
	})
}

// Most libraries sleep although the deadline passes first, and then return that in
// place of the real error.
// Planted: retry.go: judge does not look at the deadline → 25 ms later, and not
// ErrTooLate; run returns the reason alone → the real error is lost.
func TestTrap21NeverSleepsPastTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(steady.ContextWithSource(t.Context(), constant(0.5)), 25*time.Millisecond)
		defer cancel()
		s := fails(9)
		start := time.Now()
		err := retry.MustNew(retry.Config{}).Do(ctx, s.call)
		require.Zero(t, time.Since(start), "at once")
		require.ErrorIs(t, err, retry.ErrTooLate)
		require.ErrorIs(t, err, errBoom, "the real error")
		require.NotErrorIs(t, err, context.DeadlineExceeded, "no deadline has passed")
	})
}

// A budget that is asked after the sleep makes the caller wait for a refusal.
// Planted: retry.go: run takes from the budget after sleep → 25 ms later.
func TestTrap21NeverSleepsIntoAnEmptyBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.MustNewBudget(retry.BudgetConfig{Tokens: 1, Cost: 1})
		r := retry.MustNew(retry.Config{Budget: b})
		ctx := steady.ContextWithSource(t.Context(), constant(0.5))
		require.ErrorIs(t, r.Do(ctx, fails(9).call), retry.ErrBudget)

		start := time.Now()
		err := r.Do(ctx, fails(9).call)
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, err, retry.ErrBudget)
		require.ErrorIs(t, err, errBoom, "the real error")
	})
}

// An attempt that the caller's deadline ends says no more than that. What failed
// before it must not be lost.
// Planted: retry.go: judge takes each error as the last → not boom.
func TestTrap21TheRealErrorOutlivesTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(steady.ContextWithSource(t.Context(), constant(0.5)), time.Second)
		defer cancel()
		err := retry.MustNew(retry.Config{}).Do(ctx, func(ctx context.Context) error {
			if steady.Attempt(ctx) == 1 {
				return errBoom
			}
			<-ctx.Done()
			return ctx.Err()
		})
		require.ErrorIs(t, err, errBoom)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "retry: 2 attempts (context deadline exceeded): boom")
	})
}

// Loops that sleep at their end sleep once more after the last attempt, and announce
// one more retry.
// Planted: retry.go: run looks at Attempts after the event → 3 events; judge sleeps
// before it gives up → 100 ms later.
func TestTrap22NothingComesAfterTheLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events steadytest.Recorder
		s := fails(9)
		r := retry.MustNew(retry.Config{Hook: &events})
		require.ErrorIs(t, r.Do(steady.ContextWithSource(t.Context(), constant(0.5)), s.call), retry.ErrExhausted)
		require.Zero(t, time.Since(s.starts[2]))
		require.Len(t, events.Events(steady.KindRetry), 2)
	})
}

// The same holds for an attempt that is the last because its error is final.
// Planted: retry.go: run sends the event before it judges → 1 event; judge sleeps
// before it gives up → later.
func TestTrap22NothingComesAfterAFinalError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events steadytest.Recorder
		start := time.Now()
		s := &script{errs: []error{steady.Permanent(errBoom)}}
		require.ErrorIs(t, retry.MustNew(retry.Config{Hook: &events}).Do(t.Context(), s.call), errBoom)
		require.Zero(t, time.Since(start))
		require.Empty(t, events.Events(steady.KindRetry))
	})
}

// A time.Sleep between attempts keeps a caller who has gone.
// Planted: retry.go: sleep does not select on ctx.Done → it ends after 25 ms.
func TestTrap23WaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(steady.ContextWithSource(t.Context(), constant(0.5)))
		time.AfterFunc(time.Millisecond, cancel)
		s, start := fails(9), time.Now()
		require.ErrorIs(t, retry.MustNew(retry.Config{}).Do(ctx, s.call), context.Canceled)
		require.Equal(t, time.Millisecond, time.Since(start))
		require.Len(t, s.starts, 1)
	})
}

// A call that is started although its caller has gone is work in vain.
// Planted: retry.go: Do does not look at the context → started; judge does not, nor does
// sleep → all attempts are made.
func TestTrap23NothingStartsOnADoneContext(t *testing.T) {
	r := retry.MustNew(retry.Config{Delay: retry.NoDelay})
	ctx, cancel := context.WithCancel(t.Context())
	s := fails(9)
	require.ErrorIs(t, r.Do(ctx, func(ctx context.Context) error { cancel(); return s.call(ctx) }), context.Canceled)
	require.Len(t, s.starts, 1, "no second attempt")
	require.ErrorIs(t, r.Do(ctx, s.call), context.Canceled)
	require.Len(t, s.starts, 1, "no first attempt")
}

// Where the context is looked at before the result, a call that did its work while
// its caller left has failed.
// Planted: retry.go: run returns the context's error when that is done → an error.
func TestTrap24ASuccessAfterCancelIsASuccess(t *testing.T) {
	var events steadytest.Recorder
	ctx, cancel := context.WithCancel(t.Context())
	r := retry.MustNew(retry.Config{Hook: &events})
	require.NoError(t, r.Do(ctx, func(context.Context) error { cancel(); return nil }))
	require.Equal(t, steady.Success, events.Outcomes()[0].Outcome)
}

// Three layers that each retry are 27 calls where the caller thinks of 3.
// Planted: retry.go: final does not look for an Error → 27.
func TestTrap25NestedRetriesDoNotMultiplyUnlessAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := func(nested bool) int {
			c := retry.Config{Nested: nested}
			s := fails(100)
			layers := steady.Chain(retry.MustNew(c), retry.MustNew(c), retry.MustNew(c))
			require.ErrorIs(t, layers.Do(t.Context(), s.call), errBoom)
			return len(s.starts)
		}
		require.Equal(t, 3, calls(false))
		require.Equal(t, 27, calls(true))
	})
}

// A budget that is a share of the recent calls is empty when there are hardly any: who
// calls once an hour never gets a retry.
// Planted: budget.go: NewBudget begins without tokens → ErrBudget.
func TestTrap25TheBudgetHasAFloorForWhoCallsSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := retry.MustNew(retry.Config{})
		for hour := range 1000 {
			var s *script
			if hour%20 == 0 {
				s = fails(1)
			} else {
				s = fails(0)
			}
			require.NoError(t, r.Do(t.Context(), s.call), "hour %d", hour)
			time.Sleep(time.Hour)
		}
	})
}
