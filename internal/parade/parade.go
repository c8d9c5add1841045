// Package parade has policies of every kind do all that they can report, for tests of
// hooks.
package parade

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos"
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
	return []any{whole, again, b, group, limit, faults, gate}
}
