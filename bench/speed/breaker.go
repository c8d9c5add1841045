package speed

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	cenk "github.com/cenk/backoff"
	resiliency "github.com/eapache/go-resiliency/breaker"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	rubyist "github.com/rubyist/circuitbreaker"
	"github.com/sony/gobreaker/v2"
	handy "github.com/streadway/handy/breaker"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/breaker"
)

const (
	window   = 30 * time.Second
	minCalls = 20
	ratio    = 0.5
	// unreached is a ratio that the cases with failures stay below.
	unreached = 0.9
)

var errOpen = errors.New("open")

func breakers() []Case {
	closed := func(name, about string, call func() func(context.Context) error, caller Caller, ratio float64, reason string) Case {
		return Case{
			Name: name, About: about, Call: call, Caller: caller, Floor: since.Lib, Parallelism: 1, Reason: reason,
			Variants: []Variant{
				bareCall, clock, since,
				{Lib: Steady, New: func() measure.Do { return steadyBreaker(breaker.Config{FailureRatio: ratio}) }},
				{Lib: "gobreaker", New: func() measure.Do { return goBreaker(ratio) }},
				{Lib: "failsafe-go", New: func() measure.Do { return failsafeBreaker(rate(ratio)) }},
				{Lib: "failsafe-go-permit", Lacks: "the call's panic is not counted", New: func() measure.Do { return failsafePermit(rate(ratio)) }},
				{Lib: "go-resiliency", Lacks: "no window and no ratio: counts only failures, until none came for a while", New: func() measure.Do { return resiliencyBreaker(ratio) }},
				{Lib: "circuitbreaker", New: func() measure.Do { return rubyistBreaker(ratio, 0) }},
				{Lib: "hystrix-go", New: func() measure.Do { return hystrixCommand(ratio, hystrixLimit) }}, // its window is always 10 s
				{Lib: "handy", New: func() measure.Do { return handyBreaker(ratio) }},                      // its window is always 5 s
				{Lib: "aegis", Lacks: "no states: drops calls at random by the ratio", New: func() measure.Do { return aegisBreaker(ratio) }},
			},
		}
	}
	return []Case{
		closed("BreakerClosed", "closed, all calls succeed, time window", same(measure.Ignores), Background, ratio,
			"it reads the clock and adds to a counter of the window's present step"),
		closed("BreakerClosedDeadline", "the same, the caller's context has a deadline", same(measure.Ignores), Deadline, ratio,
			"it reads the clock twice, to tell a caller's deadline after a hang from one that came too soon"),
		closed("BreakerFailing1", "closed, 1 % of the calls fail", every(100), Background, unreached,
			"each failure adds up the ten steps of the window, to compare the ratio"),
		closed("BreakerFailing50", "closed, 50 % of the calls fail", every(2), Background, unreached,
			"each failure adds up the ten steps of the window, to compare the ratio"),
		open(), count(), slow(),
	}
}

func open() Case {
	return Case{
		Name: "BreakerOpen", About: "open, calls are refused", Call: same(measure.Fails), Floor: since.Lib, Parallelism: 1,
		Reason: "it reads the clock to see whether it is time to probe",
		Variants: []Variant{
			bareCall, clock, since,
			{Lib: Steady, New: func() measure.Do {
				return tripped(steadyBreaker(breaker.Config{OpenFor: never, MaxOpenFor: never}))
			}},
			{Lib: "gobreaker", New: func() measure.Do { return tripped(goBreaker(ratio)) }},
			{Lib: "failsafe-go", New: func() measure.Do { return tripped(failsafeBreaker(rate(ratio))) }},
			{Lib: "failsafe-go-permit", New: func() measure.Do { return tripped(failsafePermit(rate(ratio))) }},
			{Lib: "go-resiliency", Lacks: "a sleeping goroutine keeps the open time, so that a refusal reads no clock", New: func() measure.Do {
				breaker := resiliency.New(minCalls, 1, never)
				return tripped(func(ctx context.Context, call func(context.Context) error) error {
					return breaker.Run(func() error { return call(ctx) })
				})
			}},
			{Lib: "circuitbreaker", New: func() measure.Do { return tripped(rubyistBreaker(ratio, 0)) }},
			{Lib: "hystrix-go", New: func() measure.Do { return tripped(hystrixCommand(ratio, hystrixLimit)) }},
			// Its open time is always 1 s, after which it admits one call, which fails.
			{Lib: "handy", New: func() measure.Do { return tripped(handyBreaker(ratio)) }},
		},
	}
}

