package steady_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/steady-go/steady"
	"github.com/steady-go/steady/breaker"
	"github.com/steady-go/steady/bulkhead"
	"github.com/steady-go/steady/cache"
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

// So with a cache: an answer's event holds up that request, a load's that load, and who waits for it no longer than
// LoadTimeout.
// Planted: load.go: store tells of evictions, with the shard's lock held; land closes done after the events; KindLoad is told with
// the lock of the flights held → red.
func TestAHookThatBlocksHoldsUpItsOwnRequestToACacheOnly(t *testing.T) {
	type blocked struct{}
	one := func(context.Context) (int, error) { return 1, nil }
	const limit = time.Minute
	for kind, want := range map[steady.Kind]struct {
		held   bool          // the request
		waited time.Duration // by another that waits for the same load
		err    error         // of that one
	}{
		steady.KindDone:      {held: true},
		steady.KindRejected:  {held: true},
		steady.KindLoad:      {waited: limit, err: cache.ErrLoadTimeout},
		steady.KindLoaded:    {},
		steady.KindEvicted:   {},
		steady.KindAbandoned: {waited: limit, err: cache.ErrLoadTimeout},
		steady.KindLate:      {waited: limit, err: cache.ErrLoadTimeout},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var blocks atomic.Int64
				answers := cache.MustNew[string, int](cache.Config{
					MaxEntries: 1, Fresh: time.Hour, LoadTimeout: limit, MaxLoads: 2,
					Hook: steady.HookFunc(func(ctx context.Context, e steady.Event) {
						if e.Kind == kind && ctx.Value(blocked{}) != nil {
							blocks.Add(1)
							<-release
						}
					}),
				})
				answers.Set("old", 1)
				load := func(context.Context) (int, error) {
					time.Sleep(time.Second)
					if kind == steady.KindAbandoned || kind == steady.KindLate {
						time.Sleep(2 * limit)
					}
					return 1, nil
				}
				ctx, cancel := context.WithCancel(context.WithValue(t.Context(), blocked{}, true))
				if kind == steady.KindRejected {
					cancel()
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _, _ = answers.Get(ctx, "a", load)
				}()
				synctest.Wait()
				start := time.Now()
				if kind != steady.KindRejected {
					_, _, err := answers.Get(t.Context(), "a", one)
					require.ErrorIs(t, err, want.err)
					require.InDelta(t, max(want.waited, time.Second), time.Since(start), float64(time.Second), "who waits for the same load")
				}
				time.Sleep(time.Hour)
				require.EqualValues(t, 1, blocks.Load(), "the hook blocks")
				select {
				case <-ended:
					require.False(t, want.held, "the request")
				default:
					require.True(t, want.held, "the request")
				}

				_, _, err := answers.Get(t.Context(), "b", one)
				require.NoError(t, err, "another request")
				answers.Set("c", 1)
				answers.Invalidate("c")
				answers.InvalidateAll()
				require.NotEmpty(t, answers.Inspect())
				require.Zero(t, answers.Len())
				_, _, err = answers.Get(t.Context(), "a", one)
				require.NoError(t, err, "the same key")
				cancel()
				close(release)
				<-ended
				time.Sleep(time.Hour)
				require.Zero(t, answers.Stats().Loading)
			})
		})
	}
}
