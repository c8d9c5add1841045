// Command go-resiliency-four is hello world with the same four policies of go-resiliency.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/eapache/go-resiliency/breaker"
	"github.com/eapache/go-resiliency/deadline"
	"github.com/eapache/go-resiliency/retrier"
	"github.com/eapache/go-resiliency/semaphore"
)

func main() {
	gate, guard, limit := semaphore.New(10, time.Second), breaker.New(5, 1, time.Second), deadline.New(time.Second)
	again := retrier.New(retrier.ExponentialBackoff(2, time.Millisecond), nil)
	err := gate.Acquire()
	if err == nil {
		err = again.RunCtx(context.Background(), func(ctx context.Context) error {
			return guard.Run(func() error {
				return limit.Run(func(<-chan struct{}) error { return call(ctx) })
			})
		})
		gate.Release()
	}
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
