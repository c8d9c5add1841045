package steady_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// fixed is a call that captures nothing; by way of a variable, so that the compiler
// knows as little of it as of a user's.
var fixed = func(context.Context) error { return nil }

func requireAllocs(t *testing.T, want float64, f func()) {
	t.Helper()
	require.Equal(t, want, testing.AllocsPerRun(1000, f), "allocations a call")
}

// captured makes a call that captures a variable, as most calls of users do.
func captured(n *int) func(context.Context) error {
	return func(context.Context) error { *n++; return nil }
}

func TestPoliciesAllocateNothingOnTheHappyPath(t *testing.T) {
	closed := breaker.MustNew(breaker.Config{})
	group := breaker.MustNewGroup(breaker.GroupConfig{Peers: &breaker.Peers{}})
	gate := bulkhead.MustNew(bulkhead.Config{Limit: 1})
	again := retry.MustNew(retry.Config{})
	ctx, n := t.Context(), 0

	// Called directly, not through an interface, the closure too stays on the stack.
	t.Run("breaker", func(t *testing.T) {
		requireAllocs(t, 0, func() { _ = closed.Do(ctx, func(context.Context) error { n++; return nil }) })
	})
	t.Run("breaker group", func(t *testing.T) {
		requireAllocs(t, 0, func() { _ = group.Do(ctx, "node-1", func(context.Context) error { n++; return nil }) })
	})
	t.Run("bulkhead", func(t *testing.T) {
		requireAllocs(t, 0, func() { _ = gate.Do(ctx, func(context.Context) error { n++; return nil }) })
	})
	t.Run("retry", func(t *testing.T) {
		requireAllocs(t, 0, func() { _ = again.Do(ctx, func(context.Context) error { n++; return nil }) })
	})
}

// What stands for the load is allocated only where there is to be one, or nothing is at hand.
func TestACacheAllocatesNothingForAHit(t *testing.T) {
	answers := cache.MustNew[string, int](cache.Config{MaxEntries: 10, Fresh: time.Hour, LoadTimeout: time.Hour, MaxLoads: 1})
	ctx := t.Context()
	answers.Set("a", 1)
	t.Run("fresh", func(t *testing.T) { requireAllocs(t, 0, func() { _, _, _ = answers.Get(ctx, "a", value7) }) })
	t.Run("fresh, with a hook", func(t *testing.T) {
		answers := cache.MustNew[string, int](cache.Config{
			MaxEntries: 10, Fresh: time.Hour, LoadTimeout: time.Hour, Hook: steady.HookFunc(func(context.Context, steady.Event) {}),
		})
		answers.Set("a", 1)
		requireAllocs(t, 0, func() { _, _, _ = answers.Get(ctx, "a", value7) })
	})
	t.Run("refused", func(t *testing.T) {
		runs, release := make(chan struct{}), make(chan struct{})
		defer close(release)
		go func() {
			_, _, _ = answers.Get(ctx, "b", func(context.Context) (int, error) { close(runs); <-release; return 0, nil })
		}()
		<-runs
		requireAllocs(t, 0, func() { _, _, _ = answers.Get(ctx, "c", value7) })
	})
}

// A call that ignores its context costs the one that stands for it; one that waits on
// it costs what the standard library's does on top, until it is known that calls do no
// more than that: then it costs one less than the standard library's.
func TestTimeoutAllocatesAsMuchAsItsContextIsAskedFor(t *testing.T) {
	limit := timeout.MustNew(timeout.Config{Limit: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Run("ignored", func(t *testing.T) { requireAllocs(t, 1, func() { _ = limit.Do(ctx, fixed) }) })
	t.Run("in a chain", func(t *testing.T) {
		chain := steady.Chain(limit)
		requireAllocs(t, 1, func() { _ = chain.Do(ctx, fixed) })
	})
	waits := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		default:
			return nil
		}
	}
	std := testing.AllocsPerRun(1000, func() {
		ctx, cancel := context.WithTimeoutCause(ctx, time.Hour, errBoom)
		_ = waits(ctx)
		cancel()
	})
	t.Run("waited on", func(t *testing.T) { requireAllocs(t, std-1, func() { _ = limit.Do(ctx, waits) }) })

	derives := func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return waits(ctx)
	}
	stdDerives := testing.AllocsPerRun(1000, func() {
		ctx, cancel := context.WithTimeoutCause(ctx, time.Hour, errBoom)
		_ = derives(ctx)
		cancel()
	})
	t.Run("derived from", func(t *testing.T) { requireAllocs(t, stdDerives+1, func() { _ = limit.Do(ctx, derives) }) })
	t.Run("waited on by a policy whose calls also derive", func(t *testing.T) { requireAllocs(t, std+1, func() { _ = limit.Do(ctx, waits) }) })
}

