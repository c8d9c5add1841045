// Package measure is what the programs of this module that measure time share: the
// calls that they make, a queue that is handed over, and the median.
package measure

import (
	"context"
	"errors"
	"runtime"
	"slices"
)

// ErrBoom is what a call returns that fails.
var ErrBoom = errors.New("boom")

// Calls are variables, as a user's are: the compiler sees nothing of them.
var (
	// Ignores succeeds without a look at its context.
	Ignores = func(context.Context) error { return nil }

	// Fails returns ErrBoom.
	Fails = func(context.Context) error { return ErrBoom }

	// Waits asks for Done, as every call does that waits for something, and succeeds
	// at once.
	Waits = func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		default:
			return nil
		}
	}

	// Derives derives a context, as HTTP clients do, and waits on that.
	Derives = func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return Waits(ctx)
	}

	// Yields lets other goroutines run while it is under way.
	Yields = func(context.Context) error {
		runtime.Gosched()
		return nil
	}
)

// Do makes a call under a policy, of whatever library.
type Do func(ctx context.Context, call func(context.Context) error) error

// HandOver returns a func that makes two calls under a policy that lets one in at
// a time and the next wait: the first holds the permit until the second, on a
// goroutine of its own, has begun to wait for it. The goroutine stays.
func HandOver(do Do) func() {
	ask, got := make(chan struct{}), make(chan struct{})
	go func() {
		for range ask {
			_ = do(context.Background(), Ignores)
			got <- struct{}{}
		}
	}()
	hold := func(context.Context) error {
		ask <- struct{}{}
		runtime.Gosched() // lets it begin to wait
		return nil
	}
	return func() {
		_ = do(context.Background(), hold)
		<-got
	}
}

// Median returns the median of v, which must not be empty.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
