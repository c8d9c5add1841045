// Command by-hand is hello world with gobreaker, backoff, a semaphore and a timeout composed by hand.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/semaphore"
)

func main() {
	gate, guard := semaphore.NewWeighted(10), gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{})
	err := gate.Acquire(context.Background(), 1)
	if err == nil {
		_, err = backoff.Retry(context.Background(), func() (struct{}, error) {
			return guard.Execute(func() (struct{}, error) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				return struct{}{}, call(ctx)
			})
		})
		gate.Release(1)
	}
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
