package traps

import (
	"context"
	"errors"
	"time"

	"github.com/eapache/go-resiliency/breaker"
	"github.com/eapache/go-resiliency/deadline"
	"github.com/eapache/go-resiliency/retrier"
	"github.com/eapache/go-resiliency/semaphore"
)

var resiliencyLibrary = Library{
	Name:     "go-resiliency",
	Module:   "github.com/eapache/go-resiliency",
	Breaker:  newResiliencyBreaker,
	Bulkhead: newResiliencySemaphore,
	Retry:    newResiliencyRetrier,
	Timeout:  newResiliencyDeadline,
	Nonsense: map[Policy][]Nonsense{
		BreakerPolicy: {
			{"a threshold of 0 errors", func() error { return made(breaker.New(0, 1, time.Second)) }},
			{"a threshold of -1 successes", func() error { return made(breaker.New(10, -1, time.Second)) }},
			{"a negative open time", func() error { return made(breaker.New(10, 1, -time.Second)) }},
		},
		BulkheadPolicy: {
			{"a limit of 0", func() error { return made(semaphore.New(0, time.Second)) }},
			{"a limit of -1", func() error { return made(semaphore.New(-1, time.Second)) }},
			{"a negative wait", func() error { return made(semaphore.New(1, -time.Second)) }},
		},
		RetryPolicy: {
			{"a negative delay", func() error {
				return made(retrier.New(retrier.ConstantBackoff(3, -time.Second), nil))
			}},
			{"a longest delay below the first", func() error {
				return made(retrier.New(retrier.LimitedExponentialBackoff(3, time.Minute, time.Second), nil))
			}},
		},
		TimeoutPolicy: {
			{"a limit of 0", func() error { return made(deadline.New(0)) }},
			{"a negative limit", func() error { return made(deadline.New(-time.Second)) }},
		},
	},
	Notes: map[string]string{
		"6": "It is an error to call Release on a Semaphore from which you have not first acquired a ticket.",
	},
	Remedies: map[string]string{
		"18":  "LimitedExponentialBackoff",
		"21b": "WithSurfaceWorkErrors",
	},
}

type resiliencyBreaker struct{ *breaker.Breaker }

func (b resiliencyBreaker) State() string {
	switch b.GetState() {
	case breaker.Closed:
		return "closed"
	case breaker.Open:
		return "open"
	}
	return "half-open"
}

func (b resiliencyBreaker) Do(ctx context.Context, call func(context.Context) error) error {
	return b.Run(func() error { return call(ctx) })
}

func newResiliencyBreaker(c BreakerConfig) (Breaker, error) {
	switch {
	case c.Ratio > 0:
		return nil, Lacks("counts errors without a pause, knows neither ratio nor window")
	case c.Excluded != nil:
		return nil, Lacks("has no way to exclude errors")
	case c.OnChange != nil:
		return nil, Lacks("has no hook")
	}
	return resiliencyBreaker{breaker.New(c.Failures, probes, openFor)}, nil
}

// A resiliencySemaphore releases as its documentation says, in a defer statement.
type resiliencySemaphore struct{ semaphore *semaphore.Semaphore }

func (s resiliencySemaphore) Do(ctx context.Context, call func(context.Context) error) error {
	if err := s.semaphore.Acquire(); err != nil {
		return err
	}
	defer s.semaphore.Release()
	return call(ctx)
}

func (s resiliencySemaphore) Acquire(context.Context) (release func(), err error) {
	return s.semaphore.Release, s.semaphore.Acquire()
}

func newResiliencySemaphore(c BulkheadConfig) (Bulkhead, error) {
	// With a timeout of 0 it refuses at random even when it has tickets.
	return resiliencySemaphore{semaphore.New(c.Limit, max(c.MaxWait, time.Millisecond))}, nil
}

type resiliencyRetrier struct {
	*retrier.Retrier
	delays []time.Duration
}

func newResiliencyRetrier(c RetryConfig) (Retry, error) {
	switch {
	case c.RetryAfter:
		return nil, Lacks("knows no Retry-After")
	case c.Budget:
		return nil, Lacks("has no budget")
	case c.OnRetry != nil:
		return nil, Lacks("has no callback")
	}
	delays := retrier.ExponentialBackoff(c.Attempts-1, c.Delay)
	switch {
	case c.MaxDelay > 0:
		delays = retrier.LimitedExponentialBackoff(c.Attempts-1, c.Delay, c.MaxDelay)
	case c.Remedy:
		delays = retrier.LimitedExponentialBackoff(c.Attempts-1, c.Delay, time.Minute)
	}
	r := retrier.New(delays, nil)
	if c.Jitter {
		r.SetJitter(0.25)
	}
	if c.Remedy {
		r = r.WithSurfaceWorkErrors()
	}
	return &resiliencyRetrier{Retrier: r, delays: delays}, nil
}

func (r *resiliencyRetrier) Do(ctx context.Context, call func(context.Context) error) error {
	return r.RunCtx(ctx, call)
}

func (r *resiliencyRetrier) Delays(n int) []time.Duration { return r.delays[:n] }

type resiliencyDeadline struct{ *deadline.Deadline }

func (d resiliencyDeadline) Do(ctx context.Context, call func(context.Context) error) error {
	return d.Run(func(stop <-chan struct{}) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			select {
			case <-stop:
				cancel()
			case <-ctx.Done():
			}
		}()
		return call(ctx)
	})
}

func (resiliencyDeadline) TimedOut(err error) bool { return errors.Is(err, deadline.ErrTimedOut) }

func newResiliencyDeadline(c TimeoutConfig) (Timeout, error) {
	switch c.Mode {
	case Contexts:
		return nil, hasNoContext
	case Waits:
		return nil, cannotWait
	}
	return resiliencyDeadline{deadline.New(c.Limit)}, nil
}
