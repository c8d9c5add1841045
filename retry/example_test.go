package retry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/retry"
)

func ExampleNew() {
	_, err := retry.New(retry.Config{Attempts: -1, Multiplier: 0.5})
	fmt.Println(err)
	// Output:
	// retry: Config.Attempts must be >= 0, got -1
	// retry: Config.Multiplier must be >= 1 and finite, or 0, got 0.5
}

func ExampleRetry_Do() {
	again := retry.MustNew(retry.Config{Delay: time.Millisecond})

	err := again.Do(context.Background(), func(ctx context.Context) error {
		fmt.Println("attempt", steady.Attempt(ctx))
		if steady.Attempt(ctx) < 3 {
			return errors.New("connection reset")
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// attempt 1
	// attempt 2
	// attempt 3
	// <nil>
}

// What another attempt would only repeat is marked as permanent.
func ExampleRetry_Do_permanent() {
	again := retry.MustNew(retry.Config{})

	err := again.Do(context.Background(), func(context.Context) error {
		return steady.Permanent(errors.New("400 bad request"))
	})
	fmt.Println(err)
	// Output: retry: 1 attempt: 400 bad request
}

// One budget is shared by everything that calls the same dependency. In an outage
// it runs out, and retries stop adding to the load.
func ExampleNewBudget() {
	budget, err := retry.NewBudget(retry.BudgetConfig{Tokens: 28, Cost: 14})
	if err != nil {
		fmt.Println(err)
		return
	}
	reads := retry.MustNew(retry.Config{Budget: budget, Delay: time.Millisecond})
	writes := retry.MustNew(retry.Config{Budget: budget, Delay: time.Millisecond})

	down := func(context.Context) error { return errors.New("connection refused") }
	fmt.Println(reads.Do(context.Background(), down))
	err = writes.Do(context.Background(), down)
	fmt.Println(err)
	fmt.Println(errors.Is(err, retry.ErrBudget))
	// Output:
	// retry: 3 attempts (retry: attempts exhausted): connection refused
	// retry: 1 attempt (retry: budget empty): connection refused
	// true
}

// Around a breaker a retry stops as soon as the breaker says that it will refuse
// for longer than the caller can wait.
func Example_composed() {
	db := steady.Chain(
		retry.MustNew(retry.Config{Attempts: 5, Delay: time.Millisecond}),
		breaker.MustNew(breaker.Config{Name: "db", ConsecutiveFailures: 2}),
	)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()

	err := db.Do(ctx, func(context.Context) error { return errors.New("connection refused") })
	fmt.Println(err)
	fmt.Println(errors.Is(err, breaker.ErrOpen))
	// Output:
	// retry: 3 attempts (retry: next attempt too late) (breaker: db is open): connection refused
	// true
}
