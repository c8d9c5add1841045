// Command steady-four is hello world with the four policies of this library.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

func main() {
	policy := steady.Chain(
		bulkhead.MustNew(bulkhead.Config{Limit: 10}),
		retry.MustNew(retry.Config{}),
		breaker.MustNew(breaker.Config{}),
		timeout.MustNew(timeout.Config{Limit: time.Second}),
	)
	err := policy.Do(context.Background(), call)
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
