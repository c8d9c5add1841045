// Faults that were put in to see these tests fail:
//
// Planted: budget.go: add without min → Stats.Tokens is 3, want 2
// Planted: budget.go: take at n <= cost → one attempt, want two
// Planted: budget.go: take while n > 0 → two attempts, want one; tokens below 0 or above the limit
// Planted: budget.go: take subtracts without comparing → retries at once, or tokens, below 0 (-race, two CPUs)
// Planted: budget.go: add stores without comparing → at the end 13 tokens, want fewer than none (-race, two CPUs)
// Planted: retry.go: no giveBack → Stats.Tokens is 0, want 1
// Planted: retry.go: a refund for each attempt → Stats.Tokens is 488, want 487
// Planted: retry.go: the first attempt refunds though it failed → Stats.Tokens is 473, want 472
// Planted: retry.go: only the first retry is paid for → Stats.Tokens is 486, want 472

package retry_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/retry"
)

// TestBudgetFollowsItsModel makes random calls through retries that share a
// budget, and keeps the account of its tokens in one integer.
func TestBudgetFollowsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newBudgetModel(t)
		actions := map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				require.Equal(t, retry.BudgetStats{Tokens: m.tokens, Limit: m.limit, Retries: m.tokens / m.cost}, m.budget.Stats())
				require.Equal(t, m.budget.Stats(), m.retries[0].Stats().Budget)
			},
			"succeed": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					m.do(t, 0, nil)
				}
			},
			"fail": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					m.do(t, 0, forever(errBoom))
				}
			},
			"any": func(t *rapid.T) {
				which := rapid.IntRange(0, len(m.retries)-1).Draw(t, "retry")
				errs := rapid.SliceOfN(rapid.SampledFrom([]error{
					errBoom, errBoom, errBoom, errIgnored, errForgiven, errPermanent, errRefused, errRefusedForLong, errRefusedForGood, errCancel, errCancelInDelay, nil,
				}), 0, 8).Draw(t, "errors")
				m.do(t, which, append(errs, nil))
			},
		}
		for range 2 {
			t.Repeat(actions)
		}
	})
}

// What a scripted call returns, or what happens around it.
var (
	errIgnored              = errors.New("ignored")
	errPermanent            = steady.Permanent(errBoom)
	errRefused        error = refused{known: true}
	errRefusedForLong error = refused{after: time.Hour, known: true}
	errRefusedForGood       = steady.Permanent(refused{})
	errForgiven             = errors.New("forgiven")
	errCancel               = errors.New("the caller cancels during the call")
	errCancelInDelay        = errors.New("the caller cancels between this attempt and the next")
)

