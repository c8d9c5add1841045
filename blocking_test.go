package steady_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/chaos"
	"github.com/steady-go/steady/operation"
	"github.com/steady-go/steady/retry"
	"github.com/steady-go/steady/timeout"
)

// A hook that waits for a metrics server which is gone holds up the call that it is told of, and
// nobody else: no lock is held, and no other call waits for that one.
func TestAHookThatBlocksHoldsUpItsOwnCallOnly(t *testing.T) {
	type blocked struct{}
	boom := errors.New("boom")
	for _, kind := range []steady.Kind{
		steady.KindDone, steady.KindRejected, steady.KindState, steady.KindRetry, steady.KindAbandoned, steady.KindInjected, steady.KindDryRun,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				hook := steady.HookFunc(func(ctx context.Context, e steady.Event) {
					if e.Kind == kind && ctx.Value(blocked{}) != nil {
						<-release
					}
				})
				faults := chaos.MustNew(chaos.Config{Hook: hook, Faults: []chaos.Fault{{
					Name: "down", Effect: chaos.Error(boom), Rate: 1, When: func(ctx context.Context) bool { return ctx.Value(blocked{}) != nil },
				}}})
				require.NoError(t, faults.Arm(time.Hour))
				group := breaker.MustNewGroup(breaker.GroupConfig{Config: breaker.Config{ConsecutiveFailures: 1, Hook: hook, OpenFor: time.Millisecond}})
				gate := bulkhead.MustNew(bulkhead.Config{Limit: 2, Hook: hook})
				abandons := timeout.MustNew(timeout.Config{Limit: 10 * time.Millisecond, Abandon: true, Hook: hook})
				p := steady.Chain(
					operation.MustNew(operation.Config{Name: "x", Hook: hook}),
					gate,
					retry.MustNew(retry.Config{Hook: hook}),
					group.By(func(context.Context) string { return "n1" }),
					timeout.MustNew(timeout.Config{Limit: time.Second, Hook: hook}),
					faults,
				)
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					ctx := context.WithValue(t.Context(), blocked{}, true)
					_ = p.Do(ctx, func(context.Context) error { return nil })
					_ = abandons.Do(ctx, func(context.Context) error { time.Sleep(time.Second); return nil })
					group.Get("n1").ForceOpen()
					_ = group.Do(ctx, "n1", func(context.Context) error { return nil })
					group.SetDryRun(true)
					_ = group.Do(ctx, "n1", func(context.Context) error { return nil })
				}()
				time.Sleep(time.Minute)
				synctest.Wait()
				select {
				case <-ended:
					require.Fail(t, "the hook did not block")
				default:
				}

				group.SetDryRun(false)
				group.Get("n1").Reset()
				require.NoError(t, p.Do(t.Context(), func(context.Context) error { return nil }), "another call")
				require.NotEmpty(t, p.(steady.Inspector).Inspect())
				require.NoError(t, gate.SetLimit(3))
				close(release)
				<-ended
				time.Sleep(time.Minute) // for the call that was abandoned
			})
		})
	}
}
