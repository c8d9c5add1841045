package idempotency_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/retry"
)

// An Order is what is placed in these examples.
type Order struct {
	Number int
	What   string
}

// The customer refreshes the page. One order is placed, and each request gets the same answer.
func ExampleDo() {
	guard := idempotency.MustNew(idempotency.Config{Scope: "orders", OnUnknown: idempotency.Rerun})
	placed := 0
	for range 3 {
		order, info, err := idempotency.Do(context.Background(), guard, idempotency.Join("customer 7", "key 1"), "socks",
			func(context.Context) (Order, error) {
				placed++
				return Order{Number: placed, What: "socks"}, nil
			})
		fmt.Println(order.Number, order.What, info.Replayed, err)
	}
	_, _, err := idempotency.Do(context.Background(), guard, idempotency.Join("customer 7", "key 1"), "shoes",
		func(context.Context) (Order, error) { return Order{}, nil })
	fmt.Println(err)
	// Output:
	// 1 socks false <nil>
	// 1 socks true <nil>
	// 1 socks true <nil>
	// idempotency: key was used for another request
}

var errSoldOut = errors.New("sold out")

// A final error is an answer like others: it is stored, and matches the same error when it is replayed.
func ExampleFinal() {
	guard := idempotency.MustNew(idempotency.Config{OnUnknown: idempotency.Rerun, Errors: map[string]error{"sold out": errSoldOut}})
	for range 2 {
		_, info, err := idempotency.Do(context.Background(), guard, "key 1", "", func(context.Context) (Order, error) {
			return Order{}, idempotency.Final(fmt.Errorf("socks: %w", errSoldOut))
		})
		fmt.Println(err, errors.Is(err, errSoldOut), info.Replayed)
	}
	// Output:
	// socks: sold out true false
	// socks: sold out true true
}

// A call that has done nothing gives its key back.
func ExampleNotApplied() {
	guard := idempotency.MustNew(idempotency.Config{OnUnknown: idempotency.Refuse})
	for n := range 2 {
		order, _, err := idempotency.Do(context.Background(), guard, "key 1", "", func(context.Context) (Order, error) {
			if n == 0 {
				return Order{}, idempotency.NotApplied(errors.New("we open at eight"))
			}
			return Order{Number: 1}, nil
		})
		fmt.Println(order.Number, err)
	}
	// Output:
	// 0 we open at eight
	// 1 <nil>
}

// Nobody knows whether the call had its effect. It is made again, and finds out: whom it hands its work to has the same key each time.
func ExampleExecution_DownstreamKey() {
	guard := idempotency.MustNew(idempotency.Config{OnUnknown: idempotency.Rerun})
	charged := map[string]int{} // another company's, which looks at the key
	charge := func(key string, cents int) { charged[key] = cents }

	for n := range 2 {
		_, _, err := idempotency.Do(context.Background(), guard, "key 1", "", func(ctx context.Context) (Order, error) {
			e, _ := idempotency.FromContext(ctx)
			fmt.Println("attempt", e.Attempt, "recovered:", e.Recovered)
			charge(e.DownstreamKey("charge"), 1000)
			if n == 0 {
				return Order{}, errors.New("connection reset") // after the charge, or before?
			}
			return Order{Number: 1}, nil
		})
		fmt.Println(err)
	}
	fmt.Println("charged", len(charged), "time")
	// Output:
	// attempt 1 recovered: false
	// connection reset
	// attempt 2 recovered: true
	// <nil>
	// charged 1 time
}

// A call that cannot find out what an earlier one did is not made again, until somebody has looked.
func ExampleResolve() {
	guard := idempotency.MustNew(idempotency.Config{OnUnknown: idempotency.Refuse})
	place := func() {
		order, info, err := idempotency.Do(context.Background(), guard, "key 1", "", func(context.Context) (Order, error) {
			return Order{}, errors.New("connection reset")
		})
		fmt.Println(order.Number, info.Replayed, err)
	}
	place()
	place()
	if err := idempotency.Resolve(context.Background(), guard, "key 1", Order{Number: 17}, nil); err != nil {
		fmt.Println(err)
	}
	place()
	// Output:
	// 0 false connection reset
	// 0 false idempotency: outcome unknown
	// 17 true <nil>
}

// A guard stands outside of the retry: all attempts are one execution.
func Example_retry() {
	guard := idempotency.MustNew(idempotency.Config{OnUnknown: idempotency.Rerun})
	again := retry.MustNew(retry.Config{Delay: 1})
	attempts := 0
	order, info, err := idempotency.Do(context.Background(), guard, "key 1", "", func(ctx context.Context) (Order, error) {
		return steady.DoValue(ctx, again, func(context.Context) (Order, error) {
			if attempts++; attempts < 3 {
				return Order{}, errors.New("connection reset")
			}
			return Order{Number: 1}, nil
		})
	})
	fmt.Println(order.Number, err, attempts, "attempts,", info.Attempt, "execution")
	// Output: 1 <nil> 3 attempts, 1 execution
}