// forever is a script of more errors than any retry makes attempts.
func forever(err error) []error {
	errs := make([]error, 10)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// A budgetModel is a budget, and the integer that it is to be.
type budgetModel struct {
	budget              *retry.Budget
	limit, cost, refund int
	tokens              int

	attempts []int // of each retry
	retries  []*retry.Retry
	cancel   context.CancelFunc // of the call that is being made
}

func newBudgetModel(t *rapid.T) *budgetModel {
	var c retry.BudgetConfig
	if rapid.Bool().Draw(t, "configured") {
		c.Tokens = rapid.IntRange(1, 100).Draw(t, "Tokens")
		c.Cost = rapid.IntRange(1, c.Tokens).Draw(t, "Cost")
		c.Refund = rapid.IntRange(1, c.Tokens).Draw(t, "Refund")
	}
	m := &budgetModel{
		budget: retry.MustNewBudget(c),
		limit:  cmp.Or(c.Tokens, 500), cost: cmp.Or(c.Cost, 14), refund: cmp.Or(c.Refund, 1),
	}
	m.tokens = m.limit
	for range 3 {
		attempts := rapid.IntRange(1, 6).Draw(t, "Attempts")
		m.attempts = append(m.attempts, attempts)
		m.retries = append(m.retries, retry.MustNew(retry.Config{
			Attempts: attempts,
			Delay:    retry.NoDelay,
			MaxDelay: time.Second,
			Budget:   m.budget,
			Classify: func(err error) steady.Outcome {
				switch {
				case errors.Is(err, errIgnored):
					return steady.Ignored
				case errors.Is(err, errForgiven):
					return steady.Success
				}
				return steady.Failure
			},
			Hook: steady.HookFunc(func(_ context.Context, e steady.Event) {
				if e.Kind == steady.KindRetry && errors.Is(e.Err, errCancelInDelay) {
					m.cancel()
				}
			}),
		}))
	}
	return m
}

// do makes a call that returns one of errs after the other, and checks how many
// attempts there were and why no more.
func (m *budgetModel) do(t *rapid.T, which int, errs []error) {
	errs = append(errs, nil)
	var want error
	wantAttempts := 0
	for {
		err := errs[wantAttempts]
		wantAttempts++
		if wantAttempts > 1 && (err == errRefused || err == errRefusedForLong || err == errRefusedForGood) {
			m.tokens = min(m.tokens+m.cost, m.limit) // an attempt that was not started is no load
		}
		if err == errForgiven {
			m.tokens = min(m.tokens+m.refund, m.limit)
			want = err
			break
		}
		if err == nil {
			m.tokens = min(m.tokens+m.refund, m.limit)
			break
		}
		if err == errCancel {
			want = context.Canceled
			break
		}
		if err == errIgnored || err == errPermanent || err == errRefusedForGood {
			want = err
			break
		}
		if wantAttempts == m.attempts[which] {
			want = retry.ErrExhausted
			break
		}
		if err == errRefusedForLong {
			want = retry.ErrTooLate
			break
		}
		if m.tokens < m.cost {
			want = retry.ErrBudget
			break
		}
		if err == errCancelInDelay { // a retry that was not made is not paid for
			want = context.Canceled
			break
		}
		m.tokens -= m.cost
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.cancel = cancel
	attempts, started := 0, false
	err := m.retries[which].Do(ctx, func(context.Context) error {
		err := errs[attempts]
		if attempts++; err == errCancel {
			cancel()
		}
		started = started || (err != errRefused && err != errRefusedForLong && err != errRefusedForGood)
		return err
	})
	require.Equal(t, wantAttempts, attempts)
	switch {
	case want == nil:
		require.NoError(t, err)
	case !started && want != context.Canceled: // then the rejection itself comes back
		require.Equal(t, errs[attempts-1], err)
	default:
		require.ErrorIs(t, err, want)
	}
}

// TestBudgetLosesNoToken checks the books after a crowd of calls, of which some
// succeed, some never do, and some are cancelled before the retry that they have
// paid for. The limit is out of reach, so that every refund counts.
func TestBudgetLosesNoToken(t *testing.T) {
	const limit, goroutines, calls = 300_000, 8, 10_000
	budget := retry.MustNewBudget(retry.BudgetConfig{Tokens: limit})
	drain := retry.MustNew(retry.Config{Attempts: 10_001, Delay: retry.NoDelay, Budget: budget})
	require.ErrorIs(t, drain.Do(t.Context(), func(context.Context) error { return errBoom }), retry.ErrExhausted)
	start := budget.Stats().Tokens
	require.Equal(t, limit-14*10_000, start)
	require.Less(t, start+goroutines*calls, limit)

	var attempts, refunds, empty atomic.Int64
	run(t, budget, goroutines, func(draw *rand.Rand) {
		var cancel context.CancelFunc
		r := retry.MustNew(retry.Config{Attempts: 5, Delay: retry.NoDelay, Budget: budget,
			Hook: steady.HookFunc(func(_ context.Context, e steady.Event) {
				if e.Kind == steady.KindRetry && errors.Is(e.Err, errCancelInDelay) {
					cancel()
				}
			})})
		for range calls {
			left := 0 // failures before the call succeeds
			if draw.IntN(2) == 0 {
				left = draw.IntN(6)
			}
			made := int64(0)
			var ctx context.Context
			ctx, cancel = context.WithCancel(context.Background())
			err := r.Do(ctx, func(context.Context) error {
				made++
				if left--; left < 0 {
					return nil
				}
				if draw.IntN(10) == 0 {
					return errCancelInDelay
				}
				return errBoom
			})
			cancel()
			attempts.Add(made - 1)
			switch {
			case err == nil:
				refunds.Add(1)
			case errors.Is(err, retry.ErrBudget):
				empty.Add(1)
			}
		}
	})
	require.Equal(t, start-14*int(attempts.Load())+int(refunds.Load()), budget.Stats().Tokens)
	require.Positive(t, empty.Load(), "it has been empty")
}

// TestATokenIsSpentOnce: a budget of one retry, which a retry that succeeds gives
// back, lets no more than one be under way.
func TestATokenIsSpentOnce(t *testing.T) {
	budget := retry.MustNewBudget(retry.BudgetConfig{Tokens: 14, Cost: 14, Refund: 14})
	r := retry.MustNew(retry.Config{Attempts: 2, Delay: retry.NoDelay, Budget: budget})
	var underWay, most, below, made atomic.Int64
	run(t, budget, 4, func(*rand.Rand) {
		for range 100_000 {
			_ = r.Do(context.Background(), func(ctx context.Context) error {
				if steady.Attempt(ctx) == 1 {
					return errBoom
				}
				made.Add(1)
				if n := underWay.Add(1); n > 1 {
					most.Store(n)
				}
				if n := budget.Stats().Tokens; n < 0 {
					below.Store(int64(n))
				}
				underWay.Add(-1)
				return nil
			})
		}
	})
	require.Zero(t, most.Load(), "retries at once")
	require.Zero(t, below.Load(), "tokens")
	require.Equal(t, 14, budget.Stats().Tokens)
	require.Greater(t, made.Load(), int64(1000))
}

// TestAnOutageGetsNoMoreThanTheBudget: without a success, all callers together
// make as many retries as the tokens pay for.
func TestAnOutageGetsNoMoreThanTheBudget(t *testing.T) {
	const tokens = 500_000
	budget := retry.MustNewBudget(retry.BudgetConfig{Tokens: tokens})
	var attempts atomic.Int64
	r := retry.MustNew(retry.Config{Attempts: 4, Delay: retry.NoDelay, Budget: budget})
	run(t, budget, 8, func(*rand.Rand) {
		for range 5000 {
			_ = r.Do(context.Background(), func(context.Context) error { attempts.Add(1); return errBoom })
		}
	})
	require.Equal(t, int64(8*5000+tokens/14), attempts.Load())
	require.Equal(t, retry.BudgetStats{Tokens: tokens % 14, Limit: tokens}, budget.Stats())
}

// TestBudgetNeverExceedsItsLimit: a crowd of successes fills it and no more.
func TestBudgetNeverExceedsItsLimit(t *testing.T) {
	budget := retry.MustNewBudget(retry.BudgetConfig{Tokens: 30, Refund: 7})
	r := retry.MustNew(retry.Config{Attempts: 2, Delay: retry.NoDelay, Budget: budget})
	run(t, budget, 8, func(draw *rand.Rand) {
		for range 4000 {
			fail := draw.IntN(3) == 0
			_ = r.Do(context.Background(), func(context.Context) error {
				if fail {
					fail = false
					return errBoom
				}
				return nil
			})
		}
		for range 5 { // whoever is last fills it up
			_ = r.Do(context.Background(), func(context.Context) error { return nil })
		}
	})
	require.Equal(t, 30, budget.Stats().Tokens)
}

// run runs call on several goroutines at once, and watches meanwhile that the
// tokens stay between 0 and the limit.
func run(t *testing.T, budget *retry.Budget, goroutines int, call func(draw *rand.Rand)) {
	t.Helper()
	var callers, watcher sync.WaitGroup
	done := make(chan struct{})
	var outside atomic.Int64
	watcher.Go(func() {
		for {
			if s := budget.Stats(); s.Tokens < 0 || s.Tokens > s.Limit {
				outside.Store(int64(s.Tokens))
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	start := make(chan struct{})
	for i := range goroutines {
		callers.Go(func() {
			<-start
			call(rand.New(rand.NewPCG(uint64(i), 1)))
		})
	}
	close(start)
	callers.Wait()
	close(done)
	watcher.Wait()
	require.Zero(t, outside.Load(), "tokens below 0 or above the limit")
}