func TestRejectionsAllocateNothing(t *testing.T) {
	open := breaker.MustNew(breaker.Config{Name: "db"})
	open.ForceOpen()
	nodes := []string{"a", "b"}
	group := breaker.MustNewGroup(breaker.GroupConfig{})
	for _, n := range nodes {
		group.Get(n).ForceOpen()
	}
	full := bulkhead.MustNew(bulkhead.Config{Limit: 1, Name: "db"})
	_, err := full.Acquire(t.Context())
	require.NoError(t, err)
	ctx := t.Context()

	t.Run("breaker", func(t *testing.T) { requireAllocs(t, 0, func() { _ = open.Do(ctx, fixed) }) })
	t.Run("breaker, Allow", func(t *testing.T) { requireAllocs(t, 0, func() { _, _ = open.Allow(ctx) }) })
	t.Run("breaker group, Pick", func(t *testing.T) {
		requireAllocs(t, 0, func() { _, _, _ = group.Pick(ctx, nodes, nil) })
	})
	t.Run("bulkhead", func(t *testing.T) { requireAllocs(t, 0, func() { _ = full.Do(ctx, fixed) }) })
	t.Run("bulkhead, TryAcquire", func(t *testing.T) {
		requireAllocs(t, 0, func() { _, _ = full.TryAcquire(ctx) })
	})
	t.Run("through a chain", func(t *testing.T) {
		chain := steady.Chain(bulkhead.MustNew(bulkhead.Config{Limit: 1}), retry.MustNew(retry.Config{Attempts: 1}), open)
		requireAllocs(t, 0, func() { _ = chain.Do(ctx, fixed) })
	})
	t.Run("asked about", func(t *testing.T) {
		err := open.Do(ctx, fixed)
		requireAllocs(t, 0, func() {
			r, _ := steady.AsRejection(err)
			_, _ = r.RetryAfter()
		})
	})
}

func TestTwoStepPermitsAllocateOnce(t *testing.T) {
	closed := breaker.MustNew(breaker.Config{})
	gate := bulkhead.MustNew(bulkhead.Config{Limit: 1})
	ctx := t.Context()
	t.Run("breaker", func(t *testing.T) {
		requireAllocs(t, 1, func() {
			p, _ := closed.Allow(ctx)
			p.Done(nil)
		})
	})
	t.Run("breaker group, Pick", func(t *testing.T) {
		group := breaker.MustNewGroup(breaker.GroupConfig{})
		nodes, tried := []string{"a", "b", "c"}, []string{"b"}
		requireAllocs(t, 1, func() {
			_, p, _ := group.Pick(ctx, nodes, tried)
			p.Done(nil)
		})
	})
	t.Run("bulkhead", func(t *testing.T) {
		requireAllocs(t, 1, func() {
			p, _ := gate.Acquire(ctx)
			p.Release()
		})
	})
}

// threePolicies are those that allocate nothing themselves.
func threePolicies() []steady.Policy {
	return []steady.Policy{
		bulkhead.MustNew(bulkhead.Config{Limit: 1}),
		retry.MustNew(retry.Config{}),
		breaker.MustNew(breaker.Config{}),
	}
}

func TestComposingAllocatesAlmostNothing(t *testing.T) {
	ctx, n := t.Context(), 0
	chain := steady.Chain(threePolicies()...)
	t.Run("Wrap", func(t *testing.T) {
		wrapped := steady.Wrap(captured(&n), threePolicies()...)
		requireAllocs(t, 0, func() { _ = wrapped(ctx) })
	})
	t.Run("Chain over a fixed call", func(t *testing.T) {
		requireAllocs(t, 0, func() { _ = chain.Do(ctx, fixed) })
	})
	t.Run("Chain over a call made each time", func(t *testing.T) {
		requireAllocs(t, 1, func() { _ = chain.Do(ctx, captured(&n)) })
	})
	t.Run("Chain with a group", func(t *testing.T) {
		group := breaker.MustNewGroup(breaker.GroupConfig{})
		chain := steady.Chain(chain, group.By(func(context.Context) string { return "node-1" }))
		requireAllocs(t, 0, func() { _ = chain.Do(ctx, fixed) })
	})
	t.Run("Chain with a policy from elsewhere", func(t *testing.T) {
		chain := steady.Chain(chain, policyFunc(func(ctx context.Context, call func(context.Context) error) error { return call(ctx) }))
		requireAllocs(t, 1, func() { _ = chain.Do(ctx, fixed) })
	})
	t.Run("DoValue", func(t *testing.T) {
		requireAllocs(t, 3, func() { _, _ = steady.DoValue(ctx, chain, value7) })
	})
}

var value7 = func(context.Context) (int, error) { return 7, nil }

func TestHooksAllocateNothingForWhatIsOff(t *testing.T) {
	hook := steady.LogHook(slog.New(slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: slog.LevelError})))
	gate := bulkhead.MustNew(bulkhead.Config{Limit: 1, Hook: steady.Hooks(hook, hook)})
	ctx := t.Context()
	requireAllocs(t, 0, func() { _ = gate.Do(ctx, fixed) })
}
