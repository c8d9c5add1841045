package operation_test

import (
	"context"
	"fmt"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/operation"
)

func ExampleNew() {
	hook := steady.HookFunc(func(_ context.Context, e steady.Event) {
		if e.Kind == steady.KindDone {
			fmt.Println(e.Policy, e.Name, e.Outcome)
		}
	})
	db := breaker.MustNew(breaker.Config{Name: "db", Hook: hook})
	checkout := steady.Chain(operation.MustNew(operation.Config{Name: "checkout", Hook: hook}), db)

	_ = checkout.Do(context.Background(), func(context.Context) error { return nil })
	db.ForceOpen() // so that it refuses, and reports no call
	_ = checkout.Do(context.Background(), func(context.Context) error { return nil })
	// Output:
	// breaker db success
	// operation checkout success
	// operation checkout failure
}
