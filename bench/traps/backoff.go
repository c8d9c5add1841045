package traps

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

var backoffLibrary = Library{
	Name:   "backoff",
	Module: "github.com/cenkalti/backoff/v5",
	Retry:  newBackoff,
	Notes:  map[string]string{"23d": "It ensures the operation is executed at least once."},
	Nonsense: map[Policy][]Nonsense{
		RetryPolicy: {
			{"a negative delay", backoffNonsense(func(b *backoff.ExponentialBackOff) { b.InitialInterval = -time.Second })},
			{"a multiplier of -1", backoffNonsense(func(b *backoff.ExponentialBackOff) { b.Multiplier = -1 })},
			{"a longest delay below the first", backoffNonsense(func(b *backoff.ExponentialBackOff) { b.MaxInterval = time.Millisecond })},
		},
	},
}

// backoffNonsense makes a call with a backoff, since that is where faults could
// come to light: it has no constructor that could refuse.
func backoffNonsense(spoil func(*backoff.ExponentialBackOff)) func() error {
	return func() error {
		b := backoff.NewExponentialBackOff()
		spoil(b)
		_, err := backoff.Retry(context.Background(), func() (any, error) { return nil, nil }, backoff.WithBackOff(b))
		return err
	}
}

type backoffRetry struct{ config RetryConfig }

func newBackoff(c RetryConfig) (Retry, error) {
	if c.Budget {
		return nil, Lacks("has no budget")
	}
	return backoffRetry{c}, nil
}

// exponential is one for each call, as its documentation demands.
func (r backoffRetry) exponential() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.Multiplier = r.config.Delay, 2
	if r.config.MaxDelay > 0 {
		b.MaxInterval = r.config.MaxDelay
	}
	if !r.config.Jitter {
		b.RandomizationFactor = 0
	}
	return b
}

func (r backoffRetry) Do(ctx context.Context, call func(context.Context) error) error {
	options := []backoff.RetryOption{
		backoff.WithBackOff(r.exponential()),
		backoff.WithMaxTries(uint(r.config.Attempts)),
		// Its default would end some scenarios before they have begun.
		backoff.WithMaxElapsedTime(max(backoff.DefaultMaxElapsedTime, 2*r.config.Delay*time.Duration(r.config.Attempts))),
	}
	if r.config.OnRetry != nil {
		options = append(options, backoff.WithNotify(func(error, time.Duration) { r.config.OnRetry() }))
	}
	_, err := backoff.Retry(ctx, func() (any, error) {
		err := call(ctx)
		if after, ok := errors.AsType[*RetryAfterError](err); ok {
			return nil, backoff.RetryAfter(int(after.After / time.Second))
		}
		return nil, err
	}, options...)
	return err
}

func (r backoffRetry) Delays(n int) []time.Duration {
	b := r.exponential()
	delays := make([]time.Duration, n)
	for i := range delays {
		delays[i] = b.NextBackOff()
	}
	return delays
}
