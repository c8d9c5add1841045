// Package parade has policies of every kind do all that they can report, for tests of
// hooks.
package parade

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/cache"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/idempotency"
	"github.com/steady-go/steady/operation"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// All makes policies with the hook, and calls through them, until each kind of event has come,
// with each way to end. It takes some milliseconds, of virtual time in a bubble. The last event, of
// a call that was abandoned, may come a moment later. What it returns must be kept alive for as long as
// somebody looks into the policies.
func All(t *testing.T, hook steady.Hook) []any {
	ctx := t.Context()
	succeed := func(context.Context) error { return nil }
	fail := func(context.Context) error { return errors.New("boom") }

	whole := operation.MustNew(operation.Config{Name: "checkout", Hook: hook})
	_ = whole.Do(ctx, succeed)
	_ = whole.Do(ctx, fail)

	again := retry.MustNew(retry.Config{Name: "db", Delay: time.Millisecond, Hook: hook})
	_ = again.Do(ctx, fail)

	b := breaker.MustNew(breaker.Config{Name: "db", ConsecutiveFailures: 1, SlowAfter: time.Hour, Hook: hook})
	_ = b.Do(ctx, fail)    // opens
	_ = b.Do(ctx, succeed) // is refused
	b.SetDryRun(true)
	_ = b.Do(ctx, succeed) // would have been

	group := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{Name: "nodes", Hook: hook}, Peers: &breaker.Peers{}, MaxKeys: 2})
	for _, key := range []string{"a", "b", "c"} { // for which there is no room
		_ = group.Do(ctx, key, succeed)
	}

	limit := timeout.MustNew(timeout.Config{Name: "db", Limit: time.Millisecond, Abandon: true, Hook: hook})
	release, ended := make(chan struct{}), make(chan struct{})
	_ = limit.Do(ctx, func(context.Context) error { // is abandoned, and ends later
		defer close(ended)
		<-release
		return errors.New("boom")
	})
	close(release)
	<-ended

	faults := chaos.MustNew(chaos.Config{Name: "db", Hook: hook, Faults: []chaos.Fault{{Name: "down", Effect: chaos.Error(nil), Rate: 1}}})
	if err := faults.Arm(time.Hour); err != nil {
		t.Fatal(err)
	}
	_ = faults.Do(ctx, succeed)

	gate := bulkhead.MustNew(bulkhead.Config{Name: "db", Limit: 1, Queue: 1, MaxWait: time.Millisecond, Hook: hook})
	_ = gate.Do(ctx, func(ctx context.Context) error { return gate.Do(ctx, succeed) }) // which waits in vain
	return slices.Concat(caches(ctx, hook), guards(ctx, hook), []any{whole, again, b, group, limit, faults, gate})
}

// caches is All for caches: answers from everywhere, what they refuse, loads for all reasons and with all
// ends, and evictions.
func caches(ctx context.Context, hook steady.Hook) (all []any) {
	bring := func(context.Context) (int, error) { return 1, nil }
	fail := func(context.Context) (int, error) { return 0, errors.New("boom") }
	missing := func(context.Context) (int, error) { return 0, cache.ErrNotFound }
	age := func() { time.Sleep(2 * time.Millisecond) }

	ended := make(chan struct{}) // what nobody waits for
	hook = steady.Hooks(hook, steady.HookFunc(func(_ context.Context, e steady.Event) {
		if e.Kind == steady.KindLate || e.Kind == steady.KindLoaded && e.Reason != "miss" {
			ended <- struct{}{}
		}
	}))
	users := cache.MustNew[string, int](cache.Config{
		Name: "users", MaxEntries: 1, Fresh: time.Millisecond, StaleIfError: time.Hour, NegativeFor: time.Millisecond,
		LoadTimeout: 10 * time.Millisecond, MaxLoads: 1, Hook: hook,
	})
	_, _, _ = users.Get(ctx, "a", fail)
	_, _, _ = users.Get(ctx, "a", bring)
	_, _, _ = users.Get(ctx, "a", bring) // is fresh
	age()
	_, _, _ = users.Get(ctx, "a", fail)    // is stale on error
	_, _, _ = users.Get(ctx, "b", missing) // for which another has to go
	_, _, _ = users.Get(ctx, "b", missing) // is negative
	age()
	users.Set("c", 1) // for which one has to go that is good for nothing

	release := make(chan struct{})
	_, _, _ = users.Get(ctx, "d", func(context.Context) (int, error) { // is left running, and ends later
		<-release
		return 0, errors.New("boom")
	})
	_, _, _ = users.Get(ctx, "e", bring) // is refused
	close(release)
	<-ended

	for _, c := range []cache.Config{
		{Fresh: time.Millisecond, StaleWhileRevalidate: time.Hour},
		{Fresh: time.Hour, RefreshAhead: 1e-7},
	} {
		c.Name, c.MaxEntries, c.LoadTimeout, c.Hook = "pages", 1, time.Hour, hook
		pages := cache.MustNew[string, int](c)
		pages.Set("a", 1)
		age()
		_, _, _ = pages.Get(ctx, "a", bring) // loads it in the background
		<-ended
		all = append(all, pages)
	}
	return append(all, users)
}

// guards is All for guards: all that can become of a request, but for what takes a store that fails later.
func guards(ctx context.Context, hook steady.Hook) []any {
	orders := idempotency.MustNew(idempotency.Config{Name: "orders", OnUnknown: idempotency.Rerun, MaxOutcome: 1, Hook: hook})
	checked := idempotency.MustNew(idempotency.Config{Name: "checked", OnUnknown: idempotency.Refuse, Hook: hook})
	do := func(g *idempotency.Guard, key, fingerprint string, v int, err error) {
		_, _, _ = idempotency.Do(ctx, g, key, fingerprint, func(context.Context) (int, error) { return v, err })
	}
	do(orders, "a", "", 1, nil)
	do(orders, "a", "", 1, nil)  // is replayed
	do(orders, "b", "", 10, nil) // is too large
	do(orders, "b", "", 10, nil) // and not replayable
	do(orders, "c", "", 0, idempotency.NotApplied(errors.New("boom")))
	do(orders, "c", "", 0, errors.New("boom"))                                               // is left unknown
	_, _, _ = idempotency.Do(ctx, orders, "c", "1", func(ctx context.Context) (int, error) { // is recovered
		do(orders, "c", "1", 1, nil) // in flight
		do(orders, "c", "2", 1, nil) // a mismatch
		return 1, nil
	})
	do(checked, "a", "", 0, errors.New("boom"))
	do(checked, "a", "", 0, nil) // is unknown
	return []any{orders, checked}
}
