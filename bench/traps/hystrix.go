package traps

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/afex/hystrix-go/hystrix"
)

var hystrixLibrary = Library{
	Name:     "hystrix-go",
	Module:   "github.com/afex/hystrix-go",
	Breaker:  newHystrixBreaker,
	Bulkhead: newHystrixPool,
	Timeout:  newHystrixTimeout,
	Nonsense: map[Policy][]Nonsense{
		BreakerPolicy: {
			{"a threshold of 150 %", func() error {
				hystrix.ConfigureCommand("nonsense", hystrix.CommandConfig{ErrorPercentThreshold: 150})
				return nil
			}},
			{"a negative open time", func() error {
				hystrix.ConfigureCommand("nonsense", hystrix.CommandConfig{SleepWindow: -1000})
				return nil
			}},
		},
		BulkheadPolicy: {
			{"a limit of -1", func() error {
				hystrix.ConfigureCommand("negative limit", hystrix.CommandConfig{MaxConcurrentRequests: -1})
				_, _, err := hystrix.GetCircuit("negative limit")
				return err
			}},
		},
		TimeoutPolicy: {
			{"a negative limit", func() error {
				hystrix.ConfigureCommand("nonsense", hystrix.CommandConfig{Timeout: -1000})
				return nil
			}},
		},
	},
}

// A hystrixCommand is a command of hystrix, which is breaker, bulkhead and timeout
// in one. What a scenario does not test is set so wide that it plays no part.
type hystrixCommand string

func newHystrix(c hystrix.CommandConfig) hystrixCommand {
	const name = "command" // each scenario has a process to itself
	hystrix.ConfigureCommand(name, c)
	return name
}

func (h hystrixCommand) Do(ctx context.Context, call func(context.Context) error) error {
	return hystrix.DoC(ctx, string(h), call, nil)
}

func (h hystrixCommand) State() string {
	if circuit, _, err := hystrix.GetCircuit(string(h)); err == nil && circuit.IsOpen() {
		return "open"
	}
	return "closed"
}

func (hystrixCommand) TimedOut(err error) bool { return errors.Is(err, hystrix.ErrTimeout) }

const (
	hystrixNever = int(24 * time.Hour / time.Millisecond)
	hystrixMany  = 10_000
)

func newHystrixBreaker(c BreakerConfig) (Breaker, error) {
	switch {
	case c.Excluded != nil:
		return nil, Lacks("has no way to exclude errors")
	case c.OnChange != nil:
		return nil, Lacks("has no hook for changes of state")
	}
	config := hystrix.CommandConfig{
		Timeout:                hystrixNever,
		MaxConcurrentRequests:  hystrixMany,
		RequestVolumeThreshold: c.Failures, // the nearest to a row: all of so many calls
		ErrorPercentThreshold:  100,
		SleepWindow:            int(openFor / time.Millisecond),
	}
	if c.Ratio > 0 { // its window is ten seconds too
		config.RequestVolumeThreshold = c.MinCalls
		config.ErrorPercentThreshold = int(math.Round(100 * c.Ratio))
	}
	return newHystrix(config), nil
}

func newHystrixPool(c BulkheadConfig) (Bulkhead, error) {
	if c.MaxWait > 0 {
		return nil, Lacks("has no queue")
	}
	return newHystrix(hystrix.CommandConfig{Timeout: hystrixNever, MaxConcurrentRequests: c.Limit}), nil
}

func newHystrixTimeout(c TimeoutConfig) (Timeout, error) {
	if c.Mode == Waits {
		return nil, cannotWait
	}
	return newHystrix(hystrix.CommandConfig{Timeout: int(c.Limit / time.Millisecond)}), nil
}
