package traps

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
)

var failsafeLibrary = Library{
	Name:     "failsafe-go",
	Module:   "github.com/failsafe-go/failsafe-go",
	Breaker:  newFailsafeBreaker,
	Bulkhead: newFailsafeBulkhead,
	Retry:    newFailsafeRetry,
	Timeout:  newFailsafeTimeout,
	Nonsense: map[Policy][]Nonsense{
		BreakerPolicy: {
			{"a failure rate of 1.5", func() error {
				return made(circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(1.5, 10, time.Second).Build())
			}},
			{"a threshold of 10 failures of 5 calls", func() error {
				return made(circuitbreaker.NewBuilder[any]().WithFailureThresholdRatio(10, 5).Build())
			}},
			{"a negative open time", func() error {
				return made(circuitbreaker.NewBuilder[any]().WithDelay(-time.Second).Build())
			}},
		},
		BulkheadPolicy: {
			{"a limit of 0", func() error { return made(bulkhead.New[any](0)) }},
			{"a negative wait", func() error {
				return made(bulkhead.NewBuilder[any](1).WithMaxWaitTime(-time.Second).Build())
			}},
		},
		RetryPolicy: {
			{"-5 attempts", func() error { return made(retrypolicy.NewBuilder[any]().WithMaxAttempts(-5).Build()) }},
			{"a negative delay", func() error { return made(retrypolicy.NewBuilder[any]().WithDelay(-time.Second).Build()) }},
			{"a longest delay below the first", func() error {
				return made(retrypolicy.NewBuilder[any]().WithBackoff(time.Minute, time.Second).Build())
			}},
		},
		TimeoutPolicy: {
			{"a limit of 0", func() error { return made(timeout.New[any](0)) }},
			{"a negative limit", func() error { return made(timeout.New[any](-time.Second)) }},
		},
	},
	Notes: map[string]string{
		"6": "Callers should call ReleasePermit to release a successfully acquired permit back to the Bulkhead.",
	},
	Remedies: map[string]string{
		"12":  "WithFailureThresholdRatio, whose window is a number of calls",
		"13a": "HandleIf (a cancel is then a success)",
		"20a": "WithMaxDuration",
	},
}

// failsafePolicy is any one policy.
type failsafePolicy struct{ failsafe.Executor[any] }

func (p failsafePolicy) Do(ctx context.Context, call func(context.Context) error) error {
	return p.WithContext(ctx).RunWithExecution(func(e failsafe.Execution[any]) error {
		return call(e.Context())
	})
}

type failsafeBreaker struct {
	failsafePolicy
	breaker circuitbreaker.CircuitBreaker[any]
}

func (b failsafeBreaker) State() string { return b.breaker.State().String() }
func (b failsafeBreaker) Failures() int { return int(b.breaker.Metrics().Failures()) }

func newFailsafeBreaker(c BreakerConfig) (Breaker, error) {
	builder := circuitbreaker.NewBuilder[any]().WithDelay(openFor).WithSuccessThreshold(probes)
	switch {
	case c.Failures > 0:
		builder.WithFailureThreshold(uint(c.Failures))
	case c.Remedy:
		builder.WithFailureThresholdRatio(uint(math.Ceil(c.Ratio*float64(c.MinCalls))), uint(c.MinCalls))
	default:
		builder.WithFailureRateThreshold(c.Ratio, uint(c.MinCalls), window)
	}
	if c.Excluded != nil {
		builder.HandleIf(func(_ any, err error) bool { return err != nil && !errors.Is(err, c.Excluded) })
	}
	if c.Remedy {
		builder.HandleIf(func(_ any, err error) bool { return err != nil && !errors.Is(err, context.Canceled) })
	}
	if c.OnChange != nil {
		builder.OnStateChanged(func(circuitbreaker.StateChangedEvent) { c.OnChange() })
	}
	b := builder.Build()
	return failsafeBreaker{failsafePolicy{failsafe.With[any](b)}, b}, nil
}

type failsafeBulkhead struct {
	failsafePolicy
	bulkhead bulkhead.Bulkhead[any]
}

func (b failsafeBulkhead) Acquire(ctx context.Context) (release func(), err error) {
	return b.bulkhead.ReleasePermit, b.bulkhead.AcquirePermitWithMaxWait(ctx, 0)
}

func newFailsafeBulkhead(c BulkheadConfig) (Bulkhead, error) {
	b := bulkhead.NewBuilder[any](uint(c.Limit)).WithMaxWaitTime(c.MaxWait).Build()
	return failsafeBulkhead{failsafePolicy{failsafe.With[any](b)}, b}, nil
}

// A failsafeRetry gives its calls the result type of an HTTP client, since that is
// where the library knows of Retry-After.
type failsafeRetry struct {
	executor failsafe.Executor[*http.Response]
	heard    *[]time.Duration
}

func newFailsafeRetry(c RetryConfig) (Retry, error) {
	builder := retrypolicy.NewBuilder[*http.Response]()
	if c.RetryAfter {
		builder = failsafehttp.NewRetryPolicyBuilder()
	}
	maxDelay := c.MaxDelay
	if maxDelay == 0 {
		maxDelay = time.Minute // it insists on one
	}
	builder.WithMaxAttempts(c.Attempts)
	if maxDelay > c.Delay {
		builder.WithBackoff(c.Delay, maxDelay)
	} else {
		builder.WithDelay(c.Delay) // it insists on a longer MaxDelay
	}
	if c.Jitter {
		builder.WithJitterFactor(0.25)
	}
	if c.Budget {
		builder.WithBudget(budget.New())
	}
	if c.OnRetry != nil {
		builder.OnRetry(func(failsafe.ExecutionEvent[*http.Response]) { c.OnRetry() })
	}
	if c.Remedy {
		builder.WithMaxDuration(time.Minute)
	}
	heard := new([]time.Duration)
	if c.MaxDelay == 0 { // a scenario that asks for the delays makes one call at a time
		builder.OnRetryScheduled(func(e failsafe.ExecutionScheduledEvent[*http.Response]) { *heard = append(*heard, e.Delay) })
	}
	return failsafeRetry{failsafe.With[*http.Response](builder.Build()), heard}, nil
}

func (r failsafeRetry) Do(ctx context.Context, call func(context.Context) error) error {
	var last *RetryAfterError
	_, err := r.executor.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[*http.Response]) (*http.Response, error) {
		err := call(e.Context())
		if errors.As(err, &last) {
			seconds := strconv.Itoa(int(last.After / time.Second))
			return &http.Response{
				StatusCode: http.StatusTooManyRequests,
				Header:     http.Header{"Retry-After": {seconds}},
			}, nil
		}
		return nil, err
	})
	if err == nil && last != nil {
		return last
	}
	return err
}

func (r failsafeRetry) Delays(n int) []time.Duration {
	_ = r.Do(context.Background(), down)
	return (*r.heard)[:n]
}

type failsafeTimeout struct{ failsafePolicy }

func (failsafeTimeout) TimedOut(err error) bool { return errors.Is(err, timeout.ErrExceeded) }

func newFailsafeTimeout(c TimeoutConfig) (Timeout, error) {
	if c.Mode == Abandons {
		return nil, cannotLeave
	}
	return failsafeTimeout{failsafePolicy{failsafe.With[any](timeout.New[any](c.Limit))}}, nil
}
