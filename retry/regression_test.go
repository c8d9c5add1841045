package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// Refusals that the next attempt would only meet again were repeated, and paid for
// with the budget of those that really fail.
func TestRefusalsThatCannotChangeAreFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forced := breaker.MustNew(breaker.Config{})
		forced.ForceOpen()
		noTime := timeout.MustNew(timeout.Config{Limit: time.Minute, MinRemaining: 30 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for name, inner := range map[string]steady.Policy{"forced open": forced, "too little time": noTime} {
			attempts := 0
			r := retry.MustNew(retry.Config{})
			err := r.Do(ctx, func(ctx context.Context) error {
				attempts++
				return inner.Do(ctx, func(context.Context) error { return nil })
			})
			require.Equal(t, 1, attempts, name)
			_, rejected := steady.AsRejection(err)
			require.True(t, rejected, "the rejection itself comes back: %v", err)
		}
		s := &script{errs: []error{steady.Permanent(refused{})}}
		require.Equal(t, s.errs[0], retry.MustNew(retry.Config{}).Do(ctx, s.call))
		require.Len(t, s.starts, 1)
	})
}

// A retry whose attempt is refused puts no load on anything. Twenty calls that a
// bulkhead refused emptied the budget, and the next that failed was not repeated.
func TestAttemptsThatAreRefusedCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.MustNewBudget(retry.BudgetConfig{})
		r := retry.MustNew(retry.Config{Budget: b})
		for range 100 {
			s := &script{errs: []error{refused{}, refused{}, refused{}}}
			require.Equal(t, refused{}, r.Do(t.Context(), s.call))
		}
		require.Equal(t, 500, b.Stats().Tokens)
	})
}

// Where Classify calls an answer a success, such as 404, what was called works.
func TestWhatClassifyCallsASuccessIsRefunded(t *testing.T) {
	notFound := errors.New("404")
	b := retry.MustNewBudget(retry.BudgetConfig{Tokens: 20, Cost: 10})
	r := retry.MustNew(retry.Config{Budget: b, Delay: retry.NoDelay, Classify: func(err error) steady.Outcome {
		if errors.Is(err, notFound) {
			return steady.Success
		}
		return steady.Failure
	}})
	require.ErrorIs(t, r.Do(t.Context(), fails(9).call), retry.ErrExhausted)
	require.Zero(t, b.Stats().Tokens)
	for range 5 {
		require.ErrorIs(t, r.Do(t.Context(), func(context.Context) error { return notFound }), notFound)
	}
	require.Equal(t, 5, b.Stats().Tokens)
}
