package speed

import (
	"context"

	"github.com/eapache/go-resiliency/deadline"
	"github.com/failsafe-go/failsafe-go"
	failsafetimeout "github.com/failsafe-go/failsafe-go/timeout"

	"github.com/steady-go/steady/bench/internal/measure"
	"github.com/steady-go/steady/timeout"
)

func timeouts() []Case {
	of := func(name, about string, call func(context.Context) error, reason string) Case {
		return Case{
			Name: name, About: about, Call: same(call), Caller: Cancellable, Floor: withTimeout.Lib, Parallelism: 1, Reason: reason,
			Variants: []Variant{
				bareCall, withTimeout,
				{Lib: Steady, New: func() measure.Do { return timeout.MustNew(timeout.Config{Limit: never}).Do }},
				{Lib: "failsafe-go", New: func() measure.Do { return failsafePipeline(failsafetimeout.New[any](never)) }},
				{Lib: "go-resiliency", Lacks: deadlineLacks, New: func() measure.Do { return resiliencyDeadline }},
				{Lib: "hystrix-go", Lacks: "leaves the call running, and its context open", New: func() measure.Do { return hystrixCommand(ratio, hystrixLimit) }},
			},
		}
	}
	return []Case{
		of("TimeoutIgnored", "the call ignores its context", measure.Ignores,
			"it makes a context for the call"),
		of("TimeoutWaited", "the call waits on Done", measure.Waits,
			"it makes a context with a cause, and one more that tells whether that was asked for"),
		of("TimeoutDerived", "the call derives a context from its own and waits on that, as HTTP clients do", measure.Derives,
			"it makes a context with a cause, and one more that tells whether that was asked for"),
	}
}

const deadlineLacks = "no context for the call, which it leaves running"

var stopAfter = deadline.New(never)

// resiliencyDeadline gives the call its caller's context, since it has none.
func resiliencyDeadline(ctx context.Context, call func(context.Context) error) error {
	return stopAfter.Run(func(<-chan struct{}) error { return call(ctx) })
}

// failsafePipeline gives the call the context that the policies have derived.
func failsafePipeline(policies ...failsafe.Policy[any]) measure.Do {
	executor := failsafe.With(policies...)
	return func(ctx context.Context, call func(context.Context) error) error {
		return executor.WithContext(ctx).RunWithExecution(func(e failsafe.Execution[any]) error { return call(e.Context()) })
	}
}
