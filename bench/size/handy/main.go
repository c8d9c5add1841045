// Command handy is hello world with the breaker of handy.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/streadway/handy/breaker"
)

func main() {
	guard := breaker.NewBreaker(0.5)
	err := breaker.ErrCircuitOpen
	if guard.Allow() {
		err = call(context.Background())
		guard.Success(time.Millisecond)
	}
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
