package timeout_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

func ExampleNew() {
	_, err := timeout.New(timeout.Config{})
	fmt.Println(err)
	// Output: timeout: Config.Limit must be > 0, got 0s
}

func ExampleTimeout_Do() {
	limit := timeout.MustNew(timeout.Config{Name: "db", Limit: 10 * time.Millisecond})

	err := limit.Do(context.Background(), func(ctx context.Context) error {
		select { // a query that takes too long
		case <-time.After(time.Minute):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, timeout.ErrExceeded), errors.Is(err, context.DeadlineExceeded))
	// Output:
	// timeout: db: limit of 10ms exceeded
	// true true
}

// When it is the caller who has no more time, that is not our timeout.
func ExampleTimeout_Do_caller() {
	limit := timeout.MustNew(timeout.Config{Limit: time.Minute})
	caller, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()

	err := limit.Do(caller, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, timeout.ErrExceeded))
	// Output:
	// context deadline exceeded
	// false
}

// One limit for each attempt, and one for the whole.
func Example_composed() {
	db := steady.Chain(
		timeout.MustNew(timeout.Config{Name: "total", Limit: time.Second}),
		retry.MustNew(retry.Config{Delay: time.Millisecond}),
		timeout.MustNew(timeout.Config{Name: "attempt", Limit: 10 * time.Millisecond}),
	)
	err := db.Do(context.Background(), func(ctx context.Context) error {
		if steady.Attempt(ctx) == 1 {
			<-ctx.Done() // the first attempt hangs
			return ctx.Err()
		}
		return nil
	})
	fmt.Println(err)
	// Output: <nil>
}