// count compares what others do with a window of the latest calls to what this
// library always does.
func count() Case {
	return Case{
		Name: "BreakerCountWindow", About: "closed, all calls succeed, count window where there is one; steady: time window",
		Call: same(measure.Ignores), Floor: since.Lib, Parallelism: 1,
		Reason: "it has no count window: it reads the clock",
		Variants: []Variant{
			bareCall, clock, since,
			{Lib: Steady, New: func() measure.Do { return steadyBreaker(breaker.Config{}) }},
			{Lib: "gobreaker", Lacks: "without a time window its counts never end", New: func() measure.Do {
				return goBreakerWith(gobreaker.Settings{Timeout: never, ReadyToTrip: tooMany(ratio)})
			}},
			{Lib: "failsafe-go", New: func() measure.Do { return failsafeBreaker(latest()) }},
			{Lib: "failsafe-go-permit", Lacks: "the call's panic is not counted", New: func() measure.Do { return failsafePermit(latest()) }},
		},
	}
}

// slow is about slow calls. No rival tells slow from failed: those that are here
// run each call with a timeout, which then fails.
func slow() Case {
	return Case{
		Name: "BreakerSlowCalls", About: "closed, slow calls are detected; rivals: by a timeout that is counted as a failure",
		Call: same(measure.Ignores), Floor: since.Lib, Parallelism: 1,
		Reason: "it reads the clock before and after the call, and keeps account of the calls under way",
		Variants: []Variant{
			bareCall, clock, since,
			{Lib: Steady, New: func() measure.Do { return steadyBreaker(breaker.Config{SlowAfter: time.Second}) }},
			{Lib: "circuitbreaker", New: func() measure.Do { return rubyistBreaker(ratio, time.Second) }},
			{Lib: "hystrix-go", New: func() measure.Do { return hystrixCommand(ratio, hystrixLimit) }},
		},
	}
}

func steadyBreaker(c breaker.Config) measure.Do { return breaker.MustNew(c).Do }

func tooMany(ratio float64) func(gobreaker.Counts) bool {
	return func(c gobreaker.Counts) bool {
		return c.Requests >= minCalls && float64(c.TotalFailures) >= ratio*float64(c.Requests)
	}
}

// rolling is a window of gobreaker in ten steps, as in this library.
func rolling(ratio float64) gobreaker.Settings {
	return gobreaker.Settings{Interval: window, BucketPeriod: window / 10, Timeout: never, ReadyToTrip: tooMany(ratio)}
}

func goBreaker(ratio float64) measure.Do { return goBreakerWith(rolling(ratio)) }

func goBreakerWith(s gobreaker.Settings) measure.Do {
	breaker := gobreaker.NewCircuitBreaker[struct{}](s)
	return func(ctx context.Context, call func(context.Context) error) error {
		_, err := breaker.Execute(func() (struct{}, error) { return struct{}{}, call(ctx) })
		return err
	}
}

// rate is a breaker with a time window, which has ten steps.
func rate(ratio float64) circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(ratio, minCalls, window).WithDelay(never).Build()
}

// latest is a breaker over the latest calls.
func latest() circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().WithFailureThresholdRatio(ratio*minCalls, minCalls).WithDelay(never).Build()
}

// failsafeBreaker gives the executor the caller's context, as all its users do
// whose calls can be cancelled. The call takes the context from the closure, which
// is cheaper than to ask for it and the same, since a breaker derives none.
func failsafeBreaker(b circuitbreaker.CircuitBreaker[any]) measure.Do {
	executor := failsafe.With[any](b)
	return func(ctx context.Context, call func(context.Context) error) error {
		return executor.WithContext(ctx).Run(func() error { return call(ctx) })
	}
}

