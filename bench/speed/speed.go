// Package speed makes the same calls under the policies of this library and of
// others, so that their cost can be compared. Its benchmarks are named for
// benchstat:
//
//	go test -bench . -count 10 -cpu 1,2 | benchstat -col /lib -
//
// All libraries get equivalent configurations, built once, as their documentation
// recommends: without hooks, a window of 30 s, a failure ratio of 0.5, at least 20
// calls, three attempts. Where one does not offer the same thing as this library,
// [Variant].Lacks says so.
package speed

import (
	"context"
	"time"

	"github.com/steady-go/steady/bench/internal/measure"
)

// Steady is how variants name this library.
const Steady = "steady"

// A Case is one thing that is measured.
type Case struct {
	Name  string // of its benchmark, without "Benchmark"
	About string // what happens in it, in a few words

	// Call returns the call to make. Each goroutine gets one of its own.
	Call func() func(context.Context) error

	// Caller is the context that the calls are made on.
	Caller Caller

	// Runs are the ways in which it is measured.
	Runs Runs

	// Parallelism is how many goroutines make calls on each core when it is run in
	// parallel.
	Parallelism int

	// Floor is the variant that does as little as can be done.
	Floor string

	// Reason is why this library may be slower here than one that offers as much. It
	// is shown only where it is.
	Reason string

	// Variants are the libraries, floors first.
	Variants []Variant
}

// A Caller is a kind of context.
type Caller string

// The kinds of context that callers have.
const (
	Background  Caller = "" // cannot end
	Cancellable Caller = "can be cancelled"
	Deadline    Caller = "has a deadline" // and can be cancelled
)

// Context returns a context of that kind. It is never cancelled.
func (c Caller) Context() (context.Context, context.CancelFunc) {
	switch c {
	case Cancellable:
		return context.WithCancel(context.Background())
	case Deadline:
		return context.WithTimeout(context.Background(), never)
	}
	return context.Background(), func() {}
}

// Runs are ways in which a case is measured. The zero value means all.
type Runs int

// The ways in which a case may be measured.
const (
	All          Runs = iota
	SerialOnly        // one goroutine
	ParallelOnly      // several goroutines for each core
)

// A Variant is a case done by one library.
type Variant struct {
	Lib   string
	Floor bool // what nobody can do without, not a library

	// Lacks is what it does not offer of what this library does in this case. It
	// counts as a rival that offers the same thing only if this is empty.
	Lacks string

	// New returns the policy in the state of the case.
	New func() measure.Do
}

// never is for limits that are not to be reached.
const never = time.Hour

// Cases returns all cases.
func Cases() []Case {
	var all []Case
	for _, c := range [][]Case{breakers(), bulkheads(), retries(), timeouts(), pipelines(), hooks(), caches(), idempotencyStores()} {
		all = append(all, c...)
	}
	return all
}

func bare() measure.Do {
	return func(ctx context.Context, call func(context.Context) error) error { return call(ctx) }
}

var bareCall = Variant{Lib: "bare", Floor: true, New: bare}

func same(call func(context.Context) error) func() func(context.Context) error {
	return func() func(context.Context) error { return call }
}

// every returns calls of which each nth fails.
func every(n int) func() func(context.Context) error {
	return func() func(context.Context) error {
		made := 0
		return func(ctx context.Context) error {
			if made++; made%n == 0 {
				return measure.Fails(ctx)
			}
			return measure.Ignores(ctx)
		}
	}
}

// thrice returns calls of which each third succeeds.
func thrice() func(context.Context) error {
	made := 0
	return func(ctx context.Context) error {
		if made++; made%3 != 0 {
			return measure.Fails(ctx)
		}
		return measure.Ignores(ctx)
	}
}
