package retry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/steadytest"
)

var errBoom = errors.New("boom")

// refused is a rejection of a policy further in.
type refused struct {
	after time.Duration
	known bool
}

func (refused) Error() string                               { return "refused" }
func (refused) RejectedBy() (policy, name, key string)      { return "test", "", "" }
func (r refused) RetryAfter() (d time.Duration, known bool) { return r.after, r.known }

// constant is a source of draws that are all the same.
type constant float64

func (c constant) Float64(string, uint64) float64 { return float64(c) }

// A script is a call that ends in one error after the other, and then in nil.
type script struct {
	errs    []error
	starts  []time.Time
	attempt []int
}

func (s *script) call(ctx context.Context) error {
	s.starts = append(s.starts, time.Now())
	s.attempt = append(s.attempt, steady.Attempt(ctx))
	if n := len(s.starts); n <= len(s.errs) {
		return s.errs[n-1]
	}
	return nil
}

// delays are the times between attempts.
func (s *script) delays() (d []time.Duration) {
	for i := range s.starts[1:] {
		d = append(d, s.starts[i+1].Sub(s.starts[i]))
	}
	return d
}

func fails(n int) *script {
	s := &script{}
	for range n {
		s.errs = append(s.errs, errBoom)
	}
	return s
}

func TestConfigNamesEveryFaultAtOnce(t *testing.T) {
	r, err := retry.New(retry.Config{Attempts: -1, Delay: -2, MaxDelay: -3, Multiplier: 0.5, MaxRetryAfter: -4})
	require.Nil(t, r)
	require.EqualError(t, err, strings.Join([]string{
		"retry: Config.Attempts must be >= 0, got -1",
		"retry: Config.Delay must be >= 0, or NoDelay, got -2ns",
		"retry: Config.MaxDelay must be >= Delay (0s), or 0, got -3ns",
		"retry: Config.Multiplier must be >= 1 and finite, or 0, got 0.5",
		"retry: Config.MaxRetryAfter must be >= 0, got -4ns",
	}, "\n"))
	for _, c := range []retry.Config{
		{Multiplier: math.NaN()}, {Multiplier: math.Inf(1)}, {Delay: time.Minute, MaxDelay: time.Second}, {Delay: retry.NoDelay, MaxDelay: -1},
	} {
		_, err := retry.New(c)
		require.Error(t, err, "%+v", c)
		require.Panics(t, func() { retry.MustNew(c) })
	}
	_, err = retry.New(retry.Config{Delay: time.Hour})
	require.NoError(t, err, "MaxDelay goes along with a longer Delay")
}

func TestBudgetConfigNamesEveryFaultAtOnce(t *testing.T) {
	b, err := retry.NewBudget(retry.BudgetConfig{Tokens: -1, Cost: -1, Refund: -1})
	require.Nil(t, b)
	require.EqualError(t, err, strings.Join([]string{
		"retry: BudgetConfig.Tokens must be between 0 and 2147483647, got -1",
		"retry: BudgetConfig.Cost must be >= 0 and at most Tokens (-1), got -1",
		"retry: BudgetConfig.Refund must be >= 0 and at most Tokens (-1), got -1",
	}, "\n"))
	_, err = retry.NewBudget(retry.BudgetConfig{Tokens: 10})
	require.ErrorContains(t, err, "Cost must be >= 0 and at most Tokens (10), got 14")
	require.Panics(t, func() { retry.MustNewBudget(retry.BudgetConfig{Tokens: 10}) })
}

func TestConfigTakesTheEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fails(3)
		ctx := steady.ContextWithSource(t.Context(), constant(0.5))
		r := retry.MustNew(retry.Config{Attempts: 4, Delay: 2, MaxDelay: 2, Multiplier: 1, MaxRetryAfter: 1})
		require.NoError(t, r.Do(ctx, s.call))
		require.Equal(t, []time.Duration{1, 1, 1}, s.delays(), "the bound does not grow")
	})
	for name, c := range map[string]retry.BudgetConfig{
		"smallest": {Tokens: 1, Cost: 1, Refund: 1},
		"largest":  {Tokens: math.MaxInt32, Cost: math.MaxInt32, Refund: math.MaxInt32},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := retry.NewBudget(c)
			require.NoError(t, err)
			r := retry.MustNew(retry.Config{Delay: retry.NoDelay, Budget: b})
			require.ErrorIs(t, r.Do(t.Context(), fails(9).call), retry.ErrBudget)
			require.Equal(t, retry.BudgetStats{Limit: c.Tokens}, b.Stats())
			require.NoError(t, r.Do(t.Context(), fails(0).call))
			require.Equal(t, retry.BudgetStats{Tokens: c.Tokens, Limit: c.Tokens, Retries: 1}, b.Stats())
		})
	}
}

func TestRepeatsUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fails(2)
		require.NoError(t, retry.MustNew(retry.Config{}).Do(t.Context(), s.call))
		require.Equal(t, []int{1, 2, 3}, s.attempt)
	})
}

func TestGivesUpAfterTheLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		s := fails(9)
		err := retry.MustNew(retry.Config{Hook: &r}).Do(t.Context(), s.call)
		ended := time.Now()
		require.ErrorIs(t, err, errBoom)
		require.ErrorIs(t, err, retry.ErrExhausted)
		require.EqualError(t, err, "retry: 3 attempts (retry: attempts exhausted): boom")
		var e *retry.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, 3, e.Attempts)
		require.Equal(t, errBoom, e.Err)
		require.Len(t, s.starts, 3)
		require.Equal(t, s.starts[2], ended, "no delay after the last attempt")
		require.Len(t, r.Events(steady.KindRetry), 2, "no event of a retry either")
		require.Equal(t, 3, r.Outcomes()[0].Attempt)
	})
}

func TestOneAttemptIsNeverRepeated(t *testing.T) {
	s := fails(1)
	err := retry.MustNew(retry.Config{Attempts: 1}).Do(t.Context(), s.call)
	require.EqualError(t, err, "retry: 1 attempt (retry: attempts exhausted): boom")
	require.Len(t, s.starts, 1)
}

func TestDelaysAreDrawnBelowADoublingBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		draw := func(share float64, c retry.Config) []time.Duration {
			s := fails(c.Attempts - 1)
			require.NoError(t, retry.MustNew(c).Do(steady.ContextWithSource(t.Context(), constant(share)), s.call))
			return s.delays()
		}
		ms := func(n ...int) (d []time.Duration) {
			for _, n := range n {
				d = append(d, time.Duration(n)*time.Millisecond)
			}
			return d
		}
		require.Equal(t, ms(25, 50, 100, 200, 400, 800, 1000, 1000), draw(0.5, retry.Config{Attempts: 9}), "the jitter comes after the cap")
		require.Equal(t, ms(0, 0), draw(0, retry.Config{Attempts: 3}))
		require.Equal(t, ms(5, 15, 20), draw(0.5, retry.Config{Attempts: 4, Delay: 10 * time.Millisecond, Multiplier: 3, MaxDelay: 40 * time.Millisecond}))
		require.Equal(t, ms(0, 0), draw(0.5, retry.Config{Attempts: 3, Delay: retry.NoDelay}))
	})
}

func TestFinalErrorsAreNotRepeated(t *testing.T) {
	notFound := errors.New("not found")
	r := retry.MustNew(retry.Config{Classify: func(err error) steady.Outcome {
		if errors.Is(err, notFound) {
			return steady.Success
		}
		return steady.Failure
	}})
	for name, final := range map[string]error{
		"permanent":        steady.Permanent(errBoom),
		"by Classify":      notFound,
		"of another retry": fmt.Errorf("x: %w", &retry.Error{Attempts: 3, Err: errBoom}),
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{errs: []error{final}}
			err := r.Do(t.Context(), s.call)
			require.Len(t, s.starts, 1)
			require.ErrorIs(t, err, final)
			require.EqualError(t, err, "retry: 1 attempt: "+final.Error())
			require.NotErrorIs(t, err, retry.ErrExhausted)
		})
	}
}

