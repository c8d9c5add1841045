package speed

import (
	"context"
	"time"

	rican "github.com/Rican7/retry"
	ricanbackoff "github.com/Rican7/retry/backoff"
	"github.com/Rican7/retry/strategy"
	avast "github.com/avast/retry-go/v5"
	"github.com/cenkalti/backoff/v5"
	"github.com/eapache/go-resiliency/retrier"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	sethvargo "github.com/sethvargo/go-retry"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/retry"
)

const (
	attempts = 3
	delay    = 50 * time.Millisecond
	maxDelay = 2 * time.Second
)

func retries() []Case {
	return []Case{{
		Name: "RetryFirst", About: "the first attempt succeeds", Call: same(measure.Ignores), Floor: bareCall.Lib, Parallelism: 1,
		Reason: "it looks at the caller's context before, and at its budget after the call",
		Variants: []Variant{
			bareCall,
			{Lib: Steady, New: func() measure.Do { return retry.MustNew(retry.Config{}).Do }}, // with the budget that it has by default
			{Lib: "failsafe-go", New: func() measure.Do {
				return failsafeRetry(retrypolicy.NewBuilder[any]().WithMaxAttempts(attempts).WithBackoff(delay, maxDelay))
			}},
			// Its backoff may not be shared, so that each call makes one.
			{Lib: "backoff", New: func() measure.Do { return cenkalti }},
			{Lib: "retry-go", Lacks: avastLacks, New: func() measure.Do {
				return avastRetry(avast.Attempts(attempts), avast.Delay(delay), avast.MaxDelay(maxDelay))
			}},
			{Lib: "go-retry", New: func() measure.Do {
				return sethvargoRetry(func() sethvargo.Backoff { return sethvargo.NewExponential(delay) })
			}},
			{Lib: "go-resiliency", Lacks: resiliencyLacks, New: func() measure.Do {
				return retrier.New(retrier.LimitedExponentialBackoff(attempts-1, delay, maxDelay), nil).RunCtx
			}},
			{Lib: "rican7-retry", Lacks: ricanLacks, New: func() measure.Do {
				return ricanRetry(strategy.Limit(attempts), strategy.Backoff(ricanbackoff.BinaryExponential(delay)))
			}},
		},
	}, {
		Name: "RetryTwoFailures", About: "the third attempt succeeds, no delay between them", Call: thrice, Floor: bareCall.Lib, Parallelism: 1,
		Reason: "it judges each error: permanent, a rejection, an inner retry's, the caller's; and tells the call which attempt it is, by a context",
		Variants: []Variant{
			bareCall,
			// Rivals have no budget by default, and such calls would soon have spent any.
			{Lib: Steady, New: func() measure.Do {
				return retry.MustNew(retry.Config{Delay: retry.NoDelay, Budget: retry.NoBudget}).Do
			}},
			{Lib: "failsafe-go", New: func() measure.Do {
				return failsafeRetry(retrypolicy.NewBuilder[any]().WithMaxAttempts(attempts))
			}},
			{Lib: "backoff", New: func() measure.Do {
				none := new(backoff.ZeroBackOff) // has no state
				return func(ctx context.Context, call func(context.Context) error) error {
					_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, call(ctx) },
						backoff.WithMaxTries(attempts), backoff.WithBackOff(none))
					return err
				}
			}},
			{Lib: "retry-go", Lacks: avastLacks, New: func() measure.Do {
				return avastRetry(avast.Attempts(attempts), avast.Delay(0), avast.DelayType(avast.FixedDelay))
			}},
			{Lib: "go-retry", New: func() measure.Do {
				none := sethvargo.BackoffFunc(func() (time.Duration, bool) { return 0, false })
				return sethvargoRetry(func() sethvargo.Backoff { return none })
			}},
			{Lib: "go-resiliency", Lacks: resiliencyLacks, New: func() measure.Do {
				return retrier.New(retrier.ConstantBackoff(attempts-1, 0), nil).RunCtx
			}},
			{Lib: "rican7-retry", Lacks: ricanLacks, New: func() measure.Do { return ricanRetry(strategy.Limit(attempts)) }},
		},
	}}
}

const (
	avastLacks      = "the context that ends its waits is fixed when it is built"
	resiliencyLacks = "no permanent errors, no Retry-After, starts calls for a caller that has left"
	ricanLacks      = "no context, no permanent errors, no Retry-After"
)

func failsafeRetry(b retrypolicy.Builder[any]) measure.Do {
	executor := failsafe.With[any](b.Build())
	return func(ctx context.Context, call func(context.Context) error) error {
		return executor.WithContext(ctx).Run(func() error { return call(ctx) })
	}
}

// cenkalti uses the default backoff of its library, which it makes for each call.
func cenkalti(ctx context.Context, call func(context.Context) error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, call(ctx) }, backoff.WithMaxTries(attempts))
	return err
}

func avastRetry(options ...avast.Option) measure.Do {
	r := avast.New(options...)
	return func(ctx context.Context, call func(context.Context) error) error {
		return r.Do(func() error { return call(ctx) })
	}
}

// sethvargoRetry marks each error, since this library repeats no others.
func sethvargoRetry(b func() sethvargo.Backoff) measure.Do {
	return func(ctx context.Context, call func(context.Context) error) error {
		return sethvargo.Do(ctx, sethvargo.WithMaxRetries(attempts-1, b()), func(ctx context.Context) error {
			return sethvargo.RetryableError(call(ctx))
		})
	}
}

func ricanRetry(s ...strategy.Strategy) measure.Do {
	return func(ctx context.Context, call func(context.Context) error) error {
		return rican.Retry(func(uint) error { return call(ctx) }, s...)
	}
}
