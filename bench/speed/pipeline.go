package speed

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/eapache/go-resiliency/retrier"
	"github.com/failsafe-go/failsafe-go"
	failsafebulkhead "github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	failsafetimeout "github.com/failsafe-go/failsafe-go/timeout"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

func pipelines() []Case {
	const (
		recommended = "bulkhead → retry → breaker → timeout"
		shown       = "retry → breaker → timeout → bulkhead"
		ignores     = ", the call ignores its context"
		waits       = ", the call waits on Done"
		ignored     = "it makes a small context for the call, and no timer"
		waited      = "it makes two contexts: a small one for the call, and behind it, when the call asks for Done, one that ends with the caller's"
	)
	of := func(name, about, reason string, call func(context.Context) error, variants []Variant) Case {
		return Case{
			Name: name, About: about, Call: same(call), Caller: Cancellable, Floor: withTimeout.Lib, Parallelism: 1, Reason: reason,
			Variants: append([]Variant{bareCall, withTimeout}, variants...),
		}
	}
	return []Case{
		of("PipelineIgnored", recommended+ignores, ignored, measure.Ignores, inRecommendedOrder()),
		of("PipelineWaited", recommended+waits, waited, measure.Waits, inRecommendedOrder()),
		of("PipelineShownIgnored", shown+ignores, ignored, measure.Ignores, inShownOrder()),
		of("PipelineShownWaited", shown+waits, waited, measure.Waits, inShownOrder()),
	}
}

// inRecommendedOrder are pipelines in the order that this library recommends.
func inRecommendedOrder() []Variant {
	return []Variant{
		{Lib: Steady, New: func() measure.Do {
			gate, again, guard, end := four()
			return steady.Chain(gate, again, guard, end).Do
		}},
		{Lib: "failsafe-go", New: func() measure.Do {
			gate, again, guard, end := failsafeFour()
			return failsafePipeline(gate, again, guard, end)
		}},
		{Lib: "by-hand", New: byHand},
		{Lib: "go-resiliency", Lacks: deadlineLacks, New: func() measure.Do {
			again, guard, gate := resiliencyThree()
			return func(ctx context.Context, call func(context.Context) error) error {
				return gate(ctx, func(ctx context.Context) error {
					return again(ctx, func(ctx context.Context) error {
						return guard(ctx, func(ctx context.Context) error { return resiliencyDeadline(ctx, call) })
					})
				})
			}
		}},
	}
}

// inShownOrder are pipelines in the order that other libraries show.
func inShownOrder() []Variant {
	return []Variant{
		{Lib: Steady, New: func() measure.Do {
			gate, again, guard, end := four()
			return steady.Chain(again, guard, end, gate).Do
		}},
		{Lib: "failsafe-go", New: func() measure.Do {
			gate, again, guard, end := failsafeFour()
			return failsafePipeline(again, guard, end, gate)
		}},
		{Lib: "by-hand", New: byHandInShownOrder},
		{Lib: "go-resiliency", Lacks: deadlineLacks, New: func() measure.Do {
			again, guard, gate := resiliencyThree()
			return func(ctx context.Context, call func(context.Context) error) error {
				return again(ctx, func(ctx context.Context) error {
					return guard(ctx, func(ctx context.Context) error {
						return resiliencyDeadline(ctx, func(ctx context.Context) error { return gate(ctx, call) })
					})
				})
			}
		}},
	}
}

func four() (*bulkhead.Bulkhead, *retry.Retry, *breaker.Breaker, *timeout.Timeout) {
	return bulkhead.MustNew(bulkhead.Config{Limit: limit}), retry.MustNew(retry.Config{}),
		breaker.MustNew(breaker.Config{OpenFor: never, MaxOpenFor: never}), timeout.MustNew(timeout.Config{Limit: never})
}

func failsafeFour() (gate, again, guard, end failsafe.Policy[any]) {
	return failsafebulkhead.New[any](limit),
		retrypolicy.NewBuilder[any]().WithMaxAttempts(attempts).WithBackoff(delay, maxDelay).Build(),
		rate(ratio), failsafetimeout.New[any](never)
}

// byHand composes libraries that each do one thing.
func byHand() measure.Do {
	gate, guard := semaphore.NewWeighted(limit), gobreaker.NewCircuitBreaker[struct{}](rolling(ratio))
	return func(ctx context.Context, call func(context.Context) error) error {
		if !gate.TryAcquire(1) {
			return errFull
		}
		defer gate.Release(1)
		_, err := backoff.Retry(ctx, func() (struct{}, error) {
			return guard.Execute(func() (struct{}, error) {
				ctx, cancel := context.WithTimeout(ctx, never)
				defer cancel()
				return struct{}{}, call(ctx)
			})
		}, backoff.WithMaxTries(attempts))
		return err
	}
}

func byHandInShownOrder() measure.Do {
	gate, guard := semaphore.NewWeighted(limit), gobreaker.NewCircuitBreaker[struct{}](rolling(ratio))
	return func(ctx context.Context, call func(context.Context) error) error {
		_, err := backoff.Retry(ctx, func() (struct{}, error) {
			return guard.Execute(func() (struct{}, error) {
				ctx, cancel := context.WithTimeout(ctx, never)
				defer cancel()
				if !gate.TryAcquire(1) {
					return struct{}{}, errFull
				}
				defer gate.Release(1)
				return struct{}{}, call(ctx)
			})
		}, backoff.WithMaxTries(attempts))
		return err
	}
}

func resiliencyThree() (again, guard, gate measure.Do) {
	return retrier.New(retrier.LimitedExponentialBackoff(attempts-1, delay, maxDelay), nil).RunCtx,
		resiliencyBreaker(ratio), resiliencySemaphore(limit, time.Second)
}
