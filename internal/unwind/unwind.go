// Package unwind makes calls that do not return, for the tests of policies.
package unwind

import (
	"context"
	"runtime"
	"sync"

	"github.com/steady-go/steady"
)

// Under makes a call under p that panics, and then one that ends its goroutine.
func Under(ctx context.Context, p steady.Policy) {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { _ = recover() }()
		_ = p.Do(ctx, func(context.Context) error { panic("boom") })
	})
	wg.Wait()
	wg.Go(func() {
		_ = p.Do(ctx, func(context.Context) error { runtime.Goexit(); return nil })
	})
	wg.Wait()
}
