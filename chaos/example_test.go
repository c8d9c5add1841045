package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/retry"
)

func ExampleNew() {
	_, err := chaos.New(chaos.Config{Faults: []chaos.Fault{
		{Name: "slow", Effect: chaos.Latency(chaos.Uniform(time.Second, 0)), Rate: 1.5},
	}})
	fmt.Println(err)
	// Output:
	// chaos: Config.Faults[0].Effect must have 0 <= lo < hi, got Uniform(1s, 0s)
	// chaos: Config.Faults[0].Rate must be between 0 and 1, got 1.5
}

// An injector does nothing until it is armed, and is disarmed by itself at the end of the
// time that it was armed for.
func ExampleInjector_Arm() {
	faults := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{
		{Name: "down", Effect: chaos.Error(errors.New("connection refused")), Rate: 1},
	}})
	call := func(context.Context) error { return nil }

	fmt.Println(faults.Do(context.Background(), call))

	_ = faults.Arm(time.Minute)
	err := faults.Do(context.Background(), call)
	fmt.Println(err)
	fmt.Println(errors.Is(err, chaos.ErrInjected))

	faults.Disarm()
	fmt.Println(faults.Do(context.Background(), call))
	// Output:
	// <nil>
	// chaos: injected by down: connection refused
	// true
	// <nil>
}

// The injector stands innermost, where the dependency would fail, so that all policies
// show what they make of it. Does the retry hold when one of three nodes is down?
func Example() {
	nodes := chaos.MustNew(chaos.Config{Name: "nodes", Faults: []chaos.Fault{
		{Name: "n1 is down", Effect: chaos.Error(errors.New("connection refused")), Rate: 1, Keys: []string{"n1"}},
	}})
	_ = nodes.Arm(time.Minute)
	defer nodes.Disarm()

	again := retry.MustNew(retry.Config{Delay: time.Millisecond})
	request := func(ctx context.Context) error {
		node := []string{"n1", "n2", "n3"}[(steady.Attempt(ctx)-1)%3] // another node each time
		return nodes.At(node).Do(ctx, func(context.Context) error {
			fmt.Println("served by", node)
			return nil
		})
	}
	fmt.Println(again.Do(context.Background(), request))
	fmt.Println(nodes.Stats().Injected)
	// Output:
	// served by n2
	// <nil>
	// map[n1 is down:1]
}

// A lost reply is why operations must be idempotent: the order is placed, and the caller
// cannot know.
func ExampleLoseReply() {
	network := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{
		{Name: "lost", Effect: chaos.LoseReply(errors.New("connection reset")), Rate: 1, Max: 1},
	}})
	_ = network.Arm(time.Minute)

	orders := 0
	place := func(context.Context) error { orders++; return nil }
	err := steady.Chain(retry.MustNew(retry.Config{Delay: time.Millisecond}), network).Do(context.Background(), place)
	fmt.Println(err, orders, "orders")
	// Output: <nil> 2 orders
}

// In production a fault is bounded by who has agreed to it, by its rate and its number,
// and by the time that it is armed for. The kill switch ends all of it at once.
func ExampleKill() {
	type tester struct{}
	faults := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{{
		Name:   "slow search",
		Effect: chaos.Latency(chaos.LogNormal(10*time.Millisecond, 0.5)),
		Rate:   1,
		When:   func(ctx context.Context) bool { return ctx.Value(tester{}) != nil },
		Max:    100,
	}}})
	_ = faults.Arm(10 * time.Minute)
	search := func(context.Context) error { return nil }

	_ = faults.Do(context.Background(), search)
	_ = faults.Do(context.WithValue(context.Background(), tester{}, true), search)
	fmt.Println(faults.Stats().Injected)

	chaos.Kill()
	defer chaos.Revive()
	fmt.Println(faults.Stats().Armed, faults.Arm(time.Minute))
	// Output:
	// map[slow search:1]
	// false chaos: switched off for this process by Kill
}

// What does the caller make of a price that is wrong?
func ExampleDoValue() {
	faults := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{{Name: "garbled", Effect: chaos.Corrupt(), Rate: 1}}})
	_ = faults.Arm(time.Minute)

	price := func(context.Context) (int, error) { return 100, nil }
	v, err := chaos.DoValue(context.Background(), faults, price, func(p int) int { return -p })
	fmt.Println(v, err)
	// Output: -100 <nil>
}

func ExampleInjector_RoundTripper() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	faults := chaos.MustNew(chaos.Config{Faults: []chaos.Fault{
		{Name: "blackhole", Effect: chaos.Hang(), Rate: 1, Keys: []string{"/search"}},
	}})
	_ = faults.Arm(time.Minute)
	client := &http.Client{Transport: faults.RoundTripper(nil, func(r *http.Request) string { return r.URL.Path })}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/search", http.NoBody)
	_, err := client.Do(req)
	fmt.Println(errors.Is(err, chaos.ErrInjected), errors.Is(err, context.DeadlineExceeded))

	resp, err := client.Get(server.URL + "/orders")
	if err == nil {
		fmt.Println(resp.Status)
		_ = resp.Body.Close()
	}
	// Output:
	// true true
	// 404 Not Found
}
