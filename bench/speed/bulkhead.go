package speed

import (
	"context"
	"errors"
	"time"

	resiliency "github.com/eapache/go-resiliency/semaphore"
	"github.com/failsafe-go/failsafe-go"
	failsafebulkhead "github.com/failsafe-go/failsafe-go/bulkhead"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/bulkhead"
)

var errFull = errors.New("full")

// limit is how many calls a bulkhead admits where that is more than are made.
const limit = 10

func bulkheads() []Case {
	return []Case{{
		Name: "BulkheadFree", About: "permits are free", Call: same(measure.Ignores), Floor: "x-sync-semaphore", Parallelism: 1,
		Reason: "its count is behind a mutex, since a permit that comes free may go to a waiter and the limit may change",
		Variants: []Variant{
			bareCall, refusing(limit),
			{Lib: Steady, New: func() measure.Do { return bulkhead.MustNew(bulkhead.Config{Limit: limit}).Do }},
			{Lib: "failsafe-go", New: func() measure.Do { return failsafeBulkhead(limit, 0) }},
			{Lib: "failsafe-go-permit", Lacks: permitLacks, New: func() measure.Do { return failsafeBulkheadPermit(limit) }},
			{Lib: "go-resiliency", New: func() measure.Do { return resiliencySemaphore(limit, time.Second) }},
			{Lib: "hystrix-go", New: func() measure.Do { return hystrixCommand(ratio, hystrixLimit) }},
		},
	}, {
		Name: "BulkheadFull", About: "no permit is free, calls are refused", Call: same(measure.Ignores), Floor: bareCall.Lib, Parallelism: 1,
		Reason: "it looks at the caller's context first",
		Variants: []Variant{
			bareCall, occupied(refusing(1)),
			occupied(Variant{Lib: Steady, New: func() measure.Do { return bulkhead.MustNew(bulkhead.Config{Limit: 1}).Do }}),
			occupied(Variant{Lib: "failsafe-go", New: func() measure.Do { return failsafeBulkhead(1, 0) }}),
			occupied(Variant{Lib: "failsafe-go-permit", Lacks: permitLacks, New: func() measure.Do { return failsafeBulkheadPermit(1) }}),
			// It always waits for a timer, here for the shortest that there is.
			occupied(Variant{Lib: "go-resiliency", New: func() measure.Do { return resiliencySemaphore(1, time.Nanosecond) }}),
			occupied(Variant{Lib: "hystrix-go", New: func() measure.Do { return hystrixCommand(ratio, 1) }}),
		},
	}, {
		Name: "BulkheadContended", About: "four callers on each core for one permit, all wait for it and yield while they hold it",
		Call: same(measure.Yields), Runs: ParallelOnly, Floor: "x-sync-semaphore", Parallelism: 4,
		Reason:   "it hands permits on in the order of arrival, so each call waits for a goroutine to be woken",
		Variants: queues(),
	}, {
		Name: "BulkheadQueued", About: "two calls: the second waits until the first hands its permit on",
		Call: same(measure.Ignores), Runs: SerialOnly, Floor: "x-sync-semaphore",
		Reason:   "it starts a timer for MaxWait and keeps the order of arrival",
		Variants: handedOver(queues()),
	}}
}

const permitLacks = "no look at the caller's context"

// queues are bulkheads with one permit for which calls wait.
func queues() []Variant {
	// The queues of the rivals have no bound in length, which costs nothing to leave out.
	return []Variant{
		bareCall, waiting(1),
		{Lib: Steady, New: func() measure.Do {
			return bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 100, MaxWait: never}).Do
		}},
		{Lib: "failsafe-go", New: func() measure.Do { return failsafeBulkhead(1, never) }},
		{Lib: "go-resiliency", Lacks: "a caller that is cancelled cannot leave the queue", New: func() measure.Do { return resiliencySemaphore(1, never) }},
	}
}

// handedOver is without the bare call, which nobody waits for.
func handedOver(variants []Variant) []Variant {
	var out []Variant
	for _, v := range variants {
		if v.Lib == bareCall.Lib {
			continue
		}
		policy := v.New
		v.New = func() measure.Do {
			handOver := measure.HandOver(policy())
			return func(context.Context, func(context.Context) error) error { handOver(); return nil }
		}
		out = append(out, v)
	}
	return out
}

// occupied is a bulkhead whose one permit is taken by a call that never ends.
func occupied(v Variant) Variant {
	policy := v.New
	v.New = func() measure.Do {
		do, started := policy(), make(chan struct{})
		go func() {
			for { // go-resiliency refuses half of the calls although its permit is free, if it is not to wait
				_ = do(context.Background(), func(context.Context) error {
					close(started)
					select {}
				})
			}
		}()
		<-started
		return do
	}
	return v
}

func failsafeBulkhead(n uint, maxWait time.Duration) measure.Do {
	executor := failsafe.With[any](failsafebulkhead.NewBuilder[any](n).WithMaxWaitTime(maxWait).Build())
	return func(ctx context.Context, call func(context.Context) error) error {
		return executor.WithContext(ctx).Run(func() error { return call(ctx) })
	}
}

// failsafeBulkheadPermit uses a bulkhead without the executor.
func failsafeBulkheadPermit(n uint) measure.Do {
	b := failsafebulkhead.New[any](n)
	return func(ctx context.Context, call func(context.Context) error) error {
		if !b.TryAcquirePermit() {
			return failsafebulkhead.ErrFull
		}
		defer b.ReleasePermit()
		return call(ctx)
	}
}

func resiliencySemaphore(n int, maxWait time.Duration) measure.Do {
	s := resiliency.New(n, maxWait)
	return func(ctx context.Context, call func(context.Context) error) error {
		if err := s.Acquire(); err != nil {
			return err
		}
		defer s.Release()
		return call(ctx)
	}
}