// failsafePermit uses a breaker without the executor.
func failsafePermit(b circuitbreaker.CircuitBreaker[any]) measure.Do {
	return func(ctx context.Context, call func(context.Context) error) error {
		if !b.TryAcquirePermit() {
			return errOpen
		}
		err := call(ctx)
		if err != nil {
			b.RecordError(err)
		} else {
			b.RecordSuccess()
		}
		return err
	}
}

// resiliencyBreaker never opens where the ratio is not to be reached: failures are
// all that it counts.
func resiliencyBreaker(ratio float64) measure.Do {
	threshold := minCalls
	if ratio == unreached {
		threshold = 1 << 62
	}
	breaker := resiliency.New(threshold, 1, window)
	return func(ctx context.Context, call func(context.Context) error) error {
		return breaker.Run(func() error { return call(ctx) })
	}
}

func rubyistBreaker(ratio float64, timeout time.Duration) measure.Do {
	breaker := rubyist.NewBreakerWithOptions(&rubyist.Options{
		ShouldTrip: rubyist.RateTripFunc(ratio, minCalls),
		WindowTime: window,
		BackOff:    cenk.NewConstantBackOff(never),
	})
	return func(ctx context.Context, call func(context.Context) error) error {
		return breaker.CallContext(ctx, func() error { return call(ctx) }, timeout)
	}
}

// hystrixLimit is for hystrix-go where permits are free. It answers before it has
// taken its permit back, so that even one caller may hold more than one.
const hystrixLimit = 1000

// commands makes names: those of hystrix-go are known to the whole process.
var commands atomic.Int64

// hystrixCommand is a breaker, a bulkhead and a timeout, which cannot be had one
// by one. Its times are whole milliseconds.
func hystrixCommand(ratio float64, limit int) measure.Do {
	name := strconv.FormatInt(commands.Add(1), 10)
	hystrix.ConfigureCommand(name, hystrix.CommandConfig{
		Timeout:                int(never.Milliseconds()),
		MaxConcurrentRequests:  limit,
		RequestVolumeThreshold: minCalls,
		SleepWindow:            int(never.Milliseconds()),
		ErrorPercentThreshold:  int(100 * ratio),
	})
	return func(ctx context.Context, call func(context.Context) error) error {
		return hystrix.DoC(ctx, name, call, nil)
	}
}

func handyBreaker(ratio float64) measure.Do {
	breaker := handy.NewBreaker(ratio)
	return func(ctx context.Context, call func(context.Context) error) error {
		if !breaker.Allow() {
			return handy.ErrCircuitOpen
		}
		start := time.Now()
		err := call(ctx)
		if err != nil {
			breaker.Failure(time.Since(start))
		} else {
			breaker.Success(time.Since(start))
		}
		return err
	}
}

// aegisBreaker begins to drop calls where the share of successes falls below the
// one that it is given.
func aegisBreaker(ratio float64) measure.Do {
	breaker := sre.NewBreaker(sre.WithWindow(window), sre.WithBucket(10), sre.WithRequest(minCalls), sre.WithSuccess(1-ratio))
	return func(ctx context.Context, call func(context.Context) error) error {
		if err := breaker.Allow(); err != nil {
			breaker.MarkFailed()
			return err
		}
		err := call(ctx)
		if err != nil {
			breaker.MarkFailed()
		} else {
			breaker.MarkSuccess()
		}
		return err
	}
}

// tripped makes calls that fail until one is refused.
func tripped(do measure.Do) measure.Do {
	for range 100_000 {
		started := false
		_ = do(context.Background(), func(ctx context.Context) error {
			started = true
			return measure.Fails(ctx)
		})
		if !started {
			return do
		}
		runtime.Gosched() // some count on a goroutine of their own
	}
	panic("speed: the breaker never opens")
}
