// Command failsafe-go-breaker is hello world with the breaker of failsafe-go.
package main

import (
	"context"
	"fmt"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

func main() {
	executor := failsafe.With[any](circuitbreaker.NewWithDefaults[any]())
	err := executor.Run(func() error { return call(context.Background()) })
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
