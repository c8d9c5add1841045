// Command failsafe-go-four is hello world with the same four policies of failsafe-go.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
)

func main() {
	executor := failsafe.With[any](
		bulkhead.New[any](10),
		retrypolicy.NewWithDefaults[any](),
		circuitbreaker.NewWithDefaults[any](),
		timeout.New[any](time.Second),
	)
	err := executor.RunWithExecution(func(e failsafe.Execution[any]) error { return call(e.Context()) })
	fmt.Println("hello, world", err)
}

func call(context.Context) error { return nil }
