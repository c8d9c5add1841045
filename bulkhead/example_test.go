package bulkhead_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/retry"
)

func ExampleNew() {
	_, err := bulkhead.New(bulkhead.Config{Queue: 10})
	fmt.Println(err)
	// Output:
	// bulkhead: Config.Limit must be between 1 and 2147483647, got 0
	// bulkhead: Config.MaxWait must be set with a Queue, got 0s
}

func ExampleBulkhead_Do() {
	reports := bulkhead.MustNew(bulkhead.Config{Name: "reports", Limit: 1})

	err := reports.Do(context.Background(), func(ctx context.Context) error {
		fmt.Println("the first report is being made")
		// Meanwhile a second one is asked for.
		err := reports.Do(ctx, func(context.Context) error { return nil })
		fmt.Println(err, errors.Is(err, bulkhead.ErrFull))
		return nil
	})
	fmt.Println(err)
	// Output:
	// the first report is being made
	// bulkhead: full (reports) true
	// <nil>
}

// A queue evens out short bursts. Its bound on the wait keeps the sum of wait and
// work below the callers' timeout.
func ExampleBulkhead_Do_queue() {
	db := bulkhead.MustNew(bulkhead.Config{Limit: 1, Queue: 1, MaxWait: 100 * time.Millisecond})

	permit, _ := db.Acquire(context.Background())
	time.AfterFunc(time.Millisecond, permit.Release)
	err := db.Do(context.Background(), func(context.Context) error {
		fmt.Println("waited for my turn")
		return nil
	})
	fmt.Println(err)
	// Output:
	// waited for my turn
	// <nil>
}

func ExampleBulkhead_TryAcquire() {
	uploads := bulkhead.MustNew(bulkhead.Config{Limit: 1})

	permit, err := uploads.TryAcquire(context.Background())
	fmt.Println(permit != nil, err)
	_, err = uploads.TryAcquire(context.Background())
	fmt.Println(err)
	permit.Release()
	permit.Release() // harmless
	fmt.Println(uploads.Stats().InFlight, "in flight")
	// Output:
	// true <nil>
	// bulkhead: full
	// 0 in flight
}

// In a chain the bulkhead stands outside the retry, so that a call waits for its
// turn once, and not before each attempt.
func Example_composed() {
	db := steady.Chain(
		bulkhead.MustNew(bulkhead.Config{Limit: 10, Queue: 20, MaxWait: 100 * time.Millisecond}),
		retry.MustNew(retry.Config{Delay: time.Millisecond}),
	)
	err := db.Do(context.Background(), func(ctx context.Context) error {
		if steady.Attempt(ctx) == 1 {
			return errors.New("connection reset")
		}
		return nil
	})
	fmt.Println(err)
	// Output: <nil>
}