func TestRejectionsAreRepeatedUnlessTheyLastTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := steady.ContextWithSource(t.Context(), constant(0.5))
		r := retry.MustNew(retry.Config{})

		s := &script{errs: []error{refused{}, refused{after: 2 * time.Second, known: true}}}
		require.NoError(t, r.Do(ctx, s.call))
		require.Equal(t, []time.Duration{25 * time.Millisecond, 2050 * time.Millisecond}, s.delays())

		s = &script{errs: []error{refused{after: 2*time.Second + 1, known: true}}}
		require.Equal(t, s.errs[0], r.Do(ctx, s.call), "longer than MaxDelay")

		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		s = &script{errs: []error{refused{after: time.Second, known: true}}}
		start := time.Now()
		require.Equal(t, s.errs[0], r.Do(short, s.call), "beyond the deadline")
		require.Zero(t, time.Since(start))
	})
}

// An error that asks to come back before now must not take the backoff away, nor
// one that carries a rejection and asks for less than that.
func TestNoErrorMakesTheDelayShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := steady.ContextWithSource(t.Context(), constant(0.5))
		s := &script{errs: []error{
			refused{after: -time.Hour, known: true},
			steady.RetryAfter(refused{after: time.Second, known: true}, time.Millisecond),
		}}
		require.NoError(t, retry.MustNew(retry.Config{}).Do(ctx, s.call))
		require.Equal(t, []time.Duration{25 * time.Millisecond, time.Second}, s.delays())
	})
}

func TestClassifyIsAskedAboutTheCallsOwnError(t *testing.T) {
	var r steadytest.Recorder
	notFound := errors.New("not found")
	policy := retry.MustNew(retry.Config{Hook: &r, Classify: func(err error) steady.Outcome {
		if err == notFound {
			return steady.Ignored
		}
		return steady.Failure
	}})
	require.ErrorIs(t, policy.Do(t.Context(), func(context.Context) error { return notFound }), notFound)
	require.Equal(t, steady.Ignored, r.Outcomes()[0].Outcome)
}

func TestAnErrorWithAStartedAttemptIsNoRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := retry.MustNew(retry.Config{})
		last := refused{after: time.Hour, known: true}

		s := &script{errs: []error{errBoom, last}}
		err := r.Do(t.Context(), s.call)
		_, rejected := steady.AsRejection(err)
		require.False(t, rejected)
		require.Equal(t, errBoom, errors.Unwrap(err))
		require.ErrorIs(t, err, last, "errors.Is tells the reason")
		require.ErrorIs(t, err, retry.ErrTooLate)
		require.EqualError(t, err, "retry: 2 attempts (retry: next attempt too late) (refused): boom")

		s = &script{errs: []error{refused{}, refused{}, refused{}}}
		err = r.Do(t.Context(), s.call)
		require.Equal(t, refused{}, err, "none was started: the rejection itself")
	})
}

func TestStopsWhenTheCallerCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(steady.ContextWithSource(t.Context(), constant(0.5)))
		b := retry.MustNewBudget(retry.BudgetConfig{})
		s := fails(9)
		time.AfterFunc(10*time.Millisecond, func() { cancel(gone) })
		err := retry.MustNew(retry.Config{Budget: b}).Do(ctx, s.call)
		require.Len(t, s.starts, 1)
		require.ErrorIs(t, err, errBoom)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, gone)
		require.Equal(t, 500, b.Stats().Tokens, "a retry that was not made is not paid for")

		s = &script{errs: []error{refused{}}}
		ctx, cancel = context.WithCancelCause(steady.ContextWithSource(t.Context(), constant(0.5)))
		time.AfterFunc(10*time.Millisecond, func() { cancel(gone) })
		err = retry.MustNew(retry.Config{}).Do(ctx, s.call)
		require.Equal(t, steady.ContextErr(ctx), err, "none was started")

		s = &script{errs: []error{errBoom}}
		ctx, cancel = context.WithCancelCause(t.Context())
		err = retry.MustNew(retry.Config{}).Do(ctx, func(ctx context.Context) error { cancel(gone); return s.call(ctx) })
		require.Len(t, s.starts, 1)
		require.ErrorIs(t, err, errBoom)
		require.ErrorIs(t, err, gone, "cancelled during the attempt")
	})
}

func TestBudgetBoundsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.MustNewBudget(retry.BudgetConfig{})
		r := retry.MustNew(retry.Config{Budget: b})
		starts := 0
		for range 1000 {
			s := fails(9)
			_ = r.Do(t.Context(), s.call)
			starts += len(s.starts)
		}
		require.Equal(t, 1000+35, starts, "500 tokens pay for 35 retries, and failures give none back")
		require.Equal(t, retry.BudgetStats{Tokens: 10, Limit: 500}, b.Stats())

		err := r.Do(t.Context(), fails(9).call)
		require.ErrorIs(t, err, retry.ErrBudget)
		require.ErrorIs(t, err, errBoom)

		for range 4 {
			require.NoError(t, r.Do(t.Context(), fails(0).call))
		}
		require.Equal(t, 1, b.Stats().Retries)
		require.NoError(t, r.Do(t.Context(), fails(1).call))
		require.Equal(t, 1, r.Stats().Budget.Tokens)
		for range 1000 {
			require.NoError(t, r.Do(t.Context(), fails(0).call))
		}
		require.Equal(t, 500, b.Stats().Tokens, "never above the limit")
	})
}

func TestBudgetIsSharedByAllThatHoldIt(t *testing.T) {
	b := retry.MustNewBudget(retry.BudgetConfig{Tokens: 10, Cost: 10})
	c := retry.Config{Budget: b, Delay: retry.NoDelay}
	one, other := retry.MustNew(c), retry.MustNew(c)
	require.ErrorIs(t, one.Do(t.Context(), fails(9).call), retry.ErrBudget)
	s := fails(9)
	require.ErrorIs(t, other.Do(t.Context(), s.call), retry.ErrBudget)
	require.Len(t, s.starts, 1)
}

func TestWithoutABudgetNothingIsBounded(t *testing.T) {
	for name, b := range map[string]*retry.Budget{"NoBudget": retry.NoBudget, "zero value": {}} {
		r := retry.MustNew(retry.Config{Budget: b, Delay: retry.NoDelay})
		for range 100 {
			require.ErrorIs(t, r.Do(t.Context(), fails(9).call), retry.ErrExhausted, name)
		}
		require.Zero(t, r.Stats().Budget)
	}
}

func TestEventsTellTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r steadytest.Recorder
		policy := retry.MustNew(retry.Config{Name: "db", Hook: &r})
		ctx := steady.ContextWithSource(t.Context(), constant(0.5))
		require.NoError(t, policy.Do(ctx, fails(1).call))
		require.Equal(t, []steady.Event{
			{Kind: steady.KindRetry, Policy: "retry", Name: "db", Attempt: 1, Delay: 25 * time.Millisecond, Err: errBoom},
			{Kind: steady.KindDone, Policy: "retry", Name: "db", Attempt: 2, Duration: 25 * time.Millisecond, Outcome: steady.Success},
		}, r.Events())

		r.Reset()
		err := policy.Do(ctx, (&script{errs: []error{refused{after: time.Hour, known: true}}}).call)
		require.Equal(t, []steady.Event{
			{Kind: steady.KindRejected, Policy: "retry", Name: "db", Attempt: 1, Outcome: steady.Ignored, Reason: "refused", Err: err},
		}, r.Events())
	})
}

// What the last attempt says of itself need not hold for those before it.
func TestAnErrorTellsWhetherThereWereAttemptsBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for attempts := 1; attempts <= 3; attempts++ {
			err := retry.MustNew(retry.Config{Attempts: attempts}).Do(t.Context(), func(context.Context) error { return errors.New("boom") })
			e, ok := errors.AsType[*retry.Error](err)
			require.True(t, ok)
			require.Equal(t, attempts > 1, e.Repeated())
		}
	})
}
