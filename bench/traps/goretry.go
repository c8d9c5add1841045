package traps

import (
	"context"
	"time"

	"github.com/sethvargo/go-retry"
)

var goRetryLibrary = Library{
	Name:   "go-retry",
	Module: "github.com/sethvargo/go-retry",
	Retry:  newGoRetry,
	Nonsense: map[Policy][]Nonsense{
		RetryPolicy: {
			{"a negative delay", func() error { return made(retry.NewExponential(-time.Second)) }},
			{"a negative longest delay", func() error {
				return made(retry.WithCappedDuration(-time.Second, retry.NewExponential(time.Second)))
			}},
			{"a jitter of 200 %", func() error {
				return made(retry.WithJitterPercent(200, retry.NewExponential(time.Second)))
			}},
		},
	},
}

type goRetryRetry struct{ config RetryConfig }

func newGoRetry(c RetryConfig) (Retry, error) {
	switch {
	case c.RetryAfter:
		return nil, Lacks("knows no Retry-After")
	case c.Budget:
		return nil, Lacks("has no budget")
	case c.OnRetry != nil:
		return nil, Lacks("has no callback")
	}
	return goRetryRetry{c}, nil
}

// backoff is one for each call, since it counts the attempts.
func (r goRetryRetry) backoff() retry.Backoff {
	b := retry.NewExponential(r.config.Delay)
	if r.config.MaxDelay > 0 {
		b = retry.WithCappedDuration(r.config.MaxDelay, b)
	}
	if r.config.Jitter {
		b = retry.WithJitterPercent(25, b)
	}
	return retry.WithMaxRetries(uint64(r.config.Attempts-1), b)
}

func (r goRetryRetry) Do(ctx context.Context, call func(context.Context) error) error {
	return retry.Do(ctx, r.backoff(), func(ctx context.Context) error {
		return retry.RetryableError(call(ctx)) // nil stays nil
	})
}

func (r goRetryRetry) Delays(n int) []time.Duration {
	b := r.backoff()
	delays := make([]time.Duration, n)
	for i := range delays {
		delays[i], _ = b.Next()
	}
	return delays
}
