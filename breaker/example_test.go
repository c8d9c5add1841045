package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

func ExampleNew() {
	_, err := breaker.New(breaker.Config{FailureRatio: 1.5, OpenFor: -time.Second})
	fmt.Println(err)
	// Output:
	// breaker: Config.FailureRatio must be above 0 and at most 1, or Off, got 1.5
	// breaker: Config.OpenFor must be between 1ms and 24h, or 0, got -1s
}

func ExampleBreaker_Do() {
	payments := breaker.MustNew(breaker.Config{Name: "payments", MinCalls: 4})
	pay := func(context.Context) error { return errors.New("502 bad gateway") }

	for range 5 {
		err := payments.Do(context.Background(), pay)
		fmt.Println(err, errors.Is(err, breaker.ErrOpen))
	}
	// Output:
	// 502 bad gateway false
	// 502 bad gateway false
	// 502 bad gateway false
	// 502 bad gateway false
	// breaker: payments is open true
}

// A stream is not one func call: take a permit, and say how it ended.
func ExampleBreaker_Allow() {
	feed := breaker.MustNew(breaker.Config{Name: "feed"})

	permit, err := feed.Allow(context.Background())
	if err != nil {
		fmt.Println("refused:", err)
		return
	}
	defer permit.Cancel() // does nothing once Done was called
	fmt.Println("streaming")
	permit.Done(errors.New("connection reset"))

	s := feed.Stats()
	fmt.Println(s.Calls, "call,", s.Failures, "failed")
	// Output:
	// streaming
	// 1 call, 1 failed
}

func ExampleGroup_Do() {
	tenants := breaker.MustNewGroup(breaker.GroupConfig{
		Config: breaker.Config{Name: "tenant", ConsecutiveFailures: 3},
	})
	for range 3 {
		_ = tenants.Do(context.Background(), "acme", func(context.Context) error { return errors.New("bad data") })
	}
	work := func(context.Context) error { return nil }
	fmt.Println(tenants.Do(context.Background(), "acme", work))
	fmt.Println(tenants.Do(context.Background(), "other", work))
	// Output:
	// breaker: tenant/acme is open
	// <nil>
}

// Each attempt goes to a node that was not tried yet and is not known to be down.
func ExampleGroup_Pick() {
	nodes := []string{"node-1", "node-2", "node-3"}
	group := breaker.MustNewGroup(breaker.GroupConfig{
		Config: breaker.Config{Name: "orders"},
		Peers:  &breaker.Peers{},
	})
	again := retry.MustNew(retry.Config{Delay: time.Millisecond})
	limit := timeout.MustNew(timeout.Config{Limit: 250 * time.Millisecond})

	get := func(_ context.Context, node string) error {
		if node != "node-3" {
			return errors.New(node + ": connection refused")
		}
		return nil
	}

	var tried []string
	err := again.Do(context.Background(), func(ctx context.Context) error {
		node, permit, err := group.Pick(ctx, nodes, tried)
		if err != nil {
			return err
		}
		tried = append(tried, node)
		return permit.Do(ctx, func(ctx context.Context) error {
			return limit.Do(ctx, func(ctx context.Context) error { return get(ctx, node) })
		})
	})
	fmt.Println("error:", err)
	fmt.Println("reached:", tried[len(tried)-1])
	// Output:
	// error: <nil>
	// reached: node-3
}

// In a chain the breaker stands inside the retry, so that it counts attempts, and
// outside the attempt's timeout, so that it counts timeouts.
func Example_composed() {
	db := steady.Chain(
		retry.MustNew(retry.Config{Delay: time.Millisecond}),
		breaker.MustNew(breaker.Config{Name: "db"}),
		timeout.MustNew(timeout.Config{Limit: time.Second}),
	)
	rows, err := steady.DoValue(context.Background(), db, func(ctx context.Context) (int, error) {
		if steady.Attempt(ctx) == 1 {
			return 0, errors.New("connection reset")
		}
		return 42, nil
	})
	fmt.Println(rows, err)
	// Output: 42 <nil>
}
