package traps

import (
	"context"
	"errors"

	"github.com/sony/gobreaker/v2"
)

var gobreakerLibrary = Library{
	Name:    "gobreaker",
	Module:  "github.com/sony/gobreaker/v2",
	Breaker: newGobreaker,
	// No Nonsense: what values below zero mean is documented.
	Remedies: map[string]string{"13a": "Settings.IsExcluded"},
}

type gobreakerBreaker struct {
	breaker *gobreaker.CircuitBreaker[any]
}

func (b gobreakerBreaker) State() string { return b.breaker.State().String() }
func (b gobreakerBreaker) Failures() int { return int(b.breaker.Counts().TotalFailures) }

func (b gobreakerBreaker) Do(ctx context.Context, call func(context.Context) error) error {
	_, err := b.breaker.Execute(func() (any, error) { return nil, call(ctx) })
	return err
}

func newGobreaker(c BreakerConfig) (Breaker, error) {
	s := gobreaker.Settings{
		MaxRequests: probes,
		Timeout:     openFor,
	}
	if c.Failures > 0 {
		s.ReadyToTrip = func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= uint32(c.Failures) }
	} else {
		s.Interval, s.BucketPeriod = window, window/10 // its sliding window
		s.ReadyToTrip = func(n gobreaker.Counts) bool {
			return n.Requests >= uint32(c.MinCalls) && float64(n.TotalFailures)/float64(n.Requests) >= c.Ratio
		}
	}
	switch {
	case c.Excluded != nil:
		s.IsExcluded = func(err error) bool { return errors.Is(err, c.Excluded) }
	case c.Remedy:
		s.IsExcluded = func(err error) bool { return errors.Is(err, context.Canceled) }
	}
	if c.OnChange != nil {
		s.OnStateChange = func(string, gobreaker.State, gobreaker.State) { c.OnChange() }
	}
	return gobreakerBreaker{gobreaker.NewCircuitBreaker[any](s)}, nil
}
