package speed

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/steady-go/steady/bench/internal/measure"
)

// Floors returns a case of its own, whose variants are what policies are made of.
// How far its measurements lie apart is how noisy the machine is.
func Floors() Case {
	return Case{
		Name: "Floor", About: "what policies are made of",
		Call: same(measure.Ignores), Caller: Cancellable, Floor: bareCall.Lib,
		Variants: []Variant{bareCall, clock, since, {
			Lib: "atomic-add", Floor: true,
			New: func() measure.Do {
				n := new(atomic.Int64)
				return func(ctx context.Context, call func(context.Context) error) error {
					n.Add(1)
					return call(ctx)
				}
			},
		}, {
			Lib: "mutex", Floor: true,
			New: func() measure.Do {
				mu, n := new(sync.Mutex), 0
				return func(ctx context.Context, call func(context.Context) error) error {
					mu.Lock()
					n++
					mu.Unlock()
					return call(ctx)
				}
			},
		}, withTimeout, waiting(10)},
	}
}

var clock = Variant{
	Lib: "time.Now", Floor: true,
	New: func() measure.Do {
		return func(ctx context.Context, call func(context.Context) error) error {
			_ = time.Now()
			return call(ctx)
		}
	},
}

// since is the cheapest clock that there is.
var since = Variant{
	Lib: "time.Since", Floor: true,
	New: func() measure.Do {
		start := time.Now()
		return func(ctx context.Context, call func(context.Context) error) error {
			_ = time.Since(start)
			return call(ctx)
		}
	},
}

var withTimeout = Variant{
	Lib: "context.WithTimeout", Floor: true,
	New: func() measure.Do {
		return func(ctx context.Context, call func(context.Context) error) error {
			ctx, cancel := context.WithTimeout(ctx, never)
			defer cancel()
			return call(ctx)
		}
	},
}

// waiting is a semaphore for which calls wait.
func waiting(n int64) Variant {
	return Variant{
		Lib: "x-sync-semaphore", Floor: true,
		New: func() measure.Do {
			s := semaphore.NewWeighted(n)
			return func(ctx context.Context, call func(context.Context) error) error {
				if err := s.Acquire(ctx, 1); err != nil {
					return err
				}
				defer s.Release(1)
				return call(ctx)
			}
		},
	}
}

// refusing is a semaphore that refuses calls.
func refusing(n int64) Variant {
	return Variant{
		Lib: "x-sync-semaphore", Floor: true,
		New: func() measure.Do {
			s := semaphore.NewWeighted(n)
			return func(ctx context.Context, call func(context.Context) error) error {
				if !s.TryAcquire(1) {
					return errFull
				}
				defer s.Release(1)
				return call(ctx)
			}
		},
	}
}
