package traps

import (
	"context"
	"errors"
	"time"

	"github.com/cenk/backoff"
	circuit "github.com/rubyist/circuitbreaker"
)

var circuitbreakerLibrary = Library{
	Name:    "circuitbreaker",
	Module:  "github.com/rubyist/circuitbreaker",
	Breaker: newCircuitbreaker,
	Timeout: newCircuitbreakerTimeout,
	Nonsense: map[Policy][]Nonsense{
		BreakerPolicy: {
			{"a failure rate of 1.5", func() error { return made(circuit.NewRateBreaker(1.5, 10)) }},
			{"a threshold of -1 failures", func() error { return made(circuit.NewConsecutiveBreaker(-1)) }},
			{"a negative window", func() error {
				return made(circuit.NewBreakerWithOptions(&circuit.Options{WindowTime: -time.Second}))
			}},
		},
	},
}

type circuitbreakerBreaker struct{ *circuit.Breaker }

func (b circuitbreakerBreaker) State() string {
	if b.Tripped() {
		return "open"
	}
	return "closed"
}

func (b circuitbreakerBreaker) Failures() int { return int(b.Breaker.Failures()) }

func (b circuitbreakerBreaker) Do(ctx context.Context, call func(context.Context) error) error {
	return b.CallContext(ctx, func() error { return call(ctx) }, 0)
}

func newCircuitbreaker(c BreakerConfig) (Breaker, error) {
	switch {
	case c.Excluded != nil:
		return nil, Lacks("has no way to exclude errors")
	case c.OnChange != nil:
		return nil, Lacks("has no hook: it reports through channels")
	}
	trips := circuit.ConsecutiveTripFunc(int64(c.Failures))
	if c.Ratio > 0 {
		trips = circuit.RateTripFunc(c.Ratio, int64(c.MinCalls)) // its window is ten seconds too
	}
	// Its default kind of open time, with our first interval. By chance it would be
	// up to 1.5 times that, and no two runs would be alike.
	open := backoff.NewExponentialBackOff()
	open.InitialInterval, open.RandomizationFactor, open.MaxElapsedTime = openFor, 0, 0
	open.Reset()
	return circuitbreakerBreaker{circuit.NewBreakerWithOptions(&circuit.Options{
		BackOff:    open,
		ShouldTrip: trips,
	})}, nil
}

// A circuitbreakerTimeout is the timeout that each call through a breaker may have.
type circuitbreakerTimeout struct {
	*circuit.Breaker
	limit time.Duration
}

func (t circuitbreakerTimeout) Do(ctx context.Context, call func(context.Context) error) error {
	return t.CallContext(ctx, func() error { return call(ctx) }, t.limit)
}

func (circuitbreakerTimeout) TimedOut(err error) bool {
	return errors.Is(err, circuit.ErrBreakerTimeout)
}

func newCircuitbreakerTimeout(c TimeoutConfig) (Timeout, error) {
	switch c.Mode {
	case Contexts:
		return nil, hasNoContext
	case Waits:
		return nil, cannotWait
	}
	return circuitbreakerTimeout{circuit.NewConsecutiveBreaker(10), c.Limit}, nil
}
