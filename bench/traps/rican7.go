package traps

import (
	"context"
	"math/rand"
	"time"

	"github.com/Rican7/retry"
	"github.com/Rican7/retry/backoff"
	"github.com/Rican7/retry/jitter"
	"github.com/Rican7/retry/strategy"
)

var rican7Library = Library{
	Name:   "Rican7/retry",
	Module: "github.com/Rican7/retry",
	Retry:  newRican7,
	Nonsense: map[Policy][]Nonsense{
		RetryPolicy: {
			{"a negative delay", func() error {
				return retry.Retry(func(uint) error { return nil }, strategy.Backoff(backoff.BinaryExponential(-time.Second)))
			}},
			{"a deviation of -1", func() error {
				return retry.Retry(func(uint) error { return nil },
					strategy.BackoffWithJitter(backoff.BinaryExponential(time.Second), jitter.Deviation(nil, -1)))
			}},
		},
	},
}

type rican7Retry struct{ config RetryConfig }

func newRican7(c RetryConfig) (Retry, error) {
	switch {
	case c.RetryAfter:
		return nil, Lacks("knows no Retry-After")
	case c.Budget:
		return nil, Lacks("has no budget")
	case c.OnRetry != nil:
		return nil, Lacks("has no callback")
	}
	return rican7Retry{c}, nil
}

// algorithm is the exponential backoff. It has no longest delay; the first is
// Delay.
func (r rican7Retry) algorithm() backoff.Algorithm {
	return backoff.BinaryExponential(r.config.Delay / 2)
}

func (r rican7Retry) Do(ctx context.Context, call func(context.Context) error) error {
	waits := strategy.Backoff(r.algorithm())
	if r.config.Jitter {
		// By default each would be seeded by the clock, which in virtual time is the
		// same for all.
		random := rand.New(rand.NewSource(rand.Int63()))
		waits = strategy.BackoffWithJitter(r.algorithm(), jitter.Deviation(random, 0.25))
	}
	return retry.Retry(func(uint) error { return call(ctx) }, strategy.Limit(uint(r.config.Attempts)), waits)
}

func (r rican7Retry) Delays(n int) []time.Duration {
	delay := r.algorithm()
	delays := make([]time.Duration, n)
	for i := range delays {
		delays[i] = delay(uint(i + 1))
	}
	return delays
}
