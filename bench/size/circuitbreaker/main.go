// Command circuitbreaker is hello world with the breaker of circuitbreaker.
package main

import (
	"context"
	"fmt"

	"github.com/rubyist/circuitbreaker"
)

func main() {
	err := circuit.NewRateBreaker(0.5, 20).CallContext(context.Background(), func() error { return call(context.Background()) }, 0)
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
